"""Importing: the rows of a page or of a signature log, submitted to a writer in the order that the parsers chose.

Every row carries a key made of its identity, so that importing again, in part, from several processes or overlapping
adds nothing that was appended; refused rows are judged again. Rows are prepared (tokens, commitments, ids) before
they are submitted, a chunk ahead of the one being written.

This module must never let a row's content into a report, a log or an error.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from ledger import correction as corrections
from ledger.email_policy import EmailPolicy, EmailRefused
from ledger.identity import (
    Identity,
    IdentityRefused,
    Imported,
    Organisation,
    canonical_pii,
    email_domain,
    name_token,
    pii_commit,
    signer_token,
)
from ledger.identity import import_key as keyed
from ledger.intake.page import PageRow
from ledger.intake.page import row_identity as page_row_identity
from ledger.intake.refusals import FileRefused
from ledger.intake.report import Refusal, Report
from ledger.intake.signature_log import Correction, LogRow, Single, Step
from ledger.intake.signature_log import row_identity as log_row_identity
from ledger.vault import RANDOM_BYTES, Epoch, Opened, seal_identity
from ledger.writer import Writer
from schemas.commands import (
    Accepted,
    Command,
    ConfirmSignature,
    ContinueCorrection,
    CorrectImported,
    DeclareStatus,
    Evidence,
    ObserveCount,
    Outcome,
    PostUpdate,
    RecordSignature,
    Refused,
    Submission,
    Unknown,
    WithdrawSignature,
)
from schemas.events import Claim

CHUNK: Final = 1000
"""Steps prepared and submitted at once."""

_CLAIMS: Final[dict[str, Claim]] = {"milestone": "milestone", "status": "status", "count": "page"}


@dataclass(slots=True)
class Importer:
    """Imports into one petition as one actor.

    `key` is the petition's own key (see `ledger.identity.petition_key`); `epoch` gives the vault's epoch to seal
    identities under; `refused` is told each refused row, `progress` the number of rows done so far.
    """

    writer: Writer
    petition: str
    actor: str
    key: bytes
    policy: EmailPolicy
    epoch: Callable[[], Epoch]
    refused: Refusal = lambda line, reason: None
    progress: Callable[[int], None] = lambda done: None
    report: Report = field(default_factory=Report)

    async def import_page(self, rows: Sequence[PageRow]) -> None:
        """Append a page's rows, in the order given, until the ledger cannot write: see `Report.stopped`."""
        remaining = iter(rows)
        while chunk := list(islice(remaining, CHUNK)):
            outcomes = await self.writer.submit_all([self._observation(row) for row in chunk])
            for row, outcome in zip(chunk, outcomes, strict=True):
                self._count(row.line, outcome)
            self.progress(self.report.read)
            if self.report.stopped is not None:
                return

    async def import_log(self, steps: Iterable[Step]) -> None:
        """Append a signature log's steps, in the order given, until the ledger cannot write: see `Report.stopped`."""
        submitted: asyncio.Task[None] | None = None
        try:
            async for chunk in self._prepared(iter(steps)):
                if submitted is not None:
                    # Shielded: who leaves takes nothing back, and the report has to tell what was appended.
                    await asyncio.shield(submitted)
                if self.report.stopped is not None:
                    return
                submitted = asyncio.create_task(self._write(chunk))
        finally:
            if submitted is not None:
                await submitted

    async def resume(self, running: Iterable[UUID]) -> None:
        """Finish corrections that an import which was killed left unfinished. `running` are their ids."""
        for correction in running:
            await self._continue(correction)

    # -- preparing -----------------------------------------------------------------------------------------------------

    async def _prepared(self, steps: Iterator[Step]) -> "AsyncIterator[list[tuple[Step, Submission | str]]]":
        for chunk in _chunks(steps):
            yield [(step, self._prepare(step)) for step in chunk]

    def _prepare(self, step: Step) -> Submission | str:
        """The submission of a step, or the reason for which it is refused."""
        try:
            match step:
                case Single(row):
                    command: Command = self._command(row)
                    return Submission(command, self.actor, import_key=self._row_key(row))
                case Correction(kind, at, reason, rows):
                    tokens, aliases = zip(*map(self._tokens, rows), strict=True)
                    members = tuple(zip(tokens, map(self._row_key, rows), strict=True))
                    correction = CorrectImported(self.petition, uuid7(), kind, reason, members, at, aliases)
                    return Submission(correction, self.actor)
        except EmailRefused:
            return "email-invalid"
        except IdentityRefused:
            return "signer-invalid"
        except _ReferenceWithoutOrganisation:
            return "reference-without-organisation"

    def _command(self, row: LogRow) -> Command:
        match row.kind:
            case "recorded":
                return self._record(row)
            case "confirmed":
                token, alias = self._tokens(row)
                return ConfirmSignature(self.petition, None, token, True, row.at, alias)
            case "withdrawn":
                token, alias = self._tokens(row)
                return WithdrawSignature(self.petition, None, token, True, row.at, alias)
            case _:
                raise AssertionError("a correction's rows come as one step")

    def _record(self, row: LogRow) -> RecordSignature:
        if row.reference is not None and row.organisation is None:
            raise _ReferenceWithoutOrganisation
        token, alias = self._tokens(row)
        identity = self._identity(row)
        pii = canonical_pii(identity)
        random = secrets.token_bytes(48 + RANDOM_BYTES)
        signature, opened = uuid7(), Opened(random[16:48], pii)
        return RecordSignature(
            petition=self.petition,
            signature=signature,
            token=token,
            alias=alias,
            signer_ref=random[:16],
            identity=seal_identity(self.epoch(), signature, opened, random[48:]),
            pii_commit=pii_commit(opened.nonce, pii),
            confirmed=None,
            channel=row.channel or "import",
            kind="person" if row.organisation is None else "organisation",
            imported=True,
            at=row.at,
            name=row.organisation,
            reference=row.reference,
            country=row.country,
            region=row.region,
            answers=row.answers,
            evidence=self._evidence(row, identity),
        )

    def _evidence(self, row: LogRow, identity: Identity) -> Evidence | None:
        """What reviewers find fraud by, where the file has it: the domain of an address, an organisation's name."""
        domain = email_domain(identity, self.policy)
        token = None if row.organisation is None else name_token(self.key, row.organisation)
        return None if domain is None and token is None else Evidence(None, None, domain, token)

    @staticmethod
    def _identity(row: LogRow) -> Identity:
        if row.organisation is not None:
            return Organisation(row.organisation, row.reference)
        return Imported(row.signer, row.email)

    def _tokens(self, row: LogRow) -> tuple[bytes, bytes | None]:
        """The tokens by which a row names its signer: that of what live signing would know her by, where the row has
        it; and that of the file's reference, as an alias of it. Without the former, the reference's is the token."""
        identity, reference = self._identity(row), Imported(row.signer)
        by_reference = signer_token(self.key, reference, self.policy)
        if identity == reference:
            return by_reference, None
        return signer_token(self.key, identity, self.policy), by_reference

    def _row_key(self, row: LogRow) -> bytes:
        return keyed(self.key, log_row_identity(row))

    def _observation(self, row: PageRow) -> Submission:
        command: Command
        if row.kind == "update":
            command = PostUpdate(self.petition, row.text or "", effective_on=row.effective_on, at=row.at)
        elif row.count is None:
            if row.status is None:
                raise FileRefused("A row of this kind needs a count.")
            command = DeclareStatus(self.petition, row.status, effective_on=row.effective_on, at=row.at)
        else:
            command = ObserveCount(
                self.petition,
                row.count,
                _CLAIMS[row.kind],
                row.at,
                status=row.status,
                effective_on=row.effective_on,
            )
        return Submission(command, self.actor, import_key=keyed(self.key, page_row_identity(row)))

    # -- writing -------------------------------------------------------------------------------------------------------

    async def _write(self, chunk: "list[tuple[Step, Submission | str]]") -> None:
        submissions = [submission for _, submission in chunk if isinstance(submission, Submission)]
        outcomes = iter(await self.writer.submit_all(submissions))
        for step, submission in chunk:
            if isinstance(submission, str):
                for row in _rows(step):
                    self.refuse(row.line, submission)
            else:
                await self._settle(step, submission, next(outcomes))
        self.progress(self.report.read)

    async def _settle(self, step: Step, submission: Submission, outcome: Outcome) -> None:
        while isinstance(step, Correction) and isinstance(outcome, Accepted) and "rows" not in outcome.answer:
            # Corrections that came before had more to do to these signers than one transaction holds.
            outcome = await self.writer.submit(submission)
        match step:
            case Single(row):
                self._count(row.line, outcome)
            case Correction() if isinstance(outcome, Accepted):
                for row, became in zip(step.rows, outcome.answer["rows"], strict=True):
                    self._count_member(row.line, became)
                if outcome.answer["remaining"]:
                    await self._continue(UUID(outcome.answer["correction"]))
            case Correction():
                for row in step.rows:
                    self._count(row.line, outcome)

    async def _continue(self, correction: UUID) -> None:
        """Apply a correction to its end. Another process may be doing the same; each member is applied once."""
        command = ContinueCorrection(self.petition, correction)
        while True:
            outcome = await self.writer.submit(Submission(command, self.actor))
            if not isinstance(outcome, Accepted) or not outcome.answer["remaining"]:
                self._stop_unless_written(outcome)
                return

    # -- counting ------------------------------------------------------------------------------------------------------

    def _stop_unless_written(self, outcome: Outcome) -> None:
        """The rows behind one that the ledger could not write now would fare no better, one patience after another."""
        match outcome:
            case Refused("unavailable", _, detail):
                self.report.stopped = detail
            case Unknown():
                self.report.stopped = "The database did not tell in time what became of the last rows."
            case _:
                pass

    def _count(self, line: int, outcome: Outcome) -> None:
        self._stop_unless_written(outcome)
        match outcome:
            case Accepted(already_there=True):
                self.report.already_there += 1
            case Accepted(repeated=True):
                self.report.duplicates += 1
            case Accepted():
                self.report.appended += 1
            case Refused():
                self.refuse(line, outcome.reason)
                return
            case _:
                self.report.unknown += 1
        self.report.read += 1

    def _count_member(self, line: int, became: str) -> None:
        match became:
            case "appended":
                self.report.appended += 1
            case "already-there":
                self.report.already_there += 1
            case "duplicate":
                self.report.duplicates += 1
            case _:
                self.refuse(line, became)
                return
        self.report.read += 1

    def skip(self) -> None:
        """Count a row that is left out on purpose."""
        self.report.read += 1
        self.report.skipped += 1

    def refuse(self, line: int, reason: str) -> None:
        """Count a row that is refused."""
        self.report.read += 1
        self.report.refused[reason] += 1
        self.refused(line, reason)


class _ReferenceWithoutOrganisation(ValueError):
    """A person's row has a reference, which is public and an organisation's alone."""


def _chunks(steps: Iterator[Step]) -> Iterator[list[Step]]:
    """The steps, as many at once as may be judged without waiting for one another.

    A correction of more rows than one transaction applies goes on after its own submission was answered: it stands
    alone, so that what comes behind it is not submitted before it is finished.
    """
    chunk: list[Step] = []
    rows = 0
    for step in steps:
        size = len(_rows(step))
        if chunk and (len(chunk) == CHUNK or rows + size > corrections.CHUNK):
            yield chunk
            chunk, rows = [], 0
        chunk.append(step)
        rows += size
    if chunk:
        yield chunk


def _rows(step: Step) -> tuple[LogRow, ...]:
    return step.rows if isinstance(step, Correction) else (step.row,)
