"""Importing from a file: opens the petition where there is none, finishes what a killed import left, and appends the
rows.

The parsing and the rules are the ledger's; this module reads files and reports. It must never repeat a row.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from ledger.email_policy import STANDARD_1, EmailPolicy, UnknownPolicy, email_policy
from ledger.intake.importing import Importer
from ledger.intake.page import PageReading, detect, read_csv, read_pasted_page
from ledger.intake.refusals import Refused
from ledger.intake.report import Report
from ledger.intake.signature_log import LogRow, Skipped, plan, read_log, sift
from ledger.intake.tabular import decode_lines
from ledger.keys import KeyUnavailable
from ledger.vault import Epoch
from schemas.commands import Accepted, OpenPetition, Submission
from schemas.commands import Refused as CommandRefused
from service.database import Ledger, Unavailable, running_corrections
from service.rereading import rereadable

BOUND = 1000
"""Rows in one transaction of an import: bulk work batches larger than live signing does."""

Progress = Callable[[int], None]
Refusal = Callable[[int, str], None]


class ImportRefused(Exception):
    """The import cannot begin. The text is a sentence for a person."""


def import_actor() -> str:
    """The actor of one import: a random id, so that its events can be told from those of others."""
    return f"import:{secrets.token_hex(4)}"


def read_page(path: Path, mapping: Mapping[str, str], all_kind: str | None, zone: ZoneInfo | None) -> PageReading:
    """A page's timeline from a file, in either form. Raises FileRefused, OSError."""
    with rereadable(path) as blocks:
        lines = list(decode_lines(blocks()))
    text = "\n".join(lines)
    if detect(text) == "page":
        return read_pasted_page(text)
    return read_csv(lines, mapping, all_kind, zone)


async def import_page(
    ledger: Ledger,
    opening: OpenPetition,
    reading: PageReading,
    *,
    actor: str,
    progress: Progress = lambda done: None,
    refused: Refusal = lambda line, reason: None,
    report: Report | None = None,
) -> Report:
    """Import a page's timeline into an observed petition, opened if there is none. Raises ImportRefused.

    What becomes of the rows is counted in `report`, where one is given, as it goes: whatever ends the import, it says
    what was appended.
    """
    report = report or Report()
    async with ledger.writer("ledger_admin", bound=BOUND) as writer:
        await open_unless_there(ledger, opening, actor)
        importer = Importer(
            writer,
            opening.petition,
            actor,
            ledger.petition_key(opening.petition),
            STANDARD_1,
            sealing_epoch(ledger),
            refused,
            progress,
            report,
        )
        for refusal in reading.refused:
            importer.refuse(refusal.line, refusal.reason.value)
        await importer.import_page(reading.rows)
        return importer.report


async def import_log(
    ledger: Ledger,
    opening: OpenPetition,
    path: Path,
    *,
    mapping: Mapping[str, str],
    kinds: Mapping[str, str],
    zone: ZoneInfo | None,
    actor: str,
    progress: Progress = lambda done: None,
    refused: Refusal = lambda line, reason: None,
    report: Report | None = None,
) -> Report:
    """Import a signature log into an itemised petition, opened if there is none. `report` as in `import_page`.

    Raises ImportRefused, FileRefused; OSError where the file cannot be read, or not to its end.
    """
    report = report or Report()
    with rereadable(path) as blocks:

        def rows(aside: Callable[[Refused | Skipped], None]) -> Iterator[LogRow]:
            return sift(read_log(decode_lines(blocks()), mapping, kinds, zone), aside)

        # A file whose columns are not those of a log is refused before anything is opened for it.
        next(rows(_nothing), None)
        async with ledger.writer("ledger_admin", bound=BOUND) as writer:
            policy_name = await open_unless_there(ledger, opening, actor)
            importer = Importer(
                writer,
                opening.petition,
                actor,
                ledger.petition_key(opening.petition),
                policy_of(policy_name),
                sealing_epoch(ledger),
                refused,
                progress,
                report,
            )

            def aside(reading: Refused | Skipped) -> None:
                match reading:
                    case Skipped():
                        importer.skip()
                    case Refused(line, reason):
                        importer.refuse(line, reason.value)

            connection = await ledger.connect("ledger_admin")
            try:
                await importer.resume(await running_corrections(connection, opening.petition))
            finally:
                await connection.close()
            if importer.report.stopped is None:
                await importer.import_log(plan(rows(aside), lambda: rows(_nothing)))
            return importer.report


async def import_rows(ledger: Ledger, petition: str, rows: Iterable[LogRow], *, actor: str) -> Report:
    """Import rows that were made, not read, into a petition that is open."""
    async with ledger.writer("ledger_admin", bound=BOUND) as writer:
        importer = Importer(writer, petition, actor, ledger.petition_key(petition), STANDARD_1, sealing_epoch(ledger))
        await importer.import_log(plan(rows))
        return importer.report


def policy_of(name: str) -> EmailPolicy:
    """The e-mail policy that a petition named at its opening, `name/version`."""
    policy, _, version = name.partition("/")
    try:
        return email_policy(policy, int(version))
    except (UnknownPolicy, ValueError):
        raise ImportRefused("The petition's identity policy is not known to this release.") from None


async def open_unless_there(ledger: Ledger, opening: OpenPetition, actor: str) -> str:
    """Open the petition unless there is one; its basis must fit. The name of its identity policy."""
    connection = await ledger.connect("ledger_admin")
    try:
        row = await connection.fetchrow("SELECT * FROM ledger.petition_rules($1)", opening.petition)
    finally:
        await connection.close()
    if row is None or row["basis"] is None:
        async with ledger.writer("ledger_admin") as writer:
            outcome = await writer.submit(Submission(opening, actor))
        if isinstance(outcome, Accepted):
            policy = opening.opened.identity_policy
            return f"{policy.name}/{policy.version}"
        if not isinstance(outcome, CommandRefused):
            raise Unavailable("The database did not tell in time whether the petition was opened.")
        if outcome.problem == "unavailable":
            raise Unavailable(outcome.detail)
        if outcome.reason != "petition-exists":
            raise ImportRefused(outcome.detail)
        return await open_unless_there(ledger, opening, actor)
    if row["basis"] != opening.opened.basis:
        raise ImportRefused(f"The petition is {row['basis']}; this import needs one that is {opening.opened.basis}.")
    policy_name: str = row["identity_policy"]
    return policy_name


def sealing_epoch(ledger: Ledger) -> Callable[[], Epoch]:
    """What gives the vault's epoch to seal under, as it is at that moment, and raises Unavailable where it has none."""
    epochs = ledger.epochs()

    def newest() -> Epoch:
        try:
            return epochs.newest()
        except KeyUnavailable as error:
            raise Unavailable(f"{error}.") from None

    return newest


def _nothing(reading: Refused | Skipped) -> None:
    """Rows set aside were told at the first reading."""
