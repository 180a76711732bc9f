"""Standing: the fold that every other fold stands on. It reads leaves in order and says what each did to its count.

An independent reading of the rules of the log, from the leaves alone (design, sections 4 and 5, rule 7):
  * a signature stands when it is confirmed, was not withdrawn, and no correction holds it;
  * recording, confirming, withdrawing, holding and lifting each move the count by the change in whether it stands;
  * an observation moves the count of an observed petition by the difference to the last number, unless it is of an
    earlier time than the latest observation: then by nothing;
  * nothing else moves a count.

This module must never read a column beside the leaf (`delta`, `count_after`), nor the write side's rules: an auditor
replays with it what the writer claims. It must never skip an event that it does not know: it stops. Pure; memory is
about 30 bytes a signature, so that a million of them fold on a small machine.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from schemas.envelope import UnknownType
from schemas.upcasters import STEPS, upcast

SIGNATURE_TYPES: Final = frozenset(
    {
        "signature.recorded.v1",
        "signature.confirmed.v1",
        "signature.amended.v1",
        "signature.withdrawn.v1",
        "signature.invalidated.v1",
        "signature.reinstated.v1",
        "signer.erased.v1",
    }
)
FOLDED_TYPES: Final = SIGNATURE_TYPES | {
    "petition.opened.v1",
    "petition.revised.v1",
    "update.posted.v1",
    "acceptance.changed.v1",
    "status.declared.v1",
    "correction.opened.v1",
    "correction.approved.v1",
    "correction.completed.v1",
    "correction.cancelled.v1",
    "count.observed.v1",
    "count.published.v1",
    "log.continued.v1",
}
"""Every type of which the projections know what it means to them. Whoever adds one to the catalogue decides it here."""

_CONFIRMED: Final = 1
_WITHDRAWN: Final = 2
_EMPTY: Final = -1


class ImpossibleEvent(ValueError):
    """An event that cannot follow what stands before it. The message names its position and the rule, no content."""

    def __init__(self, position: int, rule: str) -> None:
        super().__init__(f"position {position}: {rule}")
        self.position = position
        self.rule = rule


class TallyKey(NamedTuple):
    """What a signature is counted under, as far as its leaf states it. `answers` are (question, choice) pairs."""

    petition: str
    channel: str
    kind: str
    country: str | None
    region: str | None
    answers: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Step:
    """One event, read. `at` and `recorded` are its times as the leaf writes them.

    `delta` is what it added to the count as recorded; `moved` what it added to the count of this fold, which is 0 for a
    signature that the fold leaves out; `count` the petition's count after it. `key` is the index of the signature's
    tally key in `Steps.keys`, -1 where the event is about no signature.
    """

    position: int
    petition: str
    version: int
    type: str
    at: str
    recorded: str
    data: dict[str, Any]
    delta: int
    moved: int
    count: int
    key: int


class _Petition:
    __slots__ = ("basis", "count", "observed_at", "recorded_count")

    def __init__(self, basis: str) -> None:
        self.basis = basis
        self.count = 0
        self.recorded_count = 0
        self.observed_at = ""


class Signatures:
    """The signatures so far: an open-addressing table from 16-byte ids to dense rows of state, tally key and holds.

    Its placement follows `hash`, which differs from process to process; its rows are in order of recording, so nothing
    that can be seen depends on it.
    """

    __slots__ = ("_corrections", "_held", "_hold_sets", "_ids", "_keys", "_mask", "_sets", "_slots", "_states")

    def __init__(self) -> None:
        self._ids = bytearray()
        self._states = bytearray()
        self._keys = array("I")
        self._held = array("I")  # which set of holds, by its index; 0 is the empty one
        self._mask = 1023
        self._slots = array("i", [_EMPTY]) * (self._mask + 1)
        self._sets: list[tuple[str, ...]] = [()]
        self._hold_sets: dict[tuple[str, ...], int] = {(): 0}
        self._corrections: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._states)

    def find(self, id: bytes) -> int:
        """The row of this signature, or -1."""
        ids, slots, mask = self._ids, self._slots, self._mask
        slot = hash(id) & mask
        while (row := slots[slot]) != _EMPTY:
            if ids[16 * row : 16 * row + 16] == id:
                return row
            slot = (slot + 1) & mask
        return _EMPTY

    def add(self, id: bytes, confirmed: bool, key: int) -> int:
        """A new row. The id must not be there, and be of 16 bytes."""
        row = len(self._states)
        self._ids += id
        self._states.append(_CONFIRMED if confirmed else 0)
        self._keys.append(key)
        self._held.append(0)
        if 2 * row >= self._mask:
            self._grow()  # which places every row
        else:
            self._place(id, row)
        return row

    def stands(self, row: int) -> bool:
        """Whether the signature counts."""
        return self._states[row] == _CONFIRMED and not self._held[row]

    def key(self, row: int) -> int:
        """The index of its tally key."""
        return self._keys[row]

    def is_confirmed(self, row: int) -> bool:
        """Whether it was confirmed, at once or later."""
        return bool(self._states[row] & _CONFIRMED)

    def is_withdrawn(self, row: int) -> bool:
        """Whether its signer withdrew."""
        return bool(self._states[row] & _WITHDRAWN)

    def confirm(self, row: int) -> None:
        """It is confirmed from here on."""
        self._states[row] |= _CONFIRMED

    def withdraw(self, row: int) -> None:
        """It is withdrawn, for good."""
        self._states[row] |= _WITHDRAWN

    def holds(self, row: int) -> tuple[str, ...]:
        """The corrections that hold it, in the order in which they did."""
        return self._sets[self._held[row]]

    def hold(self, row: int, correction: str) -> None:
        """One correction more holds it."""
        self._set_holds(row, (*self.holds(row), self._corrections.setdefault(correction, correction)))

    def lift(self, row: int, correction: str) -> None:
        """One correction less holds it."""
        self._set_holds(row, tuple(hold for hold in self.holds(row) if hold != correction))

    def held(self) -> Iterator[bytes]:
        """The ids of the signatures that some correction holds."""
        for row, held in enumerate(self._held):
            if held:
                yield bytes(self._ids[16 * row : 16 * row + 16])

    def _set_holds(self, row: int, holds: tuple[str, ...]) -> None:
        index = self._hold_sets.get(holds)
        if index is None:
            index = self._hold_sets[holds] = len(self._sets)
            self._sets.append(holds)
        self._held[row] = index

    def _place(self, id: bytes, row: int) -> None:
        slots, mask = self._slots, self._mask
        slot = hash(id) & mask
        while slots[slot] != _EMPTY:
            slot = (slot + 1) & mask
        slots[slot] = row

    def _grow(self) -> None:
        self._mask = 2 * self._mask + 1
        del self._slots  # the old table makes room before the new one takes it
        self._slots = array("i", [_EMPTY]) * (self._mask + 1)
        ids = self._ids
        for row in range(len(self._states)):
            self._place(bytes(ids[16 * row : 16 * row + 16]), row)


class Steps:
    """Reads the leaves of a log in order of position and gives what each did. Used once, from the first leaf on.

    `petition`: only this petition is folded. `without`: ids of signatures that are left out of every count, as if they
    had never been made.
    """

    def __init__(self, petition: str | None = None, without: frozenset[bytes] = frozenset()) -> None:
        self.signatures = Signatures()
        self.keys: list[TallyKey] = []
        self.position = 0
        self._only = petition
        self._without = without
        self._key_index: dict[tuple[Any, ...], int] = {}
        self._petitions: dict[str, _Petition] = {}

    def read(self, leaf: bytes) -> Step | None:
        """The step of the event in this leaf; None where it is of another petition than the one that is folded.

        Raises UnknownType for a type that this version does not know, ImpossibleEvent for an event that cannot stand
        where it stands, and ValueError, KeyError or TypeError for bytes that are no event.
        """
        event = orjson.loads(leaf)
        type, data = event["type"], event["data"]
        if type in STEPS:
            type, data = upcast(type, data)
        position = int(event["id"])
        if type not in FOLDED_TYPES:
            raise UnknownType(f"position {position}: a type that this version does not know")
        if position <= self.position:
            raise ImpossibleEvent(position, "positions rise")
        self.position = position
        subject = event["subject"]
        if self._only is not None and subject != self._only:
            return None
        delta = moved = 0
        key = _EMPTY
        petition = self._petitions.get(subject)
        if type in SIGNATURE_TYPES:
            if petition is None or petition.basis != "itemised":
                raise ImpossibleEvent(position, "a signature belongs to an itemised petition that was opened")
            id = bytes.fromhex(data["signature"].replace("-", ""))
            delta, key = self._signature(position, subject, type, id, data)
            moved = 0 if delta == 0 or id in self._without else delta
        elif type == "petition.opened.v1":
            if petition is not None:
                raise ImpossibleEvent(position, "a petition is opened once")
            petition = self._petitions[subject] = _Petition(data["basis"])
        elif type == "log.continued.v1":
            petition = petition or _Petition("ledger")
        elif petition is None:
            raise ImpossibleEvent(position, "a petition is opened before anything happens to it")
        elif type == "count.observed.v1":
            delta = moved = _observed(position, petition, event["time"], data["count"])
        petition.recorded_count += delta
        petition.count += moved
        if petition.recorded_count < 0:
            raise ImpossibleEvent(position, "a count is never negative")
        return Step(
            position,
            subject,
            event["version"],
            type,
            event["time"],
            event["recordedtime"],
            data,
            delta,
            moved,
            petition.count,
            key,
        )

    def _signature(self, position: int, petition: str, type: str, id: bytes, data: dict[str, Any]) -> tuple[int, int]:
        """What this event adds to the count, and the index of the signature's tally key."""
        table = self.signatures
        row = table.find(id)
        if type == "signature.recorded.v1":
            if row != _EMPTY:
                raise ImpossibleEvent(position, "a signature is recorded once")
            if len(id) != 16:
                raise ImpossibleEvent(position, "a signature's id is a UUID")
            key = self._key(petition, data)
            confirmed = data["confirmed"]
            table.add(id, confirmed, key)
            return int(confirmed), key
        if row == _EMPTY:
            raise ImpossibleEvent(position, "a signature is recorded before anything happens to it")
        key = table.key(row)
        if self.keys[key].petition != petition:
            raise ImpossibleEvent(position, "a signature stays in its petition")
        before = table.stands(row)
        match type:
            case "signature.confirmed.v1":
                if table.is_confirmed(row) or table.is_withdrawn(row):
                    raise ImpossibleEvent(position, "a signature is confirmed once, and not after a withdrawal")
                table.confirm(row)
            case "signature.withdrawn.v1":
                if table.is_withdrawn(row):
                    raise ImpossibleEvent(position, "a signature is withdrawn once")
                table.withdraw(row)
            case "signature.invalidated.v1":
                if data["correction"] in table.holds(row):
                    raise ImpossibleEvent(position, "a correction holds a signature once")
                table.hold(row, data["correction"])
            case "signature.reinstated.v1":
                if data["lifts"] not in table.holds(row):
                    raise ImpossibleEvent(position, "only a hold that is there is lifted")
                table.lift(row, data["lifts"])
            case "signature.amended.v1" | "signer.erased.v1":
                pass  # what is known of the signer changes, not whether the signature stands
            case _:
                raise UnknownType(f"position {position}: a signature event that this fold does not know")
        return table.stands(row) - before, key

    def _key(self, petition: str, data: dict[str, Any]) -> int:
        answers = data.get("answers")
        states = (
            petition,
            data["channel"],
            data["kind"],
            data.get("country"),
            data.get("region"),
            tuple(sorted(answers.items())) if answers else (),
        )
        index = self._key_index.get(states)
        if index is None:
            index = self._key_index[states] = len(self.keys)
            self.keys.append(TallyKey(*states))
        return index


def _observed(position: int, petition: _Petition, at: str, count: int) -> int:
    """What an observation adds: the log's times are of one width, so their order is that of their texts."""
    if petition.basis != "observed":
        raise ImpossibleEvent(position, "only an observed petition's count is observed")
    if at < petition.observed_at:
        return 0
    petition.observed_at = at
    return count - petition.count
