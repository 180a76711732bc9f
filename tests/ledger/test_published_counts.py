"""Published counts: only the count is ever stated as served, as of a position before, and only where it is news."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from ledger.folding.log import Folding
from ledger.state import PublishedState
from schemas.commands import Accepted, PublishCount, Refused, Submission
from schemas.envelope import Event, read_event
from schemas.events import CountPublished, Fact
from tests.conftest import LedgerDatabase
from tests.histories import History, signing
from tests.histories import opening as beginning
from tests.ledger.desk import Desk
from tests.ledger.submissions import PETITION, by_admin, by_site, by_system, opening, recording, withdrawing
from tests.ledger.writing import RUN, writer


@pytest.fixture
def desk() -> Desk:
    """A petition with three events: it was opened, and two people signed."""
    desk = Desk()
    desk.ask(by_site(recording("she")))
    desk.ask(by_site(recording("he")))
    desk.known.counts = {(PETITION, position): position - 1 for position in (1, 2, 3)}
    return desk


def publishing(count: int, position: int, after: int = 0, petition: str = PETITION) -> Submission:
    """The service states a number that it served."""
    return by_system(PublishCount(petition, count, position, after))


# -- deciding ----------------------------------------------------------------------------------------------------------


def test_a_served_count_is_stated_with_the_position_it_was_true_at(desk: Desk) -> None:
    """If the service has served a count, then the log says so, as the system; it adds nothing, and declares nothing."""
    before = replace(desk.known.petitions[PETITION])
    (outcome,) = desk.ask(publishing(1, 2))
    assert outcome == Accepted({"petition": PETITION, "position": 4, "version": 4})
    leaf = orjson.loads(desk.events[-1][15])
    assert (leaf["type"], leaf["actor"], leaf["data"]) == (
        "count.published.v1",
        "system",
        {"count": 1, "position": 2},
    )
    after = desk.known.petitions[PETITION]
    assert (desk.events[-1][6], after.count, after.declarations) == (0, before.count, before.declarations)
    assert desk.known.published[PETITION] == PublishedState(4, 1, 2)


@pytest.mark.parametrize(("count", "position"), [(2, 2), (0, 2), (2, 4), (2, 99), (0, 0)])
def test_what_was_not_the_count_is_refused(desk: Desk, count: int, position: int) -> None:
    """If the number is not that of the position, or the log has no such position yet, then nothing is stated."""
    (outcome,) = desk.ask(publishing(count, position))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "not-the-count"
    assert len(desk.events) == 3


@pytest.mark.parametrize(
    ("count", "position", "after"),
    [
        (2, 3, 4),  # the very number, again
        (1, 2, 4),  # an older one
        (1, 2, 0),  # by somebody who has not seen that another was faster
        (2, 3, 0),
    ],
)
def test_what_is_no_news_is_not_stated_again(desk: Desk, count: int, position: int, after: int) -> None:
    """If the last number stated is this one, or a later one, or the asker does not know it, then nothing is left to
    state, and that is no refusal."""
    desk.ask(publishing(2, 3))
    (outcome,) = desk.ask(publishing(count, position, after))
    assert isinstance(outcome, Accepted)
    assert outcome.repeated
    assert len(desk.events) == 4


def test_a_petition_that_never_had_a_signature_is_never_stated_to_have_none() -> None:
    """If a petition stands at 0 and always did, then that is no news; once another number was stated, it is."""
    desk = Desk()
    desk.known.counts = {(PETITION, 1): 0}
    (outcome,) = desk.ask(publishing(0, 1))
    assert isinstance(outcome, Accepted)
    assert outcome.repeated
    desk.ask(by_site(recording("she")))
    desk.known.counts = {(PETITION, 2): 1}
    desk.ask(publishing(1, 2))
    desk.ask(by_site(withdrawing("she")))
    desk.known.counts = {(PETITION, 4): 0}
    desk.ask(publishing(0, 4, 3))
    assert desk.happened()[-1] == ("count.published.v1", 0)
    assert desk.known.published[PETITION] == PublishedState(5, 0, 4)


def test_of_two_in_one_batch_the_first_is_stated(desk: Desk) -> None:
    """If two services state in one batch what they served, then one of them does."""
    first, second = desk.ask(publishing(1, 2), publishing(2, 3))
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert (first.repeated, second.repeated) == (False, True)


# -- writing -----------------------------------------------------------------------------------------------------------


async def test_two_services_state_a_number_once(ledger_database: LedgerDatabase) -> None:
    """If two services that have seen the same ask at the same time, then the log has one of their numbers."""
    async with writer(ledger_database, RUN) as one, writer(ledger_database, RUN) as other:
        await one.submit_all([by_admin(opening()), by_admin(recording("she")), by_admin(recording("he"))])
        for turn in range(1, 6):
            seen = 3 if turn == 1 else 1 + 2 * turn
            after = 0 if turn == 1 else seen - 1
            asked = [publishing(1 + turn, seen, after), publishing(1 + turn, seen, after)]
            outcomes = await asyncio.gather(one.submit(asked[0]), other.submit(asked[1]))
            taken = [each for each in outcomes if isinstance(each, Accepted)]
            assert sorted(each.repeated for each in taken) == [False, True]
            await one.submit(by_admin(recording(f"signer {turn}")))
    rows = await ledger_database.superuser.fetch(
        "SELECT position, convert_from(leaf, 'UTF8')::jsonb -> 'data' ->> 'count' AS count"
        " FROM ledger.events WHERE type = 'count.published.v1' ORDER BY position"
    )
    assert [tuple(row) for row in rows] == [(4, "2"), (6, "3"), (8, "4"), (10, "5"), (12, "6")]


async def test_a_number_is_held_against_the_log_and_not_against_what_its_batch_adds(
    ledger_database: LedgerDatabase,
) -> None:
    """If what a number names stands in the batch that would state it, or further on, then it was never served."""
    async with writer(ledger_database, RUN) as admin:
        await admin.submit_all([by_admin(opening()), by_admin(recording("she"))])
        outcomes = await admin.submit_all(
            [by_admin(recording("he")), publishing(2, 3), publishing(1, 3), publishing(1, 99), publishing(1, 2)]
        )
        none = await admin.submit(publishing(0, 1, petition="there-is-none"))
    assert [each.reason if isinstance(each, Refused) else None for each in [*outcomes, none]] == [
        *[None, "not-the-count", "not-the-count", "not-the-count", None],
        "unknown-petition",
    ]


# -- auditing ----------------------------------------------------------------------------------------------------------


def history() -> list[Event]:
    """Two signed, and the count was published after each of them: events 3 and 5 of the five."""
    made = History()
    made.settle(beginning("first"), signing("first", "a"))
    made.publish("first", 2)
    made.settle(signing("first", "b"))
    made.publish("first", 4)
    return [read_event(leaf) for leaf in made.leaves]


def saying(nth: int, **said: int) -> Callable[[list[Event]], list[Event]]:
    """The nth event states another number or position."""

    def rewritten(events: list[Event]) -> list[Event]:
        fact: Fact = events[nth - 1].fact
        assert isinstance(fact, CountPublished)
        changed = replace(events[nth - 1], fact=CountPublished(**{**fact.data(), **said}))
        return [*events[: nth - 1], changed, *events[nth:]]

    return rewritten


def broken(events: list[Event]) -> list[tuple[str, int, str]]:
    """The rules about published counts that these events break."""
    folding = Folding()
    found = [broken for event in events for broken in folding.step(event, b"")[1]]
    return [each for each in found if each[0] == "published-count"]


def test_an_audit_has_nothing_against_what_was_served() -> None:
    """If every number published was the count, then folding finds no fault with it."""
    assert [event.type for event in history()].count("count.published.v1") == 2
    assert broken(history()) == []


@pytest.mark.parametrize(
    ("lie", "position", "says"),
    [
        (saying(3, count=7), 3, "7 was published as of position 2, where the count was 1"),
        (saying(3, count=0), 3, "0 was published as of position 2, where the count was 1"),
        (saying(3, position=1), 3, "1 was published as of position 1, where the count was 0"),
        (saying(3, position=3), 3, "was not there yet"),
        (saying(3, position=0), 3, "older than the petition"),
        (saying(5, count=1, position=3), 5, "is the last published one"),
        (saying(5, count=1, position=2), 5, "older than the petition, or than the last published one"),
        (saying(5, count=3), 5, "3 was published as of position 4, where the count was 2"),
        (lambda e: [*e[:4], replace(e[4], actor="admin:7f3a21")], 5, "somebody else than the service"),
    ],
)
def test_an_audit_names_what_was_published_wrongly(
    lie: Callable[[list[Event]], list[Event]], position: int, says: str
) -> None:
    """If a number in the log is not what was served, then folding names its event, and what it should have been."""
    ((_, where, sentence),) = broken(lie(history()))
    assert where == position
    assert says in sentence
