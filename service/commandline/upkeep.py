"""`ledger migrate`, `replay`, `rebuild`, `fsck`, `continue`: keep the house, and show that it stands as it says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from service.commandline.session import FINDING, WRONG_CALL, WrongCall, on_terminal, run, say, stop, tell, tell_json

if TYPE_CHECKING:
    from projections.moments import AsOf
    from projections.replay import Rows
    from service.database import Ledger

NO_SUCH_PETITION: Final = "There is no petition of this id by then."

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line's root."""
    for command in (migrate, replay, rebuild, fsck):
        app.command()(command)
    app.command("continue")(continue_log)


def migrate() -> None:
    """Bring the schema up to date. Safe to run from many places at once."""

    async def work(ledger: "Ledger") -> None:
        tell("the schema is up to date")

    run(work, create=True)


def replay(
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="An audit bundle. Default: the ledger's database.")
    ] = None,
    as_of: Annotated[str | None, typer.Option(metavar="POSITION|TIME", help="Fold up to here.")] = None,
    petition: Annotated[str | None, typer.Option(metavar="ID", help="Only this petition.")] = None,
) -> None:
    """Fold the history again, from the events alone, and print every projection as JSON."""
    from projections.moments import QueryRefused, read_as_of
    from projections.replay import Replay

    try:
        until = None if as_of is None else read_as_of(as_of)
    except QueryRefused as refusal:
        stop(WRONG_CALL, f"{refusal}.")
    if directory is not None:
        _replay_bundle(directory, until, petition)
        return

    async def work(ledger: "Ledger") -> None:
        from ledger.reading import leaves
        from projections.asking.moments import position_of
        from projections.asking.petitions import head_of_log

        connection = await ledger.connect("ledger_reader")
        try:
            head = await head_of_log(connection)
            last = head.position
            if until is not None:
                try:
                    last = await position_of(connection, 0, until, head)
                except QueryRefused as refusal:
                    raise WrongCall(f"{refusal}.") from None
            fold = Replay(petition)
            async for leaf in leaves(connection, upto=last):
                fold.apply(leaf)
        finally:
            await connection.close()
        if not _tell_folded(fold.rows(), fold.steps.position, petition):
            raise WrongCall(NO_SUCH_PETITION)

    run(work)


def _replay_bundle(directory: Path, until: "AsOf | None", petition: str | None) -> None:
    """The same from a bundle. Whether anybody vouches for what is in it is for `ledger verify` to say."""
    from ledger.bundle import Bundle, BundleRefused
    from projections.moments import AtPosition, PositionNotReached
    from projections.replay import replay as fold

    try:
        bundle = Bundle.find(directory)
        if bundle.head is None:
            stop(WRONG_CALL, f"There is no audit bundle in {directory}.")
        if isinstance(until, AtPosition) and until.position > bundle.head.size:
            stop(WRONG_CALL, f"{PositionNotReached(bundle.head.size)}.")
        last = None if until is None else until.position if isinstance(until, AtPosition) else until.time
        folded = fold(bundle.leaves(), last, petition)
    except BundleRefused as refusal:
        stop(WRONG_CALL, str(refusal))
    except (ValueError, KeyError, TypeError):
        stop(WRONG_CALL, f"The events in {directory} cannot be folded; `ledger verify` says why.")
    if not _tell_folded(folded["projections"], folded["as_of_position"], petition):
        stop(WRONG_CALL, NO_SUCH_PETITION)


def _tell_folded(rows: "dict[str, Rows]", position: int, petition: str | None) -> bool:
    """Tell the rows; False where they should be those of a petition that is not there."""
    if petition is not None and not rows["petitions"]:
        return False
    tell_json({"projections": rows, "as_of_position": position})
    return True


def rebuild(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME ...]", help="Default: every projection.")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Swap although something differs.")] = False,
    json: Json = False,
) -> None:
    """Fold projections anew beside the old ones, compare, and swap. Exit 1 where anything differed."""
    from dataclasses import asdict

    from projections.projector import NAMES
    from projections.rebuild import rebuild as make_anew

    unknown = set(names or ()) - set(NAMES)
    if unknown:
        stop(WRONG_CALL, f"The projections are {', '.join(NAMES)}.")

    async def work(ledger: "Ledger") -> int | None:
        connection = await ledger.connect("ledger_projector")
        try:
            results = await make_anew(connection, names or NAMES, accept=accept)
        finally:
            await connection.close()
        if json:
            tell_json({"rebuilt": [asdict(result) for result in results]})
        for result in () if json else results:
            tell(
                f"{result.name}: {result.rows:,} rows compared, {result.different:,} different, "
                f"{'swapped' if result.swapped else 'NOT swapped'}"
            )
            for example in result.examples:
                tell(f"  differs: {example}")
        return FINDING if any(result.different for result in results) else None

    run(work)


def fsck(
    deep: Annotated[
        bool, typer.Option("--deep", help="Also fold every event again, compare all state, open the vault.")
    ] = False,
    json: Json = False,
) -> None:
    """Hold every rule against the database. Exit 1 on a finding."""
    from dataclasses import asdict

    async def work(ledger: "Ledger") -> int | None:
        from ledger.fsck import fsck as audit
        from ledger.vault_audit import Looked
        from projections.fsck import fsck as audit_projections

        vault: list[Looked] = []
        connection = await ledger.connect("ledger_backup")
        try:
            gathered = [
                await audit(connection, deep=deep, epochs=ledger.epochs(), looked=vault.append),
                await audit_projections(connection, deep=deep),
            ]
        finally:
            await connection.close()
        findings = [finding for each in gathered for finding in each]
        total = sum(each.total for each in gathered)
        if json:
            document: dict[str, object] = {"total": total, "findings": [asdict(finding) for finding in findings]}
            if vault:
                document["vault"] = vault[0]._asdict()
            tell_json(document)
        else:
            for finding in findings:
                at = "" if finding.position is None else f" at position {finding.position:,}"
                tell(f"{finding.rule}{at}: {finding.message}")
            if unopened := sum(each.unopened for each in vault):
                say(f"Not looked at: {unopened:,} rows of the vault, whose epoch's key is not here.")
            tell(f"{total:,} findings" if total else "no findings")
        return FINDING if total else None

    if deep and on_terminal():
        say("folding every event again ...")
    run(work)


def continue_log(
    origin: Annotated[str, typer.Option(metavar="NAME", help="The origin from here on, which the log never had.")],
    old_head: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The newest `checkpoint` of the present origin. Default: the ledger's copy."),
    ] = None,
    json: Json = False,
) -> None:
    """Go on under a new origin after the end of the log was lost, and say in the log what was lost.

    Only for a database that was put back to an older state than others were shown, and of which no newer one is left.
    The events that survived stay as they are. Afterwards set LEDGER_ORIGIN to the new name, and tell your auditors and
    witnesses: the log has a new verifier key.
    """

    async def work(ledger: "Ledger") -> None:
        from ledger.continuing import ContinuingRefused
        from service.continuing import continue_under

        try:
            continued = await continue_under(ledger, origin, old_head)
        except ContinuingRefused as refusal:
            raise WrongCall(str(refusal)) from None
        old = continued.old
        if json:
            tell_json(
                {"position": continued.position, "old_origin": old.origin, "old_size": old.size, "origin": origin}
            )
            return
        tell(f"position {continued.position:,}: the log goes on as {origin}, from the head of {old.size:,} events")
        say(f"The old head is kept in {continued.kept}. Set LEDGER_ORIGIN={origin} before you serve.")

    run(work)
