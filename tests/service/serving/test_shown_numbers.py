"""Numbers that were shown, from end to end: a service states them, whoever asks sees them beside the replay, and one
that was never served is refused, or found."""

import asyncio
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest

from ledger.writer import APPEND
from schemas.commands import PublishCount
from service.database import Ledger
from service.http.routes import Role
from service.serving.following import following
from service.serving.orders import Service as Ordered
from service.settings import Settings
from tests.conftest import LedgerDatabase
from tests.filling import LIBRARY, fill
from tests.ledger.forging import Prepared, prepare
from tests.ledger.submissions import SOURCE, by_system
from tests.service.commands import Ended, ledger
from tests.service.http.porch import served
from tests.service.serving.conftest import Kept
from tests.service.serving.services import Service, eventually, serving

pytestmark = pytest.mark.database

EVER = "2100-01-01T00:00:00Z"
BY_THE_OWNER = "SELECT ledger.append('admin', $1, $2, $3, $4)"


@contextmanager
def signing(service: Service, kept: Kept, petition: str) -> Iterator[None]:
    """People sign, one after the other, until the block ends."""
    enough = threading.Event()

    def sign() -> None:
        for nth in itertools.count():
            if enough.is_set():
                return
            body = {"signer": {"ref": f"signer {nth}"}}
            assert service.post(f"/petitions/{petition}/signatures", body, kept.signed(f"{nth}")).status == 201

    thread = threading.Thread(target=sign)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def test_a_status_declared_while_people_sign_is_followed_by_the_number_that_was_shown(kept: Kept) -> None:
    """If a status is declared while people sign, then the log soon says which number was served past it, once; a day
    later, or what the settings call one, which one is served now; drift and timeline show each beside the replay."""
    petition = "shown-numbers"
    assert ledger(kept.home, "petition", "open", petition).code == 0
    with serving(kept.home, LEDGER_CLOCK_INTERVAL="0.05") as service:
        with signing(service, kept, petition):
            assert eventually(lambda: count(service, petition) > 3)
            declared = ledger(kept.home, "petition", "status", petition, "successful")
            assert declared.code == 0, declared.err
            assert eventually(lambda: len(published(service, petition)) > 0)
            shown = count(service, petition)
            assert eventually(lambda: count(service, petition) > shown)
        (said,) = published(service, petition)
        assert said["agrees"]
        assert said["count"] == said["replayed"]
        assert eventually(lambda: len(timeline(service, petition, "published")) == 1)  # the view lags by a moment
        (entry,), (status,) = timeline(service, petition, "published"), timeline(service, petition, "status")
        assert (entry["count"], entry["as_of_position"]) == (said["count"], said["position"])
        assert said["position"] >= status["position"]
        assert said["count"] >= status["count"]
    with serving(kept.home, LEDGER_PUBLISH_INTERVAL="0.01") as service:
        now = count(service, petition)
        assert eventually(lambda: len(published(service, petition)) == 2)
        assert published(service, petition)[1]["count"] == now
    told = ledger(kept.home, "drift", petition, "--from", "0", "--to", EVER)
    assert told.code == 0
    assert sum("as the replay says" in line for line in told.lines) == 2


def count(service: Service, petition: str) -> int:
    """What is served now."""
    served: int = service.get(f"/petitions/{petition}/count.json").json()["signature_count"]
    return served


def published(service: Service, petition: str) -> list[Any]:
    """Every number stated so far, as the drift shows it."""
    drift = service.get(f"/petitions/{petition}/drift.json?from=0&to={EVER}&limit=1").json()
    stated: list[Any] = drift["published"]
    return stated


def timeline(service: Service, petition: str, kind: str) -> list[Any]:
    """The entries of a kind, newest first."""
    entries = service.get(f"/petitions/{petition}/timeline.json").json()["entries"]
    return [entry for entry in entries if entry["kind"] == kind]


@pytest.mark.parametrize("role", get_args(Role))
async def test_only_a_service_that_may_declare_states_numbers(
    ledger_database: LedgerDatabase, tmp_path: Path, role: Role
) -> None:
    """If a service is public, then it has no role in which it could state what it served; any other states it."""
    settings = Settings(home=tmp_path)
    service = Ordered(Ledger(ledger_database.url, SOURCE, tmp_path / "vault.key"), settings, role, "127.0.0.1", 0, 1)
    async with following(service):
        names = {task.get_name() for task in asyncio.all_tasks()}
    assert ("publishing" in names) is (role != "public")


def lying(count: int) -> Any:
    """Another number than the one that was served."""
    return lambda document: document["data"].update(count=count)


async def stating(database: LedgerDatabase, connection: Any) -> Prepared:
    """What a service would rightly append."""
    count = await database.superuser.fetchval("SELECT count FROM ledger.petitions WHERE id = $1", LIBRARY)
    head = await database.superuser.fetchval("SELECT position FROM ledger.head")
    return await prepare(connection, by_system(PublishCount(LIBRARY, count, head, 0)))


async def test_a_number_that_was_never_served_is_refused_and_if_forced_in_it_is_found(
    ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If somebody states a number that was not the count, then the ledger refuses it; and if the owner of the database
    forces it in all the same, then the drift is a finding, over HTTP and at the command line, and an audit names it."""
    await fill(ledger_database)

    async def asked(*arguments: str) -> Ended:
        return await asyncio.to_thread(ledger, tmp_path, *arguments, DATABASE_URL=ledger_database.url)

    admin = await ledger_database.connect("ledger_admin")
    prepared = await stating(ledger_database, admin)
    prepared.rewrite_leaf(0, lying(13_163))
    with pytest.raises(Exception, match=f"not so at position {prepared.position + 1}"):
        await admin.execute(APPEND["ledger_admin"], *prepared.arguments())
    await admin.execute("ROLLBACK")
    assert (await asked("fsck", "--deep")).code == 0

    forged = await stating(ledger_database, ledger_database.superuser)
    served_rightly = forged.row("events")["count_after"]
    forged.rewrite_leaf(0, lying(13_163))
    await ledger_database.superuser.execute(BY_THE_OWNER, *forged.arguments())
    await ledger_database.superuser.execute("COMMIT")
    where = forged.position + 1

    drift = ("drift", LIBRARY, "--from", "0", "--to", str(where))
    told, documented = await asked(*drift), await asked(*drift, "--json")
    assert (told.code, documented.code) == (1, 1)
    assert f"BUT THE REPLAY SAYS {served_rightly}" in told.out
    number = {"position": where - 1, "count": 13_163, "replayed": served_rightly, "agrees": False}
    assert orjson.loads(documented.out)["published"] == [number]
    audited = await asked("fsck", "--deep", "--json")
    assert audited.code == 1
    findings = orjson.loads(audited.out)["findings"]
    assert [(each["rule"], each["position"], each["petition"]) for each in findings] == [
        ("published-count", where, LIBRARY)
    ]
    async with served(ledger_database, tmp_path) as porch:
        await porch.project()
        answered = (await porch.get(f"/petitions/{LIBRARY}/drift.json?from=0&to={where}")).document
        assert answered["published"] == [number]
        newest = (await porch.get(f"/petitions/{LIBRARY}/timeline.json")).document["entries"][0]
        assert (newest["kind"], newest["count"], newest["as_of_position"]) == ("published", 13_163, where - 1)
        assert (await porch.get(f"/petitions/{LIBRARY}/count.json")).document["signature_count"] == served_rightly
