"""The audit of the projections: their rows are what the log makes of them, at the position that they name.

`fsck` asks by sets what sets can ask; with `deep` it folds every leaf with the pure folds and compares the rows of the
active builds at their checkpoints, and those of the sealed builds at theirs, byte for byte in canonical form. Rows that
are those of an earlier position are told as what they are: a checkpoint that is ahead of its state. It runs in one
snapshot, beside projectors, sealers and writers.

This module must never write, never raise on bad data, and never repair: `projections.rebuild` does that.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ledger.audit_rows import asking, rows
from ledger.connecting import Connection
from ledger.refolding import Progress
from ledger.sql_files import queries
from projections import reading
from projections.projector import NAMES
from projections.reached import Refold, mark_of
from projections.replay import Rows, canonical_rows
from schemas.findings import Findings

SHALLOW: Final = ("checkpoints", "sealed", "petitions", "tallies")
SENTENCES: Final[Mapping[str, str]] = {
    "checkpoint": "a projection's checkpoint is not one that it can have",
    "sealed-checkpoint": "a sealed build is at no size that was sealed",
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


class _Build(NamedTuple):
    """A build that is held against the fold: of which projection, and whether it is the sealed one."""

    name: str
    sealed: bool

    def __str__(self) -> str:
        return f"sealed {self.name}" if self.sealed else self.name


async def _compare(connection: Connection, findings: Findings, progress: Progress | None) -> None:
    """Hold every row against the fold, then look whether what differs is only behind."""
    asked = queries("projections", "sql/queries/fsck.sql")
    checkpoints = {
        _Build(row["name"], row["sealed"]): row["position"] for row in await connection.fetch(asked["builds"])
    }
    differing: dict[_Build, tuple[Rows, Rows]] = {}
    fold = Refold()
    size = max(checkpoints.values(), default=0)
    for position in sorted(set(checkpoints.values())):
        if not await _fold(connection, findings, fold, position, size, progress):
            return
        for build in (build for build in checkpoints if checkpoints[build] == position):
            async with asking(connection, findings, f"{_rule(build)}-rows"):
                _, found = await reading.rows(connection, build.name, sealed=build.sealed)
                if canonical_rows(found) != canonical_rows(fold.rows(build.name)):
                    differing[build] = (found, fold.rows(build.name))
            if build.name == "timeline":
                ladders = [dict(row) async for row in rows(connection, asked["rungs"], build.sealed)]
                _tell(findings, _Build("rungs", build.sealed), ladders, fold.ladders())
    behind = await _behind(connection, {build: found for build, (found, _) in differing.items()}, size)
    for build, (found, expected) in differing.items():
        if build in behind:
            message = f"{build} is said to be at {checkpoints[build]}, and its rows are those as of {behind[build]}"
            findings.add("checkpoint-ahead", checkpoints[build], None, message)
        else:
            _tell(findings, build, found, expected)


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


async def _behind(connection: Connection, found: dict[_Build, Rows], size: int) -> dict[_Build, int]:
    """Of builds whose rows differ: the last earlier position whose fold gives exactly these rows, if there is."""
    marks = {build: mark_of(build.name, of) for build, of in found.items()}
    bytes_found = {build: canonical_rows(of) for build, of in found.items()}
    behind = {build: 0 for build, of in found.items() if not of}
    if not found:
        return behind
    fold = Refold()
    async for row in rows(connection, queries("projections", "sql/queries/fsck.sql")["leaves"], 0, size):
        moved = fold.apply(row["leaf"])
        for build in (build for build, mark in marks.items() if build.name in moved and fold.mark(build.name) == mark):
            if canonical_rows(fold.rows(build.name)) == bytes_found[build]:
                behind[build] = fold.position
    return behind


def _tell(findings: Findings, build: _Build, found: Rows, expected: Rows) -> None:
    """A finding for every row that is missing, too much, or different, and in which columns."""
    by_key, wanted = (
        {tuple(row[column] for column in KEYS[build.name]): row for row in some_rows} for some_rows in (found, expected)
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
        message = f"{build} {' '.join(map(str, key))}: {difference}"
        position = some.get("position", some.get("since"))
        findings.add(f"{_rule(build)}-row", position, some.get("id") or some.get("petition"), message)


def _rule(build: _Build) -> str:
    return str(build).replace(" ", "-")
