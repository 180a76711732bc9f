"""Any fact of the catalogue, and any event around it: strategies that keep to the rules and otherwise to none."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from schemas.envelope import leaf_bytes
from schemas.events import (
    REASONS,
    AcceptanceChanged,
    CorrectionApproved,
    CorrectionCancelled,
    CorrectionCompleted,
    CorrectionOpened,
    CountObserved,
    CountPublished,
    Fact,
    IdentityPolicy,
    LogContinued,
    PetitionOpened,
    PetitionRevised,
    SignatureAmended,
    SignatureConfirmed,
    SignatureInvalidated,
    SignatureRecorded,
    SignatureReinstated,
    SignatureWithdrawn,
    SignerErased,
    StatusDeclared,
    UpdatePosted,
)
from schemas.ids import LARGEST_POSITION
from schemas.instants import format_instant

ids: st.SearchStrategy[UUID] = st.uuids()
refs = st.binary(min_size=16, max_size=16)
hashes = st.binary(min_size=32, max_size=32)
hexes = hashes.map(bytes.hex)
counts = st.integers(0, LARGEST_POSITION)
ordinals = st.integers(1, LARGEST_POSITION)
instants = st.integers(0, 100 * 365 * 86_400 * 10**6).map(
    lambda microseconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)
days = st.dates(date(2000, 1, 1), date(2100, 1, 1))
keys = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,39}", fullmatch=True)
urls = st.from_regex(r"https?://[!-~]{1,60}", fullmatch=True)
reasons: st.SearchStrategy[Any] = st.sampled_from(sorted(REASONS))
_NO_LINE = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029]))


def lines(least: int = 1, most: int = 200) -> st.SearchStrategy[str]:
    """One line of text in any script."""
    letters = st.characters(exclude_characters=_NO_LINE, exclude_categories=["Cs"])
    return st.text(letters, min_size=least, max_size=min(most, 40))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Set or not set."""
    return st.none() | strategy


ladders = st.lists(ordinals, unique=True, max_size=5).map(lambda rungs: tuple(sorted(rungs)))
choices = st.dictionaries(keys, st.lists(keys, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3)
undated: st.SearchStrategy[Any] = st.sampled_from([None, False])


@st.composite
def openings(draw: st.DrawFn) -> PetitionOpened:
    questions = draw(maybe(choices))
    fields: list[Any] = draw(st.lists(st.sampled_from(["country", "region"]), unique=True))
    if questions:
        fields.append("answers")
    opens, closes = sorted(draw(st.tuples(instants, instants).filter(lambda pair: pair[0] != pair[1])))
    return PetitionOpened(
        title=draw(lines()),
        addressee=draw(lines(0)),
        basis=draw(st.sampled_from(["itemised", "observed"])),
        goals=draw(ladders),
        milestones=draw(ladders),
        confirmation=draw(st.sampled_from(["none", "required"])),
        timezone=draw(st.sampled_from(["UTC", "Europe/London", "Etc/GMT+5"])),
        identity_policy=IdentityPolicy(name=draw(keys), version=draw(ordinals)),
        public_fields=tuple(fields),
        provenance=draw(st.sampled_from(["live", "observed", "real-log", "synthetic"])),
        opens_at=draw(maybe(st.just(opens))),
        closes_at=draw(maybe(st.just(closes))),
        text_sha256=draw(maybe(hexes)),
        questions=questions,
    )


@st.composite
def recordings(draw: st.DrawFn) -> dict[str, Any]:
    """The members of a signature's first event, as its model takes them."""
    is_organisation = draw(st.booleans())
    return {
        "signature": draw(ids),
        "signer_ref": draw(refs),
        "pii_commit": draw(hashes),
        "confirmed": draw(st.booleans()),
        "channel": draw(st.sampled_from(["site", "paper", "import"])),
        "kind": "organisation" if is_organisation else "person",
        "name": draw(lines()) if is_organisation else None,
        "reference": draw(maybe(lines())) if is_organisation else None,
        "text_version": draw(ordinals),
        "at_known": draw(st.booleans()),
        "country": draw(maybe(st.from_regex(r"[A-Z]{2}", fullmatch=True))),
        "region": draw(maybe(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", fullmatch=True))),
        "answers": draw(maybe(st.dictionaries(keys, keys, min_size=1, max_size=3))),
    }


_corrections = {"correction": ids, "applied": counts, "skipped": counts}
BY_TYPE: dict[type[Fact], st.SearchStrategy[Fact]] = {
    PetitionOpened: openings(),
    PetitionRevised: st.builds(
        PetitionRevised,
        title=maybe(lines()),
        addressee=maybe(lines(0)),
        goals=maybe(ladders),
        milestones=maybe(ladders),
        timezone=maybe(st.just("UTC")),
        opens_at=maybe(instants),
        closes_at=maybe(instants),
        text_version=ordinals,
        text_sha256=maybe(hexes),
    ),
    UpdatePosted: st.builds(UpdatePosted, headline=lines(), reference=maybe(urls), effective_on=maybe(days)),
    AcceptanceChanged: st.builds(AcceptanceChanged),
    StatusDeclared: st.builds(
        StatusDeclared, reported_count=maybe(counts), reference=maybe(urls), effective_on=maybe(days)
    ),
    SignatureRecorded: recordings().map(lambda members: SignatureRecorded(**members)),
    SignatureConfirmed: st.builds(SignatureConfirmed, signature=ids, at_known=undated),
    SignatureAmended: st.builds(SignatureAmended, signature=ids, pii_commit=hashes),
    SignatureWithdrawn: st.builds(SignatureWithdrawn, signature=ids, at_known=undated),
    SignatureInvalidated: st.builds(
        SignatureInvalidated, signature=ids, correction=ids, reason=reasons, at_known=undated
    ),
    SignatureReinstated: st.builds(
        SignatureReinstated, signature=ids, correction=ids, lifts=ids, reason=reasons, at_known=undated
    ),
    CorrectionOpened: st.builds(
        CorrectionOpened,
        correction=ids,
        reason=reasons,
        conditions=st.lists(keys, max_size=3).map(tuple),
        matched=counts,
        digest=hexes,
        notice_sha256=maybe(hexes),
        lifts=maybe(ids),
        reverses=maybe(ids),
    ),
    CorrectionApproved: st.builds(CorrectionApproved, correction=ids, digest=hexes),
    CorrectionCompleted: st.builds(CorrectionCompleted, **_corrections),
    CorrectionCancelled: st.builds(CorrectionCancelled, **_corrections),
    CountObserved: st.builds(CountObserved, count=counts, reference=maybe(urls)),
    CountPublished: st.builds(CountPublished, count=counts, position=counts),
    SignerErased: st.builds(SignerErased, signature=ids),
    LogContinued: st.builds(LogContinued, old_origin=lines(), old_size=counts, old_root=hashes, reason=reasons),
}

facts: st.SearchStrategy[Fact] = st.one_of(*BY_TYPE.values())


def leaf_of(event: dict[str, Any]) -> bytes:
    """The leaf of an event of the strategy below."""
    members = {**event, "recorded": format_instant(event["recorded"])}
    fact = members.pop("fact")
    return leaf_bytes(type=fact.type, data=fact.data(), **members)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """A fact, and the arguments of `leaf_bytes` around it (but for `type` and `data`)."""
    fact = draw(facts)
    version = draw(ordinals | st.just(1))
    slug = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True).filter(lambda text: text != "ledger")
    return {
        "fact": fact,
        "position": draw(ordinals),
        "source": draw(st.sampled_from(["petitions.example/ledger", 'a"\\b', "x"])),
        "subject": "ledger" if isinstance(fact, LogContinued) else draw(slug),
        "time": draw(instants),
        "recorded": draw(instants),
        "version": version,
        "prev": None if version == 1 else draw(hashes),
        "actor": draw(st.sampled_from(["system", "site:9c1e04", "admin:7f3a21", "import:a.b_c-D"])),
    }
