"""One batch: settles submissions in order against what is known, and gathers what the database is asked to append.

This is `decide` and `evolve` at work. Each submission is judged against the state as the ones before it left it; its
drafts become events (`ledger.evolution`) and the state moves on. Refusals leave no trace. At the end `rows()` is the
argument of `append_<role>`, which judges all of it once more.

Pure: the time is the batch's own, read from the database under the head lock; ids and nonces came with the commands.
This module must never be used twice for one transaction: what it gathered was true at one head only.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

import orjson

from ledger import correction as corrections
from ledger import petition as petitions
from ledger import signature as signatures
from ledger.correcting import Correcting
from ledger.drafts import (
    ANOTHER_SIGNER,
    CORRECTION_EXISTS,
    EPOCH_RETIRED,
    ERASING,
    HOLDS_ALREADY,
    NO_PETITION,
    NO_SIGNATURE,
    NO_SIGNER,
    OBSERVED,
    AsIs,
    Decision,
)
from ledger.state import NEVER_PUBLISHED, CorrectionState, Member, PetitionState, SignatureState, SignerState
from schemas.commands import (
    Accepted,
    AmendSignature,
    ApproveCorrection,
    CancelCorrection,
    ChangeAcceptance,
    ConfirmSignature,
    ContinueCorrection,
    CorrectImported,
    DeclareStatus,
    EraseSigner,
    ObserveCount,
    OpenCorrection,
    OpenPetition,
    Outcome,
    PostUpdate,
    PublishCount,
    RecordSignature,
    Refused,
    RevisePetition,
    Submission,
    WithdrawSignature,
)

SYSTEM = "system"
KEY_REUSED = Refused("idempotency-key-reused", "key-reused", "The idempotency key was used for another request.")


class Batch(Correcting):
    """What one transaction will append, decided submission by submission."""

    def close_due_petitions(self) -> None:
        """The clockwork: a petition whose closing time has passed is closed before anything else happens to it."""
        for petition in self.known.petitions.values():
            self._close_when_due(petition)

    def _close_when_due(self, petition: PetitionState) -> None:
        for due in petitions.close_when_due(petition, self.now):
            self._evolve(petition, due, SYSTEM)

    def settle(self, submission: Submission) -> Outcome:
        """Judge one submission and, where it is taken, evolve."""
        if (key := submission.answer_key) is not None:
            stored = self.known.answers.get((key.credential, key.petition, key.key))
            if stored is not None:
                fingerprint, answer = stored
                return Accepted(orjson.loads(answer), repeated=True) if fingerprint == key.fingerprint else KEY_REUSED
        petition = self.known.petitions.get(submission.command.petition)
        row = submission.import_key
        if row is not None and petition is not None and (petition.petition, row) in self.known.import_keys:
            return Accepted({}, repeated=True, already_there=True)
        outcome, signature = self._decide(petition, submission)
        if isinstance(outcome, Accepted):
            if key is not None:
                answer = orjson.dumps(outcome.answer, option=orjson.OPT_SORT_KEYS).decode()
                self.known.answers[(key.credential, key.petition, key.key)] = (key.fingerprint, answer)
                self._answers.append(
                    (key.credential, key.petition, key.key, key.fingerprint, answer, signature, self.now)
                )
            if row is not None:
                self._imported(self.known.petitions[submission.command.petition], row, signature)
        return outcome

    def _decide(self, petition: PetitionState | None, submission: Submission) -> tuple[Outcome, UUID | None]:
        command, actor = submission.command, submission.actor
        if isinstance(command, OpenPetition):
            outcome = self._apply(petition, petitions.open_petition(petition, command, self.now), submission)
            self._keep_text(outcome, command.petition, 1, command.text)
            return outcome, None
        if petition is None:
            return NO_PETITION, None
        # An earlier submission of this very batch may have opened it, or revised its closing time.
        self._close_when_due(petition)
        match command:
            case RecordSignature():
                return self._record(petition, command, actor)
            case ConfirmSignature():
                return self._follow(petition, submission, command, signatures.confirm)
            case WithdrawSignature():
                return self._follow(petition, submission, command, signatures.withdraw)
            case EraseSigner():
                return self._erase(petition, command, actor), None
            case AmendSignature():
                return self._amend(petition, command, actor)
            case CorrectImported():
                return self._correct(petition, command, actor), None
            case OpenCorrection():
                return self._open_correction(petition, command, actor), None
            case ApproveCorrection():
                return self._approve(petition, command, actor), None
            case CancelCorrection():
                return self._cancel(petition, command, actor), None
            case ContinueCorrection():
                return self._continue(petition, command), None
            case RevisePetition():
                decision = petitions.revise(petition, command)
            case PostUpdate():
                decision = petitions.post_update(command, self.now)
            case ChangeAcceptance():
                decision = petitions.change_acceptance(petition, command, self.now)
            case DeclareStatus():
                decision = petitions.declare_status(petition, command, self.now)
            case ObserveCount():
                decision = petitions.observe(petition, command, self.now)
            case PublishCount():
                last = self.known.published.get(petition.id, NEVER_PUBLISHED)
                decision = petitions.publish(command, last, self.known.counts.get((petition.id, command.as_of)))
            case _:
                assert_never(command)
        outcome = self._apply(petition, decision, submission)
        if isinstance(command, RevisePetition):
            self._keep_text(outcome, command.petition, command.revised.text_version, command.text)
        return outcome, None

    def _apply(self, petition: PetitionState | None, decision: Decision, submission: Submission) -> Outcome:
        """Carry out a decision about the petition itself."""
        if isinstance(decision, Refused):
            return decision
        if isinstance(decision, AsIs):
            assert petition is not None
            answer = {"petition": petition.id, "position": self.position, "version": petition.version}
            return Accepted({**answer, "duplicate": True}, repeated=True)
        for each in decision:
            petition = self._evolve(petition, each, submission.actor, submission.command.petition)
        assert petition is not None
        return Accepted({"petition": petition.id, "position": self.position, "version": petition.version})

    def _keep_text(self, outcome: Outcome, petition: str, text_version: int, text: str | None) -> None:
        if text is not None and isinstance(outcome, Accepted):
            self._texts.append((petition, text_version, text))

    def _record(self, petition: PetitionState, command: RecordSignature, actor: str) -> tuple[Outcome, UUID | None]:
        signer, latest = self._signer(petition, command)
        if latest is not None and latest.erased:
            return ERASING, None
        decision = signatures.record(petition, signer, latest, command, self.now)
        if isinstance(decision, Refused):
            return decision, None
        if isinstance(decision, AsIs):
            assert latest is not None
            self._learn(petition, command.token, command.alias)
            return Accepted({**_about(latest), "duplicate": True}, repeated=True), latest.signature
        sealed = command.identity
        if sealed.epoch <= self.known.retired_epoch:
            return EPOCH_RETIRED, None
        for each in decision:
            self._evolve(petition, each, actor)
        token = command.token if signer is None else signer.token
        signer_ref = command.signer_ref if signer is None else signer.signer_ref
        renewed = SignerState(petition.petition, token, signer_ref, command.signature)
        self.known.signers[renewed.petition, renewed.token] = self._signers[renewed.petition, renewed.token] = renewed
        self._learn(petition, command.token, command.alias)
        self._identities.append(
            (command.signature, None, None, sealed.epoch, sealed.wrapped_key, sealed.sealed)  # nothing of it plain
        )
        if command.evidence is not None:
            found = command.evidence
            self._evidence.append((command.signature, found.ip, found.user_agent, found.email_domain, found.name_token))
        if command.comment is not None:
            self._comments.append((command.signature, command.comment))
        return Accepted(_about(self.known.signatures[command.signature])), command.signature

    def _signer(
        self, petition: PetitionState, command: RecordSignature
    ) -> tuple[SignerState | None, SignatureState | None]:
        """Who signs, and her latest signature. Of two signers whom the row names, whoever cannot sign anew: both are
        her, and she has at most one standing signature."""
        found = [
            (signer, self.known.signatures[signer.signature])
            for signer in self._meant(petition, command.alias, command.token)
        ]
        if command.imported:
            for _, latest in found:
                self._catch_up(petition, latest)
        barred = [(signer, latest) for signer, latest in found if latest.erased]
        barred += [(signer, latest) for signer, latest in found if latest.bars_signing]
        return next(iter(barred or found), (None, None))

    def _meant(self, petition: PetitionState, *tokens: bytes | None) -> list[SignerState]:
        """The signers whom these tokens mean, in this order, each once."""
        meant: dict[bytes, SignerState] = {}
        for token in tokens:
            if token is not None:
                own = self.known.aliases.get((petition.petition, token), token)
                if (signer := self.known.signers.get((petition.petition, own))) is not None:
                    meant[signer.token] = signer
        return list(meant.values())

    def _learn(self, petition: PetitionState, *tokens: bytes | None) -> None:
        """What a row was taken for tells that its tokens are one signer's: one that nobody knew becomes an alias. A
        token that means somebody already goes on to mean her."""
        signers = self._meant(petition, *tokens)
        for token in tokens:
            if token is not None and len(signers) == 1 and not self._meant(petition, token):
                self.known.aliases[petition.petition, token] = signers[0].token
                self._aliases.append((petition.petition, token, signers[0].token))

    def _follow(
        self,
        petition: PetitionState,
        submission: Submission,
        command: ConfirmSignature | WithdrawSignature,
        judge: Callable[[PetitionState, SignatureState, datetime | None, datetime, bool], Decision],
    ) -> tuple[Outcome, UUID | None]:
        """Confirm or withdraw a signature that is named by its id or by its signer."""
        state = self._named(petition, command.signature, command.token, command.alias)
        if isinstance(state, Refused):
            return state, None
        if petition.basis != "itemised":
            return OBSERVED, None
        if command.imported:
            self._catch_up(petition, state)
        decision = judge(petition, state, command.at, self.now, command.imported)
        if isinstance(decision, Refused):
            return decision, None
        if isinstance(decision, AsIs):
            if command.imported:
                return HOLDS_ALREADY, None
            return Accepted({**_about(state), "duplicate": True}, repeated=True), state.signature
        for each in decision:
            self._evolve(petition, each, submission.actor)
        self._learn(petition, command.token, command.alias)
        return Accepted({**_about(state), "position": self.position, "version": petition.version}), state.signature

    # -- who signed ----------------------------------------------------------------------------------------------------

    def _erase(self, petition: PetitionState, command: EraseSigner, actor: str) -> Outcome:
        """Erase a signer. The answer names all her signatures, whether they were erased now or before."""
        state = self._named(petition, command.signature, command.token, None)
        if isinstance(state, Refused):
            return state
        hers = self._hers(state)
        decision = signatures.erase(petition, hers, self.now)
        answer = {"petition": petition.id, "signatures": [str(each.signature) for each in hers]}
        if isinstance(decision, Refused):
            return decision
        if isinstance(decision, AsIs):
            return Accepted(answer, repeated=True)
        for each in decision:
            self._evolve(petition, each, actor)
        return Accepted(answer)

    def _amend(self, petition: PetitionState, command: AmendSignature, actor: str) -> tuple[Outcome, UUID | None]:
        """Rectify who signed. Where it is her latest signature, she is known by the new identity from here on."""
        state = self._named(petition, command.signature, None, None)
        if isinstance(state, Refused):
            return state, None
        decision = signatures.amend(state, command.pii_commit, self.now)
        if isinstance(decision, Refused):
            return decision, None
        hers = {each.signature for each in self._hers(state)}
        if any(signer.signature not in hers for signer in self._meant(petition, command.token)):
            return ANOTHER_SIGNER, None
        sealed, found = command.identity, command.evidence
        if sealed.epoch <= self.known.retired_epoch:
            return EPOCH_RETIRED, None
        assert not isinstance(decision, AsIs)
        for each in decision:
            self._evolve(petition, each, actor)
        self._rename(petition, state, command.token)
        self._amended.append(
            (
                self.position,
                command.token,
                sealed.epoch,
                sealed.wrapped_key,
                sealed.sealed,
                None if found is None else found.email_domain,
                None if found is None else found.name_token,
            )
        )
        return Accepted({**_about(state), "position": self.position, "version": petition.version}), state.signature

    def _rename(self, petition: PetitionState, state: SignatureState, token: bytes) -> None:
        """Know the signer whose latest signature this is by another token."""
        signers, aliases = self.known.signers, self.known.aliases
        for place, signer in [(place, each) for place, each in signers.items() if each.signature == state.signature]:
            del signers[place]
            signers[petition.petition, token] = replace(signer, token=token)
            aliases.pop((petition.petition, token), None)
            for alias in [alias for alias, of in aliases.items() if (alias[0], of) == place]:
                aliases[alias] = token

    def _hers(self, state: SignatureState) -> list[SignatureState]:
        """All signatures of the signer of this one, the oldest first."""
        after = {each.previous: each for each in self.known.signatures.values() if each.previous is not None}
        while state.previous is not None:
            state = self.known.signatures[state.previous]
        hers = [state]
        while (later := after.get(hers[-1].signature)) is not None:
            hers.append(later)
        return hers

    def _named(
        self, petition: PetitionState, signature: UUID | None, token: bytes | None, alias: bytes | None
    ) -> SignatureState | Refused:
        """The signature of this id, or the latest of the signer whom these tokens mean. Of two signers, the one whose
        was not withdrawn, and rather the one whom the file's own reference means."""
        if signature is None:
            latest = [self.known.signatures[signer.signature] for signer in self._meant(petition, alias, token)]
            return next((state for state in latest if not state.withdrawn), latest[0]) if latest else NO_SIGNER
        state = self.known.signatures.get(signature)
        return NO_SIGNATURE if state is None or state.petition != petition.petition else state

    # -- corrections ---------------------------------------------------------------------------------------------------

    def _correct(self, petition: PetitionState, command: CorrectImported, actor: str) -> Outcome:
        """Open a correction over the rows that are new and eligible, and apply its first chunk.

        The answer's `rows` says of each row what became of it: `appended`, `already-there`, `duplicate`, or why it was
        refused. Where corrections that came before have so much left to do to these signatures that one transaction
        does not hold it, a chunk of that is done, `rows` is absent, and the same has to be asked again.
        """
        if petition.basis != "itemised":
            return OBSERVED
        if self._falls_behind(petition, command):
            return Accepted({"position": self.position}, repeated=True)
        chosen: dict[UUID, list[bytes]] = {}
        trial = CorrectionState(
            command.correction, petition.petition, command.kind, command.reason, actor, "running", command.at, None,
            0, 0, 0
        )  # fmt: skip
        rows: list[str] = []
        aliases = command.aliases or (None,) * len(command.rows)
        for (token, key), alias in zip(command.rows, aliases, strict=True):
            state = self._named(petition, None, token, alias)
            if (petition.petition, key) in self.known.import_keys:
                rows.append("already-there")
            elif isinstance(state, Refused):
                rows.append(state.reason)
            elif state.signature in chosen:
                chosen[state.signature].append(key)
                rows.append("duplicate")
                self._learn(petition, token, alias)
            else:
                decision = corrections.judge_member(trial, state, self.now)
                if isinstance(decision, Refused):
                    rows.append(decision.reason)
                else:
                    chosen[state.signature] = [key]
                    rows.append("appended")
                    self._learn(petition, token, alias)
        if not chosen:
            return Accepted({"rows": rows, "remaining": 0}, repeated=True)
        if command.correction in self.known.corrections:
            return CORRECTION_EXISTS
        frozen = corrections.freeze(
            petition=petition.petition,
            correction=command.correction,
            kind=command.kind,
            reason=command.reason,
            actor=actor,
            signatures=list(chosen),
            conditions=(corrections.IMPORTED,),
            approval="exempt",
            at=command.at,
            now=self.now,
        )
        self._evolve(petition, frozen.opened, actor)
        self.known.corrections[command.correction] = frozen.correction
        members = self.known.members[command.correction] = frozen.members()
        for member in members:
            self._members[member.correction, member.ordinal] = member
            if frozen.correction.is_imported:
                self.known.unsettled.setdefault(member.signature, []).append(member)
        for signature, keys in chosen.items():
            for key in keys:
                self._imported(petition, key, signature)
        self._apply_members(petition, frozen.correction, members[: corrections.CHUNK])
        return Accepted(
            {
                "correction": str(command.correction),
                "rows": rows,
                "remaining": frozen.correction.matched - frozen.correction.applied - frozen.correction.skipped,
                "position": self.position,
            }
        )

    def _falls_behind(self, petition: PetitionState, command: CorrectImported) -> bool:
        """Catch up for a correction's rows, by a chunk at most; whether more than that was to do."""
        if not self.known.unsettled:
            return False
        named = {}
        aliases = command.aliases or (None,) * len(command.rows)
        for (token, _), alias in zip(command.rows, aliases, strict=True):
            state = self._named(petition, None, token, alias)
            if isinstance(state, SignatureState) and self._to_do(state):
                named[state.signature] = state
        for state in list(named.values())[: corrections.CHUNK]:
            self._catch_up(petition, state)
        return len(named) > corrections.CHUNK

    def _catch_up(self, petition: PetitionState, state: SignatureState) -> None:
        """Do to a signature what running imported corrections have still to do: a row is judged after them, whoever
        imports it."""
        for member in self._to_do(state):
            self._apply_members(petition, self.known.corrections[member.correction], [member])

    def _to_do(self, state: SignatureState) -> list[Member]:
        return [member for member in self.known.unsettled.get(state.signature, ()) if member.outcome is None]


def _about(state: SignatureState) -> dict[str, Any]:
    return {
        "signature": str(state.signature),
        "position": state.position,
        "version": state.version,
        "state": state.name,
    }
