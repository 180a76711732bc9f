"""What a `POST` is answered with: the documents that say what was recorded, and where.

Each carries a position, which a reader may send as `min_position` to see what was recorded. This module must never
hold an identity; `opening` travels to the signer's site once, and is stored nowhere.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.events import Approval, CorrectionKind, Count, ErasureMode, Id, Instant, OrdinalFrom1, Reason, Sha256Hex

SignatureStateName = Literal["pending", "standing", "withdrawn", "invalidated"]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Opening(_Answer):
    """Nonce and canonical identity, in base64: what shows that the leaf's commitment is to this identity."""

    nonce: str
    identity: str


class SignatureAnswer(_Answer):
    """A signature as it stands. `duplicate` where it was recorded before this was asked; `opening` only in the answer
    that recorded it."""

    signature: Id
    position: OrdinalFrom1
    version: OrdinalFrom1
    state: SignatureStateName
    receipt: str
    duplicate: Literal[True] | None = None
    opening: Opening | None = None


class Invalidity(_Answer):
    """One thing that is wrong with a line."""

    pointer: str
    message: str


class BatchLineAnswer(_Answer):
    """What became of one line of a batch: the members of the single answer, or those of a problem."""

    idempotency_key: str | None
    status: Annotated[int, Field(ge=200, le=599)]
    signature: Id | None = None
    position: OrdinalFrom1 | None = None
    version: OrdinalFrom1 | None = None
    state: SignatureStateName | None = None
    receipt: str | None = None
    duplicate: Literal[True] | None = None
    opening: Opening | None = None
    type: str | None = None
    title: str | None = None
    detail: str | None = None
    errors: tuple[Invalidity, ...] | None = None


class DeclaredAnswer(_Answer):
    """A petition was opened or declared upon. `duplicate` where it was so already."""

    petition: str
    position: OrdinalFrom1
    version: OrdinalFrom1
    duplicate: Literal[True] | None = None


class DeclarationView(_Answer):
    """One declaration: its place, its two times, and what it says."""

    position: OrdinalFrom1
    type: str
    at: Instant
    recorded_at: Instant
    data: dict[str, Any]


class DeclarationsView(_Answer):
    """All that a petition's admins declared, oldest first. Their number is the n of the ETag `"d<n>"`."""

    petition: str
    declarations: OrdinalFrom1
    text_version: OrdinalFrom1
    data: tuple[DeclarationView, ...]


CorrectionStateName = Literal["proposed", "running", "completed", "cancelled"]


class CountEffect(_Answer):
    """The count now, and as it would be."""

    before: Count
    after: Count


class PublishedEffect(_Answer):
    """A number that was published, and what it would be as corrected."""

    position: OrdinalFrom1
    count: Count
    as_corrected: Count


class CorrectionEffect(_Answer):
    """What a correction would change that people see. `milestones` are the rungs that the count would fall below, or
    reach again; `published` the latest 100 numbers that would be others as corrected, the newest first."""

    count: CountEffect
    milestones: tuple[OrdinalFrom1, ...]
    published: tuple[PublishedEffect, ...]


class SampledSignature(_Answer):
    """One of the signatures that matched: for whoever reviews them. No identity is in it."""

    signature: Id
    position: OrdinalFrom1
    recorded_at: Instant
    state: SignatureStateName


class CorrectionPreview(_Answer):
    """What a correction would be over, and what it would do. Nothing was recorded. `sample` are up to 20, spread evenly
    over the set."""

    matched: Count
    digest: Sha256Hex
    effect: CorrectionEffect
    sample: tuple[SampledSignature, ...]


class CorrectionMoved(_Answer):
    """A correction as it stands after what was asked, and where that is recorded."""

    correction: Id
    state: CorrectionStateName
    approval: Approval
    matched: Count
    applied: Count
    skipped: Count
    digest: Sha256Hex
    position: OrdinalFrom1
    version: OrdinalFrom1


class CorrectionOpenedAnswer(CorrectionMoved):
    """A correction was opened. `effect` and `sample` are those of a preview, as it was made then."""

    effect: CorrectionEffect
    sample: tuple[SampledSignature, ...]


class CorrectionShown(_Answer):
    """A correction as admins see it. `where` is what its conditions searched for, null once that has expired; a name
    that was searched for is never kept. `skipped_signatures` are the first 1,000 that were no longer eligible."""

    correction: Id
    kind: CorrectionKind
    reason: Reason
    rule: str | None
    state: CorrectionStateName
    approval: Approval
    proposed_by: str
    approved_by: str | None
    opened_at: Instant
    matched: Count
    applied: Count
    skipped: Count
    digest: Sha256Hex
    where: dict[str, Any] | None
    lifts: Id | None
    reverses: Id | None
    reversed_by: Id | None
    skipped_signatures: tuple[Id, ...] | None = None


class CorrectionsQueue(_Answer):
    """Corrections of a petition, newest first, at most 1,000."""

    petition: str
    corrections: tuple[CorrectionShown, ...]


SignalKind = Literal["network", "email-domain", "burst", "disposable-domain", "area", "stored-up-confirmations"]


class SignalShown(_Answer):
    """One thing to look at. `count` of `of` signatures (`share`), where about `expected` would be usual, from the first
    to the last of them. `reason`, `rule` and `where` are the body of a preview that finds `matched`: `count`, and what
    is held already."""

    kind: SignalKind
    sentence: str
    count: Count
    of: Count
    share: Annotated[float, Field(ge=0, le=1)]
    expected: Count
    window: tuple[Instant, Instant]
    reason: Reason
    rule: str
    where: dict[str, Any]
    matched: Count


class SignalsView(_Answer):
    """What in a petition is unlike itself, the greatest excess first, at most 20 of each kind. Nothing is done about
    it: a person looks, and corrects in the open."""

    petition: str
    signals: tuple[SignalShown, ...]


class CommentAnswer(_Answer):
    """What was decided of a comment. `comment` is what it says, for the admin who decides; null once it is gone."""

    signature: Id
    released: bool
    comment: str | None


class HeldEvidence(_Answer):
    """Where a signature came from, as far as it is still kept: since when, and what of it."""

    recorded_at: Instant
    ip: str | None
    user_agent: str | None
    email_domain: str | None


class HeldComment(_Answer):
    """Why somebody signed, and whether it is published."""

    text: str
    released: bool


class HeldSignature(_Answer):
    """A signature of a person, and all that is held with it. `identity` is what she said of herself, as it was said."""

    petition: str
    signature: Id
    position: OrdinalFrom1
    recorded_at: Instant
    state: SignatureStateName
    identity: dict[str, Any]
    evidence: HeldEvidence | None
    comment: HeldComment | None


class SubjectAnswer(_Answer):
    """What is held of a person, in every petition that the credential is for; by position."""

    signatures: tuple[HeldSignature, ...]


class ErasureAnswer(_Answer):
    """A signer was erased, now or before. `signatures` are all of hers in the petition, `position` and `version` those
    of the last event of the erasure; `mode` says whether the count lost her signature or keeps it."""

    petition: str
    mode: ErasureMode
    signatures: tuple[Id, ...]
    position: OrdinalFrom1
    version: OrdinalFrom1


class AmendmentAnswer(_Answer):
    """A signature as it stands, and where the log says that it was amended."""

    signature: Id
    position: OrdinalFrom1
    version: OrdinalFrom1
    state: SignatureStateName


class OpenedLeaf(_Answer):
    """The opening of one leaf: `nonce` and `identity` are what `openings/<index>.json` of an audit bundle holds."""

    signature: Id
    index: Count
    nonce: str
    identity: str


class OpeningsAnswer(_Answer):
    """The openings of the signatures that were named, by index; of those in `erased` there is none any more."""

    petition: str
    openings: tuple[OpenedLeaf, ...]
    erased: tuple[Id, ...]
