"""The demonstration's petitions: the documents that this product grew out of, and what each of them can prove.

What is real is said to be real and where it comes from (`SOURCES.md`); what is simulated is called a synthetic
reconstruction, in its title, in its provenance and wherever it is shown. Loading again adds nothing: every row has its
identity.

This module must never present a simulated signature as somebody's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import as_file, files
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

from ledger.identity import import_key
from ledger.intake.importing import Importer
from ledger.intake.page import PageReading, PageRow, read_csv
from ledger.intake.report import Report
from ledger.intake.signature_log import LogRow, plan
from schemas.commands import Accepted, DeclareStatus, Submission
from service.database import Ledger
from service.demo.reconstruction import OPENED_AT, Act, Anchor, Declaration, reconstruct
from service.importing import (
    BOUND,
    import_actor,
    import_log,
    import_page,
    import_rows,
    open_unless_there,
    policy_of,
    sealing_epoch,
)
from service.opening import opening

ORIGIN: Final = "demonstration.localhost/ledger"
LONDON: Final = ZoneInfo("Europe/London")

PAGE: Final = "keep-profit-out-of-child-protection"
RECONSTRUCTION: Final = "keep-profit-out-of-child-protection-reconstruction"
UNDATED: Final = "page-with-367-signatures"
CONSULTATION: Final = "consultation-of-may-2014"
RESOLUTION: Final = "gftu-resolution-9"
MANIFESTO: Final = "opentofu-manifesto"
TRIAL: Final = "try-signing"
ALL: Final = (PAGE, RECONSTRUCTION, UNDATED, CONSULTATION, RESOLUTION, MANIFESTO, TRIAL)

_TITLE: Final = "Keep Profit Out Of Child Protection"
_ADDRESSEE: Final = "Michael Gove"
_CLOSING: Final = datetime(2014, 5, 31, 0, 0, tzinfo=LONDON)
_QUESTIONS: Final = {"delegate-more": ("yes", "no"), "profit-allowed": ("yes", "no")}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading one petition did."""

    petition: str
    report: Report


async def load_page(ledger: Ledger) -> Loaded:
    """The published page: 19 entries, and the update of 20 June 2014, of which only the day is known."""
    text = files("service.demo").joinpath("page.csv").read_text(encoding="utf-8")
    rows = read_csv(text.splitlines(keepends=True), {}).rows
    day = date(2014, 6, 20)
    abandoned = PageRow(
        line=0,
        at=_utc(datetime(day.year, day.month, day.day, tzinfo=LONDON)),
        kind="update",
        count=None,
        text="The proposals were abandoned",
        status=None,
        effective_on=day,
        ordinal=1,
    )
    in_order = sorted([*rows, abandoned], key=lambda row: row.at or _utc(_CLOSING))
    command = opening(PAGE, title=_TITLE, addressee=_ADDRESSEE, basis="observed", provenance="observed")
    return Loaded(PAGE, await import_page(ledger, command, PageReading(in_order, []), actor=import_actor()))


async def load_reconstruction(ledger: Ledger) -> Loaded:
    """Single acts that the published page could have come from: simulated, seeded, and said so."""
    text = files("service.demo").joinpath("page.csv").read_text(encoding="utf-8")
    anchors = [
        Anchor(row.at, row.kind, row.count)
        for row in read_csv(text.splitlines(keepends=True), {}).rows
        if row.at is not None and row.count is not None and row.kind in ("milestone", "status")
    ]
    command = opening(
        RECONSTRUCTION,
        title=f"{_TITLE} (synthetic reconstruction)",
        addressee=_ADDRESSEE,
        provenance="synthetic",
        opens_at=OPENED_AT.isoformat(),
        at=OPENED_AT,
    )
    actor = import_actor()
    key = ledger.petition_key(RECONSTRUCTION)
    async with ledger.writer("ledger_admin", bound=BOUND) as writer:
        policy = policy_of(await open_unless_there(ledger, command, actor))
        importer = Importer(writer, RECONSTRUCTION, actor, key, policy, sealing_epoch(ledger))
        acts = enumerate(reconstruct(anchors), start=1)
        for declared, group in groupby(acts, key=lambda numbered: isinstance(numbered[1], Declaration)):
            if not declared:
                await importer.import_log(plan(_row(number, act) for number, act in group if isinstance(act, Act)))
                continue
            for number, declaration in group:
                assert isinstance(declaration, Declaration)
                status = DeclareStatus(
                    RECONSTRUCTION, declaration.status, declaration.reported_count, at=declaration.at
                )
                row = import_key(key, b"declaration %d" % number)
                outcome = await writer.submit(Submission(status, actor, import_key=row))
                assert isinstance(outcome, Accepted)
        return Loaded(RECONSTRUCTION, importer.report)


async def load_undated(ledger: Ledger) -> Loaded:
    """Another platform's page, which shows a number and no date."""
    shown = PageRow(line=1, at=None, kind="count", count=367, text=None, status=None, effective_on=None, ordinal=1)
    command = opening(UNDATED, title="A page with 367 signatures", basis="observed", provenance="observed")
    return Loaded(UNDATED, await import_page(ledger, command, PageReading([shown], []), actor=import_actor()))


async def load_consultation(ledger: Ledger) -> Loaded:
    """A consultation with two questions that closed on 30 May 2014. Its responses are simulated; one comes too late."""
    command = opening(
        CONSULTATION,
        title="Consultation on child protection functions (synthetic responses)",
        addressee="Department for Education",
        public_fields=("country", "answers"),
        questions=_QUESTIONS,
        closes_at=_CLOSING.isoformat(),
        provenance="synthetic",
        at=_utc(_CLOSING - timedelta(days=42)),
    )
    actor = import_actor()
    await open_unless_there(ledger, command, actor)
    return Loaded(CONSULTATION, await import_rows(ledger, CONSULTATION, _responses(), actor=actor))


async def load_resolution(ledger: Ledger) -> Loaded:
    """A conference's resolution: an organisation's signature, of which the day is not known."""
    command = opening(RESOLUTION, title="GFTU, Resolution 9", provenance="real-log")
    actor = import_actor()
    await open_unless_there(ledger, command, actor)
    row = _log_row(
        "recorded", "GFTU", None, organisation="General Federation of Trade Unions", reference="Resolution 9"
    )
    return Loaded(RESOLUTION, await import_rows(ledger, RESOLUTION, [row], actor=actor))


async def load_manifesto(ledger: Ledger) -> Loaded:
    """The OpenTofu manifesto's signature table: a real log, of which who signed is only an ordinal."""
    command = opening(MANIFESTO, title="The OpenTofu Manifesto", addressee="HashiCorp", provenance="real-log")
    with as_file(files("service.demo").joinpath("opentf.csv")) as path:
        report = await import_log(
            ledger,
            command,
            path,
            mapping={"at": "recorded_at"},
            kinds={"signed": "recorded", "re-signed": "recorded", "removed": "withdrawn", "amended": "skip"},
            zone=None,
            actor=import_actor(),
        )
    return Loaded(MANIFESTO, report)


async def load_trial(ledger: Ledger) -> Loaded:
    """An empty petition, for whoever wants to sign over HTTP and watch what happens."""
    await open_unless_there(ledger, opening(TRIAL, title="Try signing here", provenance="synthetic"), import_actor())
    return Loaded(TRIAL, Report())


LOADERS: Final = (
    load_page,
    load_reconstruction,
    load_undated,
    load_consultation,
    load_resolution,
    load_manifesto,
    load_trial,
)


def _row(number: int, act: Act) -> LogRow:
    return _log_row(
        act.kind, act.signer, act.at, source_id=f"act-{number}", reason=act.reason, country=act.country, line=number
    )


def _responses() -> Iterator[LogRow]:
    """A hundred and twenty responses over six weeks, by a fixed rule, and one on the morning after."""
    for number in range(1, 121):
        at = _utc(_CLOSING - timedelta(days=42) + timedelta(hours=8.3 * number))
        yield _response(
            number, at, more="yes" if number % 11 == 0 else "no", profit="yes" if number % 29 == 0 else "no"
        )
    yield _response(121, _utc(_CLOSING + timedelta(hours=9)), more="yes", profit="yes")


def _response(number: int, at: datetime, *, more: str, profit: str) -> LogRow:
    answers = {"delegate-more": more, "profit-allowed": profit}
    return _log_row("recorded", f"SIM-{number:04d}", at, answers=answers, country="GB", line=number)


def _log_row(kind: str, signer: str, at: datetime | None, *, line: int = 1, **more: object) -> LogRow:
    blank: dict[str, object] = dict.fromkeys(
        ("email", "source_id", "reason", "country", "region", "channel", "answers", "organisation", "reference")
    )
    return LogRow(at=at, kind=kind, signer=signer, ordinal=1, line=line, **{**blank, **more})  # type: ignore[arg-type]


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)
