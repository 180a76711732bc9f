"""`ledger petition`: open one, say whether it takes signatures, declare an outcome. Acts as `system`."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commandline.session import NOT_AVAILABLE, WRONG_CALL, WrongCall, run, stop, tell, tell_json

if TYPE_CHECKING:
    from schemas.commands import Command, Outcome
    from service.database import Ledger

app = typer.Typer(no_args_is_help=True, help="Open a petition, and say how it stands.")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The petition's id.")]


@app.command("open")
def open_petition(
    petition: Id,
    title: Annotated[str | None, typer.Option(help="Default: the id.")] = None,
    addressee: Annotated[str, typer.Option(help="Whom it addresses.")] = "",
    text: Annotated[Path | None, typer.Option(help="A file with its text, of which the log keeps the SHA-256.")] = None,
    basis: Annotated[str, typer.Option(help="itemised or observed")] = "itemised",
    goals: Annotated[str, typer.Option(help="A ladder's name, or 100,200,...")] = "38degrees",
    milestones: Annotated[str, typer.Option(help="A ladder's name, or 10,25,...")] = "38degrees",
    confirmation: Annotated[str, typer.Option(help="none or required")] = "none",
    public_fields: Annotated[str, typer.Option(help="Which of country, region, answers stand in the log.")] = "country",
    timezone: Annotated[str, typer.Option(help="IANA name of the zone that its times are shown in.")] = "Europe/London",
    opens_at: Annotated[str | None, typer.Option(help="Time with offset.")] = None,
    closes_at: Annotated[str | None, typer.Option(help="Time with offset.")] = None,
    question: Annotated[list[str] | None, typer.Option(help="KEY=yes,no ... (repeat for more)")] = None,
    json: Json = False,
) -> None:
    """Open a petition."""
    from service.opening import OpeningRefused, opening, read_question

    try:
        command = opening(
            petition,
            title=title,
            addressee=addressee,
            text=None if text is None else _read(text),
            basis=basis,  # type: ignore[arg-type]  # judged by the model
            goals=goals,
            milestones=milestones,
            confirmation=confirmation,  # type: ignore[arg-type]
            public_fields=[field.strip() for field in public_fields.split(",") if field.strip()],
            timezone=timezone,
            opens_at=opens_at,
            closes_at=closes_at,
            questions=dict(read_question(each) for each in question or ()),
            provenance="observed" if basis == "observed" else "live",
        )
    except OpeningRefused as refusal:
        stop(WRONG_CALL, str(refusal))
    _submit(command, f"opened {petition}", json=json, create=True)


@app.command()
def accept(
    petition: Id,
    acceptance: Annotated[str, typer.Argument(metavar="open|paused|closed|rejected")],
    json: Json = False,
) -> None:
    """Say whether a petition takes signatures."""
    from typing import get_args

    from schemas.commands import ChangeAcceptance
    from schemas.events import Acceptance

    if acceptance not in get_args(Acceptance):
        stop(WRONG_CALL, f"A petition is {', '.join(get_args(Acceptance))}.")
    _submit(ChangeAcceptance(petition, acceptance), f"{petition} is {acceptance}", json=json)  # type: ignore[arg-type]


@app.command()
def status(
    petition: Id,
    status: Annotated[str, typer.Argument(metavar="STATUS", help="successful, unsuccessful, answered or certified")],
    reported_count: Annotated[int | None, typer.Option(min=0, help="The number that was reported with it.")] = None,
    effective_on: Annotated[str | None, typer.Option(metavar="DATE", help="The day that it took effect.")] = None,
    reference: Annotated[str | None, typer.Option(metavar="URL", help="Where it was said.")] = None,
    json: Json = False,
) -> None:
    """Declare a status of a petition. People go on signing."""
    from pydantic import ValidationError

    from schemas.commands import DeclareStatus
    from schemas.events import StatusDeclared

    try:
        day = None if effective_on is None else date.fromisoformat(effective_on)
        fact = StatusDeclared(
            status=status,  # type: ignore[arg-type]
            reported_count=reported_count,
            reference=reference,
            effective_on=day,
        )
    except ValidationError as error:
        stop(WRONG_CALL, f"{error.errors()[0]['loc'][0]} is not valid: {error.errors()[0]['msg']}.")
    except ValueError:
        stop(WRONG_CALL, "effective-on is a day, YYYY-MM-DD.")
    command = DeclareStatus(petition, fact.status, reported_count, reference, day)
    _submit(command, f"{petition} is {status}", json=json)


def _submit(command: "Command", done: str, *, json: bool, create: bool = False) -> None:
    from schemas.commands import Submission

    async def work(ledger: "Ledger") -> int | None:
        async with ledger.writer("ledger_admin") as writer:
            outcome = await writer.submit(Submission(command, "system"))
        return tell_outcome(outcome, done, json=json)

    run(work, create=create)


def tell_outcome(outcome: "Outcome", done: str, *, json: bool) -> int | None:
    """Tell what became of one command. Raises WrongCall where it was refused."""
    from schemas.commands import Accepted, Refused

    match outcome:
        case Accepted():
            if json:
                tell_json(outcome.answer)
            else:
                at = None if outcome.repeated else outcome.answer.get("position")
                tell(f"{done}, at position {at:,}" if at is not None else f"{done} already; nothing to record")
            return None
        case Refused(problem="unavailable"):
            stop(NOT_AVAILABLE, outcome.detail)
        case Refused():
            raise WrongCall(outcome.detail)
        case _:
            stop(NOT_AVAILABLE, "Whether this was recorded is not known; look before asking again.")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        stop(WRONG_CALL, "The file with the text cannot be read as UTF-8.")
