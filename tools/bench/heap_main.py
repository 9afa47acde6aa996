# main.py of the board that `make bench` measures: the firmware's own, with a probe at the places
# where most is alive: as a packet is written, as an answer is taken, as a tool runs.
import gc

from ganglion import agent, link, tools

peak = 0


def probe():
    global peak
    gc.collect()
    used = gc.mem_alloc()
    if used > peak:
        peak = used
        print("@peak", used)


def watched(cls, name):
    plain = getattr(cls, name)

    def with_probe(self, *args):
        probe()
        result = plain(self, *args)
        probe()
        return result

    setattr(cls, name, with_probe)


watched(link.Link, "_write")
watched(agent.Agent, "_take_answer")
watched(tools.Tools, "run")
reply = agent.Agent._send_reply


def send_reply(self, *args):
    reply(self, *args)
    print("@retained", retained())


def retained():
    gc.collect()
    return gc.mem_alloc()


agent.Agent._send_reply = send_reply
del watched

from ganglion import board  # noqa: E402

board.main(0, b"")
