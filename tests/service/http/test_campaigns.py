"""What campaign sites read: true, in the form that readers of petition JSON know, from memory, and never going back."""

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from projections.as_corrected import as_corrected
from projections.asking.counting import count
from projections.projector import catch_up
from projections.replay import replay
from projections.timeline import newest_first
from projections.timeline_text import entries
from schemas.campaign_views import PetitionsView, PetitionView, TimelineView
from schemas.commands import ChangeAcceptance, DeclareStatus, RevisePetition, WithdrawSignature
from schemas.events import PetitionRevised
from schemas.instants import parse_instant
from schemas.views import CountView, HistoryView
from service.http import campaigns
from tests.conftest import DatabaseServer, LedgerDatabase
from tests.filling import BRIDGE, LIBRARY, PAGE
from tests.histories import History, fixed_uuid, histories, opening, signing, store
from tests.service.http.porch import Porch, another_database, served, until

ALL = (LIBRARY, BRIDGE, PAGE)
UK_ATTRIBUTES = {
    "action", "background", "state", "signature_count", "created_at", "closed_at", "updated_at",
    "signatures_by_country", "signatures_by_constituency",
}  # fmt: skip
"""Members that every published petition of the UK Parliament's site has, as far as they have a meaning here."""


@pytest.fixture
async def porch(filled_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Porch]:
    """Three petitions, folded and served, with names for two regions."""
    regions = tmp_path / "regions.json"
    regions.write_text('{"W7": {"name": "Ealing Southern", "population": 98000}}', encoding="utf-8")
    async with served(filled_database, tmp_path, regions_file=regions) as porch:
        await porch.project()
        yield porch


async def signed(porch: Porch, petition: str, *signers: str, **said: Any) -> None:
    await porch.record(*[signing(petition, signer, imported=False, **said) for signer in signers])


# -- the count ---------------------------------------------------------------------------------------------------------


async def test_a_count_names_the_position_that_it_is_true_at(porch: Porch) -> None:
    """If a count is read, then it is what the log says at that position, with the goal and the header of the
    checkpoint.
    """
    for id in ALL:
        answer = await porch.get(f"/petitions/{id}/count.json")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert int(answer.headers["Ledger-Position"]) == porch.snapshots.position
        CountView.model_validate_json(answer.body)
        row = await porch.database.superuser.fetchrow(
            "SELECT count_after, recorded FROM ledger.events WHERE position = $1", answer.document["as_of_position"]
        )
        assert row is not None
        assert answer.document["signature_count"] == row["count_after"]
        assert parse_instant(answer.document["as_of"]) == row["recorded"]


async def test_a_plain_count_asks_no_database(porch: Porch) -> None:
    """If counts are read, with min_position, conditionally or by HEAD, then no request takes a database connection."""
    before = porch.asked
    for _ in range(20):
        answer = await porch.get(f"/petitions/{LIBRARY}/count.json")
        position = answer.headers["Ledger-Position"]
        assert (await porch.get(f"/petitions/{LIBRARY}/count.json?min_position={position}")).status == 200
        assert (await porch.get(f"/petitions/{LIBRARY}/count.json", If_None_Match=answer.headers["ETag"])).status == 304
        assert (await porch.get(f"/petitions/{LIBRARY}/count.json", "HEAD")).headers["ETag"] == answer.headers["ETag"]
        assert (await porch.get("/petitions/nobody-opened-this/count.json")).problem == "not-found"
    assert porch.asked == before


async def test_a_quiet_petition_keeps_its_tags_while_others_move(porch: Porch) -> None:
    """If another petition moves, then every document of the quiet one is still the one that the client has."""
    paths = [
        f"/petitions/{BRIDGE}{document}"
        for document in ("/count.json", ".json", "/timeline.json", "/timeline.atom", "/history.json", "/history.csv")
    ]
    tags = [(await porch.get(path)).headers["ETag"] for path in paths]
    await signed(porch, LIBRARY, "somebody")
    await porch.project()
    answers = [await porch.get(path, If_None_Match=tag) for path, tag in zip(paths, tags, strict=True)]
    assert [answer.status for answer in answers] == [304] * len(paths)
    await porch.declare(ChangeAcceptance(BRIDGE, "rejected"))
    await porch.project()
    changed = [await porch.get(path, If_None_Match=tag) for path, tag in zip(paths, tags, strict=True)]
    # The histories are the same bytes; what they are told as known at is not.
    assert [answer.status for answer in changed[:4]] == [200] * 4


async def test_a_client_that_names_a_position_waits_for_it(porch: Porch) -> None:
    """If a client sends the position of its own signature, then the answer has come as far; where that does not come,
    it is told so.
    """
    await signed(porch, LIBRARY, "somebody")
    head = await porch.database.superuser.fetchval("SELECT position FROM ledger.head")
    waiting = asyncio.create_task(porch.get(f"/petitions/{LIBRARY}/count.json?min_position={head}"))
    await until(lambda: porch.snapshots.is_awaited)
    assert not waiting.done()
    await porch.project()
    answer = await waiting
    assert answer.document["as_of_position"] == head
    refused = await porch.get(f"/petitions/{LIBRARY}/count.json?min_position={head + 1}")
    assert (refused.status, refused.problem) == (503, "position-not-reached")
    assert refused.headers["Retry-After"]


async def test_counts_as_of_are_those_of_the_log(porch: Porch) -> None:
    """If a count is asked as of any position, then it is the one right after the petition's last event by then."""
    head = porch.snapshots.position
    for id in ALL:
        held = porch.snapshots.count(id)
        assert held is not None
        rows = await porch.database.superuser.fetch(
            "SELECT position, count_after FROM ledger.events WHERE petition = $1 ORDER BY position", held.number
        )
        for position in range(head + 1):
            by_then = [row for row in rows if row["position"] <= position]
            answer = await porch.get(f"/petitions/{id}/count.json?as_of={position}")
            assert answer.document["signature_count"] == (by_then[-1]["count_after"] if by_then else 0)
            assert answer.document["as_of_position"] == (by_then[-1]["position"] if by_then else 0)


async def test_questions_about_other_times_are_answered_by_the_log(porch: Porch) -> None:
    """If a time is asked, as recorded or effective, then the answer is exactly that of the question put to the log."""
    connection = await porch.database.connect("ledger_reader")
    held = porch.snapshots.count(BRIDGE)
    assert held is not None
    view = await count(connection, held.number, effective=parse_instant("2014-05-20T12:00:00.000000Z"))
    answer = await porch.get(f"/petitions/{BRIDGE}/count.json?effective=2014-05-20T12:00:00Z")
    assert answer.body == orjson.dumps(view.body())
    assert 0 < answer.document["signature_count"] != held.count
    first = await porch.get(f"/petitions/{BRIDGE}/count.json?as_of=2014-05-20T12:00:00Z")
    assert first.document == {
        "signature_count": 0, "as_of_position": 0, "as_of": None, "goal": None, "remaining": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "status", "problem"),
    [
        ("as_of=99999999", 404, "position-not-reached"),
        ("as_of=01", 422, "validation-failed"),
        ("as_of=2014-05-20", 422, "validation-failed"),
        ("as_of=2014-05-20T12:00:00", 422, "validation-failed"),
        ("effective=5", 422, "validation-failed"),
        ("as_of=1&as_of=1", 422, "validation-failed"),
        ("other=1", 422, "validation-failed"),
        ("min_position=-1", 422, "validation-failed"),
    ],
)
async def test_questions_that_are_none_are_refused(porch: Porch, query: str, status: int, problem: str) -> None:
    """If a parameter is unknown, repeated, of no form or beyond the head, then the problem says so."""
    answer = await porch.get(f"/petitions/{LIBRARY}/count.json?{query}")
    assert (answer.status, answer.problem) == (status, problem)


# -- the petition ------------------------------------------------------------------------------------------------------


async def test_a_petition_has_the_form_that_readers_of_petition_json_know(porch: Porch) -> None:
    """If a petition is read, then it has their members and ours, and each breakdown sums to its count, what has no area
    as Unknown.
    """
    for id in ALL:
        answer = await porch.get(f"/petitions/{id}.json")
        assert answer.status == 200
        PetitionView.model_validate_json(answer.body)
        assert set(answer.document) == {"links", "data"}
        assert answer.document["links"] == {"self": f"/petitions/{id}.json"}
        assert (answer.document["data"]["type"], answer.document["data"]["id"]) == ("petition", id)
        shown = answer.attributes
        assert set(shown) >= UK_ATTRIBUTES
        for breakdown in ("signatures_by_country", "signatures_by_constituency"):
            assert sum(area["signature_count"] for area in shown[breakdown]) == shown["signature_count"]
        for area in shown["signatures_by_country"]:
            assert set(area) == {"name", "code", "signature_count"}
        for area in shown["signatures_by_constituency"]:
            assert set(area) == {"name", "ons_code", "signature_count"}
        counted = (await porch.get(f"/petitions/{id}/count.json")).document
        assert {name: shown[name] for name in counted} == counted


async def test_a_petition_tells_what_it_says_of_itself(porch: Porch) -> None:
    """If a petition was revised, declared and signed by organisations, then its document says so, areas by name."""
    shown = (await porch.get(f"/petitions/{LIBRARY}.json")).attributes
    assert (shown["action"], shown["addressee"], shown["status"]) == ("Keep both libraries", "The Council", "answered")
    assert (shown["state"], shown["acceptance"], shown["basis"], shown["provenance"]) == (
        "open", "open", "itemised", "synthetic",
    )  # fmt: skip
    assert (shown["organisations"], shown["organisation_count"]) == ([{"name": "Branch 7", "reference": None}], 1)
    countries = {area["code"]: area["name"] for area in shown["signatures_by_country"]}
    assert countries["GB"] == "United Kingdom"
    assert countries[None] == "Unknown"
    assert shown["signatures_by_country"][-1]["code"] is None
    assert {area["ons_code"]: area["name"] for area in shown["signatures_by_constituency"]}["W7"] == "Ealing Southern"
    asked = (await porch.get(f"/petitions/{BRIDGE}.json")).attributes
    assert asked["answers"]["ban"].keys() >= {"yes", "no"}
    assert sum(asked["answers"]["ban"].values()) == asked["signature_count"]
    assert (asked["state"], asked["closed_at"]) == ("closed", "2014-05-26T00:00:00.000000Z")
    observed = (await porch.get(f"/petitions/{PAGE}.json")).attributes
    assert (observed["basis"], observed["answers"]) == ("observed", None)
    assert observed["signatures_by_country"] == [
        {"name": "Unknown", "code": None, "signature_count": observed["signature_count"]}
    ]


async def test_the_text_of_a_petition_is_its_background(porch: Porch) -> None:
    """If a petition was opened with a text, then that is its background, until a revision states another one that is
    not kept.
    """
    text = "We ask the council to keep it open."
    hashed = sha256(text.encode()).hexdigest()
    command = opening("with-a-text", text_sha256=hashed)
    await porch.declare(type(command)(command.petition, command.opened, None, text))
    await porch.project()
    assert (await porch.get("/petitions/with-a-text.json")).attributes["background"] == text
    assert (await porch.get(f"/petitions/{LIBRARY}.json")).attributes["background"] is None
    await porch.declare(RevisePetition("with-a-text", PetitionRevised(title="Other", text_version=2)))
    await porch.project()
    assert (await porch.get("/petitions/with-a-text.json")).attributes["background"] == text
    await porch.declare(RevisePetition("with-a-text", PetitionRevised(text_sha256="0" * 64, text_version=3)))
    await porch.project()
    assert (await porch.get("/petitions/with-a-text.json")).attributes["background"] is None


async def test_a_paused_petition_shows_closed(porch: Porch) -> None:
    """If signing is paused, then readers of petition JSON see `closed`, and `acceptance` says which."""
    await porch.declare(ChangeAcceptance(LIBRARY, "paused"))
    await porch.project()
    shown = (await porch.get(f"/petitions/{LIBRARY}.json")).attributes
    assert (shown["state"], shown["acceptance"], shown["closed_at"]) == ("closed", "paused", None)


async def test_a_petition_that_was_read_is_not_asked_for_again(porch: Porch) -> None:
    """If a petition's documents are read twice, then the second time they come from memory."""
    paths = [f"/petitions/{LIBRARY}{document}" for document in (".json", "/timeline.json", "/history.json")]
    first = [await porch.get(path) for path in paths]
    before = porch.asked
    assert [(await porch.get(path)).body for path in paths] == [answer.body for answer in first]
    assert porch.asked == before


# -- the list ----------------------------------------------------------------------------------------------------------


async def test_the_list_gives_each_petition_once_while_others_open(
    porch: Porch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If petitions open and move while the list is read page by page, then none that was there is left out or given
    twice, and each is as it is alone.
    """
    monkeypatch.setattr(campaigns, "PAGE", 4)
    await porch.declare(*[opening(f"petition-{number}") for number in range(10)])
    await porch.project()
    seen: list[str] = []
    path: str | None = "/petitions.json"
    while path is not None:
        answer = await porch.get(path)
        PetitionsView.model_validate_json(answer.body)
        assert answer.document["links"]["self"] == path
        for data in answer.document["data"]:
            seen.append(data["id"])
            assert data == (await porch.get(f"/petitions/{data['id']}.json")).document["data"]
        path = answer.document["links"]["next"]
        await porch.declare(opening(f"later-{len(seen)}"), DeclareStatus("petition-2", "answered"))
        await porch.project()
    assert seen == [f"petition-{number}" for number in reversed(range(10))] + [BRIDGE, PAGE, LIBRARY]


async def test_the_list_can_be_of_one_state(porch: Porch) -> None:
    """If a state is asked for, then those in it are listed, and the links ask for it again."""
    await porch.declare(ChangeAcceptance(PAGE, "rejected"))
    await porch.project()
    for state, ids in (("open", [LIBRARY]), ("closed", [BRIDGE]), ("rejected", [PAGE])):
        answer = await porch.get(f"/petitions.json?state={state}")
        assert [data["id"] for data in answer.document["data"]] == ids
        assert answer.document["links"] == {"self": f"/petitions.json?state={state}", "next": None}
        assert all(data["attributes"]["state"] == state for data in answer.document["data"])
    assert (await porch.get("/petitions.json?state=paused")).problem == "validation-failed"
    assert (await porch.get("/petitions.json?before=1")).document["data"] == []


# -- timeline and history ----------------------------------------------------------------------------------------------


async def test_the_timeline_is_what_the_folds_say(porch: Porch) -> None:
    """If a timeline is read, as recorded or as corrected, then its entries are those of the folds over the leaves."""
    leaves = [
        row["leaf"] for row in await porch.database.superuser.fetch("SELECT leaf FROM ledger.events ORDER BY position")
    ]
    for id, basis in ((LIBRARY, "itemised"), (BRIDGE, "itemised"), (PAGE, "observed")):
        folded = replay(leaves, petition=id)["projections"]["timeline"]
        recorded = await porch.get(f"/petitions/{id}/timeline.json")
        TimelineView.model_validate_json(recorded.body)
        assert recorded.document == {"entries": entries(newest_first(folded, basis))}
        corrected = as_corrected(lambda: leaves, id)
        assert corrected is not None
        answer = await porch.get(f"/petitions/{id}/timeline.json?mode=as_corrected")
        assert answer.document == {"entries": entries(newest_first(corrected["timeline"], basis))}
    assert (await porch.get(f"/petitions/{LIBRARY}/timeline.json?mode=other")).problem == "validation-failed"


async def test_the_feed_says_what_the_timeline_says(porch: Porch) -> None:
    """If the feed is read, then it has an entry for each of the timeline's, and its title says the provenance."""
    answer = await porch.get(f"/petitions/{LIBRARY}/timeline.atom")
    assert answer.headers["Content-Type"] == "application/atom+xml; charset=utf-8"
    feed = ElementTree.fromstring(answer.body)
    space = {"a": "http://www.w3.org/2005/Atom"}
    titles = [entry.findtext("a:title", None, space) for entry in feed.findall("a:entry", space)]
    timeline = (await porch.get(f"/petitions/{LIBRARY}/timeline.json")).document["entries"]
    assert titles == [entry["text"] for entry in timeline]
    assert "synthetic reconstruction" in (feed.findtext("a:title", None, space) or "")


async def test_history_is_the_same_in_pages_whole_and_as_a_table(porch: Porch) -> None:
    """If the history is read page by page, at once, or as CSV, then it is the same points in the same order."""
    for id in ALL:
        whole = await porch.get(f"/petitions/{id}/history.json?interval=event")
        HistoryView.model_validate_json(whole.body)
        points = whole.document["points"]
        assert whole.document["next"] is None
        paged: list[Any] = []
        after: int | None = None
        while True:
            more = "" if after is None else f"&after={after}"
            page = (await porch.get(f"/petitions/{id}/history.json?interval=event&limit=3{more}")).document
            paged += page["points"]
            after = page["next"]
            if after is None:
                break
        assert paged == points
        table = await porch.get(f"/petitions/{id}/history.csv?interval=event")
        rows = list(csv.DictReader(io.StringIO(table.body.decode())))
        assert [(row["at"], int(row["position"]), int(row["count"])) for row in rows] == [
            (point["at"], point["position"], point["count"]) for point in points
        ]
        for point in points:
            effective = await porch.get(f"/petitions/{id}/count.json?effective={point['at']}")
            same = [other for other in points if other["at"] == point["at"]]
            assert effective.document["signature_count"] == same[-1]["count"]


async def test_the_table_cannot_run_in_a_spreadsheet(porch: Porch) -> None:
    """If the history is downloaded, then it is an attachment, and no cell begins as a formula does."""
    answer = await porch.get(f"/petitions/{PAGE}/history.csv?interval=event")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{PAGE}-history.csv"'
    header, *lines = answer.body.decode().split("\r\n")
    assert header == "at,position,count"
    assert lines.pop() == ""
    assert lines
    assert all(re.fullmatch(r"[0-9]{4}-[0-9T:.-]+Z,[0-9]+,[0-9]+", line, re.ASCII) for line in lines)


async def test_streams_answer_conditional_requests_and_head(porch: Porch) -> None:
    """If the client has a stream's bytes, or asks for its head, then none is read from the database."""
    path = f"/petitions/{LIBRARY}/history.csv"
    answer = await porch.get(path)
    before = porch.asked
    assert (await porch.get(path, If_None_Match=answer.headers["ETag"])).status == 304
    head = await porch.get(path, "HEAD")
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", answer.headers["ETag"])
    assert porch.asked == before
    assert (await porch.get(path)).body == answer.body


async def test_history_can_be_bounded_in_time(porch: Porch) -> None:
    """If `from` and `to` are given, then the points between them are told, both ends inclusive."""
    points = (await porch.get(f"/petitions/{BRIDGE}/history.json?interval=event")).document["points"]
    first, last = points[1]["at"], points[-2]["at"]
    bounded = await porch.get(f"/petitions/{BRIDGE}/history.json?interval=event&from={first}&to={last}")
    assert bounded.document["points"] == points[1:-1]
    assert (await porch.get(f"/petitions/{BRIDGE}/history.json?after=1")).problem == "cursor-invalid"
    assert (await porch.get(f"/petitions/{BRIDGE}/history.json?limit=10001")).problem == "validation-failed"


# -- all of them -------------------------------------------------------------------------------------------------------


async def test_views_never_go_back_while_writes_go_on(porch: Porch) -> None:
    """If a client reads the views of a petition in turn while signatures come, are withdrawn and folded, then each
    equals the log at the position that it names, and none is older than the one before.
    """
    done = asyncio.Event()
    seen: list[tuple[int, int]] = []

    async def reading() -> None:
        while not done.is_set():
            seen.append(told((await porch.get(f"/petitions/{LIBRARY}.json")).attributes))
            seen.append(told((await porch.get(f"/petitions/{LIBRARY}/count.json")).document))
            listed = (await porch.get("/petitions.json")).document["data"]
            seen.extend(told(data["attributes"]) for data in listed if data["id"] == LIBRARY)
            points = (await porch.get(f"/petitions/{LIBRARY}/history.json?interval=event")).document["points"]
            last = max(points, key=lambda point: point["position"])
            newest = max(seen)[0]
            assert last["position"] <= newest or last["position"] <= porch.snapshots.position
            seen.append(told((await porch.get(f"/petitions/{LIBRARY}/count.json")).document))

    def told(document: Any) -> tuple[int, int]:
        return document["as_of_position"], document["signature_count"]

    async def folding() -> None:
        projector = await porch.database.connect("ledger_projector")
        while not done.is_set():
            await catch_up(projector)
            await asyncio.sleep(0.005)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reading())
        tasks.create_task(folding())
        for number in range(25):
            await signed(porch, LIBRARY, f"new-{number}", f"more-{number}")
            await porch.record(WithdrawSignature(LIBRARY, fixed_uuid(f"{LIBRARY}/new-{number}/0"), None, False))
        done.set()
    assert [position for position, _ in seen] == sorted(position for position, _ in seen)
    assert len(set(seen)) > 5
    rows = await porch.database.superuser.fetch("SELECT position, count_after FROM ledger.events")
    assert set(seen) <= {(row["position"], row["count_after"]) for row in rows}


@given(history=histories(max_moves=50))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_document_equals_the_fold_at_its_position(
    server: DatabaseServer, ledger_template: str, tmp_path: Path, history: History
) -> None:
    """If a random history is folded half-way, and then whole, then at either time every petition's documents are what
    the pure folds make of the leaves up to there.
    """
    async with another_database(server, ledger_template) as database, served(database, tmp_path) as porch:
        await store(database.superuser, history)
        for upto in (history.size // 2, history.size):
            await catch_up(await database.connect("ledger_projector"), to=upto)
            assert await porch.snapshots.wait_for(upto, 10)
            folded = replay(history.leaves, as_of=upto)["projections"]
            rows = {row["id"]: row for row in folded["petitions"]}
            assert {data["id"] for data in (await porch.get("/petitions.json")).document["data"]} == set(rows)
            for id, row in rows.items():
                shown = (await porch.get(f"/petitions/{id}.json")).attributes
                assert (shown["signature_count"], shown["as_of_position"]) == (row["count"], row["position"])
                assert (shown["action"], shown["acceptance"], shown["updated_at"]) == (
                    row["title"], row["acceptance"], row["updated_at"],
                )  # fmt: skip
                tally = {(each["dimension"], each["value"]): each for each in folded["tally"] if each["petition"] == id}
                assert {
                    area["code"]: area["signature_count"]
                    for area in shown["signatures_by_country"]
                    if area["code"] is not None
                } == {
                    value: each["standing"]
                    for (dimension, value), each in tally.items()
                    if dimension == "country" and value != "unknown" and each["standing"]
                }
                kinds = tally.get(("kind", "organisation"), {"standing": 0})
                assert shown["organisation_count"] == kinds["standing"] == len(shown["organisations"])
                told = [entry for entry in folded["timeline"] if entry["petition"] == id]
                timeline = (await porch.get(f"/petitions/{id}/timeline.json")).document
                assert timeline == {"entries": entries(newest_first(told, row["basis"]))}
