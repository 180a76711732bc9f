"""`ledger`: the command line's root. Each group of commands has a module of its own in `service.commandline`."""

import os
import sys
from typing import Annotated

import typer

from service.commandline import (
    audit,
    correction,
    demo,
    erasing,
    imports,
    keys,
    petitions,
    questions,
    serve,
    tokens,
    upkeep,
)

app = typer.Typer(
    name="ledger",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="An event-sourced ledger of signatures on petitions: why a number is what it is, event by event.",
)
app.add_typer(petitions.app, name="petition")
app.add_typer(imports.app, name="import")
app.add_typer(correction.app, name="correction")
app.add_typer(tokens.app, name="token")
app.add_typer(keys.app, name="keys")
audit.register(app)
demo.register(app)
erasing.register(app)
questions.register(app)
serve.register(app)
upkeep.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"ledger {version('signature-ledger')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Shared options."""


def main() -> None:
    """The console script."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - for as long as we live
        else:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
