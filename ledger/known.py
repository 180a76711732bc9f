"""What of the past a batch of submissions asks for, and the answer read into state.

`wanted` names it, `ledger.read_state(...)` reads it in one query under the head lock, `known` turns the row into
`Known`. Pure. This module must never ask for a whole petition: only for what the commands name.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import chain
from typing import Any, assert_never
from uuid import UUID

from ledger.correction import ALONE, CHUNK
from ledger.state import (
    CorrectionState,
    Known,
    Member,
    PetitionState,
    PublishedState,
    SignatureState,
    SignerState,
)
from schemas.commands import (
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
    PostUpdate,
    PublishCount,
    RecordSignature,
    RevisePetition,
    Submission,
    WithdrawSignature,
)

READ_STATE = (
    "SELECT (s).*, (u).running, (u).members AS unsettled, (h).signers AS her_signers,"
    " (h).aliases AS her_aliases, (h).signatures AS hers, served, opened_lately, reversals, retired_epoch"
    " FROM ledger.read_state($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS s,"
    " LATERAL ledger.unsettled_members($12, (s).signatures) AS u,"
    " ledger.read_signers($18, $19, $20) AS h,"
    " ledger.served_counts($13, $14) AS served,"
    " ledger.opened_lately($15, $16) AS opened_lately, ledger.reversals_of($17) AS reversals,"
    " ledger.retired_epoch() AS retired_epoch"
)


def wanted(submissions: Iterable[Submission]) -> tuple[Any, ...]:
    """The arguments of `READ_STATE` for these submissions, in order."""
    ids: dict[str, None] = {}
    token_ids: list[str] = []
    tokens: list[bytes] = []
    named = []
    import_ids: list[str] = []
    imports: list[bytes] = []
    credentials: list[str] = []
    answer_ids: list[str] = []
    answer_keys: list[bytes] = []
    corrections = []
    importing: dict[str, None] = {}
    served_ids: list[str] = []
    served: list[int] = []
    opening_ids: list[str] = []
    opening: list[str] = []
    reversed_: list[UUID] = []
    of_signers: list[UUID] = []
    signer_ids: list[str] = []
    signer_tokens: list[bytes] = []
    for submission in submissions:
        command = submission.command
        ids[command.petition] = None
        if (key := submission.answer_key) is not None:
            credentials.append(key.credential)
            answer_ids.append(key.petition)
            answer_keys.append(key.key)
        if submission.import_key is not None:
            import_ids.append(command.petition)
            imports.append(submission.import_key)
        match command:
            case RecordSignature():
                if command.imported:
                    importing[command.petition] = None
                tokens.append(command.token)
                tokens.extend(_there(command.alias))
            case ConfirmSignature() | WithdrawSignature():
                if command.imported:
                    importing[command.petition] = None
                if command.signature is not None:
                    named.append(command.signature)
                else:
                    tokens.extend(_there(command.token, command.alias))
            case EraseSigner() | AmendSignature():
                of_signers.extend([] if command.signature is None else [command.signature])
                if command.token is not None:
                    signer_ids.append(command.petition)
                    signer_tokens.append(command.token)
            case CorrectImported():
                importing[command.petition] = None
                corrections.append(command.correction)
                tokens.extend(_there(*command.aliases))
                for token, row in command.rows:
                    tokens.append(token)
                    import_ids.append(command.petition)
                    imports.append(row)
            case OpenCorrection():
                opening_ids.append(command.petition)
                opening.append(submission.actor)
                corrections.extend(each for each in (command.correction, command.lifts, command.reverses) if each)
                reversed_.extend([] if command.reverses is None else [command.reverses])
                if len(command.signatures) <= ALONE:  # it may be applied at once
                    named.extend(command.signatures)
            case ApproveCorrection() | CancelCorrection() | ContinueCorrection():
                corrections.append(command.correction)
            case PublishCount():
                served_ids.append(command.petition)
                served.append(command.as_of)
            case (
                OpenPetition() | RevisePetition() | PostUpdate() | ChangeAcceptance() | DeclareStatus() | ObserveCount()
            ):
                pass
            case _:
                assert_never(command)
        token_ids.extend([command.petition] * (len(tokens) - len(token_ids)))
    return (
        list(ids), token_ids, tokens, named, import_ids, imports, credentials, answer_ids, answer_keys, corrections,
        CHUNK, list(importing), served_ids, served, opening_ids, opening, reversed_,
        of_signers, signer_ids, signer_tokens,
    )  # fmt: skip


def _there(*tokens: bytes | None) -> list[bytes]:
    return [token for token in tokens if token is not None]


def known(row: Mapping[str, Any]) -> Known:
    """The state that a row of `READ_STATE` holds. Arrays that were not asked for are NULL."""
    # A member that was read twice, as the next of its correction and as what a row names, is one member.
    members = {(state["correction"], state["ordinal"]): Member.of(state) for state in row["members"] or ()}
    unsettled = {(state["correction"], state["ordinal"]): Member.of(state) for state in row["unsettled"] or ()}
    return Known(
        petitions={state["id"]: PetitionState.of(state) for state in row["petitions"] or ()},
        signatures={
            state["signature"]: SignatureState.of(state) for state in chain(row["signatures"] or (), row["hers"] or ())
        },
        signers={
            (state["petition"], state["token"]): SignerState.of(state)
            for state in chain(row["signers"] or (), row["her_signers"] or ())
        },
        aliases={
            (state["petition"], state["alias"]): state["token"]
            for state in chain(row["aliases"] or (), row["her_aliases"] or ())
        },
        import_keys={(state["petition"], state["key"]) for state in row["import_keys"] or ()},
        answers={
            (state["credential"], state["petition"], state["key"]): (state["fingerprint"], state["answer"])
            for state in row["answers"] or ()
        },
        corrections={
            state["correction"]: CorrectionState.of(state)
            for state in chain(row["corrections"] or (), row["running"] or (), row["reversals"] or ())
        },
        members=_grouped(members.values(), by=lambda member: member.correction),
        unsettled=_grouped(
            [members.get(place, each) for place, each in unsettled.items()], by=lambda member: member.signature
        ),
        opened_lately=_opened(row["opened_lately"] or ()),
        published={
            each["id"]: PublishedState(each["last"], each["last_count"], each["last_as_of"])
            for each in row["served"] or ()
            if each["last"] is not None
        },
        retired_epoch=row["retired_epoch"],
        counts={(each["id"], each["as_of"]): each["count"] for each in row["served"] or ()},
    )


def _opened(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], list[tuple[datetime, int]]]:
    opened: dict[tuple[str, str], list[tuple[datetime, int]]] = {}
    for row in rows:
        opened.setdefault((row["id"], row["actor"]), []).append((row["opened"], row["matched"]))
    return opened


def _grouped(members: Iterable[Member], by: Callable[[Member], UUID]) -> dict[UUID, list[Member]]:
    groups: dict[UUID, list[Member]] = {}
    for member in members:
        groups.setdefault(by(member), []).append(member)
    return groups
