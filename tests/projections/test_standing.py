"""The fold that all others stand on: which signatures stand, and what each event adds."""

import subprocess
import sys
from itertools import product
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.signatures import Signatures
from projections.standing import FOLDED_TYPES, ImpossibleEvent, Steps
from schemas.envelope import UnknownType
from schemas.events import CATALOGUE
from tests.histories import History, fixed_uuid, histories, opening


def leaf(position: int, type: str, data: dict[str, Any], subject: str = "p", at: str = "2026-01-01") -> bytes:
    """An event as far as a fold looks at it."""
    time = f"{at}T00:00:00.000000Z"
    return orjson.dumps(
        {
            "id": f"{position:020d}",
            "type": type,
            "subject": subject,
            "time": time,
            "recordedtime": time,
            "version": position,
            "data": data,
        }
    )


def recorded(signature: str, confirmed: bool = True) -> dict[str, Any]:
    return {"signature": signature, "confirmed": confirmed, "channel": "site", "kind": "person"}


def test_every_type_of_the_catalogue_is_folded() -> None:
    """If the catalogue gains a type, then this fails until the projections say what it means to them."""
    assert CATALOGUE.keys() == FOLDED_TYPES


@given(histories())
def test_the_deltas_and_counts_are_those_that_the_writer_stored(history: History) -> None:
    """If the rules are read independently from the leaves, then every delta and every count comes out as stored."""
    steps = Steps()
    for row in history.events:
        step = steps.read(row[15])
        assert step is not None
        assert (step.position, step.version, step.type) == (row[0], row[2], row[3])
        assert (step.delta, step.moved, step.count) == (row[6], row[6], row[7])
        if step.key >= 0:
            key = steps.keys[step.key]
            assert (key.channel, key.kind, key.country, key.region) == row[10:14]


_ACTS = ["confirm", "withdraw", "hold a", "hold b", "lift a", "lift b"]


def test_a_signature_stands_when_confirmed_not_withdrawn_and_free_of_holds() -> None:
    """If acts on one signature come in any order, then the legal ones are taken, and it counts when it stands."""
    for acts in product(_ACTS, repeat=4):
        follow(acts)


def follow(acts: tuple[str, ...]) -> None:
    """Fold these acts on one signature up to the first that is not legal, against the rule said plainly."""
    id = str(fixed_uuid("s"))
    steps = Steps()
    steps.read(leaf(1, "petition.opened.v1", {"basis": "itemised"}))
    steps.read(leaf(2, "signature.recorded.v1", recorded(id, confirmed=False)))
    confirmed = withdrawn = False
    holds: set[str] = set()
    for position, act in enumerate(acts, start=3):
        verb, _, name = act.partition(" ")
        legal = {
            "confirm": not confirmed and not withdrawn,
            "withdraw": not withdrawn,
            "hold": name not in holds,
            "lift": name in holds,
        }[verb]
        type, data = {
            "confirm": ("signature.confirmed.v1", {}),
            "withdraw": ("signature.withdrawn.v1", {}),
            "hold": ("signature.invalidated.v1", {"correction": name}),
            "lift": ("signature.reinstated.v1", {"correction": "another", "lifts": name}),
        }[verb]
        event = leaf(position, type, {"signature": id, **data})
        if not legal:
            with pytest.raises(ImpossibleEvent) as refused:
                steps.read(event)
            assert refused.value.position == position
            return
        confirmed |= verb == "confirm"
        withdrawn |= verb == "withdraw"
        holds = holds | {name} if verb == "hold" else holds - {name}
        step = steps.read(event)
        assert step is not None
        assert step.count == int(confirmed and not withdrawn and not holds)


def test_an_unknown_type_stops_the_fold() -> None:
    """If an event is of a type that this version does not know, then it is not skipped, whatever petition it is of."""
    steps = Steps(petition="another")
    steps.read(leaf(1, "petition.opened.v1", {"basis": "itemised"}))
    with pytest.raises(UnknownType):
        steps.read(leaf(2, "signature.blessed.v1", {}))


@pytest.mark.parametrize(
    ("type", "data"),
    [
        ("signature.recorded.v1", recorded(str(fixed_uuid("s")))),
        ("signature.recorded.v1", recorded("00")),
        ("signature.withdrawn.v1", {"signature": str(fixed_uuid("unheard of"))}),
        ("petition.opened.v1", {"basis": "itemised"}),
        ("count.observed.v1", {"count": 7}),
    ],
)
def test_an_event_that_cannot_stand_where_it_stands_stops_the_fold(type: str, data: dict[str, Any]) -> None:
    """If an event contradicts the ones before it, then the fold stops and names its position."""
    steps = Steps()
    steps.read(leaf(1, "petition.opened.v1", {"basis": "itemised"}))
    steps.read(leaf(2, "signature.recorded.v1", recorded(str(fixed_uuid("s")))))
    with pytest.raises(ImpossibleEvent, match="position 3"):
        steps.read(leaf(3, type, data))


def test_a_position_that_does_not_rise_and_a_petition_never_opened_stop_the_fold() -> None:
    """If leaves come out of order, or before their petition, then the fold stops."""
    steps = Steps()
    steps.read(leaf(1, "petition.opened.v1", {"basis": "itemised"}))
    with pytest.raises(ImpossibleEvent):
        steps.read(leaf(1, "update.posted.v1", {}))
    with pytest.raises(ImpossibleEvent):
        steps.read(leaf(2, "update.posted.v1", {}, subject="q"))
    with pytest.raises(ImpossibleEvent):
        steps.read(leaf(3, "signature.recorded.v1", recorded(str(fixed_uuid("s"))), subject="q"))


def test_a_signature_stays_in_its_petition() -> None:
    """If an event of one petition names a signature of another, then the fold stops."""
    steps = Steps()
    steps.read(leaf(1, "petition.opened.v1", {"basis": "itemised"}))
    steps.read(leaf(2, "petition.opened.v1", {"basis": "itemised"}, subject="q"))
    steps.read(leaf(3, "signature.recorded.v1", recorded(str(fixed_uuid("s")))))
    with pytest.raises(ImpossibleEvent):
        steps.read(leaf(4, "signature.withdrawn.v1", {"signature": str(fixed_uuid("s"))}, subject="q"))


def test_an_older_observation_changes_nothing() -> None:
    """If an observation is of an earlier time than the latest one, then the count stays; of the same time, it moves."""
    steps = Steps()
    steps.read(leaf(1, "petition.opened.v1", {"basis": "observed"}))
    counts = []
    for position, (day, count) in enumerate([("05", 10), ("04", 99), ("05", 12), ("06", 3)], start=2):
        step = steps.read(leaf(position, "count.observed.v1", {"count": count}, at=f"2026-01-{day}"))
        assert step is not None
        counts.append((step.delta, step.count))
    assert counts == [(10, 10), (0, 10), (2, 12), (-9, 3)]


def test_a_signature_left_out_moves_no_count_but_keeps_its_deltas() -> None:
    """If a fold leaves a signature out, then the count is that of the others, and each delta stays as recorded."""
    kept, left_out = fixed_uuid("kept"), fixed_uuid("left out")
    steps = Steps(without=frozenset({left_out.bytes}))
    steps.read(leaf(1, "petition.opened.v1", {"basis": "itemised"}))
    read = [
        steps.read(leaf(2, "signature.recorded.v1", recorded(str(kept)))),
        steps.read(leaf(3, "signature.recorded.v1", recorded(str(left_out)))),
        steps.read(leaf(4, "signature.withdrawn.v1", {"signature": str(kept)})),
    ]
    assert [(step.delta, step.moved, step.count) for step in read if step] == [(1, 1, 1), (1, 0, 1), (-1, -1, 0)]


_ACT = st.tuples(st.sampled_from(["add", "confirm", "withdraw", "hold", "lift"]), st.integers(0, 5000), st.booleans())


@given(st.lists(_ACT, max_size=200), st.integers(0, 3000))
def test_the_compact_table_holds_what_a_plain_dict_holds(acts: list[tuple[str, int, bool]], beside: int) -> None:
    """If signatures are added and changed, then the table answers as a dict does, through every growth."""
    table = Signatures()
    plain: dict[bytes, list[Any]] = {}
    for number in range(beside):
        id = fixed_uuid(f"beside {number}").bytes if number % 100 == 0 else number.to_bytes(16, "big")
        if id not in plain:
            plain[id] = [True, False, (), table.add(id, True, number)]
    for act, number, flag in acts:
        id = (number % 40).to_bytes(16, "little")
        if act == "add" and id not in plain:
            plain[id] = [flag, False, (), table.add(id, flag, number)]
        elif id in plain:
            entry, row = plain[id], table.find(id)
            correction = "a" if flag else "b"
            if act == "confirm":
                table.confirm(row)
                entry[0] = True
            elif act == "withdraw":
                table.withdraw(row)
                entry[1] = True
            elif act == "hold" and correction not in entry[2]:
                table.hold(row, correction)
                entry[2] = (*entry[2], correction)
            elif act == "lift":
                table.lift(row, correction)
                entry[2] = tuple(hold for hold in entry[2] if hold != correction)
    assert len(table) == len(plain)
    for id, (confirmed, withdrawn, holds, row) in plain.items():
        assert table.find(id) == row
        assert (table.is_confirmed(row), table.is_withdrawn(row), table.holds(row)) == (confirmed, withdrawn, holds)
        assert table.stands(row) == (confirmed and not withdrawn and not holds)
    assert set(table.held()) == {id for id, entry in plain.items() if entry[2]}
    assert table.find(b"not there.......") == -1


def test_a_hundred_thousand_signatures_fold_in_a_few_megabytes() -> None:
    """If many signatures are folded, then memory grows by tens of bytes a signature, not by objects."""
    program = (
        "import resource, uuid\n"
        "from projections.signatures import Signatures\n"
        "table = Signatures()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for n in range(100_000): table.add(uuid.UUID(int=n << 64 | n).bytes, True, n % 7)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    grown = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout
    assert int(grown) * _RSS_UNIT < 100_000 * 80


_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def test_a_history_of_one_petition_is_folded_without_the_others() -> None:
    """If only one petition is asked for, then the others give no step, and positions go on."""
    history = History()
    history.settle(opening("first"), opening("second-one"))
    steps = Steps(petition="second-one")
    assert [step and step.petition for step in map(steps.read, history.leaves)] == [None, "second-one"]
    assert steps.position == 2
