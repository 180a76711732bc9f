"""`ledger export`, `mirror`, `verify`: the log for whoever does not trust us, and the check of it.

`verify` is a thin door to `ledger.verify`, which shares nothing with the service: it needs no ledger, and imports no
database, network or settings.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from service.commandline.session import (
    FINDING,
    NOT_AVAILABLE,
    WRONG_CALL,
    WrongCall,
    on_terminal,
    run,
    stop,
    tell,
    tell_json,
)

if TYPE_CHECKING:
    from service.bundles import Laid, Progress
    from service.database import Ledger

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Where the bundle lies, or is to lie.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line's root."""
    for command in (export, mirror, verify):
        app.command()(command)


def export(directory: Directory, json: Json = False) -> None:
    """Seal what is committed, and write the audit bundle. Again into the same directory: add what is new."""

    async def work(ledger: "Ledger") -> None:
        from ledger.bundle import BundleRefused
        from ledger.sealing import SealingRefused
        from service.bundles import Disputed
        from service.exporting import NothingRecorded
        from service.exporting import export as write
        from service.settings import Settings

        try:
            with showing_progress("events") as progress:
                laid = await write(ledger, Settings(), directory, progress=progress)
        except (BundleRefused, NothingRecorded) as refusal:
            raise WrongCall(str(refusal)) from None
        except (Disputed, SealingRefused) as finding:
            stop(FINDING, str(finding))
        tell_laid(laid, json=json)

    run(work)


def mirror(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the service is, e.g. https://petitions.example.")],
    directory: Directory,
    vkey: Annotated[
        list[str] | None, typer.Option(metavar="FILE|STRING", help="Of whom the head must be. Default: as served.")
    ] = None,
    json: Json = False,
) -> None:
    """Fetch the audit bundle of a running service, without a database. Again: add what is new."""
    import asyncio

    from ledger.bundle import BundleRefused
    from ledger.tree_head import NoteRefused, parse_vkey
    from service.bundles import Disputed
    from service.mirroring import NothingSealed, Unreachable, is_address
    from service.mirroring import mirror as fetch

    if not is_address(url):
        stop(WRONG_CALL, "The address of a service is http:// or https://, a host, and perhaps a path.")
    try:
        trusted = [parse_vkey(line) for given in vkey or () for line in _lines(given)]
    except NoteRefused:
        stop(WRONG_CALL, "--vkey is neither a verifier key nor a file that holds some, one a line.")
    try:
        with showing_progress("events") as progress:
            laid = asyncio.run(fetch(url, directory, trusted=trusted, progress=progress))
    except (BundleRefused, NothingSealed) as refusal:
        stop(WRONG_CALL, str(refusal))
    except Disputed as finding:
        stop(FINDING, str(finding))
    except Unreachable as unreachable:
        stop(NOT_AVAILABLE, str(unreachable))
    tell_laid(laid, json=json)


def verify(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An audit bundle.")],
    vkey: Annotated[
        list[str], typer.Option(metavar="FILE|STRING", help="The ledger's key, as you have it from elsewhere.")
    ],
    petition: Annotated[str | None, typer.Option(metavar="ID", help="This petition alone.")] = None,
    since: Annotated[
        Path | None, typer.Option(metavar="NOTE", help="A head that you kept: the log must continue it.")
    ] = None,
    witness: Annotated[
        list[str] | None, typer.Option(metavar="VKEY", help="A witness that must have signed the head.")
    ] = None,
    json: Json = False,
) -> None:
    """Check a bundle offline: every byte, every rule, every number. Exit 1 on any finding."""
    from base64 import b64encode

    from ledger.verify import WrongCall as Refused
    from ledger.verify import tell as lines
    from ledger.verify import verify as check

    try:
        kept = None if since is None else since.read_bytes()
        with showing_progress("events") as progress:
            report = check(directory, vkey, petition=petition, since=kept, witnesses=witness or (), progress=progress)
    except Refused as refusal:
        sentence = str(refusal)
        stop(WRONG_CALL, f"{sentence[:1].upper()}{sentence[1:]}.")
    except OSError as error:
        stop(WRONG_CALL, f"What was kept cannot be read ({error.strerror}).")
    if json:
        head = report.head and {
            "origin": report.head.origin,
            "size": report.head.size,
            "root": b64encode(report.head.root).decode(),
        }
        tell_json(
            {
                "head": head,
                "findings": [found._asdict() for found in report.findings],
                "total": report.total,
                "first": report.first,
                "proved": report.proved,
                "not_proved": report.not_proved,
            }
        )
    else:
        for line in lines(report):
            tell(line)
    raise typer.Exit(FINDING if report.total else 0)


def _lines(given: str) -> list[str]:
    """The lines of a file, where this names one; else the text itself."""
    try:
        return Path(given).read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return [given]


def tell_laid(laid: "Laid", *, json: bool) -> None:
    """Tell what lies in a directory now, and how to check it."""
    document = laid.document()
    if json:
        tell_json(document)
        return
    tell(f"{laid.directory}: {laid.head.size:,} events of {laid.head.origin}, root {document['root']}")
    taken = f", {laid.removed:,} taken away" if laid.removed else ""
    tell(f"  {laid.files:,} files written, {laid.bytes:,} bytes{taken}")
    tell(f"  ledger verify {quote(str(laid.directory))} {laid.keys()}")


@contextmanager
def showing_progress(what: str) -> "Iterator[Progress]":
    """A line that moves, where somebody watches."""
    if not on_terminal():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(what), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
