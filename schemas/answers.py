"""What a `POST` is answered with: the documents that say what was recorded, and where.

Each carries a position, which a reader may send as `min_position` to see what was recorded. This module must never
hold an identity; `opening` travels to the signer's site once, and is stored nowhere.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.events import Id, Instant, OrdinalFrom1

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
