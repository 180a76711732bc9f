"""What the answers look like to a person: tables in plain text, times in the petition's zone, provenance always in
words.

This module must never compute an answer; it lays out what a view says. Every number stands with the position or the
time that it is true at.
"""

from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from schemas.instants import local_text, parse_instant
from schemas.views import ClaimView, CountView, DriftEvent, DriftView
from service.commandline.session import tell
from service.provenance import heading

_WHAT: Final = {
    "petition.opened.v1": "petition opened",
    "petition.revised.v1": "petition revised",
    "update.posted.v1": "update posted",
    "acceptance.changed.v1": "acceptance changed",
    "status.declared.v1": "status declared",
    "signature.recorded.v1": "signature recorded",
    "signature.confirmed.v1": "signature confirmed",
    "signature.amended.v1": "signature amended",
    "signature.withdrawn.v1": "signature withdrawn",
    "signature.invalidated.v1": "signature invalidated",
    "signature.reinstated.v1": "signature reinstated",
    "correction.opened.v1": "correction opened",
    "correction.approved.v1": "correction approved",
    "correction.completed.v1": "correction completed",
    "correction.cancelled.v1": "correction cancelled",
    "count.observed.v1": "count observed, unitemised",
    "count.published.v1": "count published",
    "signer.erased.v1": "signer erased",
    "log.continued.v1": "log continued",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What stands above every answer about a petition."""

    id: str
    title: str
    provenance: str
    basis: str
    zone: ZoneInfo

    def heading(self) -> str:
        """Title and provenance, in words."""
        return heading(self.title, self.provenance)


def tell_count(shown: Shown, view: CountView) -> None:
    """Tell a count."""
    tell(shown.heading())
    tell(f"{_signatures(view.signature_count)}, as of position {view.as_of_position:,}{_recorded(shown, view)}")
    if view.goal is not None and view.remaining is not None:
        tell(f"{_signatures(view.remaining)} until {view.goal:,}")


async def tell_drift(shown: Shown, view: DriftView, events: AsyncIterable[DriftEvent]) -> None:
    """Tell a drift: what it sums to, and every event in between."""
    tell(shown.heading())
    tell(f"{view.start.count:,} -> {view.end.count:,}: {_signed(view.net)}, made of")
    for cause, delta in view.causes:
        if delta:
            tell(f"  {_signed(delta):>9}  {cause}")
    if not any(delta for _, delta in view.causes):
        tell("  nothing")
    for correction in view.corrections:
        tell(f"  {_signed(correction.net):>9}  by correction {correction.id}: {correction.kind}, {correction.reason}")
    tell()
    tell(f"  {'position':>10}  {'when':<25}  {'what':<28}  {'change':>8}  {'count':>9}")
    async for event in events:
        when = "undated" if event.at is None else local_text(event.at, shown.zone)
        what = _WHAT[event.type]
        tell(f"  {event.position:>10,}  {when:<25}  {what:<28}  {_signed(event.delta):>8}  {event.count:>9,}")
    for published in view.published:
        verdict = "as the replay says" if published.agrees else f"BUT THE REPLAY SAYS {published.replayed:,}"
        tell(f"  published {published.count:,} at position {published.position:,}, {verdict}")


def tell_claim(shown: Shown, view: ClaimView) -> None:
    """Tell a verdict with its bounds and its evidence."""
    tell(shown.heading())
    bounds = _bounds(view)
    tell(f"{view.verdict}: {bounds}")
    for proof in view.evidence:
        when = "undated" if proof.at is None else local_text(proof.at, shown.zone)
        tell(f"  {proof.count:>9,}  {when}  at position {proof.position:,}")


def tell_entries(shown: Shown, entries: Sequence[dict[str, object]]) -> None:
    """Tell a timeline, newest first."""
    tell(shown.heading())
    for entry in entries:
        at = entry["at"]
        when = local_text(parse_instant(at), shown.zone) if isinstance(at, str) else "undated"
        tell(f"  {when:<25}  {entry['text']}")


def _bounds(view: ClaimView) -> str:
    if view.upper is None:
        return f"at least {view.lower:,}, and nothing bounds it above"
    if view.lower == view.upper:
        return f"it was {view.lower:,}" + (" at the highest" if "within" in view.claim else "")
    return f"between {view.lower:,} and {view.upper:,}"


def _signed(number: int) -> str:
    return f"{number:+,}" if number else "0"


def _signatures(number: int) -> str:
    return f"{number:,} signature{'' if number == 1 else 's'}"


def _recorded(shown: Shown, view: CountView) -> str:
    return "" if view.as_of is None else f", recorded {local_text(view.as_of, shown.zone)}"


def tell_answers(answers: Sequence[tuple[str, str, int]]) -> None:
    """Tell how a consultation was answered: question, choice, number."""
    for question, choice, number in answers:
        tell(f"  {question:<20}  {choice:<8}  {number:>9,}")
