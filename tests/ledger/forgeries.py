"""The lies that a writer may tell: what it would rightly send, one thing in it that its events do not bear out, and
what the refusal says of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from ledger.connecting import Role
from schemas.commands import CorrectImported, EraseSigner, ObserveCount, PublishCount, Submission
from tests.ledger.forging import Prepared, Table
from tests.ledger.submissions import (
    PETITION,
    accepting,
    by_admin,
    by_site,
    by_system,
    confirming,
    imported,
    opening,
    recording,
    some_bytes,
    some_id,
    some_instant,
    withdrawing,
)

SIGN: Final = "ledger_signing"
ADMIN: Final = "ledger_admin"
PRIVACY: Final = "ledger_privacy"
Lie = Callable[[Prepared], None]


@dataclass(frozen=True)
class Forgery:
    """What a writer in this role would rightly send, the lie in it, and what the refusal says."""

    name: str
    role: Role
    submissions: tuple[Submission, ...]
    lie: Lie
    says: str
    blind: bool = False


def honest(prepared: Prepared) -> None:
    """The lie is in the asking."""


def sets(table: Table, nth: int = 0, **columns: Any) -> Lie:
    """One row says these values instead."""

    def lie(prepared: Prepared) -> None:
        row = prepared.row(table, nth)
        assert columns.keys() <= row.keys()
        row.update(columns)

    return lie


def moves(table: Table, column: str, by: Any, nth: int = 0) -> Lie:
    """One number or time is off by so much."""

    def lie(prepared: Prepared) -> None:
        prepared.row(table, nth)[column] += by

    return lie


def leaf(nth: int = 0, **members: Any) -> Lie:
    """One leaf says these attributes instead, and its hash fits it."""
    return lambda prepared: prepared.rewrite_leaf(nth, lambda document: document.update(members))


def both(*lies: Lie) -> Lie:
    """One lie, told consistently."""

    def lie(prepared: Prepared) -> None:
        for each in lies:
            each(prepared)

    return lie


def drops(table: Table, nth: int = 0) -> Lie:
    """A row is left out."""

    def lie(prepared: Prepared) -> None:
        del prepared.tables[table][nth]

    return lie


def adds(table: Table, *values: dict[str, Any]) -> Lie:
    """Rows are put in that no event asked for."""
    return lambda prepared: prepared.tables[table].extend(dict(value) for value in values)


def at(by: timedelta) -> Lie:
    """The whole batch is recorded at another time than the clock's, and says so everywhere."""

    def lie(prepared: Prepared) -> None:
        prepared.at += by
        for nth, event in enumerate(prepared.tables["events"]):
            event["recorded"] = prepared.at
            text = prepared.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
            prepared.rewrite_leaf(nth, lambda document, text=text: document.update(recordedtime=text))  # type: ignore[misc]

    return lie


def another_origin(prepared: Prepared) -> None:
    prepared.source = "elsewhere.example/ledger"
    prepared.rewrite_leaf(0, lambda document: document.update(source="elsewhere.example/ledger"))


def closing_now(prepared: Prepared) -> None:
    """The closing time is the present, although no event says so."""
    prepared.row("petitions")["closes_at"] = prepared.row("events")["effective"]


def without_delta(prepared: Prepared) -> None:
    """The last event adds nothing, and the count stays what it was."""
    event = prepared.row("events", -1)
    prepared.row("petitions")["count"] -= event["delta"]
    event["count_after"] -= event["delta"]
    event["delta"] = 0


def retyped(type: str, **columns: Any) -> Lie:
    """The event is of another type, in its column and in its leaf."""
    return both(sets("events", type=type, **columns), leaf(type=type))


def row(signer: str, file: str = "") -> tuple[bytes, bytes]:
    """A row of a file that names this signer."""
    return some_bytes(f"{PETITION}/{signer}", 16), some_bytes(f"{file} row {signer}", 16)


def served(count: int, position: int, after: int = 0) -> Submission:
    """The service states that it served this count."""
    return by_system(PublishCount(PETITION, count, position, after))


def says_served(count: int, position: int, nth: int = 0) -> Lie:
    """Another number was served, or another position's."""
    return leaf(nth, data={"count": count, "position": position})


PUBLISHED: Final = "What is published is the count"
STANDING = some_id(f"{PETITION}/standing/1")
WITHDRAWN = some_id(f"{PETITION}/withdrawn/1")
WAITING = some_id("closed-one/waiting/1")
STRANGER = some_id("other/stranger/1")

new = (by_site(recording("new")),)
two = (by_site(recording("new")), by_site(recording("newer")))
again = (by_site(recording("withdrawn", 2)),)
confirm = (by_site(confirming("pending")),)
withdraw = (by_site(withdrawing("standing")),)
hold = (imported(CorrectImported(PETITION, some_id("k2"), "invalidate", "bot", (row("standing"),)), "k2"),)
lift = (imported(CorrectImported(PETITION, some_id("k3"), "reinstate", "mistake", (row("held", "k3"),)), "k3"),)

erase = (Submission(EraseSigner(PETITION, STANDING), "privacy:0d15ea"),)
erase_kept = (Submission(EraseSigner("closed-one", WAITING), "privacy:0d15ea"),)
AS_IT_HAS_TO_BE: Final = "as the petition has it now"


def the_token_of(signer: str) -> Lie:
    """The signer of the new signature is this one, who has another."""
    return sets(
        "signers",
        token=some_bytes(f"{PETITION}/{signer}", 16),
        signer_ref=some_bytes(f"ref/{PETITION}/{signer}/1", 16),
    )


def an_ended_correction(prepared: Prepared) -> None:
    prepared.row("corrections")["correction"] = some_id("k1")
    prepared.tables["members"].clear()


FORGERIES: Final = [
    # positions, versions, counts
    Forgery("a gap", SIGN, new, both(moves("events", "position", 1), leaf(id=f"{99:020d}")), "Positions"),
    Forgery("a position that is taken", SIGN, new, sets("events", position=1, petition=1), "events_pkey"),
    Forgery("a gap in the middle", SIGN, two, moves("events", "position", 1, 1), "Positions"),
    Forgery("another head", SIGN, new, lambda p: setattr(p, "position", p.position - 1), "The head is at"),
    Forgery("a version too high", SIGN, new, moves("events", "version", 1), "do not continue"),
    Forgery("a version that is taken", SIGN, new, moves("events", "version", -1), "events_petition_version_key"),
    Forgery(
        "a count too high",
        SIGN,
        new,
        both(moves("events", "count_after", 1), moves("petitions", "count", 1)),
        "do not continue",
    ),
    Forgery("a count of the petition alone", SIGN, new, moves("petitions", "count", 1), "of a petition"),
    Forgery("a version of the petition alone", SIGN, new, moves("petitions", "version", 1), "of a petition"),
    Forgery(
        "a negative count",
        SIGN,
        withdraw,
        both(sets("events", count_after=-1), sets("petitions", count=-1)),
        "count_after_check",
    ),
    Forgery("a petition of another name", SIGN, new, sets("petitions", id="other"), "do not continue"),
    Forgery(
        "a petition without an event",
        SIGN,
        new,
        lambda p: p.tables["petitions"].append({**p.row("petitions"), "petition": 2, "id": "other", "count": 7}),
        "of a petition",
    ),
    Forgery("no state of the petition", SIGN, new, drops("petitions"), "of a petition"),
    # recorded times
    Forgery("recorded in the past", SIGN, new, at(timedelta(hours=-1)), "recorded time"),
    Forgery("recorded in the future", SIGN, new, at(timedelta(seconds=30)), "recorded time"),
    Forgery(
        "one event recorded at another time",
        SIGN,
        new,
        moves("events", "recorded", timedelta(seconds=-1)),
        "do not continue",
    ),
    # deltas
    Forgery("no delta where it stands", SIGN, new, without_delta, "of a signature"),
    Forgery("a delta twice as large", SIGN, new, sets("events", delta=2), "a_delta_is_that_of_its_type"),
    Forgery("a delta of the wrong sign", SIGN, new, sets("events", delta=-1), "a_delta_is_that_of_its_type"),
    Forgery(
        "a delta for a declaration",
        ADMIN,
        (by_admin(accepting("paused")),),
        sets("events", delta=1),
        "a_delta_is_that_of_its_type",
    ),
    Forgery(
        "a delta for one that is held",
        ADMIN,
        (by_admin(confirming("held pending")),),
        both(moves("events", "delta", 1), moves("events", "count_after", 1), moves("petitions", "count", 1)),
        "of a signature",
    ),
    Forgery(
        "the deltas of two events swapped",
        SIGN,
        (*new, by_site(withdrawing("new"))),
        both(sets("events", 0, delta=0, count_after=1), sets("events", 1, delta=0)),
        "of a signature",
    ),
    # origin and leaves
    Forgery("another origin", SIGN, new, another_origin, "origin"),
    Forgery(
        "another leaf hash",
        SIGN,
        new,
        both(sets("events", leaf_hash=b"\1" * 32), sets("petitions", last_leaf_hash=b"\1" * 32)),
        "events_check1",
    ),
    Forgery("another leaf", SIGN, new, sets("events", leaf=b"{}"), "events_check1"),
    Forgery("a leaf of another position", SIGN, new, leaf(id=f"{1:020d}"), "leaf"),
    Forgery("a leaf of another petition", SIGN, new, leaf(subject="other"), "leaf"),
    Forgery("a leaf of another type", SIGN, new, leaf(type="petition.revised.v1"), "leaf"),
    Forgery("a leaf of another version", SIGN, new, leaf(version=1), "leaf"),
    Forgery("a leaf of another recorded time", SIGN, new, leaf(recordedtime="2024-01-01T00:00:00.000000Z"), "leaf"),
    Forgery("a leaf of another effective time", SIGN, new, leaf(time="2024-01-01T00:00:00.000000Z"), "leaf"),
    Forgery("a leaf of another source", SIGN, new, leaf(source="elsewhere.example/ledger"), "leaf"),
    Forgery("a leaf after another one", SIGN, new, leaf(prev="A" * 43 + "="), "leaf"),
    Forgery("a second leaf after another one", SIGN, two, leaf(1, prev="A" * 43 + "="), "leaf"),
    Forgery("a leaf after none", SIGN, new, lambda p: p.rewrite_leaf(0, lambda d: d.pop("prev")), "leaf"),
    # types and roles
    Forgery("a signing role that opens a petition", SIGN, (by_admin(opening("mine")),), honest, "may not write"),
    Forgery("a privacy role that opens a petition", PRIVACY, (by_admin(opening("mine")),), honest, "may not write"),
    Forgery("a privacy role that signs", PRIVACY, new, honest, "neither signs"),
    Forgery(
        "a signing role that declares",
        SIGN,
        new,
        retyped("status.declared.v1", signature=None, channel=None, kind=None, delta=0),
        "may not write",
    ),
    Forgery(
        "an admin that erases",
        ADMIN,
        (by_admin(withdrawing("standing")),),
        both(without_delta, retyped("signer.erased.v1")),
        "may not write",
    ),
    Forgery(
        "a signing role that imports",
        SIGN,
        (imported(recording("new", imported=True), "a row"),),
        honest,
        "neither imports nor corrects",
    ),
    Forgery("a signing role that corrects", SIGN, hold, honest, "neither imports nor corrects"),
    Forgery("a privacy role that corrects", PRIVACY, hold, honest, "neither signs, imports nor corrects"),
    Forgery("a signing role that closes", SIGN, (by_admin(accepting("closed")),), honest, "closing time"),
    Forgery(
        "a signing role that closes by the system's name",
        SIGN,
        (Submission(accepting("closed"), "system"),),
        honest,
        "closing time",
    ),
    Forgery(
        "a signing role that closes another time than asked",
        SIGN,
        (Submission(accepting("closed", "closing-later"), "system"),),
        honest,
        "closing time",
    ),
    Forgery("a signing role that rejects", SIGN, (by_admin(accepting("rejected")),), honest, "closing time"),
    Forgery(
        "a signing role that moves the closing time and closes",
        SIGN,
        (Submission(accepting("closed"), "system"),),
        closing_now,
        "of a petition",
    ),
    # what a petition says of itself
    Forgery("a text version", SIGN, new, sets("petitions", text_version=2), "of a petition"),
    Forgery("an opening time", SIGN, new, sets("petitions", opens_at=some_instant(0)), "of a petition"),
    Forgery("a declaration that was none", SIGN, new, moves("petitions", "declarations", 1), "of a petition"),
    Forgery(
        "an acceptance that was not changed",
        SIGN,
        new,
        sets("petitions", acceptances='[[1, "2024-01-01T00:00:00.000000Z", "open"]]'),
        "of a petition",
    ),
    Forgery(
        "another acceptance than was changed",
        ADMIN,
        (by_admin(accepting("paused")),),
        lambda p: p.row("petitions").update(
            acceptances=p.row("petitions")["acceptances"].replace("paused", "rejected")
        ),
        "of a petition",
    ),
    Forgery(
        "an observation that was none",
        ADMIN,
        (by_admin(ObserveCount("watched", 5, "page", None)),),
        both(without_delta, retyped("count.published.v1")),
        "of a petition",
    ),
    # what it takes
    Forgery(
        "signing what is closed",
        SIGN,
        (by_site(recording("new", petition="closed-one")),),
        honest,
        "does not take",
        blind=True,
    ),
    Forgery(
        "confirming what is closed",
        SIGN,
        (by_site(confirming("waiting", petition="closed-one")),),
        honest,
        "does not take",
        blind=True,
    ),
    Forgery(
        "withdrawing from what is closed",
        SIGN,
        (by_site(withdrawing("waiting", petition="closed-one")),),
        honest,
        "does not take",
        blind=True,
    ),
    Forgery(
        "signing what is paused",
        SIGN,
        (by_site(recording("new", petition="paused-one")),),
        honest,
        "does not take",
        blind=True,
    ),
    Forgery(
        "signing what is not open yet",
        SIGN,
        (by_site(recording("new", petition="opening-later")),),
        honest,
        "does not take",
        blind=True,
    ),
    Forgery(
        "signing what had to be closed",
        SIGN,
        (by_site(recording("new", petition="overdue")),),
        honest,
        "does not take",
        blind=True,
    ),
    Forgery(
        "a signature in an observed petition",
        SIGN,
        (by_site(recording("new", petition="watched")),),
        honest,
        "basis",
        blind=True,
    ),
    # signatures
    Forgery("a signature event without its state", SIGN, confirm, drops("signatures"), "of a signature"),
    Forgery(
        "a state without an event",
        SIGN,
        new,
        lambda p: p.tables["signatures"].append({**p.row("signatures"), "signature": STANDING, "withdrawn": True}),
        "of a signature",
    ),
    Forgery(
        "an event for a signature of another petition",
        SIGN,
        withdraw,
        both(sets("events", signature=STRANGER), sets("signatures", signature=STRANGER)),
        "of a signature",
    ),
    Forgery(
        "an event for a signature that moves to another petition",
        SIGN,
        withdraw,
        sets("signatures", petition=2),
        "of a signature",
    ),
    Forgery(
        "an event for no signature",
        SIGN,
        withdraw,
        both(sets("events", signature=some_id("nobody")), sets("signatures", signature=some_id("nobody"))),
        "of a signature",
    ),
    Forgery(
        "a signature recorded twice",
        SIGN,
        new,
        both(
            sets("events", signature=STANDING),
            sets("signatures", signature=STANDING),
            sets("signers", signature=STANDING),
        ),
        "of a signature",
    ),
    Forgery(
        "a confirmation of what is confirmed",
        SIGN,
        withdraw,
        both(without_delta, retyped("signature.confirmed.v1"), sets("signatures", withdrawn=False)),
        "of a signature",
    ),
    Forgery(
        "a withdrawal of what is withdrawn",
        SIGN,
        confirm,
        both(
            without_delta,
            retyped("signature.withdrawn.v1", signature=WITHDRAWN),
            sets("signatures", signature=WITHDRAWN, withdrawn=True, position=10),
        ),
        "of a signature",
    ),
    Forgery("confirmed without saying so", SIGN, confirm, sets("signatures", confirmed=False), "of a signature"),
    Forgery("withdrawn without saying so", SIGN, withdraw, sets("signatures", withdrawn=False), "of a signature"),
    Forgery("erased without saying so", SIGN, withdraw, sets("signatures", erased=True), "of a signature"),
    Forgery("recorded elsewhere", SIGN, new, moves("signatures", "position", -1), "of a signature"),
    Forgery("held without saying so", SIGN, confirm, sets("signatures", holds=[some_id("k9")]), "of a signature"),
    Forgery("held by another correction", ADMIN, hold, sets("signatures", holds=[some_id("k9")]), "of a signature"),
    Forgery("the wrong hold lifted", ADMIN, lift, sets("events", 1, hold=some_id("k9")), "of a signature"),
    Forgery(
        "a hold put twice",
        ADMIN,
        lift,
        both(
            sets("events", 1, type="signature.invalidated.v1", delta=0, count_after=1),
            sets("events", 2, count_after=1),
            sets("petitions", count=1),
            leaf(1, type="signature.invalidated.v1"),
        ),
        "of a signature",
    ),
    # signers
    Forgery("a new signature without a signer", SIGN, new, drops("signers"), "has a signer"),
    Forgery(
        "a signer without a new signature",
        SIGN,
        withdraw,
        adds("signers", {"petition": 1, "token": b"t" * 16, "signer_ref": b"r" * 16, "signature": STANDING}),
        "has a signer",
    ),
    Forgery("a second standing signature", SIGN, new, the_token_of("standing"), "at most one standing"),
    Forgery("a second signature beside one that waits", SIGN, new, the_token_of("pending"), "at most one standing"),
    Forgery("a second signature beside one that is held", SIGN, new, the_token_of("held"), "at most one standing"),
    Forgery(
        "a signer with another reference", SIGN, again, sets("signers", signer_ref=b"r" * 16), "at most one standing"
    ),
    Forgery(
        "two signatures of one signer at once",
        SIGN,
        two,
        lambda p: p.row("signers", 1).update(token=p.row("signers")["token"]),
        "affect row a second time",
    ),
    Forgery("a signer in another petition", SIGN, new, sets("signers", petition=2), "has a signer"),
    # published counts
    Forgery("a number that was not the count", ADMIN, (served(2, 13),), says_served(3, 13), PUBLISHED),
    Forgery("the count of another position", ADMIN, (served(2, 13),), says_served(2, 9), PUBLISHED),
    Forgery("the count of a position before the petition", ADMIN, (served(2, 13),), says_served(0, 0), PUBLISHED),
    Forgery("a number that is not there yet", ADMIN, (served(1, 23),), says_served(1, 24), PUBLISHED),
    Forgery("a number published by an admin", ADMIN, (served(2, 13),), leaf(actor="admin:7f3a21"), PUBLISHED),
    Forgery("no number", ADMIN, (served(2, 13),), leaf(data={"count": 2}), PUBLISHED),
    Forgery("a first number of none", ADMIN, (served(2, 13),), says_served(0, 1), PUBLISHED),
    Forgery("the last number again", ADMIN, (served(2, 13), served(1, 23, 24)), says_served(2, 14, nth=1), PUBLISHED),
    Forgery("an older number", ADMIN, (served(1, 9), served(2, 13, 24)), says_served(0, 8, nth=1), PUBLISHED),
    # erasures
    Forgery(
        "kept while withdrawals are taken",
        PRIVACY,
        erase,
        leaf(1, data={"signature": str(STANDING), "mode": "kept"}),
        AS_IT_HAS_TO_BE,
    ),
    Forgery(
        "withdrawn where none are taken",
        PRIVACY,
        erase_kept,
        leaf(data={"signature": str(WAITING), "mode": "withdrawn"}),
        AS_IT_HAS_TO_BE,
    ),
    Forgery("a privacy role that withdraws", PRIVACY, withdraw, honest, AS_IT_HAS_TO_BE),
    Forgery("a privacy role that closes", PRIVACY, (by_admin(accepting("closed")),), honest, AS_IT_HAS_TO_BE),
    Forgery("a signature that knows no former", SIGN, again, sets("signatures", previous=None), "knows the one before"),
    Forgery("another's former signature", SIGN, new, sets("signatures", previous=WITHDRAWN), "of the same signer"),
    # vault and corrections
    Forgery("an identity over another's", SIGN, new, sets("identities", signature=STANDING), "identities_pkey"),
    Forgery("a correction that has ended", ADMIN, hold, an_ended_correction, "has ended"),
    Forgery(
        "a member that is settled",
        ADMIN,
        hold,
        lambda p: p.row("members").update(correction=some_id("k1")),
        "settled once",
    ),
    Forgery(
        "a row that was imported",
        ADMIN,
        (imported(recording("new", imported=True), "a row"),),
        sets("import_keys", key=row("held")[1]),
        "import_keys_pkey",
    ),
]
