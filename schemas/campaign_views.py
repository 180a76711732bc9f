"""What campaign sites read beside the count: a petition in the form that readers of UK petition JSON know, the list of
them, its timeline, and the public notices of its corrections.

The bodies of the campaign reads of the public surface, as `schemas.views` has those of the audit. This module must
never compute, and never hold anything about a person; an organisation that signs is public by its own act.
"""

from typing import Literal

from pydantic import ConfigDict

from schemas.events import (
    Acceptance,
    Approval,
    Basis,
    CorrectionKind,
    Count,
    Id,
    Instant,
    Provenance,
    Reason,
    Sha256Hex,
    Status,
)
from schemas.views import View

State = Literal["open", "closed", "rejected"]


class CountryCount(View):
    """How many signed in a country; `code` is null where that is not known."""

    name: str
    code: str | None
    signature_count: Count


class ConstituencyCount(View):
    """How many signed in a region; `ons_code` is null where that is not known."""

    name: str
    ons_code: str | None
    signature_count: Count


class Organisation(View):
    """An organisation whose signature stands, and what it refers to, such as the resolution by which it signs."""

    name: str
    reference: str | None


class PetitionAttributes(View):
    """A petition. The breakdowns by country and by constituency each sum to `signature_count`.

    `background` is the petition's text, null where none was given. `state` says whether it takes signatures, where a
    paused petition shows `closed`, and `acceptance` says which. `answers` has a tally a question, null where there are
    none. `organisations` are the first thousand in order of signing, `organisation_count` is all of them.
    """

    action: str
    background: str | None
    addressee: str
    state: State
    acceptance: Acceptance
    status: Status | None
    basis: Basis
    provenance: Provenance
    signature_count: Count
    goal: Count | None
    remaining: Count | None
    created_at: Instant
    opened_at: Instant
    closed_at: Instant | None
    updated_at: Instant
    signatures_by_country: tuple[CountryCount, ...]
    signatures_by_constituency: tuple[ConstituencyCount, ...]
    answers: dict[str, dict[str, Count]] | None
    organisations: tuple[Organisation, ...]
    organisation_count: Count
    as_of_position: Count
    as_of: Instant


class PetitionData(View):
    """A petition as an object of its own, alone or in a list."""

    type: Literal["petition"]
    id: str
    attributes: PetitionAttributes


class SelfLink(View):
    """Where a document is, from the root of the service."""

    self: str


class PageLinks(View):
    """Where a page is and where the next one, null on the last."""

    self: str
    next: str | None


class PetitionView(View):
    """One petition."""

    links: SelfLink
    data: PetitionData


class PetitionsView(View):
    """A page of petitions, newest first."""

    links: PageLinks
    data: tuple[PetitionData, ...]


class TimelineEntry(View):
    """An entry of a timeline; each kind has members of its own beside these. `at` is null where it is not known."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    kind: str
    at: Instant | None
    recorded_at: Instant
    position: Count
    event: str
    count: Count
    text: str


class TimelineView(View):
    """A petition's timeline, newest first."""

    entries: tuple[TimelineEntry, ...]


class CorrectionNotice(View):
    """One correction, as the public may know it: what was decided and why, when, over how many, and what it did.

    `matched` were in the frozen set; `applied` were changed so far, `skipped` were no longer eligible, null while it
    runs; `net` is what it did to the count so far. `ended_at` is null while it runs. `rule` says in words by what the
    set was chosen; it is null where a file stated the correction.
    """

    correction: Id
    kind: CorrectionKind
    reason: Reason
    state: Literal["proposed", "running", "completed", "cancelled"]
    approval: Approval
    opened_at: Instant
    approved_at: Instant | None
    ended_at: Instant | None
    position: Count
    event: str
    matched: Count
    applied: Count
    skipped: Count | None
    net: int
    rule: str | None
    notice_sha256: Sha256Hex | None
    lifts: Id | None
    reverses: Id | None


class CorrectionsView(View):
    """A petition's corrections, newest first."""

    petition: str
    corrections: tuple[CorrectionNotice, ...]
