"""`ledger count`, `timeline`, `drift`, `claim`: what was the number, what happened, why did it move, is it true.

With `--json` each prints exactly the body of the HTTP route of its name. They read, and create nothing.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from service.commandline.session import FINDING, WRONG_CALL, WrongCall, run, stop, tell, tell_json

if TYPE_CHECKING:
    from ledger.connecting import Connection
    from service.commandline.telling import Shown
    from service.database import Ledger

Petition = Annotated[str, typer.Argument(metavar="ID", help="The petition's id.")]
Json = Annotated[bool, typer.Option("--json", help="The body of the HTTP route, on standard output.")]


def register(app: typer.Typer) -> None:
    """Add the questions to the command line's root."""
    for command in (count, timeline, drift, claim):
        app.command()(command)


def count(
    petition: Petition,
    as_of: Annotated[str | None, typer.Option(metavar="POSITION|TIME", help="As recorded by then.")] = None,
    effective: Annotated[str | None, typer.Option(metavar="TIME", help="What was effective by then.")] = None,
    json: Json = False,
) -> None:
    """The count: now, as of a position or a time, or what was effective by a time as now known."""
    from projections.asking.counting import count as ask
    from projections.moments import read_as_of
    from schemas.instants import read_instant
    from service.commandline.telling import tell_count

    async def work(connection: "Connection", number: int, shown: "Shown") -> None:
        view = await ask(
            connection,
            number,
            as_of=None if as_of is None else read_as_of(as_of),
            effective=None if effective is None else read_instant(effective),
        )
        if json:
            tell_json(view.body())
        else:
            tell_count(shown, view)

    _ask(petition, work)


def timeline(
    petition: Petition,
    mode: Annotated[str, typer.Option(metavar="as_recorded|as_corrected", help="With or without what is held.")] = (
        "as_recorded"
    ),
    format: Annotated[str, typer.Option(metavar="table|text|json|atom")] = "table",
    json: Annotated[bool, typer.Option("--json", help="As --format json.")] = False,
) -> None:
    """What happened, newest first. `text` prints what the petition's page would show."""
    from projections.reading import as_corrected, rows
    from projections.timeline import newest_first
    from projections.timeline_text import atom, entries, page_lines
    from service.commandline.telling import tell_entries

    chosen = "json" if json else format
    if mode not in ("as_recorded", "as_corrected"):
        stop(WRONG_CALL, "--mode is as_recorded or as_corrected.")
    if chosen not in ("table", "text", "json", "atom"):
        stop(WRONG_CALL, "--format is table, text, json or atom.")

    async def work(connection: "Connection", number: int, shown: "Shown") -> None:
        if mode == "as_corrected":
            corrected = await as_corrected(connection, petition)
            found = [] if corrected is None else corrected["timeline"]
        else:
            _, found = await rows(connection, "timeline", petition)
        told = newest_first(found, shown.basis)
        match chosen:
            case "json":
                tell_json({"entries": entries(told)})
            case "text":
                for line in page_lines(told, str(shown.zone)):
                    tell(line)
            case "atom":
                title = shown.heading()
                tell(atom(told, title=title, author=shown.title, url=f"/petitions/{petition}/timeline.atom"))
            case _:
                tell_entries(shown, entries(told))

    _ask(petition, work, projected=True)


def drift(
    petition: Petition,
    start: Annotated[str, typer.Option("--from", metavar="X", help="A position, a time, or count:N.")],
    end: Annotated[str, typer.Option("--to", metavar="Y", help="A position, a time, or count:N.")],
    recorded: Annotated[
        bool, typer.Option("--as-recorded", help="Between two times: by when the ledger learned, not by when it held.")
    ] = False,
    json: Json = False,
) -> None:
    """Why the number moved between two moments, event by event. Exit 1 only where something does not add up."""
    from projections.asking.drift import explain, listed
    from projections.moments import read_moment
    from service.commandline.telling import tell_drift

    async def work(connection: "Connection", number: int, shown: "Shown") -> int | None:
        explained = await explain(connection, number, read_moment(start), read_moment(end), recorded=recorded)
        events = listed(connection, explained)
        if json:
            every = tuple([event async for event in events])
            tell_json(explained.view.model_copy(update={"events": every}).body())
        else:
            await tell_drift(shown, explained.view, events)
        return FINDING if explained.view.is_finding else None

    _ask(petition, work)


def claim(
    petition: Petition,
    at_least: Annotated[int | None, typer.Option(metavar="N", help="The count was at least N.")] = None,
    exactly: Annotated[int | None, typer.Option(metavar="N", help="The count was N.")] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="At this instant.")] = None,
    within: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Within so long of its opening, e.g. 72h.")
    ] = None,
    json: Json = False,
) -> None:
    """Whether a claim about the count is true, false or undetermined, with what proves it."""
    from projections.asking.claims import judge
    from projections.claims import read_claim
    from service.commandline.telling import tell_claim

    async def work(connection: "Connection", number: int, shown: "Shown") -> None:
        view = await judge(connection, number, read_claim(at_least, exactly, at, within))
        if json:
            tell_json(view.body())
        else:
            tell_claim(shown, view)

    _ask(petition, work)


def _ask(
    petition: str, work: "Callable[[Connection, int, Shown], Awaitable[Any]]", *, projected: bool = False
) -> NoReturn:
    """Ask about a petition. `projected`: of its projections, which are brought up to the head first."""
    from projections.moments import QueryRefused
    from schemas.instants import InstantRefused

    async def inside(ledger: "Ledger") -> int | None:
        if projected:
            await catch_up_projections(ledger)
        try:
            async with reading(ledger, petition) as (connection, number, shown):
                code: int | None = await work(connection, number, shown)
                return code
        except (QueryRefused, InstantRefused) as refusal:
            sentence = str(refusal)
            raise WrongCall(sentence[:1].upper() + sentence[1:] + ".") from None

    run(inside)


@asynccontextmanager
async def reading(ledger: "Ledger", petition: str) -> "AsyncIterator[tuple[Connection, int, Shown]]":
    """A reader's connection, the petition's number, and how it is shown. Raises WrongCall where there is none."""
    from zoneinfo import ZoneInfo

    from projections.asking.petitions import head_of_log, number_of, said
    from service.commandline.telling import Shown

    connection = await ledger.connect("ledger_reader")
    try:
        number = await number_of(connection, petition)
        if number is None:
            raise WrongCall("There is no petition of this id.")
        head = (await head_of_log(connection)).position
        facts = {
            name: await said(connection, number, head, name) for name in ("title", "provenance", "basis", "timezone")
        }
        zone = ZoneInfo(facts["timezone"])
        yield connection, number, Shown(petition, facts["title"], facts["provenance"], facts["basis"], zone)
    finally:
        await connection.close()


async def catch_up_projections(ledger: "Ledger") -> None:
    """Fold what was recorded since."""
    from projections.projector import catch_up

    connection = await ledger.connect("ledger_projector")
    try:
        await catch_up(connection)
    finally:
        await connection.close()
