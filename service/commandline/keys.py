"""`ledger keys`: show by which keys the log is sealed, and put new keys in the places of the present ones."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.commandline.session import WRONG_CALL, run, say, stop, tell, tell_json

if TYPE_CHECKING:
    from service.database import Ledger

app = typer.Typer(no_args_is_help=True, help="The keys that seal the log, and those of the vault.")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command()
def show(json: Json = False) -> None:
    """Print the verifier keys that the log is sealed by, the newest first, one a line. The first key is made here.

    Auditors give one of them to `ledger verify --vkey`, and to other people's tools. Make it known in a way that does
    not lead through this service.
    """

    async def work(ledger: "Ledger") -> None:
        from service.sealing_keys import verifier_keys

        vkeys = await verifier_keys(ledger)
        if json:
            tell_json({"vkeys": vkeys})
        else:
            for vkey in vkeys:
                tell(vkey)

    run(work, create=True)


@app.command()
def rotate(
    seal: Annotated[bool, typer.Option("--seal", help="Only the sealing key.")] = False,
    vault: Annotated[bool, typer.Option("--vault", help="Only the vault's epoch.")] = False,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="With --vault: only make the next epoch, to be copied to other machines.")
    ] = False,
    json: Json = False,
) -> None:
    """Put a new sealing key in the place of the present one, and begin a new epoch of the vault.

    The sealing key before stays beside the new one and goes on sealing too; a running service seals with both from its
    next head on. Once nobody asks for the old key any more, take its file away: `seal.key.` and its key id.

    The vault's rows are wrapped for the new epoch, and then the old epoch's key is destroyed: what old dumps hold of
    signers cannot be opened any more. Where that is cut off, the same command goes on.
    """
    if prepare and not vault:
        stop(WRONG_CALL, "--prepare goes with --vault.")

    async def work(ledger: "Ledger") -> None:
        from service.sealing_keys import rotate_key
        from service.vault_keys import rotate_vault

        document: dict[str, object] = {}
        if seal or not vault:
            rotated = await rotate_key(ledger)
            document |= {"vkey": rotated.vkey, "retired": None if rotated.retired is None else str(rotated.retired)}
            if not json:
                tell(rotated.vkey)
                if rotated.retired is not None:
                    say(f"The key before goes on sealing as long as {rotated.retired} is there.")
        if vault or not seal:
            kept = await rotate_vault(ledger, say, prepare=prepare)
            gone = [str(path) for path in kept.destroyed]
            document["vault"] = {"epoch": kept.epoch, "rewrapped": kept.rewrapped, "destroyed": gone}
            for path in gone:
                say(f"Destroyed: {path}. Destroy its copies too.")
        if json:
            tell_json(document)

    run(work, create=True)
