"""`ledger import`: a page's timeline, or a signature log, from a file. Acts as `import:` and a random id."""

import csv
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commandline.session import (
    FINDING,
    NOT_AVAILABLE,
    WRONG_CALL,
    WrongCall,
    on_terminal,
    run,
    say,
    stop,
    tell,
    tell_json,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from zoneinfo import ZoneInfo

    from ledger.intake.report import Report
    from schemas.commands import OpenPetition
    from service.database import Ledger

app = typer.Typer(no_args_is_help=True, help="Import history from files. Importing again adds nothing.")

File = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True)]
Petition = Annotated[str, typer.Option("--petition", metavar="ID", help="Opened, if there is none of this id.")]
Title = Annotated[str | None, typer.Option(help="Where it is opened. Default: the id.")]
Addressee = Annotated[str, typer.Option(help="Where it is opened.")]
Timezone = Annotated[str, typer.Option(help="Where it is opened: IANA name.")]
Map = Annotated[list[str] | None, typer.Option("--map", metavar="OURS=THEIRS", help="A column's name in the file.")]
Zone = Annotated[str | None, typer.Option(help="IANA name of the zone of times without offset; else they are refused.")]
ReportFile = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Refused rows: line,reason.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command()
def timeline(
    file: File,
    petition: Petition,
    title: Title = None,
    addressee: Addressee = "",
    timezone: Timezone = "Europe/London",
    map: Map = None,
    all_kind: Annotated[str | None, typer.Option("--all", metavar="KIND", help="Take every row as this kind.")] = None,
    zone: Zone = None,
    report: ReportFile = None,
    json: Json = False,
) -> None:
    """A page's timeline: CSV `at,kind,count[,text]`, or the pasted text of a page in the 38 Degrees form."""
    from ledger.intake.refusals import FileRefused
    from service.importing import import_actor, import_page, read_page
    from service.opening import OpeningRefused, opening

    _kept_apart(file, report)
    try:
        reading = read_page(file, _pairs(map, "--map"), all_kind, _zone(zone))
        command = opening(
            petition, title=title, addressee=addressee, timezone=timezone, basis="observed", provenance="observed"
        )
    except (FileRefused, OpeningRefused) as refusal:
        stop(WRONG_CALL, str(refusal))
    except OSError:
        stop(WRONG_CALL, "The file cannot be read.")

    async def work(ledger: "Ledger", **told: Any) -> "Report":
        return await import_page(ledger, command, reading, actor=import_actor(), **told)

    _import(work, command, report, json=json)


@app.command()
def events(
    file: File,
    petition: Petition,
    title: Title = None,
    addressee: Addressee = "",
    timezone: Timezone = "Europe/London",
    confirmation: Annotated[str, typer.Option(help="Where it is opened: none or required")] = "none",
    public_fields: Annotated[str, typer.Option(help="Where it is opened: of country, region, answers.")] = "country",
    question: Annotated[list[str] | None, typer.Option(help="Where it is opened: KEY=yes,no ...")] = None,
    provenance: Annotated[str, typer.Option(help="Where it is opened: real-log, live or synthetic")] = "real-log",
    map: Map = None,
    kind: Annotated[list[str] | None, typer.Option(metavar="THEIRS=OURS", help="What a kind of theirs means.")] = None,
    zone: Zone = None,
    report: ReportFile = None,
    json: Json = False,
) -> None:
    """A signature log: CSV or JSON lines `at,kind,signer[,email][,source_id][,reason][,country]...`."""
    from ledger.intake.refusals import FileRefused
    from service.importing import import_actor, import_log
    from service.opening import OpeningRefused, opening, read_question

    _kept_apart(file, report)
    mapping, kinds, read_zone = _pairs(map, "--map"), _pairs(kind, "--kind"), _zone(zone)
    try:
        command = opening(
            petition,
            title=title,
            addressee=addressee,
            timezone=timezone,
            confirmation=confirmation,  # type: ignore[arg-type]  # judged by the model
            public_fields=[field.strip() for field in public_fields.split(",") if field.strip()],
            questions=dict(read_question(each) for each in question or ()),
            provenance=provenance,  # type: ignore[arg-type]
        )
    except OpeningRefused as refusal:
        stop(WRONG_CALL, str(refusal))

    async def work(ledger: "Ledger", **told: Any) -> "Report":
        try:
            return await import_log(
                ledger, command, file, mapping=mapping, kinds=kinds, zone=read_zone, actor=import_actor(), **told
            )
        except FileRefused as refusal:
            raise WrongCall(str(refusal)) from None
        except (ConnectionError, TimeoutError):
            raise  # of the database
        except OSError:
            raise WrongCall("The file cannot be read.") from None

    _import(work, command, report, json=json)


def _import(
    work: "Callable[..., Awaitable[Report]]", command: "OpenPetition", refusals: Path | None, *, json: bool
) -> None:
    from ledger.intake.report import Report
    from service.importing import ImportRefused

    async def inside(ledger: "Ledger") -> int | None:
        report = Report()
        try:
            with _refusals(refusals) as refused, _progress() as progress:
                await work(ledger, refused=refused, progress=progress, report=report)
        except BaseException as error:
            # Whatever ended it, also a Ctrl-C: what was appended stays, and is told.
            if report.read:
                tell_report(command.petition, report, json=json)
            if isinstance(error, ImportRefused):
                raise WrongCall(str(error)) from None
            raise
        tell_report(command.petition, report, json=json)
        if report.stopped is not None:
            say(f"ledger: The import stopped. {report.stopped} Import the file again: it adds only what is missing.")
            return NOT_AVAILABLE
        return None if report.is_clean else FINDING

    run(inside, create=True)


def tell_report(petition: str, report: "Report", *, json: bool) -> None:
    """Tell what became of the rows."""
    if json:
        tell_json({"petition": petition, **report.document()})
        return
    tell(f"{petition}: {report.read:,} rows read")
    for name, number in (
        ("appended", report.appended),
        ("already there", report.already_there),
        ("duplicates", report.duplicates),
        ("skipped", report.skipped),
        ("outcome unknown, import again", report.unknown),
    ):
        if number or name == "appended":
            tell(f"  {number:>10,}  {name}")
    for reason, number in sorted(report.refused.items()):
        tell(f"  {number:>10,}  refused: {reason}")


@contextmanager
def _refusals(path: Path | None) -> "Iterator[Callable[[int, str], None]]":
    """What takes the refused rows. They are written beside the report's place, which they take at the end, however the
    import ends; what is there and is no regular file (a terminal, a pipe) is written to as it is."""
    if path is None:
        yield lambda line, reason: None
        return
    part = None
    if (path.is_file() or not path.exists()) and not path.is_relative_to("/dev"):
        path = path.resolve()
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        file = (part or path).open("w" if part is None else "x", newline="", encoding="utf-8")
    except OSError:
        raise WrongCall("The report cannot be written there.") from None
    try:
        with file:
            rows = csv.writer(file)
            rows.writerow(("line", "reason"))
            yield lambda line, reason: rows.writerow((line, reason))
    finally:
        if part is not None:
            part.replace(path)


def _kept_apart(file: Path, report: Path | None) -> None:
    """Stop where the report would be written over the very file that is to be imported."""
    try:
        is_same = report is not None and report.exists() and file.samefile(report) and file.is_file()
    except OSError:
        is_same = False
    if is_same:
        stop(WRONG_CALL, "--report names the file that is to be imported.")


@contextmanager
def _progress() -> "Iterator[Callable[[int], None]]":
    if not on_terminal():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} rows"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("rows", total=None)
        yield lambda done: shown.update(task, completed=done)


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for each in given or ():
        left, equals, right = each.partition("=")
        left = left.strip()
        if not equals or not left or not right:
            stop(WRONG_CALL, f"{option} takes two names with = between them.")
        if left in pairs:
            stop(WRONG_CALL, f"{option} is given twice for one name; each is said once.")
        pairs[left] = right
    return pairs


def _zone(name: str | None) -> "ZoneInfo | None":
    from zoneinfo import ZoneInfo

    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        stop(WRONG_CALL, "--zone names no zone of the IANA database.")
