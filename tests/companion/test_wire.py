"""The messages: what is taken, what is refused and how, what is written."""

import json
import re

import pytest

from companion import wire, wire_out


def test_the_schemas_on_disk_are_those_of_the_models() -> None:
    want = wire.schema_files()
    have = {path.name: path.read_text() for path in wire.SCHEMAS.glob("*.json")}
    assert have == want, "run: python -m companion.wire"


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (wire.Ask, b'{"id":"k9f2ab.1","tools":"a8Kd0f","new":[["u","hi"]]}'),
        (wire.Ask, b'{"id":"t9f2ab","want":"time"}'),
        (wire.Ask, b'{"id":"r3-1f.1","want":"text","ms":9000,"new":[["u","a word"]]}'),
        (wire.Ask, b'{"id":"a.1","tools":"t","persona":"stoic","new":[["u","hi"]]}'),
        (
            wire.Ask,
            b'{"id":"a.2","tools":"t","ctx":"a.1","new":[["d",[["f",{},{"level":1}]]]],'
            b'"mem":"m1","facts":{"k":"v"},"from":"ann","ms":5000}',
        ),
        (wire.Status, b'{"online":false,"boot":3}'),
        (wire.State, b'{"v":7,"points":{"lamp":{"pin":5,"dir":"out","level":null}}}'),
        (wire.Reply, b'{"id":"k9f2ab","text":"ok","calls":[["f",{"pin":5},{"level":1}]]}'),
        (wire.Event, b'{"kind":"refused","boot":3,"n":17,"tool":"f","code":"x","msg":"y"}'),
        # A newer device says more than this companion understands.
        (wire.Cancel, b'{"id":"a.1","because":"new in 2.0"}'),
    ],
    ids=lambda v: v.__name__ if isinstance(v, type) else None,
)
def test_messages_of_the_protocol_are_taken(kind: type, payload: bytes) -> None:
    wire.parse(kind, payload)


@pytest.mark.parametrize(
    ("payload", "code", "words"),
    [
        (b"\xff\xfe", "bad_utf8", "byte 0"),
        (b'{"id":"\xff"}', "bad_utf8", "byte 7"),
        (b'{"id":', "bad_json", ""),
        (b"[" * 3000, "bad_json", ""),
        (b"[]", "bad_message", "object"),
        (b"{}", "bad_message", "id"),
        (b'{"id":7,"tools":"t","new":[["u","x"]]}', "bad_message", "id"),
        (b'{"id":"a.1"}', "bad_message", "new message"),
        (b'{"id":"a.1","tools":"t","new":[["x","y"]]}', "bad_message", "new.0"),
        (b'{"id":"a.1","tools":"t","new":[["u","x"]],"ms":"20"}', "bad_message", "ms"),
        (b'{"id":"a 1","want":"time"}', "bad_message", "id"),
        (b'{"id":"a","want":"moon"}', "bad_message", "want"),
        (b'{"id":"a","want":"text"}', "bad_message", "one message"),
        (b'{"id":"a","want":"text","new":[["a","x"]]}', "bad_message", "one message"),
        (
            b'{"id":"a.1","tools":"t","new":[["u","x"]],"persona":"%s"}' % (b"x" * 17),
            "bad_message",
            "persona",
        ),
        (b'{"id":"' + b"a" * 5000 + b'"}', "too_big", "4096"),
    ],
)
def test_what_is_no_ask_is_refused_with_a_code(payload: bytes, code: str, words: str) -> None:
    with pytest.raises(wire.WireError) as caught:
        wire.parse(wire.Ask, payload)
    assert caught.value.code == code
    assert words in caught.value.msg


def test_text_is_bounded_in_bytes_not_characters() -> None:
    wire_out.encode_say("a", 1, 2, "€" * 341)
    with pytest.raises(wire.WireError, match="1024 bytes"):
        wire_out.encode_say("a", 1, 2, "€" * 342)
    with pytest.raises(wire.WireError):
        wire_out.encode_say("a", 1, 2, "")


def test_what_is_written_is_compact_and_leaves_defaults_out() -> None:
    assert wire_out.encode_answer("k.1", "edge/commands", [("f", {"pin": 5})]) == (
        b'{"id":"k.1","by":"edge/commands","calls":[["f",{"pin":5}]]}'
    )
    say = wire_out.encode_say("k", 3, 99, "Küche an", "ann")
    assert say.decode() == '{"id":"k","boot":3,"exp":99,"text":"Küche an","from":"ann"}'


@pytest.mark.parametrize(
    "payload",
    [
        wire_out.encode_answer("k.1", "premium/gpt", [("f", {})], "Done: {c1.level}", 1),
        wire_out.encode_err("k.1", "no_answer", "Nobody could answer"),
        wire_out.encode_resend("k.1", ["ctx", "mem"]),
        wire_out.encode_busy("k.1", 99_999),
        wire_out.encode_time("k.1", 1_795_000_000),
    ],
)
def test_each_form_of_an_answer_is_one_of_the_protocols(payload: bytes) -> None:
    wire.parse(wire.AnswerMessage, payload)


def test_an_answer_of_two_forms_is_none() -> None:
    with pytest.raises(wire.WireError):
        wire.parse(wire.AnswerMessage, b'{"id":"a.1","by":"x/y","busy":5}')


def test_what_json_cannot_hold_is_not_written() -> None:
    with pytest.raises(wire.WireError) as caught:
        wire_out.encode({"say": "\ud800"})
    assert caught.value.code == "bad_message"
    with pytest.raises(wire.WireError) as caught:
        wire_out.encode({"say": "x" * 4096})
    assert caught.value.code == "too_big"


def test_ids_are_numbered_within_a_source_and_stay_short() -> None:
    ids = wire.CommandIds()
    made = [ids.next() for _ in range(5000)]
    assert len(set(made)) == 5000
    assert all(re.fullmatch(r"[A-Za-z0-9]{4}-[0-9a-z]{1,2}", id_) for id_ in made)
    by_source: dict[str, list[int]] = {}
    for id_ in made:
        source, _, n = id_.partition("-")
        by_source.setdefault(source, []).append(int(n, 36))
    # Four sources, each counting up from 1: a device holds 96 of them.
    assert len(by_source) == 4
    assert all(ns == list(range(1, len(ns) + 1)) for ns in by_source.values())
    assert made[0].split("-")[0] != wire.CommandIds().next().split("-")[0]


@pytest.mark.parametrize("policy", wire.POLICIES.values())
def test_an_id_may_say_under_which_policy_its_turn_asks(policy: str) -> None:
    ids = wire.CommandIds(policy)
    made = [ids.next() for _ in range(1500)]
    assert all(re.fullmatch(r"[acfpb]_[A-Za-z0-9]{3}-[0-9a-z]{1,2}", id_) for id_ in made)
    assert {wire.policy_of(id_) for id_ in made} == {policy}
    assert len({id_.partition("-")[0] for id_ in made}) == 2
    # As an ask's id in the last round it is a valid one, and says the same.
    ask = f"{made[-1]}.4"
    assert wire.parse(wire.Cancel, f'{{"id":"{ask}"}}'.encode()).id == ask
    assert wire.policy_of(wire.turn_of(ask)) == policy


@pytest.mark.parametrize("id_", ["", "a", "c_", "x_Ab3-1", "o_Ab3-1", "Ab3d-1f", "r3-1f"])
def test_other_ids_say_none(id_: str) -> None:
    assert wire.policy_of(id_) is None


def test_nobody_can_ask_for_the_configured_order() -> None:
    with pytest.raises(ValueError, match="order"):
        wire.CommandIds("order")


@pytest.mark.parametrize(
    ("topic", "want"),
    [
        ("gn/kitchen/up/ask", ("kitchen", "ask")),
        ("gn/all/up/ask", None),
        ("gn/Kitchen/up/ask", None),
        ("gn/kitchen/down/ask", None),
        ("gn/kitchen/up/ask/x", None),
        ("gn//up/ask", None),
    ],
)
def test_only_topics_of_devices_are_read(topic: str, want: object) -> None:
    assert wire.split_up(topic) == want


@pytest.mark.parametrize(("ask", "turn"), [("k9.1", "k9"), ("k9", "k9"), ("k.9.2", "k.9")])
def test_an_ask_names_its_turn(ask: str, turn: str) -> None:
    assert wire.turn_of(ask) == turn


@pytest.mark.parametrize("limit", range(4, 12))
def test_fit_cuts_at_a_character(limit: int) -> None:
    cut = wire_out.fit("ä€ä€ä€", limit)
    assert len(cut.encode()) <= limit
    assert cut.endswith("…")


def test_every_example_of_the_protocol_page_is_valid() -> None:
    page = (wire.SCHEMAS.parents[1] / "docs" / "protocol.md").read_text()
    status = page[page.index('`{"online":true') + 1 :]
    status = status[: status.index("`")].replace("\n", "")
    wire.parse(wire.Status, status.encode())
    state = page[page.index('`{"v":7') + 1 :]
    wire.parse(wire.State, state[: state.index("`")].encode())
    assert json.loads(status)["online"] is True
