"""Standing: the fold that every other fold stands on. It reads leaves in order and says what each did to its count.

An independent reading of the rules of the log, from the leaves alone (design, sections 4 and 5, rule 7):
  * a signature stands when it is confirmed, was not withdrawn, and no correction holds it;
  * recording, confirming, withdrawing, holding and lifting each move the count by the change in whether it stands;
  * an observation moves the count of an observed petition by the difference to the last number, unless it is of an
    earlier time than the latest observation: then by nothing;
  * nothing else moves a count.

This module must never read a column beside the leaf (`delta`, `count_after`), nor the write side's rules: an auditor
replays with it what the writer claims. It must never skip an event that it does not know: it stops. Pure.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from projections.signatures import NOT_THERE, Signatures
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
        key = NOT_THERE
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
            if row != NOT_THERE:
                raise ImpossibleEvent(position, "a signature is recorded once")
            if len(id) != 16:
                raise ImpossibleEvent(position, "a signature's id is a UUID")
            key = self._key(petition, data)
            confirmed = data["confirmed"]
            table.add(id, confirmed, key)
            return int(confirmed), key
        if row == NOT_THERE:
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
