"""The bodies of requests: what sites and admins may say, as strict models. What is not said here is refused.

Everything is judged by its form alone: whether an address is one, and whether the petition takes what is asked, is
decided later. How texts are judged stands in `schemas.texts`.

This module must never repeat in a refusal what it refuses, and never repair a text: what is committed to is what was
sent.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator

from schemas.events import (
    Acceptance,
    Answers,
    Basis,
    Channel,
    Choices,
    Confirmation,
    CorrectionKind,
    Count,
    Country,
    Key,
    OrdinalFrom1,
    PublicField,
    Reason,
    Region,
    Sha256Hex,
    Status,
    Timezone,
    Url,
)
from schemas.ids import PETITION_ID_PATTERN, is_petition_id
from schemas.texts import (
    Address,
    Addressee,
    Comment,
    DomainText,
    EffectiveDay,
    EmailText,
    Headline,
    Identifier,
    LadderName,
    Moment,
    Named,
    Network,
    Rule,
    Rungs,
    Seen,
    Text,
    Title,
    UserAgent,
)

IDEMPOTENCY_KEY_PATTERN: Final = "[!-~]{1,255}"
"""1 to 255 printable ASCII characters, none of them a space."""


def _petition(id: str) -> str:
    if not is_petition_id(id):
        raise ValueError("is 1 to 100 of a-z, 0-9 and -, beginning with a letter or digit; `ledger` is reserved")
    return id


PetitionId = Annotated[
    str,
    AfterValidator(_petition),
    WithJsonSchema({"type": "string", "pattern": f"^{PETITION_ID_PATTERN}$", "not": {"const": "ledger"}}),
]
Question = Annotated[dict[Key, Choices], Field(min_length=1, max_length=20)]

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_OBJECT: Final[dict[str, Any]] = {"type": "object"}
_NONE: Final[dict[str, Any]] = {"type": "null"}


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    def said(self) -> dict[str, Any]:
        """What was asked, in JSON values of one form: what is absent and what is null are the same."""
        return self.model_dump(mode="json", exclude_none=True)


class Signer(_Request):
    """A person: by an e-mail address, or by a reference that the site knows them by."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["email"], "properties": {"email": _TEXT, "ref": _NONE}},
                {"required": ["ref"], "properties": {"ref": _TEXT, "email": _NONE, "name": _NONE, "postcode": _NONE}},
            ]
        }
    )

    email: EmailText | None = None
    name: Named | None = None
    postcode: Annotated[Seen, Field(min_length=1, max_length=32)] | None = None
    ref: Named | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.email is None) == (self.ref is None):
            raise ValueError("a signer has either an email or a ref")
        if self.ref is not None and (self.name is not None or self.postcode is not None):
            raise ValueError("a name and a postcode stand beside an email")
        return self


class AmendedSigner(_Request):
    """A person, by an address, as it should have been from the beginning."""

    email: EmailText
    name: Named | None = None
    postcode: Annotated[Seen, Field(min_length=1, max_length=32)] | None = None


class SigningOrganisation(_Request):
    """An organisation. Its name and its reference (the resolution by which it signs) are public, in the log."""

    name: Named
    reference: Named | None = None


class Area(_Request):
    """Where the signer says to be: ISO 3166-1 alpha-2, and a region's code."""

    country: Country
    region: Region | None = None


class SignerEvidence(_Request):
    """Where the signature came from, as the site saw it. Kept apart, and for a time."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["ip"], "properties": {"ip": _TEXT}},
                {"required": ["user_agent"], "properties": {"user_agent": _TEXT}},
            ]
        }
    )

    ip: Address | None = None
    user_agent: UserAgent | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.ip is None and self.user_agent is None:
            raise ValueError("evidence has an ip, a user_agent, or both")
        return self


_EITHER: Final[list[Any]] = [
    {"required": ["signer"], "properties": {"signer": _OBJECT, "organisation": _NONE}},
    {"required": ["organisation"], "properties": {"organisation": _OBJECT, "signer": _NONE}},
]
_SIGNATURES: Final[list[Any]] = [
    {
        "signer": {"email": "jane@example.org", "name": "Jane Doe", "postcode": "N1 1AA"},
        "area": {"country": "GB"},
    },
    {"organisation": {"name": "Trades Council", "reference": "Resolution 9"}, "channel": "paper"},
]


class SignatureRequest(_Request):
    """`POST /petitions/{id}/signatures`: who signs, and what the site knows of it."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _EITHER, "examples": _SIGNATURES})

    signer: Signer | None = None
    organisation: SigningOrganisation | None = None
    confirmed: bool | None = None
    area: Area | None = None
    signed_at: Moment | None = None
    channel: Literal["site", "paper"] = "site"
    text_version: OrdinalFrom1 | None = None
    answers: Answers | None = None
    comment: Comment | None = None
    evidence: SignerEvidence | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.signer is None) == (self.organisation is None):
            raise ValueError("either a signer or an organisation signs")
        return self


class BatchLineRequest(SignatureRequest):
    """A line of `POST /petitions/{id}/signatures/batch`: a signature with an idempotency key of its own."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": _EITHER,
            "examples": [{"idempotency_key": f"sheet-7-{line}", **each} for line, each in enumerate(_SIGNATURES, 1)],
        }
    )

    idempotency_key: Annotated[str, StringConstraints(pattern=f"^{IDEMPOTENCY_KEY_PATTERN}$")]

    def alone(self) -> SignatureRequest:
        """The same signature as a request of its own, which so is known again however it was sent."""
        return SignatureRequest.model_construct(**{name: getattr(self, name) for name in SignatureRequest.model_fields})


class PetitionRequest(_Request):
    """`POST /petitions`: a petition to open. Only the id must be said."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [  # answers are those to questions
                {"required": ["questions"], "properties": {"questions": _OBJECT}},
                {"properties": {"public_fields": {"items": {"enum": ["country", "region"]}}}},
            ],
            "examples": [
                {
                    "id": "save-the-harbour",
                    "title": "Save the harbour",
                    "addressee": "The harbour board",
                    "text": "We ask the board to keep the harbour open.",
                    "confirmation": "required",
                    "closes_at": "2099-12-31T23:59:59Z",
                }
            ],
        }
    )

    id: PetitionId
    title: Title | None = None
    addressee: Addressee = ""
    text: Text | None = None
    basis: Basis = "itemised"
    goals: LadderName | Rungs = "38degrees"
    milestones: LadderName | Rungs = "38degrees"
    confirmation: Confirmation = "none"
    public_fields: Annotated[tuple[PublicField, ...], Field(max_length=3)] = ("country",)
    timezone: Timezone = "Europe/London"
    opens_at: Moment | None = None
    closes_at: Moment | None = None
    questions: Question | None = None


class RevisionRequest(_Request):
    """`POST /petitions/{id}/revisions`: what the petition says differently of itself. Only what is named changes."""

    model_config = ConfigDict(
        json_schema_extra=lambda schema: schema.update(
            anyOf=[{"required": [name], "properties": {name: {"not": _NONE}}} for name in schema.get("properties", {})],
            examples=[{"title": "Save the whole harbour"}],
        )
    )

    title: Title | None = None
    addressee: Addressee | None = None
    text: Text | None = None
    goals: LadderName | Rungs | None = None
    milestones: LadderName | Rungs | None = None
    timezone: Timezone | None = None
    opens_at: Moment | None = None
    closes_at: Moment | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if all(getattr(self, name) is None for name in RevisionRequest.model_fields):
            raise ValueError("a revision changes something")
        return self


class StatusRequest(_Request):
    """`POST /petitions/{id}/status`: an outcome is declared."""

    status: Status
    reported_count: Count | None = None
    reference: Url | None = None
    effective_on: EffectiveDay | None = None


class AcceptanceRequest(_Request):
    """`POST /petitions/{id}/acceptance`: whether it takes signatures."""

    acceptance: Acceptance


class UpdateRequest(_Request):
    """`POST /petitions/{id}/updates`: something is told to the signers."""

    headline: Headline
    reference: Url | None = None
    effective_on: EffectiveDay | None = None


Window = Annotated[tuple[Moment, Moment], Field(description="From and to, both inclusive.")]


class Where(_Request):
    """By what signatures are found: what fits all of these. At least one is said."""

    model_config = ConfigDict(
        json_schema_extra=lambda schema: schema.update(
            anyOf=[{"required": [name], "properties": {name: {"not": _NONE}}} for name in schema.get("properties", {})]
        )
    )

    network: Network | None = None
    email_domain: DomainText | None = None
    recorded_between: Window | None = None
    confirmed_between: Window | None = None
    area: Area | None = None
    channel: Channel | None = None
    name_equals: Named | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if all(getattr(self, name) is None for name in Where.model_fields):
            raise ValueError("has at least one condition")
        if any(each is not None and each[0] > each[1] for each in (self.recorded_between, self.confirmed_between)):
            raise ValueError("a window ends after it begins")
        return self


MOST_LISTED: Final = 20_000
"""Signatures that a request may list one by one: a megabyte of ids."""
MOST_OPENINGS: Final = 100
"""Signatures of which the openings may be asked for at once."""

_CHOSEN: Final[list[Any]] = [
    {"required": ["where"], "properties": {"where": _OBJECT, "signatures": _NONE}},
    {"required": ["signatures"], "properties": {"signatures": {"type": "array"}, "where": _NONE}},
]
_LIFTING: Final[dict[str, Any]] = {
    "anyOf": [
        {"properties": {"lifts": _NONE}},
        {"required": ["kind"], "properties": {"kind": {"const": "reinstate"}}},
    ]
}
_CORRECTIONS: Final[list[Any]] = [
    {
        "kind": "invalidate",
        "reason": "bot",
        "rule": "Signatures from one hosting network, recorded within one night.",
        "where": {"network": "192.0.2.0/24"},
    },
    {
        "kind": "reinstate",
        "reason": "mistake",
        "rule": "These signers wrote to us.",
        "signatures": ["01890a5d-ac96-774b-bcce-b302099a8057"],
    },
]


class PreviewRequest(_Request):
    """`POST /petitions/{id}/corrections/preview`: what would be corrected, and by which public rule."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _CHOSEN, "allOf": [_LIFTING], "examples": _CORRECTIONS})

    kind: CorrectionKind = "invalidate"
    reason: Reason
    rule: Rule
    where: Where | None = None
    signatures: (
        Annotated[
            tuple[Identifier, ...],
            Field(min_length=1, max_length=MOST_LISTED, json_schema_extra={"uniqueItems": True}),
        ]
        | None
    ) = None
    lifts: Identifier | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.where is None) == (self.signatures is None):
            raise ValueError("a correction is over what is found, or over what is listed")
        if self.lifts is not None and self.kind != "reinstate":
            raise ValueError("only a correction that reinstates lifts")
        if self.signatures is not None and len(set(self.signatures)) < len(self.signatures):
            raise ValueError("a list names each signature once")
        return self


class CorrectionRequest(PreviewRequest):
    """`POST /petitions/{id}/corrections`: the same, with the digest of the preview that was seen, if one was."""

    digest: Sha256Hex | None = None


class ApprovalRequest(_Request):
    """`POST /petitions/{id}/corrections/{cid}/approval`: exactly the set of this digest is approved."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"digest": "0" * 64}]})

    digest: Sha256Hex


class ReversalRequest(_Request):
    """`POST /petitions/{id}/corrections/{cid}/reversal`: why what was applied is undone."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "mistake", "rule": "The network was that of a university."}]}
    )

    reason: Reason
    rule: Rule


class CommentRequest(_Request):
    """`POST /petitions/{id}/signatures/{sid}/comment`: whether the signature's comment is published."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"released": True}]})

    released: bool


class SubjectRequest(_Request):
    """`POST /subjects`: of whom everything that is held is asked for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"email": "jane@example.org"}]})

    email: EmailText


class ErasureRequest(_Request):
    """`POST /erasures`: whose signatures in a petition end: of whom this one is, or who signed by this address."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["signature"], "properties": {"signature": _TEXT, "email": _NONE}},
                {"required": ["email"], "properties": {"email": _TEXT, "signature": _NONE}},
            ],
            "examples": [
                {"petition": "save-the-harbour", "signature": "01890a5d-ac96-774b-bcce-b302099a8057"},
                {"petition": "save-the-harbour", "email": "jane@example.org"},
            ],
        }
    )

    petition: PetitionId
    signature: Identifier | None = None
    email: EmailText | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.signature is None) == (self.email is None):
            raise ValueError("a signer is named by a signature or by an email")
        return self


class AmendmentRequest(_Request):
    """`POST /petitions/{id}/signatures/{sid}/amendment`: who it was that signed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"signer": _SIGNATURES[0]["signer"]}]})

    signer: AmendedSigner


class OpeningsRequest(_Request):
    """`POST /openings`: of which signatures of a petition the openings are asked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"petition": "save-the-harbour", "signatures": ["01890a5d-ac96-774b-bcce-b302099a8057"]},
            ]
        }
    )

    petition: PetitionId
    signatures: Annotated[
        tuple[Identifier, ...],
        Field(min_length=1, max_length=MOST_OPENINGS, json_schema_extra={"uniqueItems": True}),
    ]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.signatures)) < len(self.signatures):
            raise ValueError("a list names each signature once")
        return self
