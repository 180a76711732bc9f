"""`ledger demo`: load the demonstration petitions, explain how 13,158 became 13,163, and prove it to a stranger."""

import shlex
from typing import TYPE_CHECKING, Annotated, Final

import typer

from service.commandline.questions import catch_up_projections, reading
from service.commandline.serve import HOST, PORT, end_well_before_serving, serving
from service.commandline.session import DONE, FINDING, WrongCall, run, say, stop, tell

if TYPE_CHECKING:
    from pathlib import Path

    from service.database import Ledger

STEPS: Final = 5
AUDIT: Final = "audit"
"""Where the bundle lies, under LEDGER_HOME."""
_PAD: Final = "\n"


def register(app: typer.Typer) -> None:
    """Add the command to the command line's root."""
    app.command()(demo)


def demo(
    once: Annotated[bool, typer.Option("--once", help="Print, and do not serve.")] = False,
    host: Annotated[str, typer.Option(help="The address to serve on.")] = HOST,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 picks one that is free.")] = PORT,
) -> None:
    """Load the demonstration petitions, explain a real drift, event by event, and serve it all until Ctrl-C."""
    from service.demo.petitions import ORIGIN

    async def work(ledger: "Ledger") -> int:
        await _demonstrate(ledger, None if once else f"http://{host}:{port}")
        if once:
            return DONE
        code = await serving(ledger, host=host, port=port)
        say("stopped; the data stay, and the next start has them")
        return code

    if not once:
        end_well_before_serving()
    say(f"2/{STEPS} starting the ledger's own PostgreSQL ...")
    run(work, create=True, origin=ORIGIN)


async def _demonstrate(ledger: "Ledger", address: str | None) -> None:
    from service.demo import petitions

    await _refuse_what_is_not_ours(ledger)
    say(f"3/{STEPS} loading {len(petitions.LOADERS)} petitions ...")
    for load in petitions.LOADERS:
        loaded = await load(ledger)
        added, there = loaded.report.appended, loaded.report.already_there
        say(f"      {loaded.petition}: {added:,} rows added, {there:,} there already")
        for reason, number in loaded.report.refused.items():
            say(f"      {loaded.petition}: {number:,} refused ({reason})")
    await catch_up_projections(ledger)
    say(f"4/{STEPS} explaining")

    for petition in (petitions.PAGE, petitions.RECONSTRUCTION):
        tell()
        await _explain(ledger, petition)
    tell()
    await _check_claims(ledger)
    tell()
    for petition in (petitions.UNDATED, petitions.CONSULTATION, petitions.RESOLUTION, petitions.MANIFESTO):
        await _summarise(ledger, petition)
    tell()
    home = ledger.key_file.parent.parent
    await _audit(ledger, home / AUDIT)
    tell(_PAD + "Three things to try next:")
    tell(f"  {address}/docs" if address else "  make demo")
    tell(f"  export LEDGER_HOME={shlex.quote(str(home))}")
    tell(f"  .venv/bin/ledger drift {petitions.MANIFESTO} --from 2023-08-15T00:00Z --to 2023-08-17T00:00Z")


async def _audit(ledger: "Ledger", directory: "Path") -> None:
    """Export, verify offline, and show the receipt of one signature. Exit 1 where anything is found."""
    from ledger.bundle import BundleRefused
    from ledger.sealing import SealingRefused
    from ledger.verify import tell as lines
    from ledger.verify import verify
    from schemas.canonical import to_base64
    from service.bundles import Disputed
    from service.exporting import export
    from service.settings import Settings

    say(f"5/{STEPS} exporting, and verifying offline ...")
    try:
        laid = await export(ledger, Settings(), directory)
    except BundleRefused as refusal:
        raise WrongCall(str(refusal)) from None
    except (Disputed, SealingRefused) as finding:
        stop(FINDING, str(finding))
    report = verify(directory, laid.vkeys)
    tell("Sealed, exported, and verified offline, from the bundle alone:")
    tell(f"  head     {laid.head.origin}, {laid.head.size:,} events, root {to_base64(laid.head.root)}")
    for key in laid.vkeys:
        tell(f"  vkey     {key}")
    checked = ", ".join(f"{number:,} {what}" for what, number in report.proved.items() if number)
    tell(f"  checked  {checked}: {'nothing is wrong' if report.total == 0 else f'{report.total:,} findings'}")
    tell(f"  again    .venv/bin/ledger verify {shlex.quote(str(directory))} {laid.keys()}")
    if report.total:
        for line in lines(report):
            tell(line)
        raise typer.Exit(FINDING)
    tell()
    await _tell_receipt(ledger)


async def _tell_receipt(ledger: "Ledger") -> None:
    """The receipt of the signature that took the reconstruction to 13,163, checked before it is shown."""
    from ledger.log_reading import newest_published, stated_keys
    from ledger.merkle import leaf_hash
    from ledger.proving import receipt
    from ledger.reading import leaves
    from ledger.receipt import check_receipt, read_receipt
    from ledger.tree_head import parse_vkey
    from projections.asking.moments import position_of
    from projections.asking.petitions import head_of_log
    from projections.moments import WhenCountBecame
    from service.demo.petitions import RECONSTRUCTION

    async with reading(ledger, RECONSTRUCTION) as (connection, number, _):
        position = await position_of(connection, number, WhenCountBecame(13_163), await head_of_log(connection))
        head = await newest_published(connection)
        assert head is not None, "it was just exported"
        made = await receipt(connection, position - 1, head)
        (leaf,) = [leaf async for leaf in leaves(connection, after=position - 1, upto=position)]
        check_receipt(read_receipt(made), leaf_hash(leaf), [parse_vkey(key) for key in await stated_keys(connection)])
    tell(f"The receipt of the signature that took the reconstruction to 13,163, the event at position {position:,}:")
    tell(made.decode().removesuffix("\n"))


async def _refuse_what_is_not_ours(ledger: "Ledger") -> None:
    from projections.reading import rows
    from service.demo.petitions import ALL

    await catch_up_projections(ledger)
    connection = await ledger.connect("ledger_reader")
    try:
        _, found = await rows(connection, "petitions")
    finally:
        await connection.close()
    if {row["id"] for row in found} - set(ALL):
        raise WrongCall("This database holds petitions of its own. Give the demonstration another LEDGER_HOME.")


async def _explain(ledger: "Ledger", petition: str) -> None:
    """The drift from 13,158 to 13,163, as a table."""
    from projections.asking.drift import explain, listed
    from projections.moments import WhenCountBecame
    from service.commandline.telling import tell_drift

    async with reading(ledger, petition) as (connection, number, shown):
        explained = await explain(connection, number, WhenCountBecame(13_158), WhenCountBecame(13_163))
        await tell_drift(shown, explained.view, listed(connection, explained))


async def _check_claims(ledger: "Ledger") -> None:
    """What an article of 19 May 2014 said, held against the page and against the reconstruction."""
    from projections.asking.claims import judge
    from projections.claims import read_claim
    from service.commandline.telling import tell_claim
    from service.demo.petitions import PAGE, RECONSTRUCTION

    claims = (
        ("8,363 people had signed within 72 hours", read_claim(8363, None, within="72h")),
        ("more than 8,000 had signed on 19 May 2014", read_claim(8001, None, at="2014-05-19T23:59:59+01:00")),
    )
    for words, claim in claims:
        tell(f'An article of 19 May 2014: "{words}"')
        for petition in (PAGE, RECONSTRUCTION):
            async with reading(ledger, petition) as (connection, number, shown):
                tell_claim(shown, await judge(connection, number, claim))


async def _summarise(ledger: "Ledger", petition: str) -> None:
    """One petition's count, and its tally by answer where it asked something."""
    from projections.asking.counting import count
    from projections.reading import rows
    from service.commandline.telling import tell_answers, tell_count

    async with reading(ledger, petition) as (connection, number, shown):
        tell_count(shown, await count(connection, number))
        _, found = await rows(connection, "tally", petition)
        answers = [row for row in found if row["dimension"].startswith("answer:") and row["standing"]]
        tell_answers([(row["dimension"].removeprefix("answer:"), row["value"], row["standing"]) for row in answers])
