"""What the tests of the event store ask of it: submissions with ids and tokens that the same names give again."""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from schemas.commands import (
    AnswerKey,
    ChangeAcceptance,
    Command,
    ConfirmSignature,
    OpenPetition,
    RecordSignature,
    Submission,
    WithdrawSignature,
)
from schemas.events import Acceptance, IdentityPolicy, PetitionOpened
from tests.vaults import SEALED

SOURCE = "petitions.example/ledger"
PETITION = "keep-the-library"
SITE = "site:9c1e04"
ADMIN = "admin:7f3a21"
IMPORT = "import:4711"


def some_bytes(name: str, size: int) -> bytes:
    """Bytes that look random and are the same in every run."""
    return sha256(name.encode()).digest()[:size]


def some_id(name: str) -> UUID:
    """An id that looks random and is the same in every run."""
    return UUID(bytes=some_bytes(name, 16))


def some_instant(second: int) -> datetime:
    """An instant so many seconds into the history of a test."""
    return datetime.fromtimestamp(1_700_000_000 + second, UTC)


def opening(petition: str = PETITION, at: datetime | None = None, **said: Any) -> OpenPetition:
    """A petition to open, itemised and without confirmation unless the test says otherwise."""
    members: dict[str, Any] = {
        "title": "Keep the library",
        "addressee": "The Council",
        "basis": "itemised",
        "goals": (100,),
        "milestones": (10,),
        "confirmation": "none",
        "timezone": "Europe/London",
        "identity_policy": IdentityPolicy(name="strict", version=1),
        "provenance": "live",
        **said,
    }
    return OpenPetition(petition, PetitionOpened(**members), at)


def recording(signer: str, n: int = 1, petition: str = PETITION, **said: Any) -> RecordSignature:
    """The n-th signature of this signer; live unless the test says `imported`."""
    name = f"{petition}/{signer}/{n}"
    command = RecordSignature(
        petition=petition,
        signature=some_id(name),
        token=some_bytes(f"{petition}/{signer}", 16),
        signer_ref=some_bytes(f"ref/{name}", 16),
        identity=SEALED,
        pii_commit=some_bytes(f"commit/{name}", 32),
        confirmed=None,
        channel="site",
        kind="person",
        imported=False,
    )
    return replace(command, **said)


def confirming(signer: str, n: int = 1, petition: str = PETITION, at: datetime | None = None) -> ConfirmSignature:
    """A live confirmation of this signer's n-th signature."""
    return ConfirmSignature(petition, some_id(f"{petition}/{signer}/{n}"), None, False, at)


def withdrawing(signer: str, n: int = 1, petition: str = PETITION, at: datetime | None = None) -> WithdrawSignature:
    """A live withdrawal of this signer's n-th signature."""
    return WithdrawSignature(petition, some_id(f"{petition}/{signer}/{n}"), None, False, at)


def accepting(acceptance: Acceptance, petition: str = PETITION) -> ChangeAcceptance:
    """A change of what the petition takes."""
    return ChangeAcceptance(petition, acceptance)


def by_site(command: Command, key: str | None = None, fingerprint: str = "same") -> Submission:
    """Asked by a site, with an idempotency key or without."""
    if key is None:
        return Submission(command, SITE)
    answer_key = AnswerKey(SITE, command.petition, some_bytes(key, 16), some_bytes(fingerprint, 16))
    return Submission(command, SITE, answer_key)


def by_admin(command: Command) -> Submission:
    """Asked by an admin."""
    return Submission(command, ADMIN)


def by_system(command: Command) -> Submission:
    """Asked by the service itself."""
    return Submission(command, "system")


def imported(command: Command, row: str) -> Submission:
    """A row of a file."""
    return Submission(command, IMPORT, import_key=some_bytes(row, 16))
