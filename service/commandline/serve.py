"""`ledger serve`: the service, until it is told to stop.

Standard output is one line, `listening on http://HOST:PORT`, when that is true; everything else is a log.
"""

import os
import signal
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn, cast

import typer
from typer.core import TyperCommand

from service.commandline.session import DONE, NOT_AVAILABLE, WRONG_CALL, run, stop, tell

if TYPE_CHECKING:
    from service.database import Ledger
    from service.http.routes import Role
    from service.settings import Settings

HOST: Final = "127.0.0.1"
PORT: Final = 8080
MOST_WORKERS: Final = 64


class _WithSettings(TyperCommand):
    """A command whose help ends with every setting. They are read when somebody asks for help, and not before."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from rich.console import Console
        from rich.table import Table

        from service.settings import variables

        super().format_help(ctx, formatter)
        table = Table("Environment variable", "Default", "What it says", title="Settings", title_justify="left")
        for row in variables():
            table.add_row(*row)
        Console(markup=False, highlight=False).print(table)


def register(app: typer.Typer) -> None:
    """Add the command to the command line's root."""
    app.command(cls=_WithSettings)(serve)


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = HOST,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 picks one that is free.")] = PORT,
    workers: Annotated[int, typer.Option(min=1, max=MOST_WORKERS, help="Processes that answer.")] = 1,
    role: Annotated[str, typer.Option(metavar="all|public|admin", help="What is served.")] = "all",
) -> None:
    """Serve the ledger over HTTP until SIGTERM or Ctrl-C."""
    if role not in ("all", "public", "admin"):
        stop(WRONG_CALL, "The roles are all, public and admin.")
    end_well_before_serving()

    async def work(ledger: "Ledger") -> int:
        return await serving(ledger, host=host, port=port, workers=workers, role=cast("Role", role))

    # On a server that is given, a service makes nothing: its login owns nothing, and a missing key is a mistake.
    run(work, create=not (os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE")))


async def serving(
    ledger: "Ledger",
    *,
    host: str = HOST,
    port: int = PORT,
    workers: int = 1,
    role: 'Literal["all", "public", "admin"]' = "all",
) -> int:
    """Serve this ledger until SIGTERM or SIGINT; the exit code. For the work of `session.run`."""
    from service.serving.listening import PortTaken
    from service.serving.orders import Service
    from service.serving.running import serve
    from service.settings import Settings

    service = Service(ledger, Settings(), role, host, port, workers)
    _read_files(service.settings)
    try:
        await serve(service, lambda address: tell(f"listening on {address}"))
    except PortTaken as taken:
        stop(NOT_AVAILABLE, str(taken))
    return DONE


def _read_files(settings: "Settings") -> None:
    """Read once what settings name, so that a file which cannot be used is told before anything is served."""
    from service.region_names import RegionsRefused, names
    from service.reviewing import DomainsRefused, disposable_domains

    try:
        names(settings.regions_file)
        disposable_domains(settings.disposable_domains_file)
    except (RegionsRefused, DomainsRefused) as refusal:
        stop(WRONG_CALL, str(refusal))


def end_well_before_serving() -> None:
    """From now until the service hears signals itself, SIGTERM and SIGINT end the command, and leave nothing behind."""

    def end(number: int, frame: object) -> NoReturn:
        raise typer.Exit(DONE)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
