# Runs the test functions of one file, on MicroPython or CPython: an @-line of JSON each.
import io
import json
import sys

path, firmware = sys.argv[1], sys.argv[2]
here = path[: path.rfind("/")]
sys.path.insert(0, firmware)
sys.path.insert(0, here)
if sys.implementation.name == "micropython":
    sys.path.insert(0, here + "/fakes")

space = {"__name__": "unit"}
with open(path) as f:
    exec(compile(f.read(), path, "exec"), space)
for name in sorted(space):
    if name.startswith("test_"):
        problem = ""
        try:
            space[name]()
        except Exception as e:
            out = io.StringIO()
            if hasattr(sys, "print_exception"):
                sys.print_exception(e, out)
            else:
                import traceback

                traceback.print_exc(file=out)
            problem = out.getvalue()
        print("@" + json.dumps([name, problem]))
