"""Refolding: holds every column and every row of state against what the leaves alone make of them.

Each leaf is read by the catalogue and folded by `ledger.folding`, which shares no code with what wrote the rows. A
petition of which a leaf cannot be read is lost from there on: that is one finding, and what would follow from it none.
On the way its hash goes into the tree that `ledger.resealing` holds against the seals.

This module must never raise on bad data, and never put into a finding what it read, but names and numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from ledger.audit_rows import PAGE, asking, rows
from ledger.connecting import Connection
from ledger.folding.log import Folding
from ledger.folding.state import Columns, FoldedCorrection, FoldedPetition
from ledger.merkle import leaf_hash
from ledger.resealing import Resealing
from ledger.sql_files import queries
from schemas.envelope import Event, MalformedEvent, read_event
from schemas.findings import Findings

Progress = Callable[[int, int], None]
"""Told, now and then, how many events were folded, and of how many."""


@dataclass(slots=True)
class _Set:
    """The frozen set of a correction, as its rows say: how many, its digest so far, and what became of them."""

    members: int = 0
    last_ordinal: int = 0
    skipped: int = 0
    digest: Any = field(default_factory=sha256)


class Refolding:
    """One audit by folding: the fold, and what it is compared with."""

    def __init__(self, connection: Connection, findings: Findings) -> None:
        self._connection = connection
        self._findings = findings
        self._folding = Folding()
        self._resealing = Resealing(connection, findings)
        self._asked = queries("ledger", "sql/queries/fsck.sql")
        self._ids: dict[int, str] = {}

    async def run(self, progress: Progress | None) -> None:
        """Fold all leaves, then hold the rows of state against the fold."""
        async with asking(self._connection, self._findings, "leaves"):
            await self._leaves(progress)
        for rule, compare in (
            ("petition-row", self._petitions),
            ("signature-row", self._signatures),
            ("signer-row", self._signers),
            ("correction-row", self._corrections),
        ):
            async with asking(self._connection, self._findings, rule):
                await compare()

    # -- events --------------------------------------------------------------------------------------------------------

    async def _leaves(self, progress: Progress | None) -> None:
        head = [row async for row in rows(self._connection, self._asked["head_position"])]
        size = head[0]["position"] if head else 0
        done = 0
        last: Event | None = None
        await self._resealing.begin()
        async for row in rows(self._connection, self._asked["leaves"]):
            hash = leaf_hash(row["leaf"])
            await self._resealing.take(row["position"], hash)
            last = self._event(row, hash)
            done += 1
            if progress is not None and done % PAGE == 0:
                progress(done, size)
        self._resealing.end()
        if progress is not None:
            progress(done, size)
        if head and last is not None and (head[0]["recorded"], head[0]["origin"]) != (last.recorded, last.source):
            self._findings.add("head", last.position, None, "the head's time or origin is not that of the last event")

    def _event(self, row: asyncpg.Record, hash: bytes) -> Event | None:
        position, leaf = row["position"], row["leaf"]
        said = self._ids.get(row["petition"])
        try:
            event = read_event(leaf)
        except MalformedEvent as refusal:
            self._lose(position, said, "leaf-form", f"it is no event of the catalogue: {refusal}")
            return None
        except Exception as error:  # an audit outlives whatever a parser can think of
            self._lose(position, said, "leaf-form", f"it cannot be read ({type(error).__name__})")
            return None
        if event.position != position:
            self._lose(position, said, "leaf-position", "the leaf does not name the position at which it stands")
            self._folding.lose(event.subject)
            return None
        columns, broken = self._folding.step(event, hash)
        for rule, where, sentence in broken:
            self._findings.add(rule, where, event.subject, sentence)
        if columns is not None:
            self._ids.setdefault(columns.petition, event.subject)
            if wrong := _differing(columns, row):
                message = f"columns are not what the leaves make of them: {wrong}"
                self._findings.add("columns", position, event.subject, message)
        return event

    def _lose(self, position: int, petition: str | None, rule: str, message: str) -> None:
        self._findings.add(rule, position, petition, message)
        if petition is not None:
            self._folding.lose(petition)

    # -- state ---------------------------------------------------------------------------------------------------------

    async def _petitions(self) -> None:
        missing: dict[int, FoldedPetition] = {
            petition.position: petition
            for petition in self._folding.fold.petitions.values()
            if not petition.lost and petition.basis  # the ledger's own stream has no row
        }
        async for row in rows(self._connection, self._asked["petition_rows"]):
            petition = missing.pop(row["petition"], None)
            if petition is None:
                if not self._is_lost(row["petition"]):
                    self._findings.add("petition-row", row["petition"], row["id"], "no event makes this row")
                continue
            values = {**row, "questions": _json(row["questions"]), "acceptances": _json(row["acceptances"])}
            if wrong := _unequal(petition.row(), values):
                where = petition.last_position
                self._findings.add("petition-row", where, petition.id, f"not what the leaves make of it: {wrong}")
        for petition in missing.values():
            self._findings.add("petition-row", petition.position, petition.id, "its row is missing")

    async def _signatures(self) -> None:
        signatures = self._folding.fold.signatures
        compared = 0
        async for row in rows(self._connection, self._asked["signature_rows"]):
            signature = signatures.get(row["signature"].bytes)
            if self._is_lost(row["petition"]) or (signature is not None and signature.petition.lost):
                continue
            id = self._ids.get(row["petition"])
            if signature is None:
                self._findings.add("signature-row", row["position"], id, "no event makes this row")
                continue
            compared += 1
            if wrong := _unequal(signature.row(), {**row, "answers": _json(row["answers"])}):
                message = f"not what the leaves make of it: {wrong}"
                self._findings.add("signature-row", signature.position, signature.petition.id, message)
        expected = sum(not signature.petition.lost for signature in signatures.values())
        if compared != expected:
            message = f"the leaves make {expected} rows, and {compared} are there"
            self._findings.add("signature-row", None, None, message)

    async def _signers(self) -> None:
        """Each signer of the leaves whose latest signature was not erased has one row, and it points to that."""
        found: dict[str, int] = {}
        async for row in rows(self._connection, self._asked["signer_rows"]):
            id = self._ids.get(row["petition"])
            petition = None if id is None else self._folding.fold.petitions[id]
            if petition is None or petition.lost:
                continue
            latest = petition.signers.get(row["signer_ref"])
            if latest is None or latest.id != row["signature"].bytes:
                where = None if latest is None else latest.position
                self._findings.add("signer-row", where, id, "a signer does not point to the latest signature")
            elif not latest.erased:
                found[petition.id] = found.get(petition.id, 0) + 1
        for petition in self._folding.fold.petitions.values():
            expected = sum(not latest.erased for latest in petition.signers.values())
            if not petition.lost and found.get(petition.id, 0) != expected:
                message = f"the leaves make {expected} signers, and {found.get(petition.id, 0)} are there"
                self._findings.add("signer-row", None, petition.id, message)

    async def _corrections(self) -> None:
        corrections = self._folding.fold.corrections
        sets = await self._sets()
        missing = {id: correction for id, correction in corrections.items() if not correction.petition.lost}
        async for row in rows(self._connection, self._asked["correction_rows"]):
            correction = missing.pop(row["correction"], None)
            if correction is None:
                if not self._is_lost(row["petition"]):
                    id = self._ids.get(row["petition"])
                    self._findings.add("correction-row", None, id, "no event makes this row")
                continue
            frozen = sets.get(correction.id, _Set())
            if wrong := _unequal(correction.row(frozen.skipped), dict(row)):
                self._wrong_correction(correction, "correction-row", f"not what the leaves make of it: {wrong}")
            if frozen.members != correction.matched or frozen.last_ordinal != correction.matched:
                self._wrong_correction(correction, "correction-set", "the frozen set has not the matched members")
            elif frozen.digest.hexdigest() != correction.digest:
                self._wrong_correction(correction, "correction-set", "the frozen set is not the one of the digest")
        for correction in missing.values():
            self._wrong_correction(correction, "correction-row", "its row is missing")

    async def _sets(self) -> dict[UUID, _Set]:
        """The frozen sets; on the way, each member is held against whether the correction moved it."""
        sets: dict[UUID, _Set] = {}
        async for row in rows(self._connection, self._asked["member_rows"]):
            frozen = sets.setdefault(row["correction"], _Set())
            frozen.members += 1
            frozen.last_ordinal = max(frozen.last_ordinal, row["ordinal"])
            frozen.skipped += row["outcome"] == "skipped"
            frozen.digest.update(f"{row['signature']}\n".encode("ascii"))
            correction = self._folding.fold.corrections.get(row["correction"])
            if correction is None or correction.petition.lost:
                continue
            if (row["outcome"] == "applied") != (row["signature"].bytes in correction.acted):
                self._wrong_correction(correction, "correction-member", "a member's outcome is not that of its events")
        return sets

    def _wrong_correction(self, correction: FoldedCorrection, rule: str, message: str) -> None:
        self._findings.add(rule, correction.position, correction.petition.id, message)

    def _is_lost(self, petition: int) -> bool:
        id = self._ids.get(petition)
        return id is not None and self._folding.fold.petitions[id].lost


def _differing(columns: Columns, row: asyncpg.Record) -> str:
    """The names of the columns of an event whose values are not the folded ones, joined."""
    return _unequal(columns, {**{name: row[name] for name in Columns._fields}, "answers": _json(row["answers"])})


def _unequal(expected: tuple[Any, ...], row: Mapping[str, Any]) -> str:
    """The names of the values that are not the expected ones, joined; the row's values come in the expected order."""
    values = row.items()
    return ", ".join(name for value, (name, found) in zip(expected, values, strict=True) if value != found)


_UNREADABLE: Final = object()


def _json(text: str | None) -> Any:
    """The value of a JSON column. What cannot be read equals nothing that a fold makes."""
    try:
        return None if text is None else orjson.loads(text)
    except orjson.JSONDecodeError:
        return _UNREADABLE
