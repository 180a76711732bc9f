"""Comments: why people signed, in their own words. An admin releases one, or takes it back; everybody reads those that
are released.

A comment is no event: it stands in the vault, and goes with its signer. This module must never show one that is not
released to anybody but the admin who decides about it.
"""

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import orjson

from ledger.batch import KEY_REUSED
from ledger.connecting import Connection
from ledger.drafts import ERASED, NO_SIGNATURE
from ledger.sql_files import queries
from schemas.commands import Accepted, AnswerKey, Refused

SQL: Final = queries("ledger", "sql/queries/comments.sql")
NO_COMMENT: Final = Refused("not-found", "no-comment", "The signature has no comment.")

_REFUSALS: Final = {
    "unknown-signature": NO_SIGNATURE,
    "erased": ERASED,
    "no-comment": NO_COMMENT,
    "key-reused": KEY_REUSED,
}


@dataclass(frozen=True, slots=True)
class ReleasedComment:
    """A comment that everybody may read; `position` is where its signature was recorded."""

    signature: UUID
    position: int
    comment: str = field(repr=False)


async def decide_comment(
    connection: Connection, actor: str, petition: str, signature: UUID, released: bool, key: AnswerKey | None
) -> Accepted | Refused:
    """Release a comment, or take it back. The role is `ledger_admin`. The answer holds the comment, which is not kept
    with it: null where it is gone since."""
    kept_by = (None, None) if key is None else (key.key, key.fingerprint)
    row = await connection.fetchrow(SQL["decide"], actor, petition, signature, released, *kept_by)
    assert row is not None
    if (refusal := _REFUSALS.get(row["outcome"])) is not None:
        return refusal
    return Accepted({**orjson.loads(row["answer"]), "comment": row["comment"]}, repeated=row["outcome"] == "repeated")


async def released_comments(connection: Connection, petition: str, before: int, at_most: int) -> list[ReleasedComment]:
    """The released comments of signatures that count, the newest first. The role is `ledger_reader`."""
    return [
        ReleasedComment(**dict(row.items()))
        for row in await connection.fetch(SQL["released"], petition, before, at_most)
    ]
