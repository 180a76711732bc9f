"""Credentials: who is let in, how soon that changes, and how much each may ask."""

import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from multidict import CIMultiDict

from ledger.access import PREFIX, list_tokens, revoke_token
from tests.conftest import LedgerDatabase
from tests.service.http.conftest import CANARY
from tests.service.http.counter import JANE, PETITION, Counter, Reply, counter, until

SIGN = f"/petitions/{PETITION}/signatures"
DECLARATIONS = f"/petitions/{PETITION}/declarations"


@dataclass
class Clock:
    """The monotonic and the wall clock of the service, moved by the test."""

    seconds: float = 1000.0
    started: datetime = datetime(2030, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.started + timedelta(seconds=self.seconds - 1000)


@pytest.fixture
async def served(ledger_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Counter]:
    async with counter(ledger_database, tmp_path, tokens={"noted_every": 0.0}) as made:
        await made.open()
        yield made


async def ask(counter: Counter, *authorization: str, query: str = "", **headers: str) -> Reply:
    """Ask to sign, with these Authorization headers."""
    sent = [("Authorization", each) for each in authorization]
    sent += [("Content-Type", "application/json"), ("Idempotency-Key", secrets.token_hex(8)), *headers.items()]
    return await counter.send("POST", SIGN + query, b'{"signer":{"email":"jane@ex.org"}}', CIMultiDict(sent))


async def test_nobody_is_let_in_without_a_good_credential(served: Counter) -> None:
    """If a request has no token, a malformed or unknown one, two, or one in another place, then it is 401, and nothing
    is recorded."""
    good, unknown = served.site, PREFIX + secrets.token_urlsafe(32)
    refused = [
        await ask(served),
        await ask(served, good),
        await ask(served, "Bearer"),
        await ask(served, f"Bearer {unknown}"),
        await ask(served, f"Bearer {good[:-1]}"),
        await ask(served, f"Bearer {good}x"),
        await ask(served, f"Bearer  {good}"),
        await ask(served, f"Bearer {good}, Bearer {good}"),
        await ask(served, f"Basic {good}"),
        await ask(served, f"Bearer {PREFIX}{CANARY}"),
        await ask(served, f"Bearer {good}", f"Bearer {good}"),
        await ask(served, f"Bearer {good}", f"Bearer {unknown}"),
        await ask(served, Cookie=f"token={good}"),
    ]
    assert [(each.status, each.problem) for each in refused] == [(401, "unauthenticated")] * len(refused)
    assert all(each.headers["WWW-Authenticate"].startswith('Bearer realm="ledger"') for each in refused)
    assert not any(good in repr(each) or unknown in repr(each) or CANARY in repr(each) for each in refused)
    assert (await ask(served, query=f"?access_token={good}")).status in (401, 422)
    assert await served.events("signature.recorded.v1") == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_read_in_any_case(served: Counter, scheme: str) -> None:
    """If the scheme is written in another case, then it is the same scheme."""
    assert (await ask(served, f"{scheme} {served.site}")).status == 201


async def test_a_token_is_good_at_once_and_bad_within_a_moment_of_its_revocation(served: Counter) -> None:
    """If a token was made a moment ago, then it is good; and soon after it is revoked it is not."""
    token = await served.token("site", "another site")
    assert (await ask(served, f"Bearer {token}")).status == 201
    admin = await served.database.connect("ledger_admin")
    (listed,) = [each for each in await list_tokens(admin) if each.name == "another site"]
    assert await revoke_token(admin, listed.id)

    async def refused() -> bool:
        return (await ask(served, f"Bearer {token}")).status == 401

    await until(refused)


async def test_a_role_opens_its_own_doors_and_no_others(served: Counter) -> None:
    """If a token's role is not that of a route, then it is 403: nobody signs as an admin or declares as a site."""
    tokens = {
        "site": served.site,
        "admin": served.admin,
        "auditor": await served.token("auditor", "an auditor"),
        "privacy": await served.token("privacy", "an officer"),
    }
    for role, token in tokens.items():
        signed = await served.post(SIGN, JANE, token=token, key=f"by {role}".replace(" ", "-"))
        opened = await served.post("/petitions", {"id": f"by-{role}"}, token=token)
        seen = await served.send("GET", DECLARATIONS, headers={"Authorization": f"Bearer {token}"})
        assert signed.status == (201 if role == "site" else 403)
        assert opened.status == (201 if role == "admin" else 403)
        assert seen.status == (200 if role == "admin" else 403)
        for each in (signed, opened, seen):
            assert each.status != 403 or each.problem == "forbidden"


async def test_a_token_for_one_petition_is_good_for_no_other(served: Counter) -> None:
    """If a token is limited to a petition, then everywhere else it is 403, whether or not there is anything there."""
    await served.open("another")
    token = await served.token("site", "of one", petition=PETITION)
    admin = await served.token("admin", "of one", petition=PETITION)
    assert (await served.sign("a", token=token)).status == 201
    sid = "00000000-0000-4000-8000-000000000000"
    elsewhere = [
        await served.sign("b", petition="another", token=token),
        await served.sign("b", petition="nowhere", token=token),
        await served.post(f"/petitions/another/signatures/{sid}/withdrawal", token=token),
        await served.post(f"/petitions/another/signatures/{sid}/confirmation", token=token),
        await served.post("/petitions/another/signatures/batch", token=token),
        await served.post("/petitions", {"id": "third"}, token=admin),
        await served.post("/petitions/another/updates", {"headline": "x"}, token=admin),
    ]
    assert [each.problem for each in elsewhere] == ["forbidden"] * len(elsewhere)


async def test_who_acts_is_the_credentials_principal(served: Counter) -> None:
    """If two tokens have one name, then their events have one actor; its name is nowhere in the log."""
    one, other = await served.token("site", CANARY), await served.token("site", CANARY)
    for number, token in enumerate((one, other, served.site)):
        await served.sign(f"k{number}", {"signer": {"ref": str(number)}}, token=token)
    actors = [event["actor"] for event in await served.events("signature.recorded.v1")]
    assert actors[0] == actors[1] != actors[2]
    assert all(re.fullmatch("site:[0-9a-f]{12}", actor) for actor in actors)
    assert CANARY not in repr(await served.events())


async def test_a_token_ends_at_its_time(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """If a token's time is over by the service's clock, then it is 401, also before the list was read again."""
    clock = Clock()
    async with counter(
        ledger_database, tmp_path, tokens={"clock": clock.monotonic, "now": clock.now, "interval": 3600.0}
    ) as served:
        await served.open()
        token = await served.token("site", "for an hour", expires=clock.now() + timedelta(hours=1))
        assert (await ask(served, f"Bearer {token}")).status == 201
        clock.started += timedelta(minutes=59, seconds=59)
        assert (await ask(served, f"Bearer {token}")).status == 200
        clock.started += timedelta(seconds=1)
        assert (await ask(served, f"Bearer {token}")).problem == "unauthenticated"


async def test_a_credential_may_ask_as_much_as_its_rate_says(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """If a credential has asked too much, then it is 429 with the time after which it is let in; others are let in."""
    clock = Clock()
    async with counter(ledger_database, tmp_path, tokens={"clock": clock.monotonic}) as served:
        await served.open()
        token = await served.token("site", "slow", rate="2/min")
        answers = [await served.sign(f"k{number}", token=token) for number in range(3)]
        assert [each.status for each in answers] == [201, 200, 429]
        assert answers[2].problem == "rate-limited"
        assert answers[2].headers["Retry-After"] == "30"
        assert (await served.sign("other")).status == 200
        clock.seconds += 29
        assert (await served.sign("k3", token=token)).headers["Retry-After"] == "1"
        clock.seconds += 1
        assert (await served.sign("k4", token=token)).status == 200


async def test_a_list_that_cannot_be_read_is_believed_for_a_time(
    ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If the list cannot be read, then who is known is let in for a minute, who is not hears 503; then nobody is."""
    clock = Clock()
    async with counter(ledger_database, tmp_path, tokens={"clock": clock.monotonic, "interval": 3600.0}) as served:
        await served.open()
        assert (await served.sign("a")).status == 201
        unknown = PREFIX + secrets.token_urlsafe(32)
        assert (await ask(served, f"Bearer {unknown}")).status == 401
        await ledger_database.superuser.execute("REVOKE EXECUTE ON FUNCTION access.current_tokens FROM ledger_signing")
        assert (await ask(served, f"Bearer {unknown}")).problem == "unavailable"
        assert (await served.sign("b")).status == 200
        clock.seconds += 61
        away = await served.sign("c")
        assert (away.problem, "Retry-After" in away.headers) == ("unavailable", True)
        await ledger_database.superuser.execute("GRANT EXECUTE ON FUNCTION access.current_tokens TO ledger_signing")
        assert (await ask(served, f"Bearer {unknown}")).status == 401
        assert (await served.sign("d")).status == 200


async def test_what_was_used_is_noted(served: Counter) -> None:
    """If a token is used, then soon its listing says so; one that is not is not noted."""
    await served.token("site", "idle")
    await served.sign("a")

    async def noted() -> bool:
        admin = await served.database.connect("ledger_admin")
        return {each.name for each in await list_tokens(admin) if each.last_used is not None} == {"a site"}

    await until(noted)


async def test_the_roles_of_the_database_read_tokens_only_through_the_function(ledger_database: LedgerDatabase) -> None:
    """If signing or reading asks the table itself, then it is refused; a reader may not even call the function."""
    signing, reader = await ledger_database.connect("ledger_signing"), await ledger_database.connect("ledger_reader")
    assert await signing.fetch("SELECT * FROM access.current_tokens()") == []
    for connection in (signing, reader):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("TABLE access.tokens")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.fetch("SELECT * FROM access.current_tokens()")
