"""`ledger keys`: show by which keys the log is sealed, and put a new one in the place of the present one."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.commandline.session import run, say, tell, tell_json

if TYPE_CHECKING:
    from service.database import Ledger

app = typer.Typer(no_args_is_help=True, help="The keys that seal the log.")

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
def rotate(json: Json = False) -> None:
    """Put a new sealing key in the place of the present one, which stays beside it and goes on sealing too.

    For now of the sealing key only: the vault's keys are not rotated by this. A running service seals with the new key
    from its next head on. Once nobody asks for the old key any more, take its file away: `seal.key.` and its key id.
    """

    async def work(ledger: "Ledger") -> None:
        from service.sealing_keys import rotate_key

        rotated = await rotate_key(ledger)
        if json:
            tell_json({"vkey": rotated.vkey, "retired": None if rotated.retired is None else str(rotated.retired)})
            return
        tell(rotated.vkey)
        if rotated.retired is not None:
            say(f"The key before goes on sealing as long as {rotated.retired} is there.")

    run(work, create=True)
