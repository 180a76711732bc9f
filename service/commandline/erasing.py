"""`ledger erase`: erase a signer of a petition, as over HTTP, with a privacy officer's token in LEDGER_TOKEN.

An address is read from a file or from standard input, never from the arguments: those are seen by every process of the
machine, and stay in the shell's history.
"""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from service.commandline.session import NOT_AVAILABLE, WRONG_CALL, WrongCall, run, stop, tell, tell_json

if TYPE_CHECKING:
    from ledger.connecting import Connection
    from schemas.commands import EraseSigner
    from schemas.requests import ErasureRequest
    from service.database import Ledger

TOKEN: Final = "LEDGER_TOKEN"


def register(app: typer.Typer) -> None:
    """Add the command to the command line's root."""
    app.command()(erase)


def erase(
    petition: Annotated[str, typer.Argument(metavar="ID", help="The petition's id.")],
    signature: Annotated[str | None, typer.Argument(metavar="[SID]", help="One of her signatures.")] = None,
    email_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Or a file with her address; - is standard input.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The body of the HTTP route, on standard output.")] = False,
) -> None:
    """Erase a signer: all her signatures in the petition. The log stays as it is; of her nothing is held afterwards."""
    request = _request(petition, signature, email_file)

    async def work(ledger: "Ledger") -> None:
        from ledger.erasure_journal import JournalRefused
        from schemas.commands import Accepted, Refused
        from service.erasing import erase as carry_out
        from service.erasing import journal_of

        privacy = await ledger.connect("ledger_privacy")
        try:
            actor = await _actor(ledger, petition)
            command = await _command(ledger, request)
            async with ledger.writer("ledger_privacy") as writer:
                outcome = await carry_out(privacy, writer, journal_of(ledger), command, actor)
        except JournalRefused as refusal:
            stop(NOT_AVAILABLE, f"{refusal}. The erasure is not finished; ask again.")
        finally:
            privacy.terminate()
        if not isinstance(outcome, Accepted):
            if isinstance(outcome, Refused) and outcome.problem != "unavailable":
                raise WrongCall(outcome.detail)
            stop(NOT_AVAILABLE, "The erasure is not finished; ask again.")
        answer = outcome.answer
        if json:
            tell_json(answer)
            return
        for each in answer["signatures"]:
            tell(f"{each}  erased ({answer['mode']})")

    run(work)


def _request(petition: str, signature: str | None, email_file: Path | None) -> "ErasureRequest":
    from pydantic import ValidationError

    from schemas.requests import ErasureRequest

    said = {"petition": petition}
    if signature is not None:
        said["signature"] = signature
    if email_file is not None:
        try:
            text = sys.stdin.read() if str(email_file) == "-" else email_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            stop(WRONG_CALL, "The file with the address cannot be read as UTF-8.")
        said["email"] = text.strip()
    request: ErasureRequest | None = None
    with suppress(ValidationError):  # told below, outside the handler: what is raised holds the address
        request = ErasureRequest.model_validate(said)
    if request is None:
        stop(WRONG_CALL, "Name a petition, and either one signature's id or a file with an address.")
    return request


async def _actor(ledger: "Ledger", petition: str) -> str:
    """Who acts: the principal of the token, a privacy officer's, of this petition or of all."""
    import os
    from hashlib import sha256

    token = os.environ.get(TOKEN, "")
    if not token:
        raise WrongCall(f"Set {TOKEN} to a token that `ledger token create --role privacy --name NAME` made.")
    signing: Connection = await ledger.connect("ledger_signing")
    try:
        row = await signing.fetchrow(
            "SELECT actor, role, petition FROM access.current_tokens() WHERE sha256 = $1",
            sha256(token.encode()).digest(),
        )
    finally:
        signing.terminate()
    if row is None:
        raise WrongCall(f"The token in {TOKEN} is not valid.")
    if row["role"] != "privacy" or row["petition"] not in (None, petition):
        raise WrongCall(f"The token in {TOKEN} is not a privacy officer's of this petition.")
    actor: str = row["actor"]
    return actor


async def _command(ledger: "Ledger", request: "ErasureRequest") -> "EraseSigner":
    from ledger.email_policy import EmailRefused, UnknownPolicy, email_policy
    from ledger.identity import Email, signer_token
    from schemas.commands import EraseSigner

    signing: Connection = await ledger.connect("ledger_signing")
    try:
        named = await signing.fetchval("SELECT identity_policy FROM ledger.petition_rules($1)", request.petition)
    finally:
        signing.terminate()
    if named is None:
        raise WrongCall("There is no petition of this id.")
    if request.email is None:
        return EraseSigner(request.petition, request.signature)
    name, _, version = named.partition("/")
    try:
        policy = email_policy(name, int(version))
        token = signer_token(ledger.petition_key(request.petition), Email(request.email), policy)
        return EraseSigner(request.petition, None, token)
    except EmailRefused as refusal:
        sentence = f"The address {refusal}."
    except (UnknownPolicy, ValueError):
        sentence = "The petition's identity policy is not known to this release."
    raise WrongCall(sentence)
