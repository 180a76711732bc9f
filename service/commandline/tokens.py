"""`ledger token`: make, list and revoke credentials. A token is shown once, alone on standard output."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from service.commandline.session import WRONG_CALL, WrongCall, run, say, stop, tell, tell_json

if TYPE_CHECKING:
    from service.database import Ledger

app = typer.Typer(no_args_is_help=True, help="Credentials of sites, admins, auditors and privacy officers.")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command()
def create(
    role: Annotated[str, typer.Option(help="site, admin, auditor or privacy")],
    name: Annotated[str, typer.Option(help="The principal: tokens of one name are one.")],
    petition: Annotated[str | None, typer.Option(metavar="ID", help="Only for this petition.")] = None,
    rate: Annotated[str | None, typer.Option(metavar="N/s", help="At most so many requests.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="TIME", help="Time with offset.")] = None,
) -> None:
    """Make a token."""
    from datetime import UTC, datetime
    from typing import get_args

    from ledger.access import TokenRefused, TokenRole, create_token
    from schemas.ids import is_petition_id
    from schemas.instants import InstantRefused, read_instant
    from service.database import petition_exists

    if role not in get_args(TokenRole):
        stop(WRONG_CALL, f"A role is {', '.join(get_args(TokenRole))}.")
    if petition is not None and not is_petition_id(petition):
        stop(WRONG_CALL, "--petition is not a petition's id.")
    try:
        until = None if expires is None else read_instant(expires)
    except InstantRefused as refusal:
        stop(WRONG_CALL, str(refusal))
    if until is not None and until <= datetime.now(UTC):
        stop(WRONG_CALL, "--expires lies in the past.")

    async def work(ledger: "Ledger") -> None:
        connection = await ledger.connect("ledger_admin")
        try:
            if petition is not None and not await petition_exists(connection, petition):
                raise WrongCall("There is no petition of this id.")
            token = await create_token(
                connection,
                role,  # type: ignore[arg-type]  # one of them, as was seen above
                name,
                petition=petition,
                rate=rate,
                expires=until,
            )
        except TokenRefused as refusal:
            raise WrongCall(str(refusal)) from None
        finally:
            await connection.close()
        tell(token)
        say("This token is not shown again.")

    run(work, create=True)


@app.command("list")
def list_all(json: Json = False) -> None:
    """List the tokens with their limits and last use, without showing one."""
    from datetime import UTC, datetime

    from ledger.access import list_tokens
    from schemas.instants import format_instant

    async def work(ledger: "Ledger") -> None:
        connection = await ledger.connect("ledger_admin")
        try:
            tokens = await list_tokens(connection)
        finally:
            await connection.close()
        now = datetime.now(UTC)
        rows = [
            {
                key: format_instant(value) if key in ("created", "expires", "revoked", "last_used") and value else value
                for key, value in {**asdict(token), "state": token.state(now)}.items()
            }
            for token in tokens
        ]
        if json:
            tell_json({"tokens": rows})
            return
        for row in rows:
            limits = [
                f"{word} {row[key]}"
                for word, key in (("for", "petition"), ("at", "rate"), ("until", "expires"))
                if row[key]
            ]
            used = f"used {row['last_used']}" if row["last_used"] else "never used"
            told = "  ".join([str(row["name"]), *limits, used])
            tell(f"{row['id']}  {row['role']:<8} {row['state']:<8} {row['actor']}  {told}")

    run(work)


@app.command()
def revoke(id: Annotated[str, typer.Argument(metavar="ID", help="As `ledger token list` shows it.")]) -> None:
    """Revoke a token."""
    from ledger.access import revoke_token

    async def work(ledger: "Ledger") -> None:
        connection = await ledger.connect("ledger_admin")
        try:
            found = await revoke_token(connection, id)
        finally:
            await connection.close()
        if not found:
            raise WrongCall("There is no such token that is not revoked.")
        tell(f"revoked {id}")

    run(work)
