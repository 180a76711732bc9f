"""`ledger correction`: see signals; preview, open, show, approve, cancel and reverse corrections, as over HTTP.

Who acts is the principal of the token in LEDGER_TOKEN, an admin's. What is opened or approved here is run here to its
end, whether or not a service runs beside: both may, and no member is applied twice.
"""

import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commandline.session import NOT_AVAILABLE, WRONG_CALL, WrongCall, run, say, stop, tell, tell_json

if TYPE_CHECKING:
    from uuid import UUID

    from ledger.connecting import Connection
    from schemas.commands import Command, OpenCorrection
    from schemas.requests import PreviewRequest
    from service.correcting import Chosen
    from service.database import Ledger
    from service.signing import Rules

TOKEN = "LEDGER_TOKEN"

app = typer.Typer(no_args_is_help=True, help="Remove fraud in the open: corrections of a petition's signatures.")

Petition = Annotated[str, typer.Argument(metavar="ID", help="The petition's id.")]
Cid = Annotated[str, typer.Argument(metavar="CID", help="The correction's id.")]
Reason = Annotated[str, typer.Option(help="bot, duplicate, mistake, ...")]
Rule = Annotated[str, typer.Option(help="The public rule, in words. No e-mail or network address in it.")]
Kind = Annotated[str, typer.Option(help="invalidate or reinstate")]
Network = Annotated[str | None, typer.Option(metavar="CIDR", help="Signatures from this network.")]
Domain = Annotated[str | None, typer.Option(metavar="DOMAIN", help="By addresses of this domain.")]
Between = Annotated[tuple[str, str] | None, typer.Option(metavar="FROM TO", help="Recorded in this window.")]
Confirmed = Annotated[tuple[str, str] | None, typer.Option(metavar="FROM TO", help="Confirmed in this window.")]
Area = Annotated[str | None, typer.Option(metavar="COUNTRY[/REGION]", help="From this area.")]
Channel = Annotated[str | None, typer.Option(help="site, paper or import")]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="By signers of this name. It is not kept.")]
Signature = Annotated[list[str] | None, typer.Option(metavar="SID", help="Exactly these (repeat for more).")]
File = Annotated[Path | None, typer.Option("--signatures", metavar="FILE", help="Exactly these: a file, an id a line.")]
Lifts = Annotated[str | None, typer.Option(metavar="CID", help="Lift this correction's holds. Default: every one.")]
Json = Annotated[bool, typer.Option("--json", help="The body of the HTTP route, on standard output.")]


@dataclass(frozen=True)
class _Desk:
    """Where an admin works: connections, and who it is."""

    ledger: "Ledger"
    admin: "Connection"
    actor: str


@app.command()
def signals(petition: Petition, json: Json = False) -> None:
    """Tell what in a petition is unlike itself, the greatest excess first, and how to preview each. Records nothing."""

    async def work(desk: _Desk) -> None:
        from service.region_names import RegionsRefused, names
        from service.reviewing import DomainsRefused, disposable_domains, look, told
        from service.settings import Settings

        settings = Settings()
        try:
            called, disposable = names(settings.regions_file), disposable_domains(settings.disposable_domains_file)
        except (RegionsRefused, DomainsRefused) as refusal:
            raise WrongCall(str(refusal)) from None
        answer = told(petition, await look(desk.admin, petition, called, disposable))
        if json:
            tell_json(answer)
            return
        for each in answer["signals"]:
            tell(f"{each['kind']}: {each['sentence']}")
            tell(f"  {each['matched']:,} match: ledger correction preview {petition} {_arguments(each)}")
        if not answer["signals"]:
            say("Nothing in it is unlike itself.")

    _work(petition, work)


@app.command()
def preview(
    petition: Petition,
    reason: Reason,
    rule: Rule,
    kind: Kind = "invalidate",
    network: Network = None,
    email_domain: Domain = None,
    recorded_between: Between = None,
    confirmed_between: Confirmed = None,
    area: Area = None,
    channel: Channel = None,
    name_equals: Name = None,
    signature: Signature = None,
    signatures: File = None,
    lifts: Lifts = None,
    json: Json = False,
) -> None:
    """Tell what a correction would be over, and what it would do. Records nothing."""
    where = _where(network, email_domain, recorded_between, confirmed_between, area, channel, name_equals)
    request = _request(kind, reason, rule, where, _listed(signature, signatures), lifts)

    async def work(desk: _Desk) -> None:
        from service.correcting import preview as previewed

        chosen, effect = await _chosen(desk, petition, request)
        answer = previewed(chosen, effect)
        if json:
            tell_json(answer)
        else:
            _tell_effect(answer)

    _work(petition, work)


@app.command("open")
def open_correction(
    petition: Petition,
    reason: Reason,
    rule: Rule,
    kind: Kind = "invalidate",
    network: Network = None,
    email_domain: Domain = None,
    recorded_between: Between = None,
    confirmed_between: Confirmed = None,
    area: Area = None,
    channel: Channel = None,
    name_equals: Name = None,
    signature: Signature = None,
    signatures: File = None,
    lifts: Lifts = None,
    digest: Annotated[str | None, typer.Option(help="The preview's: refused where the set differs.")] = None,
    json: Json = False,
) -> None:
    """Open a correction: its set is frozen. It runs at once, unless a second principal has to approve it."""
    where = _where(network, email_domain, recorded_between, confirmed_between, area, channel, name_equals)
    request = _request(kind, reason, rule, where, _listed(signature, signatures), lifts)

    async def work(desk: _Desk) -> None:
        from service.correcting import opening

        chosen, effect = await _chosen(desk, petition, request)
        await _open(desk, opening(petition, chosen, request, effect, digest), json=json)

    _work(petition, work)


@app.command()
def show(
    petition: Petition,
    cid: Annotated[str | None, typer.Argument(metavar="[CID]", help="Default: all of the petition.")] = None,
    state: Annotated[str | None, typer.Option(help="proposed, running, completed or cancelled")] = None,
    json: Json = False,
) -> None:
    """Show how corrections stand: who proposed, who approved, how far they have come."""
    if state not in (None, "proposed", "running", "completed", "cancelled"):
        stop(WRONG_CALL, "A correction is proposed, running, completed or cancelled.")
    named = None if cid is None else _uuid(cid)

    async def work(desk: _Desk) -> None:
        from service.correcting import one_shown, shown

        if named is not None:
            found = [await one_shown(desk.admin, petition, named)]
        else:
            found = await shown(desk.admin, petition, state)
        if json:
            tell_json(found[0] if named is not None else {"petition": petition, "corrections": found})
            return
        for each in found:
            done = f"{each['applied']:,} of {each['matched']:,} applied, {each['skipped']:,} skipped"
            by = each["proposed_by"] + (f", approved by {each['approved_by']}" if each["approved_by"] else "")
            tell(f"{each['correction']}  {each['state']:<9} {each['kind']} ({each['reason']}): {done}  {by}")
            if each["state"] == "proposed" or named is not None:
                tell(f"  digest {each['digest']}")

    _work(petition, work)


@app.command()
def approve(
    petition: Petition,
    cid: Cid,
    digest: Annotated[str, typer.Option(help="That of the frozen set, as it was previewed.")],
    json: Json = False,
) -> None:
    """Approve exactly the frozen set, as another principal than the one that opened it; then run it to its end."""
    named = _uuid(cid)

    async def work(desk: _Desk) -> None:
        from schemas.commands import ApproveCorrection

        answer = await _submit(desk, ApproveCorrection(petition, named, digest))
        await _run_on(desk, petition, answer, json=json)

    _work(petition, work)


@app.command()
def cancel(petition: Petition, cid: Cid, json: Json = False) -> None:
    """Stop a correction where it is."""
    named = _uuid(cid)

    async def work(desk: _Desk) -> None:
        from schemas.commands import CancelCorrection

        _tell_moved(await _submit(desk, CancelCorrection(petition, named)), json=json)

    _work(petition, work)


@app.command()
def reverse(petition: Petition, cid: Cid, reason: Reason, rule: Rule, json: Json = False) -> None:
    """Open a correction of the opposite kind, over exactly what was applied."""
    from schemas.requests import ReversalRequest

    named = _uuid(cid)
    request: ReversalRequest = _validated(ReversalRequest, {"reason": reason, "rule": rule})

    async def work(desk: _Desk) -> None:
        from service.correcting import choose_applied, opening, told

        chosen = await choose_applied(desk.admin, petition, named)
        async with _reader(desk) as reader:
            effect = await told(desk.admin, reader, petition, chosen)
        await _open(desk, opening(petition, chosen, request, effect), json=json)

    _work(petition, work)


def _work(petition: str, work: Callable[[_Desk], Coroutine[Any, Any, None]]) -> None:
    """Do an admin's work, in the name of the token's principal."""

    async def inside(ledger: "Ledger") -> None:
        from service.correcting import ChoiceRefused
        from service.database import petition_exists

        admin = await ledger.connect("ledger_admin")
        try:
            actor = await _actor(admin, petition)
            if not await petition_exists(admin, petition):
                raise WrongCall("There is no petition of this id.")
            await work(_Desk(ledger, admin, actor))
        except ChoiceRefused as refusal:
            about = refusal.pointer.strip("/").replace("where/", "").replace("_", "-")
            raise WrongCall(f"--{about} {refusal}." if about.islower() and " " not in about else str(refusal)) from None
        finally:
            admin.terminate()

    run(inside)


async def _actor(admin: "Connection", petition: str) -> str:
    """Who acts: the principal of the token, an admin, of this petition or of all."""
    from hashlib import sha256

    token = os.environ.get(TOKEN, "")
    if not token:
        raise WrongCall(f"Set {TOKEN} to an admin's token: `ledger token create --role admin --name NAME` makes one.")
    row = await admin.fetchrow(
        "SELECT actor, role, petition FROM access.current_tokens() WHERE sha256 = $1", sha256(token.encode()).digest()
    )
    if row is None:
        raise WrongCall(f"The token in {TOKEN} is not valid.")
    if row["role"] != "admin" or row["petition"] not in (None, petition):
        raise WrongCall(f"The token in {TOKEN} is not an admin's of this petition.")
    actor: str = row["actor"]
    return actor


async def _chosen(desk: _Desk, petition: str, request: "PreviewRequest") -> "tuple[Chosen, dict[str, Any]]":
    from service.correcting import choose, told

    chosen = await choose(desk.admin, await _rules(desk, petition), request)
    async with _reader(desk) as reader:
        return chosen, await told(desk.admin, reader, petition, chosen)


async def _rules(desk: _Desk, petition: str) -> "Rules":
    from ledger.email_policy import UnknownPolicy, email_policy
    from service.correcting import SQL
    from service.signing import Rules

    name, _, version = (await desk.admin.fetchval(SQL["identity_policy"], petition)).partition("/")
    try:
        return Rules(petition, email_policy(name, int(version)), desk.ledger.petition_key(petition))
    except (UnknownPolicy, ValueError):
        raise WrongCall("The petition's identity policy is not known to this release.") from None


@asynccontextmanager
async def _reader(desk: _Desk) -> "AsyncIterator[Connection]":
    reader = await desk.ledger.connect("ledger_reader")
    try:
        yield reader
    finally:
        reader.terminate()


async def _open(desk: _Desk, command: "OpenCorrection", *, json: bool) -> None:
    answer = await _submit(desk, command)
    if not json:
        _tell_effect(answer)
    await _run_on(desk, command.petition, answer, json=json)


async def _submit(desk: _Desk, command: "Command") -> dict[str, Any]:
    """Ask the ledger, and what it answers. Raises WrongCall where it is refused."""
    from schemas.commands import Accepted, Refused, Submission

    async with desk.ledger.writer("ledger_admin") as writer:
        outcome = await writer.submit(Submission(command, desk.actor))
    if not isinstance(outcome, Accepted):
        if isinstance(outcome, Refused) and outcome.problem != "unavailable":
            raise WrongCall(outcome.detail)
        unknown = "Whether this was recorded is not known; look before asking again."
        stop(NOT_AVAILABLE, outcome.detail if isinstance(outcome, Refused) else unknown)
    return outcome.answer


async def _run_on(desk: _Desk, petition: str, answer: dict[str, Any], *, json: bool) -> None:
    """Run what runs to its end, and tell how it stands then."""
    from uuid import UUID

    from service.correcting import one_shown, run_to_its_end

    if answer["state"] == "running":
        async with desk.ledger.writer("ledger_admin") as writer:
            await run_to_its_end(writer, petition, UUID(answer["correction"]))
        shown = await one_shown(desk.admin, petition, UUID(answer["correction"]))
        answer = {**answer, **{name: shown[name] for name in ("state", "applied", "skipped")}}
    _tell_moved(answer, json=json)


def _tell_moved(answer: dict[str, Any], *, json: bool) -> None:
    if json:
        tell_json(answer)
        return
    tell(f"correction {answer['correction']} is {answer['state']}")
    tell(f"{answer['applied']:,} of {answer['matched']:,} applied, {answer['skipped']:,} skipped")
    if answer["state"] == "proposed":
        say("It waits for another admin: `ledger correction approve` with the digest.")


def _tell_effect(answer: dict[str, Any]) -> None:
    effect = answer["effect"]
    count = effect["count"]
    tell(f"{answer['matched']:,} signatures, digest {answer['digest']}")
    tell(f"count {count['before']:,} -> {count['after']:,}")
    if effect["milestones"]:
        tell("milestones " + ", ".join(f"{rung:,}" for rung in effect["milestones"]))
    for each in effect["published"]:
        tell(f"published {each['count']:,} at position {each['position']}: {each['as_corrected']:,} as corrected")


def _arguments(signal: dict[str, Any]) -> str:
    """What a preview of a signal's condition is called with, for a shell."""
    from shlex import join

    arguments = ["--reason", signal["reason"], "--rule", signal["rule"]]
    for name, value in signal["where"].items():
        said = value if isinstance(value, list) else ["/".join(value.values()) if isinstance(value, dict) else value]
        arguments += [f"--{name.replace('_', '-')}", *said]
    return join(arguments)


def _where(
    network: str | None,
    email_domain: str | None,
    recorded_between: tuple[str, str] | None,
    confirmed_between: tuple[str, str] | None,
    area: str | None,
    channel: str | None,
    name_equals: str | None,
) -> dict[str, Any] | None:
    """The conditions as the HTTP body has them; None where there is none."""
    country, _, region = (area or "").partition("/")
    said = {
        "network": network,
        "email_domain": email_domain,
        "recorded_between": None if recorded_between is None else list(recorded_between),
        "confirmed_between": None if confirmed_between is None else list(confirmed_between),
        "area": None if area is None else {"country": country, **({"region": region} if region else {})},
        "channel": channel,
        "name_equals": name_equals,
    }
    given = {name: value for name, value in said.items() if value is not None}
    return given or None


def _listed(signature: list[str] | None, file: Path | None) -> list[str] | None:
    """The signatures that are listed one by one; None where none is."""
    if file is None:
        return signature or None
    try:
        lines = file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        stop(WRONG_CALL, "The file with the signatures cannot be read as UTF-8.")
    return [*(signature or ()), *lines]


def _request(
    kind: str, reason: str, rule: str, where: dict[str, Any] | None, listed: list[str] | None, lifts: str | None
) -> "PreviewRequest":
    from schemas.requests import PreviewRequest

    said = {"kind": kind, "reason": reason, "rule": rule, "where": where, "signatures": listed, "lifts": lifts}
    request: PreviewRequest = _validated(
        PreviewRequest, {name: value for name, value in said.items() if value is not None}
    )
    return request


def _validated(model: Any, said: dict[str, Any]) -> Any:
    """The request, judged as its HTTP body is; exit 2 where it is none."""
    import orjson
    from pydantic import ValidationError

    try:
        return model.model_validate_json(orjson.dumps(said), strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        stop(WRONG_CALL, f"{place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}.")


def _uuid(text: str) -> "UUID":
    from schemas.ids import read_uuid

    try:
        return read_uuid(text)
    except ValueError:
        stop(WRONG_CALL, "That is no id of a correction.")
