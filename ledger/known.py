"""What of the past a batch of submissions asks for, and the answer read into state.

`wanted` names it, `ledger.read_state(...)` reads it in one query under the head lock, `known` turns the row into
`Known`. Pure. This module must never ask for a whole petition: only for what the commands name.
"""

from collections.abc import Iterable, Mapping
from typing import Any, assert_never

from ledger.correction import CHUNK
from ledger.state import CorrectionState, Known, Member, PetitionState, SignatureState, SignerState
from schemas.commands import (
    ChangeAcceptance,
    ConfirmSignature,
    ContinueCorrection,
    CorrectImported,
    DeclareStatus,
    ObserveCount,
    OpenPetition,
    PostUpdate,
    RecordSignature,
    RevisePetition,
    Submission,
    WithdrawSignature,
)

READ_STATE = "SELECT (s).* FROM ledger.read_state($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS s"


def wanted(submissions: Iterable[Submission]) -> tuple[Any, ...]:
    """The arguments of `ledger.read_state` for these submissions, in order."""
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
                token_ids.append(command.petition)
                tokens.append(command.token)
                if command.alias is not None:
                    token_ids.append(command.petition)
                    tokens.append(command.alias)
            case ConfirmSignature() | WithdrawSignature():
                if command.signature is not None:
                    named.append(command.signature)
                elif command.token is not None:
                    token_ids.append(command.petition)
                    tokens.append(command.token)
            case CorrectImported():
                corrections.append(command.correction)
                for token, row in command.rows:
                    token_ids.append(command.petition)
                    tokens.append(token)
                    import_ids.append(command.petition)
                    imports.append(row)
            case ContinueCorrection():
                corrections.append(command.correction)
            case (
                OpenPetition() | RevisePetition() | PostUpdate() | ChangeAcceptance() | DeclareStatus() | ObserveCount()
            ):
                pass
            case _:
                assert_never(command)
    return (
        list(ids), token_ids, tokens, named, import_ids, imports, credentials, answer_ids, answer_keys, corrections,
        CHUNK,
    )  # fmt: skip


def known(row: Mapping[str, Any]) -> Known:
    """The state that a row of `ledger.read_state` holds. Arrays that were not asked for are NULL."""
    return Known(
        petitions={state["id"]: PetitionState.of(state) for state in row["petitions"] or ()},
        signatures={state["signature"]: SignatureState.of(state) for state in row["signatures"] or ()},
        signers={(state["petition"], state["token"]): SignerState.of(state) for state in row["signers"] or ()},
        aliases={(state["petition"], state["alias"]): state["token"] for state in row["aliases"] or ()},
        import_keys={(state["petition"], state["key"]) for state in row["import_keys"] or ()},
        answers={
            (state["credential"], state["petition"], state["key"]): (state["fingerprint"], state["answer"])
            for state in row["answers"] or ()
        },
        corrections={state["correction"]: CorrectionState.of(state) for state in row["corrections"] or ()},
        members=_members(row["members"] or ()),
    )


def _members(rows: Iterable[Mapping[str, Any]]) -> dict[Any, list[Member]]:
    members: dict[Any, list[Member]] = {}
    for row in rows:
        members.setdefault(row["correction"], []).append(Member.of(row))
    return members
