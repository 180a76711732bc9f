"""What a petition takes, when it closes, what is declared and what is observed of it."""

from datetime import timedelta
from typing import Any

import pytest

from ledger.petition import close_when_due, state_of
from ledger.state import PetitionState
from schemas.commands import (
    Accepted,
    ChangeAcceptance,
    Command,
    DeclareStatus,
    ObserveCount,
    Outcome,
    PostUpdate,
    Refused,
    RevisePetition,
)
from schemas.events import PetitionRevised
from tests.ledger.desk import Desk
from tests.ledger.submissions import (
    PETITION,
    accepting,
    by_admin,
    by_site,
    imported,
    opening,
    recording,
    some_instant,
)

OBSERVED = {"basis": "observed", "provenance": "observed"}


def state(desk: Desk) -> PetitionState:
    return desk.known.petitions[PETITION]


def reason(outcome: Outcome) -> str | None:
    return outcome.reason if isinstance(outcome, Refused) else None


def types(desk: Desk) -> list[str]:
    return [event[3] for event in desk.events]


def test_a_petition_is_opened_once() -> None:
    """If a petition of this id is there, then opening it again is refused; a leaf already says what it is."""
    desk = Desk()
    assert reason(desk.ask(by_admin(opening()))[0]) == "petition-exists"
    assert types(desk) == ["petition.opened.v1"]


def test_a_petition_that_opens_and_closes_in_the_past_takes_no_live_signature_in_its_own_batch() -> None:
    """If a petition is opened whose closing time has passed, and signed in the same batch, then it is closed in
    between: the clock does not wait for a batch to end."""
    desk = Desk()
    asked = [
        by_admin(opening("late", closes_at=some_instant(10))),
        by_site(recording("she", petition="late")),
        imported(recording("he", petition="late", imported=True, at=some_instant(10)), "row 1"),
        imported(recording("they", petition="late", imported=True, at=some_instant(9)), "row 2"),
    ]
    outcomes = desk.ask(*asked)
    assert [reason(each) for each in outcomes] == [None, "petition-closed", "petition-closed", None]
    assert types(desk)[1:] == ["petition.opened.v1", "acceptance.changed.v1", "signature.recorded.v1"]
    assert desk.effective()[2] == some_instant(10)


def test_a_closing_time_that_is_revised_into_the_past_closes_at_once() -> None:
    """If a revision moves the closing time to one that has passed, then what follows it in its batch finds it
    closed."""
    desk = Desk()
    revision = RevisePetition(PETITION, PetitionRevised(text_version=1, closes_at=some_instant(10)))
    outcomes = desk.ask(by_admin(revision), by_site(recording("she")))
    assert [reason(each) for each in outcomes] == [None, "petition-closed"]


@pytest.mark.parametrize(("seconds", "closes"), [(-1, False), (0, True), (1, True)])
def test_a_petition_closes_at_its_closing_time_and_not_before(seconds: int, closes: bool) -> None:
    """If the batch's time has reached the closing time, then the petition is closed, effective at the closing time."""
    petition = state_of(1, PETITION, opening(closes_at=some_instant(100)).opened, some_instant(0))
    due = close_when_due(petition, some_instant(100) + timedelta(microseconds=seconds))
    assert [(each.type, each.at) for each in due] == ([("acceptance.changed.v1", some_instant(100))] if closes else [])


def test_a_petition_that_was_opened_again_after_its_closing_time_stays_open() -> None:
    """If somebody decides after the closing time that it takes signatures, then the clock does not close it again."""
    desk = Desk(closes_at=some_instant(10))
    desk.ask(by_admin(accepting("open")))
    assert reason(desk.ask(by_site(recording("she")))[0]) is None
    assert types(desk) == [
        "petition.opened.v1",
        "acceptance.changed.v1",
        "acceptance.changed.v1",
        "signature.recorded.v1",
    ]


@pytest.mark.parametrize("what", ["open", "paused", "closed", "rejected"])
def test_what_is_so_already_is_not_said_again(what: Any) -> None:
    """If a petition is asked to take what it takes, then nothing is appended, and that is no refusal."""
    desk = Desk()
    desk.ask(by_admin(accepting(what)))
    before = len(desk.events)
    (outcome,) = desk.ask(by_admin(accepting(what)))
    assert isinstance(outcome, Accepted)
    assert outcome.repeated
    assert len(desk.events) == before


def test_before_it_opens_a_petition_takes_nothing() -> None:
    """If a petition says when it opens, then neither live nor imported signatures from before are taken."""
    desk = Desk(opens_at=some_instant(200_000))
    rows = [imported(recording(f"s{at}", imported=True, at=some_instant(at)), f"row {at}") for at in (99_998, 99_999)]
    assert {reason(each) for each in desk.ask(by_site(recording("she")), *rows)} == {"petition-closed"}


def test_imported_rows_find_what_was_taken_at_their_time_even_where_changes_came_out_of_order() -> None:
    """If a pause was recorded after a later reopening, then a row is held against what was so at its time."""
    desk = Desk()
    desk.ask(
        by_admin(ChangeAcceptance(PETITION, "paused", some_instant(30))),
        by_admin(ChangeAcceptance(PETITION, "open", some_instant(40))),
        by_admin(ChangeAcceptance(PETITION, "paused", some_instant(10))),
        by_admin(ChangeAcceptance(PETITION, "open", some_instant(20))),
    )
    rows = [imported(recording(f"s{at}", imported=True, at=some_instant(at)), f"row {at}") for at in range(5, 50, 5)]
    taken = [5 * nth for nth, outcome in enumerate(desk.ask(*rows), start=1) if reason(outcome) is None]
    assert taken == [5, 20, 25, 40, 45]


def test_a_stale_declaration_is_refused() -> None:
    """If the petition was declared upon since the asker read it, then the asker's declaration is refused."""
    desk = Desk()
    assert state(desk).declarations == 1
    desk.ask(by_admin(PostUpdate(PETITION, "News")))
    asked: list[Command] = [
        DeclareStatus(PETITION, "successful", expected=1),
        ChangeAcceptance(PETITION, "closed", expected=1),
        RevisePetition(PETITION, PetitionRevised(text_version=2), expected=1),
    ]
    assert [reason(each) for each in desk.ask(*map(by_admin, asked))] == ["stale"] * 3
    assert reason(desk.ask(by_admin(DeclareStatus(PETITION, "successful", expected=2)))[0]) is None
    assert state(desk).declarations == 3


def test_signatures_are_no_declarations() -> None:
    """If people sign, then whoever is about to declare something has not become stale."""
    desk = Desk()
    desk.ask(by_site(recording("she")))
    assert state(desk).declarations == 1


def test_an_outcome_changes_nothing_of_what_a_petition_takes() -> None:
    """If a petition is declared successful, twice, then people go on signing it."""
    desk = Desk()
    desk.ask(by_admin(DeclareStatus(PETITION, "successful")), by_admin(DeclareStatus(PETITION, "successful")))
    assert reason(desk.ask(by_site(recording("she")))[0]) is None


def test_what_lies_in_the_future_is_refused_of_every_declaration() -> None:
    """If a declaration or an observation would be effective more than a minute ahead, then it is refused."""
    desk = Desk(**OBSERVED)
    at = desk.now + timedelta(seconds=62)
    asked: list[Command] = [
        PostUpdate(PETITION, "News", at=at),
        ChangeAcceptance(PETITION, "closed", at=at),
        DeclareStatus(PETITION, "successful", at=at),
        ObserveCount(PETITION, 5, "page", at),
        opening("another", at=at),
    ]
    assert {reason(each) for each in desk.ask(*map(by_admin, asked))} == {"in-the-future"}


def test_only_an_observation_that_is_not_older_moves_an_observed_count() -> None:
    """If observations come out of order, then an older one changes nothing, and one of the same time does."""
    desk = Desk(**OBSERVED)
    seen = [(100, 10), (300, 30), (200, 25), (300, 28), (400, 12)]
    desk.ask(*[by_admin(ObserveCount(PETITION, count, "page", some_instant(at))) for at, count in seen])
    assert [(event[6], event[7]) for event in desk.events[1:]] == [(10, 10), (20, 30), (0, 30), (-2, 28), (-16, 12)]


def test_an_undated_observation_is_taken_for_the_present() -> None:
    """If the source gives no time, then the observation is effective when it is recorded, and says that it is not
    known."""
    desk = Desk(**OBSERVED)
    desk.ask(by_admin(ObserveCount(PETITION, 7, "page", None)))
    assert desk.effective()[-1] == desk.now
    assert b'"at_known":false' in desk.events[-1][15]
    assert state(desk).count == 7


def test_a_page_that_shows_an_outcome_is_an_observation_and_then_a_declaration() -> None:
    """If a page's row says that the petition succeeded with a number, then that number counts first."""
    desk = Desk(**OBSERVED)
    desk.ask(by_admin(ObserveCount(PETITION, 13_163, "status", some_instant(5), status="successful")))
    assert types(desk)[1:] == ["count.observed.v1", "status.declared.v1"]
    assert [event[7] for event in desk.events[1:]] == [13_163, 13_163]


def test_nobody_signs_what_is_observed_and_nobody_observes_what_is_itemised() -> None:
    """If a petition is of one basis, then what belongs to the other is refused."""
    observed, itemised = Desk(**OBSERVED), Desk()
    assert reason(observed.ask(by_site(recording("she")))[0]) == "observed-petition"
    assert reason(itemised.ask(by_admin(ObserveCount(PETITION, 5, "page", None)))[0]) == "itemised-petition"
    assert len(observed.events) == len(itemised.events) == 1


def test_only_what_a_petition_makes_public_stands_in_the_leaf() -> None:
    """If a signature comes with more than the petition publishes, then the rest is neither in its leaf nor in the
    tally's keys."""
    desk = Desk(public_fields=("region",))
    desk.ask(by_site(recording("she", country="GB", region="E14000639")))
    event = desk.events[-1]
    assert (b"GB" in event[15], b"E14000639" in event[15]) == (False, True)
    assert event[10:15] == ("site", "person", None, "E14000639", None)


def test_only_the_choices_that_were_asked_are_answers() -> None:
    """If a consultation is answered with another question or choice, then the signature is refused."""
    desk = Desk(questions={"q": ("yes", "no")}, public_fields=("country", "answers"))
    asked = [{"q": "yes"}, {"q": "maybe"}, {"p": "yes"}, None]
    outcomes = desk.ask(*[by_site(recording(f"s{n}", answers=given)) for n, given in enumerate(asked)])
    assert [reason(each) for each in outcomes] == [None, "unknown-answer", "unknown-answer", None]
