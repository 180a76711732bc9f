"""The audit of the projections: their rows are what the log makes of them, at the position that they name.

`fsck` asks by sets what sets can ask; with `deep` it folds every leaf with the pure folds and compares the rows of the
active builds at their checkpoints, byte for byte in canonical form. Rows that are those of an earlier position are told
as what they are: a checkpoint that is ahead of its state. It runs in one snapshot, beside projectors and writers.

This module must never write, never raise on bad data, and never repair: `projections.rebuild` does that.
"""

from collections.abc import Mapping
from typing import Any, Final

from ledger.audit_rows import asking, rows
from ledger.connecting import Connection
from ledger.refolding import Progress
from ledger.sql_files import queries
from projections import reading
from projections.projector import NAMES
from projections.reached import Refold, mark_of
from projections.replay import Rows, canonical_rows
from schemas.findings import Findings

SHALLOW: Final = ("checkpoints", "petitions", "tallies")
SENTENCES: Final[Mapping[str, str]] = {
    "checkpoint": "a projection's checkpoint is not one that it can have",
    "projected-petition": "the petition's row is not that of its last event",
    "projected-tally": "the sums are not the count",
}
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "petitions": ("id",),
    "tally": ("petition", "dimension", "value"),
    "timeline": ("petition", "position", "ordinal"),
    "rungs": ("petition", "since", "rung"),
}
"""What tells the rows of a projection apart. The ladders (`rungs`) are part of the timeline's state."""


async def fsck(connection: Connection, *, deep: bool, progress: Progress | None = None) -> Findings:
    """What is wrong with the projections in this database; nothing, where they are what the log makes of them.

    The connection is one of `ledger_backup`. `deep` folds every leaf. Raises what asyncpg raises where the database is
    not to be had, or not that of a ledger.
    """
    findings = Findings()
    asked = queries("projections", "sql/queries/fsck.sql")
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for name in SHALLOW:
            arguments = (list(NAMES),) if name == "checkpoints" else ()
            async with asking(connection, findings, f"projections-{name}"):
                async for row in rows(connection, asked[name], *arguments):
                    message = f"{SENTENCES[row['rule']]}: {row['detail']}"
                    findings.add(row["rule"], row["position"], row["petition"], message)
        if deep:
            await _compare(connection, findings, progress)
    return findings


async def _compare(connection: Connection, findings: Findings, progress: Progress | None) -> None:
    """Hold every row against the fold, then look whether what differs is only behind."""
    asked = queries("projections", "sql/queries/fsck.sql")
    checkpoints = {row["name"]: row["position"] for row in await connection.fetch(asked["active"])}
    differing: dict[str, tuple[Rows, Rows]] = {}
    fold = Refold()
    size = max(checkpoints.values(), default=0)
    for position in sorted(set(checkpoints.values())):
        if not await _fold(connection, findings, fold, position, size, progress):
            return
        for name in (name for name in NAMES if checkpoints.get(name) == position):
            async with asking(connection, findings, f"{name}-rows"):
                _, found = await reading.rows(connection, name)
                if canonical_rows(found) != canonical_rows(fold.rows(name)):
                    differing[name] = (found, fold.rows(name))
            if name == "timeline":
                ladders = [dict(row) async for row in rows(connection, asked["rungs"])]
                _tell(findings, "rungs", ladders, fold.ladders())
    behind = await _behind(connection, {name: found for name, (found, _) in differing.items()}, size)
    for name, (found, expected) in differing.items():
        if name in behind:
            message = f"{name} is said to be at {checkpoints[name]}, and its rows are those as of {behind[name]}"
            findings.add("checkpoint-ahead", checkpoints[name], None, message)
        else:
            _tell(findings, name, found, expected)


async def _fold(
    connection: Connection, findings: Findings, fold: Refold, to: int, size: int, progress: Progress | None
) -> bool:
    """Fold the leaves up to a position; False where one cannot be folded, which is a finding."""
    query = queries("projections", "sql/queries/fsck.sql")["leaves"]
    async for row in rows(connection, query, fold.position, to):
        try:
            fold.apply(row["leaf"])
        except Exception as error:  # an audit outlives whatever a fold can think of
            message = f"it cannot be folded, and what follows is not compared ({type(error).__name__})"
            findings.add("projection-fold", row["position"], None, message)
            return False
        if progress is not None and row["position"] % 10_000 == 0:
            progress(row["position"], size)
    if progress is not None:
        progress(to, size)
    return True


async def _behind(connection: Connection, found: dict[str, Rows], size: int) -> dict[str, int]:
    """Of projections whose rows differ: the last earlier position whose fold gives exactly these rows, if there is."""
    marks = {name: mark_of(name, of) for name, of in found.items()}
    bytes_found = {name: canonical_rows(of) for name, of in found.items()}
    behind = {name: 0 for name, of in found.items() if not of}
    if not found:
        return behind
    fold = Refold()
    async for row in rows(connection, queries("projections", "sql/queries/fsck.sql")["leaves"], 0, size):
        for name in fold.apply(row["leaf"]) & marks.keys():
            if fold.mark(name) == marks[name] and canonical_rows(fold.rows(name)) == bytes_found[name]:
                behind[name] = fold.position
    return behind


def _tell(findings: Findings, name: str, found: Rows, expected: Rows) -> None:
    """A finding for every row that is missing, too much, or different, and in which columns."""
    by_key, wanted = (
        {tuple(row[column] for column in KEYS[name]): row for row in some_rows} for some_rows in (found, expected)
    )
    for key in sorted(by_key.keys() | wanted.keys()):
        row, right = by_key.get(key), wanted.get(key)
        if row == right:
            continue
        if row is None or right is None:
            difference = "it is missing" if row is None else "no event makes it"
        else:
            difference = f"other {', '.join(sorted(column for column in right if row.get(column) != right[column]))}"
        some: dict[str, Any] = right or row or {}
        message = f"{name} {' '.join(map(str, key))}: {difference}"
        position = some.get("position", some.get("since"))
        findings.add(f"{name}-row", position, some.get("id") or some.get("petition"), message)
