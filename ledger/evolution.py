"""Evolving: drafts get position, version, `prev` and canonical bytes, and the state moves on with each of them.

What one transaction will append gathers here, row by row, in the order of the tables' columns; `rows()` is the
argument of `append_<role>`. Pure. This module must never judge: what it is given was decided.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger import petition as petitions
from ledger.drafts import Draft
from ledger.merkle import leaf_hash
from ledger.state import (
    CorrectionState,
    Known,
    Member,
    PetitionState,
    PublishedState,
    SignatureState,
    SignerState,
)
from schemas.envelope import leaf_bytes
from schemas.events import PetitionOpened
from schemas.instants import format_instant, parse_instant

DECLARATIONS = frozenset(
    {
        "petition.opened.v1",
        "petition.revised.v1",
        "update.posted.v1",
        "acceptance.changed.v1",
        "status.declared.v1",
    }
)


class Evolution:
    """What one transaction will append. `position` is the head's; `now` the batch's recorded time."""

    def __init__(self, known: Known, position: int, now: datetime, source: str) -> None:
        self.known = known
        self.position = position
        self.now = now
        self._source = source
        self._recorded = format_instant(now)
        self.events: list[tuple[Any, ...]] = []
        self._petitions: dict[str, PetitionState] = {}
        self._signatures: dict[UUID, SignatureState] = {}
        self._signers: dict[tuple[int, bytes], SignerState] = {}
        self._aliases: list[tuple[Any, ...]] = []
        self._identities: list[tuple[Any, ...]] = []
        self._import_keys: list[tuple[Any, ...]] = []
        self._answers: list[tuple[Any, ...]] = []
        self._corrections: dict[UUID, CorrectionState] = {}
        self._members: dict[tuple[UUID, int], Member] = {}
        self._evidence: list[tuple[UUID, str | None, str | None, str | None, bytes | None]] = []
        self._comments: list[tuple[UUID, str]] = []
        self._texts: list[tuple[str, int, str]] = []
        self._amended: list[tuple[Any, ...]] = []
        self._kept_corrections: list[tuple[UUID, list[UUID] | None, str, str | None]] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write at all."""
        return not (self.events or self._import_keys or self._answers or self._members)

    def rows(self) -> tuple[Any, ...]:
        """The value of a `ledger.batch`: every list in the order of its columns."""
        return (
            self.events,
            [state.row() for state in self._petitions.values()],
            [state.row() for state in self._signatures.values()],
            [state.row() for state in self._signers.values()],
            self._aliases,
            self._identities,
            self._import_keys,
            self._answers,
            [state.row() for state in self._corrections.values()],
            [state.row() for state in self._members.values()],
        )

    def beside(self) -> tuple[list[Any], ...]:
        """The arguments of `ledger.keep_beside`: columns of what the vault keeps with new signatures. Else empty."""
        if not self._evidence and not self._comments:
            return ()
        return *_columns(self._evidence, 5), *_columns(self._comments, 2)

    def texts(self) -> tuple[list[Any], ...]:
        """The arguments of `ledger.keep_texts`: columns of the texts that petitions got. Else empty."""
        return _columns(self._texts, 3) if self._texts else ()

    def kept_corrections(self) -> list[tuple[Any, ...]]:
        """The arguments of a `ledger.keep_correction` for each correction that was opened: its members, where the batch
        does not hold them, its public rule, and what it searched for."""
        return list(self._kept_corrections)

    def amended(self) -> list[tuple[Any, ...]]:
        """The arguments of a `ledger.keep_amended` for each amendment, in order."""
        return list(self._amended)

    def _evolve(self, petition: PetitionState | None, draft: Draft, actor: str, opens: str = "") -> PetitionState:
        """Give a draft its place and its bytes, and move the state on."""
        position = self.position + 1
        at = self.now if draft.at is None else draft.at
        if petition is None:
            petition = petitions.state_of(position, opens, PetitionOpened.model_validate(draft.data), at)
            self.known.petitions[opens] = petition
        version = petition.version + 1
        leaf = leaf_bytes(
            position=position,
            source=self._source,
            type=draft.type,
            subject=petition.id,
            time=at,
            recorded=self._recorded,
            version=version,
            prev=petition.last_leaf_hash if version > 1 else None,
            actor=actor,
            data=draft.data,
        )
        # Only now that the bytes exist does the state move: an event too long for a leaf leaves none behind.
        self.position = position
        petition.version = version
        petition.count += draft.delta
        petition.last_leaf_hash = leaf_hash(leaf)
        self._petitions[petition.id] = petition
        state = draft.signature
        if state is None:
            self._evolve_petition(petition, draft, position, at)
            keys: tuple[Any, ...] = (None, None, None, None, None, None)
        else:
            self._evolve_signature(state, draft, position, version, at)
            keys = (state.signature, state.channel, state.kind, state.country, state.region, state.answers)
        self.events.append(
            (
                position,
                petition.petition,
                version,
                draft.type,
                at,
                self.now,
                draft.delta,
                petition.count,
                keys[0],
                draft.hold,
                *keys[1:],
                leaf,
                petition.last_leaf_hash,
            )
        )
        return petition

    def _evolve_petition(self, petition: PetitionState, draft: Draft, position: int, at: datetime) -> None:
        if draft.type in DECLARATIONS:
            petition.declarations += 1
        match draft.type:
            case "acceptance.changed.v1":
                petition.acceptances.append((position, at, draft.data["acceptance"]))
            case "petition.revised.v1":
                opens_at, closes_at = (
                    parse_instant(draft.data[name]) if name in draft.data else None
                    for name in ("opens_at", "closes_at")
                )
                petitions.apply_revision(petition, draft.data, opens_at, closes_at)
            case "count.observed.v1":
                if petition.observed_at is None or at >= petition.observed_at:
                    petition.observed_at = at
            case "count.published.v1":
                said = PublishedState(position, draft.data["count"], draft.data["position"])
                self.known.published[petition.id] = said
            case _:
                pass  # says something of the petition that no decision asks for

    def _evolve_signature(self, state: SignatureState, draft: Draft, position: int, version: int, at: datetime) -> None:
        match draft.type:
            case "signature.recorded.v1":
                state.position, state.version = position, version
                self.known.signatures[state.signature] = state
            case "signature.confirmed.v1":
                state.confirmed = True
            case "signature.withdrawn.v1":
                state.withdrawn = True
            case "signer.erased.v1":
                state.erased = True
            case "signature.invalidated.v1":
                assert draft.hold is not None
                state.holds = (*state.holds, draft.hold)
            case "signature.reinstated.v1":
                state.holds = tuple(hold for hold in state.holds if hold != draft.hold)
            case _:
                pass  # leaves alone whether it stands
        if draft.type != "signature.recorded.v1" and draft.data.get("at_known", True):
            state.effective = at
        self._signatures[state.signature] = state

    def _imported(self, petition: PetitionState, key: bytes, signature: UUID | None) -> None:
        self.known.import_keys.add((petition.petition, key))
        self._import_keys.append((petition.petition, key, self.position, signature))


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> tuple[list[Any], ...]:
    return tuple([row[column] for row in rows] for column in range(width))
