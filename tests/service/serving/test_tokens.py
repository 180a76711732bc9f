"""The life of a token beside a service that runs: made, used, listed, run out, revoked."""

import json
import secrets
from datetime import UTC, datetime, timedelta

import pytest

from schemas.instants import format_instant
from tests.service.commands import ledger
from tests.service.serving.conftest import PETITION, Kept
from tests.service.serving.services import Service, serving, wait_for

pytestmark = pytest.mark.database


def made(kept: Kept, name: str, *limits: str) -> str:
    ended = ledger(kept.home, "token", "create", "--role", "site", "--name", name, *limits)
    assert ended.code == 0, ended.err
    return ended.out.strip()


def listed(kept: Kept, name: str) -> dict[str, str | None]:
    """A token as its listing shows it."""
    rows = json.loads(ledger(kept.home, "token", "list", "--json").out)["tokens"]
    (row,) = [row for row in rows if row["name"] == name]
    return dict(row)


def status(service: Service, token: str, petition: str = PETITION) -> int:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": secrets.token_hex(8)}
    return service.post(f"/petitions/{petition}/signatures", {"signer": {"ref": "r"}}, headers).status


def test_a_token_lives_as_its_listing_says(kept: Kept) -> None:
    """If a token is used, then its listing says when, soon; if it is revoked, then it is refused within a moment; if
    its time is over, then it is refused, and its listing says so; one for one petition is good for that alone."""
    used, elsewhere = made(kept, "used"), made(kept, "elsewhere", "--petition", PETITION)
    with serving(kept.home) as service:
        assert listed(kept, "used")["last_used"] is None
        assert status(service, used) in (200, 201)
        assert status(service, elsewhere) in (200, 201)
        assert status(service, elsewhere, "another") == 403
        until = datetime.now(UTC) + timedelta(seconds=12)
        ending = made(kept, "ending", "--expires", format_instant(until), "--rate", "9/s")
        assert status(service, ending) in (200, 201)
        wait_for(lambda: listed(kept, "used")["last_used"] is not None, 30)
        row = listed(kept, "used")
        assert row["state"] == "valid"
        assert ledger(kept.home, "token", "revoke", str(row["id"])).code == 0
        assert wait_for(lambda: status(service, used) == 401, 5) < 5
        wait_for(lambda: status(service, ending) == 401, 25)
        assert datetime.now(UTC) >= until
        row = listed(kept, "used")  # anew: the last use before it was revoked is noted a little after it
        lines = {line.split()[0]: line for line in ledger(kept.home, "token", "list").lines}
        assert f"revoked  {row['actor']}  used  used {row['last_used']}" in lines[str(row["id"])]
        row = listed(kept, "ending")
        assert row["state"] == "expired"
        assert f"expired  {row['actor']}  ending  at 9/s  until {row['expires']}" in lines[str(row["id"])]
        assert all(token not in service.log for token in (used, ending, elsewhere))


def test_a_time_that_is_over_is_not_taken(kept: Kept) -> None:
    """If a token would have run out already, then it is not made."""
    ended = ledger(kept.home, "token", "create", "--role", "site", "--name", "n", "--expires", "2020-01-01T00:00:00Z")
    assert (ended.code, ended.out) == (2, "")
