"""What auditors read: the bytes that were hashed, why a number moved, whether a claim is true, what was corrected."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from ledger.merkle import leaf_hash
from projections.asking.claims import judge
from projections.asking.drift import drift
from projections.claims import read_claim
from projections.moments import read_moment
from schemas.campaign_views import CorrectionsView
from schemas.views import ClaimView, DriftView
from service.http.audit import BATCH
from tests.conftest import LedgerDatabase
from tests.filling import BRIDGE, LIBRARY, PAGE
from tests.histories import History, correcting, fixed_uuid, opening, signing, store
from tests.service.http.porch import Porch, served

ALL = (LIBRARY, BRIDGE, PAGE)


@pytest.fixture
async def porch(filled_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Porch]:
    """Three petitions, folded and served."""
    async with served(filled_database, tmp_path) as porch:
        await porch.project()
        yield porch


async def stored(porch: Porch, petition: int | None = None) -> list[bytes]:
    """The leaves as the database has them."""
    rows = await porch.database.superuser.fetch(
        "SELECT leaf FROM ledger.events WHERE $1::bigint IS NULL OR petition = $1 ORDER BY position", petition
    )
    return [row["leaf"] for row in rows]


def number(porch: Porch, id: str) -> int:
    held = porch.snapshots.count(id)
    assert held is not None
    return held.number


async def paged(porch: Porch, path: str, limit: int) -> list[bytes]:
    """Every line of a list of events, page by page, as a client follows it."""
    lines: list[bytes] = []
    after = 0
    while True:
        page = (await porch.get(f"{path}?after={after}&limit={limit}")).body.splitlines()
        if not page:
            return lines
        assert len(page) <= limit
        lines += page
        after = int(orjson.loads(page[-1])["id"])


@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_the_events_are_the_stored_bytes_page_by_page(porch: Porch, limit: int) -> None:
    """If the log, or a petition, is read page by page, then it is every stored leaf in order, byte for byte."""
    assert await paged(porch, "/events", limit) == await stored(porch)
    for id in ALL:
        assert await paged(porch, f"/petitions/{id}/events", limit) == await stored(porch, number(porch, id))


async def test_pages_longer_than_one_reading_are_whole(porch: Porch) -> None:
    """If a page has more events than are read from the database at once, then none is missing or given twice."""
    await porch.record(*[signing(LIBRARY, f"more-{number}", imported=False) for number in range(230)])
    lines = (await porch.get("/events?limit=1000")).body.splitlines()
    assert lines == await stored(porch)
    assert len(lines) > 250
    batch = await porch.get(f"/petitions/{LIBRARY}/events?limit=1000", Accept=BATCH)
    assert batch.document == [orjson.loads(leaf) for leaf in await stored(porch, number(porch, LIBRARY))]


async def test_what_is_sent_is_what_was_hashed(porch: Porch) -> None:
    """If a line is hashed as RFC 6962 hashes a leaf, then it is the leaf hash that the ledger holds."""
    rows = await porch.database.superuser.fetch("SELECT leaf_hash FROM ledger.events ORDER BY position")
    lines = (await porch.get("/events?limit=1000")).body.splitlines()
    assert [leaf_hash(line) for line in lines] == [row["leaf_hash"] for row in rows]


async def test_the_client_chooses_between_lines_and_a_batch(porch: Porch) -> None:
    """If a batch of CloudEvents is asked for, then the same stored bytes come as one JSON array."""
    lines = await porch.get("/events?limit=5")
    assert lines.headers["Content-Type"] == "application/x-ndjson"
    batch = await porch.get("/events?limit=5", Accept=BATCH)
    assert batch.headers["Content-Type"] == BATCH
    assert batch.body == b"[" + b",".join(lines.body.splitlines()) + b"]"
    assert batch.headers["ETag"] != lines.headers["ETag"]
    assert (await porch.get("/events", Accept="text/html")).problem == "not-acceptable"
    assert "Accept" in batch.headers["Vary"]


async def test_past_the_end_there_is_nothing(porch: Porch) -> None:
    """If the page begins at or past the head, then it is empty, 200, in either form; also of a petition."""
    head = porch.snapshots.position
    for path in ("/events", f"/petitions/{LIBRARY}/events"):
        for after in (head, head + 1, 2**53 - 1):
            answer = await porch.get(f"{path}?after={after}")
            assert (answer.status, answer.body) == (200, b"")
            assert (await porch.get(f"{path}?after={after}", Accept=BATCH)).document == []


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=1e3", "after=-1", "after=9007199254740992", "x=1"])
async def test_pages_out_of_bounds_are_refused(porch: Porch, query: str) -> None:
    """If limit or after is out of its bounds or of no form, then nothing is clamped: it is refused."""
    for path in ("/events", f"/petitions/{LIBRARY}/events"):
        answer = await porch.get(f"{path}?{query}")
        assert (answer.status, answer.problem) == (422, "validation-failed")


async def test_a_page_keeps_its_tag_for_as_long_as_it_is_the_same(porch: Porch) -> None:
    """If the client has a page, then it is not sent again; only the last page changes when the log grows."""
    first, last = "/events?limit=5", f"/events?after={porch.snapshots.position - 3}"
    tags = {path: (await porch.get(path)).headers["ETag"] for path in (first, last)}
    for path, tag in tags.items():
        assert (await porch.get(path, If_None_Match=tag)).status == 304
        head = await porch.get(path, "HEAD")
        assert (head.status, head.body, head.headers["ETag"]) == (200, b"", tag)
    await porch.record(signing(LIBRARY, "somebody", imported=False))
    assert (await porch.get(first, If_None_Match=tags[first])).status == 304
    assert (await porch.get(last, If_None_Match=tags[last])).status == 200


async def test_events_are_there_before_they_are_folded(porch: Porch) -> None:
    """If a petition was opened a moment ago and is not folded yet, then auditors already find its events."""
    await porch.declare(opening("opened-a-moment-ago"))
    answer = await porch.get("/petitions/opened-a-moment-ago/events")
    assert [orjson.loads(line)["type"] for line in answer.body.splitlines()] == ["petition.opened.v1"]
    assert (await porch.get("/petitions/nobody-opened-this/events")).problem == "not-found"


async def test_a_drift_is_what_the_log_answers(porch: Porch) -> None:
    """If a drift is asked between positions, times or counts, then its body is exactly that of the question put to the
    log, and its causes sum to its net.
    """
    connection = await porch.database.connect("ledger_reader")
    head = porch.snapshots.position
    for id in ALL:
        for start, end in (("0", str(head)), ("5", "30"), ("2014-05-17T00:00:00Z", "2100-01-01T00:00:00Z")):
            answer = await porch.get(f"/petitions/{id}/drift.json?from={start}&to={end}&limit=1000")
            view = await drift(connection, number(porch, id), read_moment(start), read_moment(end), limit=1000)
            assert answer.body == orjson.dumps(view.body())
            DriftView.model_validate_json(orjson.dumps(rekeyed(answer.document)))
            assert sum(answer.document["causes"].values()) == answer.document["net"]
    counted = await porch.get(f"/petitions/{PAGE}/drift.json?from=count:100&to=count:160")
    assert counted.document["net"] == 60


def rekeyed(document: dict[str, Any]) -> dict[str, Any]:
    """A drift by the names that its model's fields have: `from` is no name in Python."""
    return {{"from": "start", "to": "end"}.get(name, name): value for name, value in document.items()}


async def test_the_events_of_a_drift_come_in_pages(porch: Porch) -> None:
    """If a drift is followed by its `next`, then its events are those of the whole, in order, each once."""
    path = f"/petitions/{LIBRARY}/drift.json?from=0&to={porch.snapshots.position}"
    whole = (await porch.get(f"{path}&limit=1000")).document
    assert whole["next"] is None
    events: list[Any] = []
    after = ""
    while True:
        page = (await porch.get(f"{path}&limit=4{after}")).document
        events += page["events"]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert events == whole["events"]


@pytest.mark.parametrize(
    ("query", "status", "problem"),
    [
        ("from=0&to=99999", 404, "position-not-reached"),
        ("from=0", 422, "validation-failed"),
        ("from=0&to=count:4711", 422, "validation-failed"),
        ("from=count:x&to=5", 422, "validation-failed"),
        ("from=0&to=yesterday", 422, "validation-failed"),
        ("from=0&to=30&after=3", 400, "cursor-invalid"),
        ("from=0&to=30&limit=1001", 422, "validation-failed"),
        ("from=0&to=30&by=feeling", 422, "validation-failed"),
    ],
)
async def test_drifts_that_are_none_are_refused(porch: Porch, query: str, status: int, problem: str) -> None:
    """If an end is missing, of no form, never happened or is beyond the head, then the problem says so."""
    answer = await porch.get(f"/petitions/{LIBRARY}/drift.json?{query}")
    assert (answer.status, answer.problem) == (status, problem)


async def test_a_drift_by_recorded_times_is_told_so(porch: Porch) -> None:
    """If a drift between times is asked as recorded, then it is that between the positions recorded by then."""
    times = "from=2014-05-17T00:00:00Z&to=2100-01-01T00:00:00Z"
    recorded = (await porch.get(f"/petitions/{BRIDGE}/drift.json?{times}&by=recorded")).document
    assert (recorded["from"]["position"], recorded["from"]["count"]) == (0, 0)
    assert recorded["to"]["position"] == porch.snapshots.position


async def test_a_claim_is_judged_as_the_log_proves_it(porch: Porch) -> None:
    """If a claim is asked, then its body is exactly that of the question put to the log."""
    connection = await porch.database.connect("ledger_reader")
    for query, claim in (
        ("at_least=5", read_claim(5, None)),
        ("exactly=5", read_claim(None, 5)),
        ("at_least=1&at=2014-05-19T00:00:00Z", read_claim(1, None, at="2014-05-19T00:00:00Z")),
        ("at_least=2&within=72h", read_claim(2, None, within="72h")),
    ):
        for id in ALL:
            answer = await porch.get(f"/petitions/{id}/claims.json?{query}")
            assert answer.body == orjson.dumps((await judge(connection, number(porch, id), claim)).body())
            ClaimView.model_validate_json(answer.body)


@pytest.mark.parametrize(
    "query",
    ["", "at_least=1&exactly=1", "at_least=-1", "at_least=1&at=x", "at_least=1&within=3", "exactly=9007199254740992",
     "at_least=1&at=2014-05-19T00:00:00Z&within=72h"],
)  # fmt: skip
async def test_claims_that_are_none_are_refused(porch: Porch, query: str) -> None:
    """If what is asked is no claim, then it is refused, and what was sent is not repeated."""
    answer = await porch.get(f"/petitions/{LIBRARY}/claims.json?{query}")
    assert (answer.status, answer.problem) == (422, "validation-failed")


async def test_the_notices_of_corrections_are_public(porch: Porch) -> None:
    """If corrections ran, then each is told with its reason, its times and what it did, newest first, and nothing of
    anybody whom it was about.
    """
    answer = await porch.get(f"/petitions/{LIBRARY}/corrections.json")
    CorrectionsView.model_validate_json(answer.body)
    told = answer.document["corrections"]
    assert [notice["correction"] for notice in told] == [str(fixed_uuid(name)) for name in ("third", "second", "first")]
    assert [(notice["kind"], notice["reason"], notice["state"]) for notice in told] == [
        ("reinstate", "mistake", "completed"),
        ("invalidate", "duplicate", "completed"),
        ("invalidate", "bot", "completed"),
    ]
    for notice in told:
        rows = await porch.database.superuser.fetch(
            "SELECT signature, delta FROM ledger.events"
            " WHERE hold IS NOT NULL AND position(convert_to($1, 'UTF8') IN leaf) > 0",
            f'"correction":"{notice["correction"]}"',
        )
        assert (notice["applied"], notice["net"]) == (
            len({row["signature"] for row in rows}),
            sum(row["delta"] for row in rows),
        )
        assert notice["applied"] + notice["skipped"] == notice["matched"]
    assert (await porch.get(f"/petitions/{PAGE}/corrections.json")).document == {"petition": PAGE, "corrections": []}
    assert (await porch.get("/petitions/nobody-opened-this/corrections.json")).problem == "not-found"
    assert (
        await porch.get(f"/petitions/{LIBRARY}/corrections.json", If_None_Match=answer.headers["ETag"])
    ).status == 304


async def test_a_correction_that_runs_tells_what_it_has_done_so_far(
    ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If a correction is not finished, then its notice says how many it has changed so far; one that waits for approval
    is proposed.
    """
    history = History()
    history.settle(opening("p"), *[signing("p", str(number)) for number in range(6)])
    history.settle(correcting("p", "invalidate", [str(number) for number in range(6)], "long"))
    end = next(row for row in history.events if b"correction.completed" in row[15])
    del history.events[end[0] - 3 :]  # as it stood when two thirds were done
    await store(ledger_database.superuser, history)
    async with served(ledger_database, tmp_path) as porch:
        await porch.project()
        (notice,) = (await porch.get("/petitions/p/corrections.json")).document["corrections"]
    assert (notice["state"], notice["matched"], notice["skipped"], notice["ended_at"]) == ("running", 6, None, None)
    assert 0 < notice["applied"] < 6
    assert notice["net"] == -notice["applied"]


async def test_a_database_that_is_away_is_said_so(porch: Porch) -> None:
    """If the database does not answer, then what needs it is a 503 with a time to come back, and what does not is
    answered.
    """

    class Away:
        def acquire(self, **given: Any) -> Any:
            raise ConnectionRefusedError

    kept = await porch.get(f"/petitions/{LIBRARY}.json")
    for pool in (porch.context.public, porch.context.audit):
        pool.pool = Away()  # type: ignore[attr-defined]
    for path in ("/events", f"/petitions/{LIBRARY}/drift.json?from=0&to=5", f"/petitions/{LIBRARY}/timeline.json"):
        answer = await porch.get(path)
        assert (answer.status, answer.problem, answer.headers["Retry-After"]) == (503, "unavailable", "1")
    assert (await porch.get(f"/petitions/{LIBRARY}/count.json")).status == 200
    assert (await porch.get(f"/petitions/{LIBRARY}.json")).body == kept.body
