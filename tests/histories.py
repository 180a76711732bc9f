"""Random histories: what a ledger may hold after any run of commands, made by the real `decide` and `evolve`, in
memory.

`histories()` gives a `History`: the rows of `ledger.events`, leaves among them, of petitions of both bases with low
ladders, so that rungs are crossed, fall and are crossed again; with corrections that overlap on one signature,
undated rows, rows out of time order, consultations, and ladders that are revised on the way. Refused commands leave
no trace, as ever.

What commands make only together with a database (approvals, cancellations, lifting one hold of several) is evolved from
drafts, so that the folds meet every type of the catalogue.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

import asyncpg
import orjson
from hypothesis import strategies as st

from ledger.batch import Batch
from ledger.correction import freeze
from ledger.drafts import Draft, draft
from ledger.state import NEVER_PUBLISHED, Known
from schemas.commands import (
    AmendSignature,
    ChangeAcceptance,
    Command,
    ConfirmSignature,
    ContinueCorrection,
    CorrectImported,
    DeclareStatus,
    EraseSigner,
    ObserveCount,
    OpenPetition,
    PostUpdate,
    PublishCount,
    RecordSignature,
    RevisePetition,
    Submission,
    WithdrawSignature,
)
from schemas.events import (
    Acceptance,
    Channel,
    Claim,
    CorrectionApproved,
    CorrectionCancelled,
    IdentityPolicy,
    PetitionOpened,
    PetitionRevised,
    PublicField,
    Reason,
    SignerKind,
    Status,
)
from tests.vaults import SEALED

SOURCE = "petitions.example/ledger"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
LADDERS: tuple[tuple[int, ...], ...] = ((1, 2, 3, 5), (2, 4), (), (1, 3, 4, 7))
SIGNERS = 9
_TELLING = {"milestones", "count", "claim", "at_known", "confirmed", "country", "region", "answers", "status", "lifts"}


def fixed_bytes(name: str, size: int) -> bytes:
    """Bytes that look random and are the same in every run."""
    return sha256(name.encode()).digest()[:size]


def fixed_uuid(name: str) -> UUID:
    """An id that looks random and is the same in every run."""
    return UUID(bytes=fixed_bytes(name, 16))


@dataclass(repr=False)
class History:
    """A log in memory: rows of `ledger.events` in order of position."""

    known: Known = field(default_factory=Known)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    recorded: datetime = BEGINNING

    def __repr__(self) -> str:
        """As a failing example is best read: an event a line, without what is random in it."""
        return "\n".join(
            f"{row[0]} {row[3]} {row[4]:%y-%m-%d %H:%M:%S} {row[6]:+} = {row[7]} "
            + orjson.dumps(
                {name: told for name, told in orjson.loads(row[15])["data"].items() if name in _TELLING}
            ).decode()
            for row in self.events
        )

    @property
    def leaves(self) -> list[bytes]:
        return [row[15] for row in self.events]

    @property
    def size(self) -> int:
        return len(self.events)

    def batch(self, seconds: int = 1) -> Batch:
        """A batch of a transaction that begins so much later. `take` it when it is done."""
        self.recorded += timedelta(seconds=seconds)
        return Batch(self.known, self.size, self.recorded, SOURCE)

    def take(self, batch: Batch) -> None:
        self.events += batch.events

    def settle(self, *commands: Command, actor: str = "import:4711", seconds: int = 1) -> None:
        """One batch of these commands; what is refused is left out."""
        batch = self.batch(seconds)
        for command in commands:
            batch.settle(Submission(command, actor))
        self.take(batch)

    def erase(self, petition: str, signature: UUID) -> None:
        """Erase a signer, and destroy what she is known by."""
        self.settle(EraseSigner(petition, signature), actor="privacy:0d15ea")
        erased = {state.signature for state in self.known.signatures.values() if state.erased}
        for place in [place for place, signer in self.known.signers.items() if signer.signature in erased]:
            del self.known.signers[place]

    def count_at(self, petition: str, position: int) -> int | None:
        """What the count of a petition was at a position; None before the petition, and beyond the last event."""
        number = self.known.petitions[petition].petition
        counts = [row[7] for row in self.events[:position] if row[1] == number]
        return counts[-1] if counts and position <= self.size else None

    def publish(self, petition: str, as_of: int, **said: int) -> None:
        """State the count as of a position, as the service does, unless the test says otherwise: `count`, `after`."""
        count = self.count_at(petition, as_of)
        self.known.counts = {} if count is None else {(petition, as_of): count}
        after = self.known.published.get(petition, NEVER_PUBLISHED).position
        self.settle(
            PublishCount(petition, said.get("count", count or 0), as_of, said.get("after", after)), actor="system"
        )

    def evolve(self, petition: str, *drafts: Draft, actor: str = "admin:7f3a21") -> None:
        """One batch of facts that no command makes yet."""
        batch = self.batch()
        for each in drafts:
            batch._evolve(self.known.petitions[petition], each, actor)
        self.take(batch)

    def begin(self, petition: str, kind: str, signatures: Sequence[UUID], name: str, lifts: UUID | None = None) -> UUID:
        """Open a correction over a set without applying it: `ContinueCorrection` does, whenever it is settled."""
        correction = fixed_uuid(name)
        frozen = freeze(
            petition=self.known.petitions[petition].petition,
            correction=correction,
            kind=kind,
            reason="mistake",
            actor="admin:7f3a21",
            signatures=signatures,
            conditions=("area",),
            approval="required",
            at=None,
            now=self.recorded,
            lifts=lifts,
        )
        approved = CorrectionApproved(correction=correction, digest=frozen.opened.data["digest"])
        self.evolve(petition, frozen.opened)
        frozen.correction.opened = self.recorded
        self.evolve(petition, draft(approved), actor="admin:b2c901")
        frozen.correction.state, frozen.correction.approver = "running", "admin:b2c901"
        self.known.corrections[correction] = frozen.correction
        self.known.members[correction] = frozen.members()
        return correction


def opening(petition: str, **given: Any) -> OpenPetition:
    """The command that opens a petition, with what the test says of it."""
    said: dict[str, Any] = {
        "title": f"Title of {petition}",
        "addressee": "The Council",
        "basis": "itemised",
        "goals": (5, 10),
        "milestones": (1, 2, 3, 5),
        "confirmation": "none",
        "timezone": "Europe/London",
        "identity_policy": IdentityPolicy(name="exact", version=1),
        "public_fields": ("country",),
        "provenance": "synthetic",
    }
    at = given.pop("at", None)
    return OpenPetition(petition, PetitionOpened(**{**said, **given}), at)


def signing(petition: str, signer: str, **given: Any) -> RecordSignature:
    """The command by which a signer signs, with what the test says of it; `nth` tells her signatures apart."""
    nth = given.pop("nth", 0)
    said: dict[str, Any] = {"confirmed": True, "channel": "site", "kind": "person", "imported": True}
    name = f"{petition}/{signer}"
    return RecordSignature(
        petition=petition,
        signature=fixed_uuid(f"{name}/{nth}"),
        token=token_of(petition, signer),
        signer_ref=fixed_bytes(f"ref {name}/{nth}", 16),
        identity=SEALED,
        pii_commit=fixed_bytes(f"commit {name}/{nth}", 32),
        **{**said, **given},
    )


def token_of(petition: str, signer: str) -> bytes:
    """The token that stands for a signer in a petition."""
    return fixed_bytes(f"token {petition}/{signer}", 16)


def correcting(petition: str, kind: str, signers: Sequence[str], name: str, **given: Any) -> CorrectImported:
    """One correction over these signers' latest signatures."""
    reason = cast(Reason, given.pop("reason", "duplicate"))
    rows = tuple((token_of(petition, signer), fixed_bytes(f"row {name} {signer}", 16)) for signer in signers)
    return CorrectImported(petition, fixed_uuid(name), kind, reason, rows, given.pop("at", None))


# -- random ones -------------------------------------------------------------------------------------------------------

_SMALL = st.integers(0, 7)
_WHEN = st.one_of(st.none(), st.none(), st.integers(0, 50), st.integers(-30, 50))
_MOVE = st.tuples(
    st.sampled_from(
        ["sign"] * 9
        + ["withdraw"] * 4
        + ["confirm", "confirm", "invalidate", "invalidate", "invalidate", "reinstate", "reinstate"]
        + ["observe"] * 5
        + ["lift", "revise", "update", "accept", "status", "status", "observe status"]
        + ["published"] * 3
        + ["amend", "erase"]
        + ["open", "interrupted"]
    ),
    st.sampled_from([0, 0, 0, 1, 2]),  # which petition
    _SMALL,
    _SMALL,
    _WHEN,
    st.booleans(),  # whether another transaction begins here
)


@st.composite
def histories(draw: st.DrawFn, max_moves: int = 80) -> History:
    """A random history. It has at least one petition."""
    bases = draw(
        st.sampled_from([["itemised"], ["itemised", "observed"], ["observed"], ["itemised", "observed", "itemised"]])
    )
    history = History()
    maker = _Maker(history, bases)
    for which in range(len(bases) if draw(st.booleans()) else 1):
        maker.open(which, draw(_SMALL))
    least = draw(st.sampled_from([0, max_moves // 4, max_moves // 2]))  # left alone, lists come out short
    for number, (move, petition, a, b, when, anew) in enumerate(
        draw(st.lists(_MOVE, min_size=least, max_size=max_moves))
    ):
        at = None if when is None else BEGINNING + timedelta(days=min(when, 0), seconds=max(when, 0))
        maker.move(number, move, petition % len(bases), a, b, at, anew)
    return history


class _Maker:
    """Turns drawn moves into commands."""

    def __init__(self, history: History, bases: list[str]) -> None:
        self.history = history
        self.bases = bases

    def open(self, which: int, form: int) -> None:
        observed = self.bases[which] == "observed"
        fields: list[tuple[PublicField, ...]] = [("country",), (), ("country", "region"), ("region",)]
        public = fields[form % 4] + (("answers",) if form >= 4 and not observed else ())
        self.history.settle(
            opening(
                self.name(which),
                basis=self.bases[which],
                milestones=LADDERS[form % 3],
                confirmation="required" if form % 2 else "none",
                public_fields=public,
                questions={"ban": ("yes", "no"), "tax": ("no", "unknown")} if "answers" in public else None,
                closes_at=BEGINNING + timedelta(days=400) if form == 7 else None,
            )
        )

    @staticmethod
    def name(which: int) -> str:
        return ("first", "second-one", "a3")[which]

    def move(self, number: int, move: str, which: int, a: int, b: int, at: datetime | None, anew: bool) -> None:
        name, history = self.name(which), self.history
        if move == "open":
            self.open(which, a)
        elif name not in history.known.petitions:
            return
        elif self.bases[which] == "observed" and move in ("sign", "withdraw", "confirm"):
            self.observe(name, a, b, at, status=None)
        elif move in ("observe", "observe status"):
            self.observe(name, a, b, at, status="successful" if move == "observe status" else None)
        elif move == "published":
            # Now and then it would be a wrong number, or one that is there already: nothing is stated then.
            history.publish(name, max(history.size - b, 1), **({"count": a} if b == 7 else {}))
        elif move == "lift":
            self.lift(number, name, a, cancelled=b % 3 == 0)
        elif move in ("amend", "erase"):
            self.rectify(number, move, name, a)
        elif (command := self.command(number, move, name, a, b, at)) is not None:
            history.settle(command, seconds=int(anew))

    def observe(self, name: str, a: int, b: int, at: datetime | None, status: Status | None) -> None:
        claims: tuple[Claim, ...] = ("milestone", "page", "status")
        self.history.settle(ObserveCount(name, a, claims[b % 3], at, "https://example.org/" if b > 4 else None, status))

    def command(self, number: int, move: str, name: str, a: int, b: int, at: datetime | None) -> Command | None:
        signer = str(a % SIGNERS)
        match move:
            case "sign":
                channel: Channel = ("site", "paper", "import")[b % 3]
                kind: SignerKind = "organisation" if b == 7 else "person"
                questions = self.history.known.petitions[name].questions
                return signing(
                    name,
                    signer,
                    nth=number,
                    confirmed=(None, True, True, False)[b % 4],
                    channel=channel,
                    kind=kind,
                    name="Branch 7" if kind == "organisation" else None,
                    country=(None, "GB", "DE")[b % 3],
                    region=(None, "E14000530", "unknown", "W7")[(a + b) % 4],
                    answers=({}, {"ban": "yes"}, {"ban": "no", "tax": "unknown"})[b % 3] or None if questions else None,
                    at=at,
                )
            case "confirm":
                return ConfirmSignature(name, None, token_of(name, signer), True, at)
            case "withdraw":
                return WithdrawSignature(name, None, token_of(name, signer), True, at)
            case "invalidate" | "reinstate":
                signers = sorted({signer, str(b), str((a + b) % SIGNERS)})
                reason = ("bot", "duplicate", "mistake")[b % 3]
                return correcting(name, move, signers, f"{name}/correction {number}", at=at, reason=reason)
            case "revise":
                ladder = LADDERS[a % len(LADDERS)] if b % 2 else None
                title = None if b % 3 else f"Another title {a}"
                closes = BEGINNING + timedelta(days=500) if b == 5 else None
                return RevisePetition(
                    name, PetitionRevised(title=title, milestones=ladder, closes_at=closes, text_version=a + 1)
                )
            case "update":
                day = BEGINNING.date() if b % 2 else None
                return PostUpdate(name, f"We wrote to {a} ministers — again", None, day, at)
            case "accept":
                acceptance: Acceptance = ("open", "open", "open", "open", "open", "paused", "closed", "rejected")[a]
                return ChangeAcceptance(name, acceptance, at)
            case "status":
                status: Status = ("successful", "unsuccessful", "answered", "certified")[a % 4]
                return DeclareStatus(name, status, b if b % 2 else None, None, None, at)
            case "interrupted":
                running = [c for c in self.history.known.corrections.values() if c.state == "running"]
                return ContinueCorrection(name, running[-1].correction) if running else None
            case _:
                return None

    def rectify(self, number: int, move: str, name: str, a: int) -> None:
        """Amend or erase one of the petition's signatures, whatever became of it."""
        known = self.history.known
        mine = [state for state in known.signatures.values() if state.petition == known.petitions[name].petition]
        if not mine:
            return
        signature = mine[a % len(mine)].signature
        if move == "erase":
            self.history.erase(name, signature)
            return
        token, commit = token_of(name, f"amended {number}"), fixed_bytes(f"amended {number}", 32)
        self.history.settle(AmendSignature(name, signature, token, SEALED, commit), actor="admin:7f3a21")

    def lift(self, number: int, name: str, a: int, cancelled: bool) -> None:
        """Begin to lift one of the holds on a signature; a later move continues it, unless it is cancelled at once."""
        known = self.history.known
        held = [s for s in known.signatures.values() if s.petition == known.petitions[name].petition and s.holds]
        if held:
            state = held[a % len(held)]
            correction = self.history.begin(name, "reinstate", [state.signature], f"lifting {number}", state.holds[0])
            if cancelled:
                known.corrections[correction].state = "cancelled"
                self.history.evolve(name, draft(CorrectionCancelled(correction=correction, applied=0, skipped=0)))


async def store(connection: "asyncpg.Connection[Any]", history: History, after: int = 0) -> None:
    """Put the events above a position into `ledger.events`, as a superuser, and move the head."""
    rows = history.events[after:]
    if rows:
        await connection.copy_records_to_table("events", schema_name="ledger", records=rows)
        await connection.execute(
            "UPDATE ledger.head SET position = $1, recorded = $2, origin = $3", history.size, history.recorded, SOURCE
        )
