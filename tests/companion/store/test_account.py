"""The books, in memory: whatever three companions do, sums hold and no cap is passed."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from companion.meter.purse import Claim, Known, Refused, Reserved, Slot
from companion.store.account import Books, Held, Key, Settlement, Work, account

CAPS = {"house": 1000, "kitchen": 400, "free": None}
OWNERS = ("a", "b", "c")


@dataclass
class House:
    """What a database would hold, kept as the databases keep it."""

    claims: dict[Key, Held] = field(default_factory=dict)
    counters: dict[str, list[int]] = field(default_factory=dict)
    alive: set[str] = field(default_factory=lambda: set(OWNERS))
    now: float = 0.0

    def post(self, me: str, **parts: object) -> list[object]:
        work = Work(me, self.now, **parts)
        wanted = {*work.asks(), *(k for k, h in self.claims.items() if work.sweep)}
        books = Books(
            {key: held for key, held in self.claims.items() if key in wanted},
            {n: (sum(self.counters[n]), 0) for n in work.slots() if n in self.counters},
            frozenset(self.alive),
        )
        entries = account(work, books)
        self.claims |= entries.claims
        for name, change in entries.changes.items():
            counter = self.counters.setdefault(name, [0, 0])
            counter[0] += change.nano_reserved
            counter[1] += change.nano_spent
            if change.reserved_on:
                assert sum(counter) <= change.nano_cap
        return list(entries.granted)


asks = st.integers(0, 5)
step = st.one_of(
    st.tuples(
        st.just("reserve"),
        st.sampled_from(OWNERS),
        st.lists(
            st.tuples(asks, st.integers(0, 300), st.sets(st.sampled_from(sorted(CAPS)))),
            min_size=1,
            max_size=3,
        ),
    ),
    st.tuples(st.just("settle"), st.sampled_from(OWNERS), asks, st.floats(0, 1)),
    st.tuples(st.just("die"), st.sampled_from(OWNERS)),
    st.tuples(st.just("sweep"), st.sampled_from(OWNERS), st.floats(0, 100)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(step, max_size=30))
def test_whatever_happens(steps: list[tuple[object, ...]]) -> None:
    house = House()
    answered: dict[Key, bytes] = {}
    for what, me, *rest in steps:
        if what == "die":
            house.alive.discard(me)
            continue
        # A process that died came back as another companion; here it is one that lives again.
        house.alive.add(me)
        if what == "reserve":
            claims = [
                Claim(
                    "kitchen",
                    f"k{ask}.1",
                    tuple(Slot(name, name, 1e9, CAPS[name]) for name in sorted(names)),
                    nano,
                    0,
                    house.now + 20,
                )
                for ask, nano, names in rest[0]
            ]
            granted = house.post(me, reserves=claims)
            for claim, one in zip(claims, granted, strict=True):
                key = (claim.device, claim.ask)
                if key in answered:
                    assert one == Known(answered[key])
                if isinstance(one, Refused):
                    assert one.slot in claim.slots
                if isinstance(one, Reserved):
                    assert house.claims[key].owner == me
        elif what == "settle":
            key = ("kitchen", f"k{rest[0]}.1")
            held = house.claims.get(key)
            if held is None or held.owner != me:
                continue
            payload = f"{len(answered)}".encode()
            spent = int(held.nano * rest[1])
            before = held.state
            house.post(me, settlements=[Settlement(*key, spent, 0, payload)])
            if before != "settled":
                answered[key] = payload
        else:
            house.now += rest[0]
            house.post(me, sweep=True)
        sums: dict[str, list[int]] = {name: [0, 0] for name in house.counters}
        for held in house.claims.values():
            for name, (nano, _) in held.slots.items():
                sums[name][held.state != "open"] += nano
        for name, (reserved, spent) in house.counters.items():
            assert reserved == sums[name][0] >= 0
            # An ask that was lost and begun anew has left its first try in what is spent.
            assert spent >= sums[name][1] >= 0
            cap = CAPS[name]
            assert cap is None or reserved + spent <= cap
