"""Corrections over HTTP: previewed, opened, approved, run, cancelled, reversed; in the open, and without a person."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from ledger.fsck import fsck
from schemas.answers import CorrectionMoved, CorrectionOpenedAnswer, CorrectionPreview, CorrectionShown
from schemas.campaign_views import CorrectionsView
from schemas.commands import PublishCount
from service.serving.correcting import run_corrections
from service.serving.projecting import project
from tests.conftest import LedgerDatabase
from tests.service.http.counter import PETITION, Counter, Reply, counter, until

RULE = "Signatures from one hosting network, recorded within one night."
NETWORK = {"network": "203.0.113.0/24"}
PATH = f"/petitions/{PETITION}/corrections"
FEW, MANY = 5, 120


def body(**said: Any) -> dict[str, Any]:
    """What a correction is asked for with, by its network unless the test says otherwise."""
    where = {} if "signatures" in said else {"where": NETWORK}
    return {"kind": "invalidate", "reason": "bot", "rule": RULE, **where, **said}


@pytest.fixture
async def served(ledger_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Counter]:
    """A petition that nobody has signed."""
    async with counter(ledger_database, tmp_path, reads=True) as served:
        await served.open(milestones="10,50,100")
        yield served


@asynccontextmanager
async def following(served: Counter) -> AsyncIterator[None]:
    """What a service does beside: it folds, and runs corrections on."""
    assert served.context.admin is not None
    reached = asyncio.Event()
    tasks = [
        asyncio.create_task(project(served.ledger, 0.02, reached)),
        asyncio.create_task(run_corrections(served.ledger, served.context.admin, 0.02)),
    ]
    try:
        await reached.wait()
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def sign(served: Counter, many: int, named: str, ip: str, **said: Any) -> list[str]:
    """So many people sign in one batch, from one network; their signatures."""
    lines = [
        orjson.dumps(
            {
                "idempotency_key": f"{named}{n}",
                "signer": {"email": f"{named}{n}@{named}.example.org", "name": f"{named.title()} {n}"},
                "evidence": {"ip": ip.replace("*", str(n % 250))},
                **said,
            }
        )
        for n in range(many)
    ]
    sent = {"Authorization": f"Bearer {served.site}", "Content-Type": "application/x-ndjson"}
    path = f"/petitions/{PETITION}/signatures/batch"
    reply = await served.send("POST", path, b"\n".join(lines), sent)
    assert [line["status"] for line in reply.lines] == [201] * many
    return [line["signature"] for line in reply.lines]


async def ask(served: Counter, path: str, said: object = None, *, by: str | None = None, **more: Any) -> Reply:
    """Ask as an admin, the first one unless another token is given."""
    return await served.post(path, said, token=by or served.admin, **more)


async def second(served: Counter) -> str:
    """The token of another principal."""
    return await served.token("admin", "another admin")


async def stands(served: Counter, named: str, state: str) -> dict[str, Any]:
    """Wait until a correction has come into a state, and how it stands then."""
    shown: dict[str, Any] = {}

    async def reached() -> bool:
        reply = await served.get(f"{PATH}/{named}", served.admin)
        assert reply.status == 200, reply.body
        shown.update(reply.document)
        return bool(shown["state"] == state)

    await until(reached)
    return shown


async def number(served: Counter) -> int:
    return int(await served.database.superuser.fetchval("SELECT count FROM ledger.petitions WHERE id = $1", PETITION))


async def test_a_preview_tells_what_a_correction_would_do_and_records_nothing(served: Counter) -> None:
    """If a preview is asked for, then it tells set, digest, effect and sample, and nothing is recorded; an opening with
    its digest does just that, and one with another's is refused."""
    await sign(served, 7, "honest", "192.0.2.*")
    robots = await sign(served, FEW, "robot", "203.0.113.*")
    last = await served.database.superuser.fetchval("SELECT position FROM ledger.head")
    await served.done(PublishCount(PETITION, 12, last, 0))
    before = len(await served.events())
    preview = await ask(served, f"{PATH}/preview", body())
    assert preview.status == 200
    told = preview.document
    CorrectionPreview.model_validate_json(preview.body)
    assert (told["matched"], told["effect"]["count"]) == (FEW, {"before": 12, "after": 7})
    assert told["effect"]["milestones"] == [10]
    assert told["effect"]["published"] == [{"position": last + 1, "count": 12, "as_corrected": 7}]
    assert [each["signature"] for each in told["sample"]] == robots
    assert len(await served.events()) == before
    other = await ask(served, PATH, body(digest="0" * 64))
    assert (other.status, other.problem) == (409, "digest-mismatch")
    opened = await ask(served, PATH, body(digest=told["digest"]))
    assert opened.status == 201
    CorrectionOpenedAnswer.model_validate_json(opened.body)
    done = opened.document
    assert {name: done[name] for name in told} == told
    assert (done["state"], done["approval"], done["applied"]) == ("completed", "not-required", FEW)
    assert opened.headers["Location"] == f"{PATH}/{done['correction']}"
    assert await number(served) == 7
    again = (await ask(served, PATH, body())).document  # what is held matches still, and two may hold it
    assert (again["applied"], again["effect"]["count"]) == (FEW, {"before": 7, "after": 7})
    assert list(await fsck(await served.database.connect("ledger_backup"), deep=True)) == []


async def test_many_signatures_are_corrected_by_two_principals(served: Counter) -> None:
    """If a correction is over more than 100, then it waits in the queue; the proposer, another token of hers, and
    another digest are refused; once approved it runs to its end, and its notice is public."""
    await sign(served, 10, "honest", "192.0.2.*")
    await sign(served, MANY, "robot", "203.0.113.*")
    opened = await ask(served, PATH, body())
    assert (opened.status, opened.document["state"]) == (201, "proposed")
    named, digest = opened.document["correction"], opened.document["digest"]
    queue = await served.get(f"{PATH}?state=proposed", served.admin)
    (waiting,) = queue.document["corrections"]
    assert (waiting["correction"], waiting["digest"], waiting["where"]) == (named, digest, NETWORK)
    approval = f"{PATH}/{named}/approval"
    twin = await served.token("admin", "an admin")
    for token in (served.admin, twin):
        refused = await ask(served, approval, {"digest": digest}, by=token)
        assert (refused.status, refused.problem) == (403, "forbidden")
    other = await second(served)
    wrong = await ask(served, approval, {"digest": "f" * 64}, by=other)
    assert (wrong.status, wrong.problem) == (409, "digest-mismatch")
    assert await number(served) == MANY + 10
    async with following(served):
        approved = await ask(served, approval, {"digest": digest}, by=other, key="once")
        assert approved.status == 202
        CorrectionMoved.model_validate_json(approved.body)
        assert (await ask(served, approval, {"digest": digest}, by=other, key="once")).body == approved.body
        twice = await ask(served, approval, {"digest": digest}, by=other)
        assert (twice.status, twice.problem) == (409, "invalid-transition")
        shown = await stands(served, named, "completed")
        assert (shown["applied"], shown["skipped"], shown["skipped_signatures"]) == (MANY, 0, [])
        assert shown["proposed_by"] != shown["approved_by"]
        CorrectionShown.model_validate_json(orjson.dumps(shown))
        assert await number(served) == 10
        position = (await served.events())[-1]["id"].lstrip("0")
        public = await served.get(f"{PATH}.json?min_position={position}")
    CorrectionsView.model_validate_json(public.body)
    (notice,) = public.document["corrections"]
    assert (notice["rule"], notice["net"], notice["state"]) == (RULE, -MANY, "completed")
    for secret in (b"203.0.113", b"robot0", b"example.org"):
        assert secret not in public.body
    assert (await served.get(f"{PATH}?state=proposed", served.admin)).document["corrections"] == []


async def test_a_purge_in_pieces_is_one_purge_whichever_token_brings_them(served: Counter) -> None:
    """If a purge is split into pieces of 100, by one principal with two tokens, then the first runs and every other one
    waits; another principal's day is her own, and she approves what the first one proposed."""
    robots = await sign(served, 300, "robot", "203.0.113.*")
    pieces = [body(signatures=robots[first : first + 100]) for first in (0, 100, 200)]
    twin, other = await served.token("admin", "an admin"), await second(served)
    assert (await ask(served, PATH, pieces[0])).document["applied"] == 100
    waiting = []
    for token, piece in ((twin, pieces[1]), (served.admin, pieces[1]), (twin, body(signatures=robots[100:101]))):
        opened = (await ask(served, PATH, piece, by=token)).document
        assert (opened["state"], opened["approval"]) == ("proposed", "required")
        waiting.append(opened)
    assert await number(served) == 200
    assert (await ask(served, PATH, pieces[2], by=other)).document["applied"] == 100
    async with following(served):
        approval = f"{PATH}/{waiting[0]['correction']}/approval"
        for token in (served.admin, twin):
            own = await ask(served, approval, {"digest": waiting[0]["digest"]}, by=token)
            assert (own.status, own.problem) == (403, "forbidden")
        assert (await ask(served, approval, {"digest": waiting[0]["digest"]}, by=other)).status == 202
        await stands(served, waiting[0]["correction"], "completed")
    assert await number(served) == 0


async def test_a_reversal_is_answered_like_an_opening(served: Counter) -> None:
    """If what was applied is reversed, then the count is as before, and it is not reversed twice, but in its turn."""
    await sign(served, FEW, "robot", "203.0.113.*")
    named = (await ask(served, PATH, body())).document["correction"]
    reversal = {"reason": "mistake", "rule": "The network was that of a university."}
    undone = await ask(served, f"{PATH}/{named}/reversal", reversal, key="once")
    assert (undone.status, undone.document["applied"]) == (201, FEW)
    assert undone.document["effect"]["count"] == {"before": 0, "after": FEW}
    assert (await ask(served, f"{PATH}/{named}/reversal", reversal, key="once")).body == undone.body
    assert await number(served) == FEW
    twice = await ask(served, f"{PATH}/{named}/reversal", reversal)
    assert (twice.status, twice.problem) == (409, "invalid-transition")
    shown = (await served.get(f"{PATH}/{named}", served.admin)).document
    assert shown["reversed_by"] == undone.document["correction"]
    again = await ask(served, f"{PATH}/{undone.document['correction']}/reversal", reversal)
    assert (again.status, await number(served)) == (201, 0)


async def test_a_correction_that_waits_is_cancelled_and_stays_so(served: Counter) -> None:
    """If a correction is cancelled, then it can neither be approved nor cancelled again, and its members count against
    its proposer for the day."""
    await sign(served, MANY, "robot", "203.0.113.*")
    opened = (await ask(served, PATH, body())).document
    stopped = await ask(served, f"{PATH}/{opened['correction']}/cancellation", {})
    assert (stopped.status, stopped.document["state"], stopped.document["applied"]) == (200, "cancelled", 0)
    for path, said in (("approval", {"digest": opened["digest"]}), ("cancellation", {})):
        late = await ask(served, f"{PATH}/{opened['correction']}/{path}", said, by=await second(served))
        assert (late.status, late.problem) == (409, "invalid-transition")
    listed = [each["signature"] for each in opened["sample"][:1]]
    assert (await ask(served, PATH, body(signatures=listed))).document["approval"] == "required"


async def test_every_condition_finds_what_it_is_about(served: Counter) -> None:
    """If a condition is by network, domain, time, area, channel or name, alone or with others, then what it finds is
    what fits all of them, in whatever spelling."""
    one = await sign(served, 2, "ada", "203.0.113.*", area={"country": "GB"})
    two = await sign(served, 3, "bob", "2001:db8::*", area={"country": "FR"}, channel="paper")
    recorded = [
        row["recorded"]
        for row in await served.database.superuser.fetch(
            "SELECT recorded FROM ledger.events WHERE type = 'signature.recorded.v1' ORDER BY position"
        )
    ]
    moments = [recorded[0].isoformat(), recorded[1].isoformat()]

    async def found(**where: Any) -> set[str]:
        reply = await ask(served, f"{PATH}/preview", body(where=where))
        assert reply.status == 200, reply.body
        return {each["signature"] for each in reply.document["sample"]}

    assert await found(network="2001:db8::/32") == set(two)
    assert await found(network="203.0.113.1") == {one[1]}
    assert await found(email_domain="ADA.example.org") == set(one)
    assert await found(name_equals="bob   2") == {two[2]}
    assert await found(area={"country": "GB"}) == set(one)
    assert await found(channel="paper") == set(two)
    assert await found(recorded_between=moments) == set(one)
    pending = await sign(served, 3, "eve", "192.0.2.*", confirmed=False)
    for each in pending[:2]:
        path = f"/petitions/{PETITION}/signatures/{each}/confirmation"
        assert (await served.post(path, {}, token=served.site)).status == 200
    when = [e["recordedtime"] for e in await served.events("signature.confirmed.v1")]
    assert await found(confirmed_between=when) == set(pending[:2])
    assert await found(confirmed_between=[when[1], when[1]]) == {pending[1]}
    assert await found(confirmed_between=when, recorded_between=moments) == set()
    assert await found(network="0.0.0.0/0", email_domain="bob.example.org") == set()
    listed = await ask(served, f"{PATH}/preview", body(signatures=[two[0], one[0]]))
    assert [each["signature"] for each in listed.document["sample"]] == [one[0], two[0]]


async def test_a_name_that_was_searched_for_is_kept_nowhere(served: Counter) -> None:
    """If a correction searched for a name, then the name stands neither with the correction nor in any answer."""
    await sign(served, 2, "zq7canary", "203.0.113.*")
    opened = await ask(served, PATH, body(where={"name_equals": "Zq7canary 1"}), key="k")
    assert (opened.status, opened.document["matched"]) == (201, 1)
    shown = await served.get(f"{PATH}/{opened.document['correction']}", served.admin)
    assert shown.document["where"] == {"name_equals": None}
    kept = [await served.rows("vault.correction_wheres"), await served.rows("ledger.notices")]
    answers = [row["answer"] for row in await served.rows("vault.answers")]
    assert "canary 1" not in (repr(kept) + repr(answers) + shown.body.decode() + opened.body.decode()).lower()


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"rule": "Everything from jane@ex.org."}, "/rule"),
        ({"rule": "Everything from 192.0.2.7."}, "/rule"),
        ({"rule": "Everything from 192.0.2.0/24."}, "/rule"),
        ({"rule": "Everything from 2001:db8::1, it seems."}, "/rule"),
        ({"rule": "Everything from jane＠ex.org."}, "/rule"),
        ({"rule": " "}, "/rule"),
        ({"reason": "dislike"}, "/reason"),
        ({"kind": "delete"}, "/kind"),
        ({"where": {}}, "/where"),
        ({"where": {"network": "192.0.2.7/24"}}, "/where/network"),
        ({"where": {"network": "everywhere"}}, "/where/network"),
        ({"where": {"email_domain": "no domain"}}, "/where/email_domain"),
        ({"where": {"recorded_between": ["2020-01-02T00:00:00Z", "2020-01-01T00:00:00Z"]}}, "/where"),
        ({"where": {"confirmed_between": ["2020-01-02T00:00:00Z", "2020-01-01T00:00:00Z"]}}, "/where"),
        ({"where": {"name_like": "Jane"}}, "/where"),
        ({"signatures": ["01890a5d-ac96-774b-bcce-b302099a8057"]}, "/signatures"),
        ({"signatures": ["01890a5d-ac96-774b-bcce-b302099a8057"] * 2}, ""),
        ({"signatures": []}, "/signatures"),
        ({"signatures": ["01890a5d-ac96-774b-bcce-b302099a8057"], "where": NETWORK}, ""),
        ({"lifts": "01890a5d-ac96-774b-bcce-b302099a8057"}, ""),
    ],
)
async def test_a_correction_that_is_not_one_is_refused(served: Counter, said: dict[str, Any], pointer: str) -> None:
    """If a body is not what a correction is asked for with, then it is refused with a pointer, and repeats nothing."""
    for path in (f"{PATH}/preview", PATH):
        refused = await ask(served, path, body(**said))
        assert (refused.status, refused.problem) == (422, "validation-failed"), refused.body
        assert pointer in [error["pointer"] for error in refused.document["errors"]]
    assert await served.events("correction.opened.v1") == []


async def test_whom_corrections_are_for(served: Counter) -> None:
    """If somebody is no admin, or one of another petition, then every route is forbidden; what is not there is not
    found."""
    await served.open("another")
    elsewhere = await served.token("admin", "of another", petition="another")
    nobody = f"{PATH}/01890a5d-ac96-774b-bcce-b302099a8057"
    asked: list[tuple[str, str, object]] = [
        ("POST", f"{PATH}/preview", body()),
        ("POST", PATH, body()),
        ("POST", f"{nobody}/approval", {"digest": "0" * 64}),
        ("POST", f"{nobody}/cancellation", {}),
        ("POST", f"{nobody}/reversal", {"reason": "mistake", "rule": RULE}),
        ("GET", PATH, None),
        ("GET", nobody, None),
    ]
    for method, path, said in asked:
        for token in (served.site, elsewhere):
            refused = await (served.get(path, token) if method == "GET" else ask(served, path, said, by=token))
            assert (refused.status, refused.problem) == (403, "forbidden")
    for method, path, said in asked[2:5] + asked[6:]:
        missing = await (served.get(path, served.admin) if method == "GET" else ask(served, path, said))
        assert (missing.status, missing.problem) == (404, "not-found")
    empty = await ask(served, PATH, body())
    assert (empty.status, empty.problem) == (409, "invalid-transition")
    assert (await ask(served, "/petitions/nobody-opened-this/corrections", body())).problem == "not-found"


async def test_milestones_that_fraud_crossed_stay_as_recorded_and_move_as_corrected(served: Counter) -> None:
    """If fraud carried a petition over a milestone and is removed, then the recorded timeline keeps the crossing and
    tells the fall; the corrected one has it where honest signatures reached it, or nowhere."""
    await sign(served, 30, "honest", "192.0.2.*")
    await sign(served, 30, "robot", "203.0.113.*")
    await sign(served, 25, "kind", "198.51.100.*")
    async with following(served):
        opened = (await ask(served, PATH, body())).document
        assert opened["effect"]["milestones"] == []  # 55 stand without it: 50 was reached all the same, but later
        assert (opened["state"], await number(served)) == ("completed", 55)

        async def crossings(mode: str) -> list[tuple[int, str, int]]:
            position = (await served.events())[-1]["id"].lstrip("0")
            path = f"/petitions/{PETITION}/timeline.json?mode={mode}&min_position={position}"
            entries = (await served.get(path)).document["entries"]
            return [(e["rung"], e["crossing"], e["position"]) for e in entries if e["kind"] == "milestone"]

        assert await crossings("as_recorded") == [(50, "reached", 51), (10, "reached", 11)]
        assert await crossings("as_corrected") == [(50, "reached", 81), (10, "reached", 11)]
        more = (await ask(served, PATH, body(where={"email_domain": "kind.example.org"}))).document
        assert more["effect"]["milestones"] == [50]
        recorded = await crossings("as_recorded")
        assert [(rung, crossing) for rung, crossing, _ in recorded] == [
            (50, "fell-below"),
            (50, "reached"),
            (10, "reached"),
        ]
        assert await crossings("as_corrected") == [(10, "reached", 11)]
