"""Batches as the writer would send them, and then forged: one column, one row or one leaf that says something else."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from ledger.batch import Batch
from ledger.connecting import Connection
from ledger.known import READ_STATE, known, wanted
from ledger.merkle import leaf_hash
from ledger.writer import APPEND, BEGIN, LOCK_HEAD
from schemas.canonical import parse, render, to_base64
from schemas.commands import Accepted, Submission
from tests.ledger.submissions import SOURCE

Table = Literal[
    "events",
    "petitions",
    "signatures",
    "signers",
    "aliases",
    "identities",
    "import_keys",
    "answers",
    "corrections",
    "members",
]
TABLES: Final[tuple[Table, ...]] = (
    "events", "petitions", "signatures", "signers", "aliases", "identities", "import_keys", "answers", "corrections",
    "members",
)  # fmt: skip
COLUMNS: Final[dict[Table, tuple[str, ...]]] = {
    "events": (
        "position", "petition", "version", "type", "effective", "recorded", "delta", "count_after", "signature", "hold",
        "channel", "kind", "country", "region", "answers", "leaf", "leaf_hash",
    ),
    "petitions": (
        "petition", "id", "version", "count", "last_leaf_hash", "declarations", "basis", "confirmation",
        "identity_policy", "public_fields", "questions", "text_version", "opens_at", "closes_at", "acceptances",
        "observed_at",
    ),
    "signatures": (
        "signature", "petition", "position", "version", "confirmed", "withdrawn", "erased", "holds", "effective",
        "channel", "kind", "country", "region", "answers", "previous",
    ),
    "signers": ("petition", "token", "signer_ref", "signature"),
    "aliases": ("petition", "alias", "token"),
    "identities": ("signature", "pii", "nonce", "epoch", "wrapped_key", "sealed"),
    "import_keys": ("petition", "key", "position", "signature"),
    "answers": ("credential", "petition", "key", "fingerprint", "answer", "signature", "recorded"),
    "corrections": (
        "correction", "petition", "kind", "reason", "actor", "state", "effective", "lifts", "matched", "applied",
        "skipped", "digest", "approval", "approver", "reverses", "opened",
    ),
    "members": ("correction", "ordinal", "signature", "outcome"),
}  # fmt: skip


@dataclass
class Prepared:
    """The arguments of an append, to be changed at will. A row is a dict from column to value."""

    position: int
    at: datetime
    source: str
    tables: dict[Table, list[dict[str, Any]]]

    def row(self, table: Table, nth: int = 0) -> dict[str, Any]:
        return self.tables[table][nth]

    def rewrite_leaf(self, nth: int, change: Callable[[dict[str, Any]], None]) -> None:
        """Let the leaf of an event say something else, with a hash that fits, also in what follows it."""
        event = self.row("events", nth)
        self._rewrite(event, change)
        for following in self.tables["events"][nth + 1 :]:
            if following["petition"] == event["petition"]:
                prev = to_base64(event["leaf_hash"])
                self._rewrite(following, lambda document, prev=prev: document.update(prev=prev))  # type: ignore[misc]
                event = following
        for petition in self.tables["petitions"]:
            if petition["petition"] == event["petition"]:
                petition["last_leaf_hash"] = event["leaf_hash"]

    @staticmethod
    def _rewrite(event: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> None:
        document = parse(event["leaf"])
        change(document)
        event["leaf"] = render(document)
        event["leaf_hash"] = leaf_hash(event["leaf"])

    def arguments(self) -> tuple[Any, ...]:
        rows = tuple([tuple(row.values()) for row in self.tables[table]] for table in TABLES)
        return self.position, self.at, self.source, rows


async def prepare(connection: Connection, *submissions: Submission, blind: bool = False) -> Prepared:
    """Begin a transaction, lock the head, and decide; each of these is taken.

    A blind writer takes every petition for itemised and open, and says nothing of it.
    """
    await connection.execute(BEGIN)
    head = await connection.fetchrow(LOCK_HEAD)
    row = await connection.fetchrow(READ_STATE, *wanted(submissions))
    assert head is not None
    assert row is not None
    state = known(row)
    said = {petition.petition: petition.row() for petition in state.petitions.values()}
    if blind:
        for petition in state.petitions.values():
            petition.acceptances, petition.opens_at, petition.closes_at = petition.acceptances[:1], None, None
            petition.basis = "itemised"
    batch = Batch(state, head["position"], row["now"], SOURCE)
    batch.close_due_petitions()
    outcomes = [batch.settle(submission) for submission in submissions]
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    tables = {
        table: [dict(zip(COLUMNS[table], values, strict=True)) for values in rows]
        for table, rows in zip(TABLES, batch.rows(), strict=True)
    }
    if blind:
        for each in tables["petitions"]:
            before = dict(zip(COLUMNS["petitions"], said[each["petition"]], strict=True))
            each |= {column: before[column] for column in ("basis", "opens_at", "closes_at", "acceptances")}
    return Prepared(head["position"], row["now"], SOURCE, tables)


async def append(connection: Connection, role: str, prepared: Prepared) -> None:
    """Send it, and leave the transaction open."""
    await connection.execute(APPEND[role], *prepared.arguments())
