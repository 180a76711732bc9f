"""The commands: what may be asked of the ledger, and the outcomes that an asking can have.

A command is an imperative intent that may be refused. Everything random or secret in it (ids, nonces, tokens) was
made before it got here, so that deciding is pure. Commands are plain frozen dataclasses, not models: they are made by
our own code from input that was already judged, and the bulk path makes 30,000 of them a second.

Outcomes are three: `Accepted` (recorded, now or earlier), `Refused`, `Unknown`. A command must never carry who acts:
that is the submission's `actor`, from the credential.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from schemas.events import (
    Acceptance,
    Channel,
    Claim,
    CorrectionKind,
    PetitionOpened,
    PetitionRevised,
    Reason,
    SignerKind,
    Status,
)
from schemas.problems import Problem
from schemas.sealed import SealedIdentity


@dataclass(frozen=True, slots=True)
class OpenPetition:
    """Begin a petition. `at` is its effective time; None: when it is recorded. `text`, whose SHA-256 the event states,
    is kept beside the log."""

    petition: str
    opened: PetitionOpened
    at: datetime | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class RevisePetition:
    """Change what a petition says of itself. `expected` is the number of declarations that the asker has seen; `text`
    as in OpenPetition."""

    petition: str
    revised: PetitionRevised
    expected: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class PostUpdate:
    """Tell the signers something. `at_known` is False where the source is undated."""

    petition: str
    headline: str
    reference: str | None = None
    effective_on: date | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChangeAcceptance:
    """Take signatures, or cease to."""

    petition: str
    acceptance: Acceptance
    at: datetime | None = None
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class DeclareStatus:
    """Declare an outcome."""

    petition: str
    status: Status
    reported_count: int | None = None
    reference: str | None = None
    effective_on: date | None = None
    at: datetime | None = None
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class ObserveCount:
    """Record what an outside source showed; with `status`, also that it declared this outcome then."""

    petition: str
    count: int
    claim: Claim
    at: datetime | None
    reference: str | None = None
    status: Status | None = None
    effective_on: date | None = None


@dataclass(frozen=True, slots=True)
class PublishCount:
    """State a number that this ledger itself served: `count`, true as of this position. `after` is where the last such
    statement stands that the asker has seen, 0 for none: once there is another, nothing is left to state."""

    petition: str
    count: int
    as_of: int
    after: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a signature came from: for the vault alone, where it expires. `ip` is an address in the one form of its
    kind; `email_domain` in that of the petition's policy; `name_token` a keyed hash of the signer's name, 16 bytes. At
    least one of them is there."""

    ip: str | None
    user_agent: str | None
    email_domain: str | None = None
    name_token: bytes | None = None


@dataclass(frozen=True, slots=True)
class RecordSignature:
    """Sign. The identity is sealed, for the vault alone; the log gets `pii_commit`.

    `imported` says whether it is judged by its effective time (`at`) or by when it is recorded. `at` is None where a
    live site names no time, and where the source of an import is undated. `alias` is the token of the reference by
    which a file names the signer, where `token` is made of something else: either means her. `comment` and `evidence`
    are for the vault alone too, and are kept only where this very signature is recorded.
    """

    petition: str
    signature: UUID
    token: bytes
    signer_ref: bytes
    identity: SealedIdentity
    pii_commit: bytes
    confirmed: bool | None
    channel: Channel
    kind: SignerKind
    imported: bool
    at: datetime | None = None
    alias: bytes | None = None
    name: str | None = None
    reference: str | None = None
    country: str | None = None
    region: str | None = None
    answers: dict[str, str] | None = None
    text_version: int | None = None
    comment: str | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class ConfirmSignature:
    """Confirm. The signature is named by its id, or by its signer where a file names signers: by `token` and `alias`,
    as in RecordSignature."""

    petition: str
    signature: UUID | None
    token: bytes | None
    imported: bool
    at: datetime | None = None
    alias: bytes | None = None


@dataclass(frozen=True, slots=True)
class WithdrawSignature:
    """Withdraw. Named as in ConfirmSignature."""

    petition: str
    signature: UUID | None
    token: bytes | None
    imported: bool
    at: datetime | None = None
    alias: bytes | None = None


@dataclass(frozen=True, slots=True)
class EraseSigner:
    """Erase a signer: all her signatures in the petition. She is named by one of them, or by her token."""

    petition: str
    signature: UUID | None
    token: bytes | None = None


@dataclass(frozen=True, slots=True)
class AmendSignature:
    """Rectify who signed. The new identity is sealed, for the vault alone; the log gets `pii_commit`. `token` and
    `evidence` are those of the new identity, as in RecordSignature; of the old one nothing is kept."""

    petition: str
    signature: UUID
    token: bytes
    identity: SealedIdentity
    pii_commit: bytes
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class CorrectImported:
    """One correction that a file states: these signers' signatures are invalidated, or reinstated, for one reason at
    one time. `rows` are (signer token, import key) pairs; rows that were imported before fall out of it. `aliases` are
    those of RecordSignature, one for each row, or empty where no row has one.
    """

    petition: str
    correction: UUID
    kind: str
    reason: Reason
    rows: tuple[tuple[bytes, bytes], ...]
    at: datetime | None = None
    aliases: tuple[bytes | None, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenCorrection:
    """Hold, or reinstate, exactly these signatures, in this order; none occurs twice.

    `digest` is theirs (`ledger.correction.digest`), `expected` that of the preview that the asker has seen, if any.
    `conditions` are the kinds of condition by which they were found; `searched` what these searched for, in JSON, for
    the vault alone. `rule` is public, in words; the event says its SHA-256. `lifts` and `reverses` name corrections.
    `told` is what the asker is told beside the ledger's own answer.
    """

    petition: str
    correction: UUID
    kind: CorrectionKind
    reason: Reason
    rule: str
    signatures: tuple[UUID, ...]
    digest: str
    conditions: tuple[str, ...]
    searched: str | None = None
    expected: str | None = None
    lifts: UUID | None = None
    reverses: UUID | None = None
    told: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ApproveCorrection:
    """A second principal approves the frozen set of this digest."""

    petition: str
    correction: UUID
    digest: str


@dataclass(frozen=True, slots=True)
class CancelCorrection:
    """Stop a correction where it is."""

    petition: str
    correction: UUID


@dataclass(frozen=True, slots=True)
class ContinueCorrection:
    """Apply the next chunk of an opened correction: at most so many members."""

    petition: str
    correction: UUID
    at_most: int = 1000


Command = (
    OpenPetition
    | RevisePetition
    | PostUpdate
    | ChangeAcceptance
    | DeclareStatus
    | ObserveCount
    | PublishCount
    | RecordSignature
    | ConfirmSignature
    | WithdrawSignature
    | EraseSigner
    | AmendSignature
    | CorrectImported
    | OpenCorrection
    | ApproveCorrection
    | CancelCorrection
    | ContinueCorrection
)


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """An idempotency key: one answer per credential, petition and key. `fingerprint` tells a repeat from another
    request.

    Key and fingerprint are keyed hashes of 16 bytes; what the client sent is not kept.
    """

    credential: str
    petition: str
    key: bytes
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Submission:
    """A command with who asks it, and by which key a repeat is known: a client's, or that of a file's row.

    Raises ValueError where who imports states what is live, or somebody else what is imported: by who acted alone it is
    judged afterwards which of the two it was.
    """

    command: Command
    actor: str
    answer_key: AnswerKey | None = None
    import_key: bytes | None = None

    def __post_init__(self) -> None:
        imported = getattr(self.command, "imported", None)
        if imported is not None and imported != self.actor.startswith("import:"):
            raise ValueError("a signature is imported by whoever imports, and by nobody else")


@dataclass(frozen=True, slots=True)
class Accepted:
    """It is recorded. `answer` is what the asker is told (JSON values); `repeated` where it was so before this asking.

    `already_there` says that the row of a file was imported before.
    """

    answer: dict[str, Any]
    repeated: bool = False
    already_there: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """It is not recorded, and why: a problem type, a short slug for reports, a sentence. None of them echoes input."""

    problem: Problem
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Whether it is recorded could not be learned in time. The same key later gives the answer."""


Outcome = Accepted | Refused | Unknown
