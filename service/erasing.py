"""Erasing: the log says it, the journal keeps it, what is held is destroyed, and only then is it answered.

The law of this module is that order. Wherever it is cut off, the log knows what has to be done, and whoever comes next
does the rest: before the next erasure, and at the start of a service, before anything is served. Then the journal is
held against the database too: whom it names and the database does not know as erased, as after a backup was put back,
is erased anew; and what the log says and the journal does not know is written there.

This module must never destroy before the journal is on the disk, and never answer before all is destroyed.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

from ledger.connecting import Connection
from ledger.erasure_journal import Erased, Journal, JournalRefused
from ledger.sql_files import queries
from ledger.writer import Writer
from schemas.commands import Accepted, EraseSigner, Outcome, Submission
from service.database import Ledger, Unavailable

SYSTEM: Final = "system"
AT_ONCE: Final = 1_000
"""Signatures of which all is destroyed in one transaction."""

SQL: Final = queries("service", "sql/erasing.sql")


class Settled(NamedTuple):
    """What had to be done at a start: how many erasures were finished, done anew, and written to the journal."""

    finished: int
    anew: int
    journalled: int


async def erase(privacy: Connection, writer: Writer, journal: Journal, command: EraseSigner, actor: str) -> Outcome:
    """Erase a signer. The connection and the writer are in the role `ledger_privacy`.

    The answer of an erasure that was done before is the same. Raises JournalRefused: then the log says it, and it is
    finished by whoever comes next.
    """
    await finish(privacy, journal)
    outcome = await writer.submit(Submission(command, actor))
    if not isinstance(outcome, Accepted):
        return outcome
    await finish(privacy, journal)
    erased = await privacy.fetch(SQL["erasures"], outcome.answer["signatures"])
    last = erased[-1]
    answer = {
        "petition": command.petition,
        "mode": last["mode"],
        "signatures": outcome.answer["signatures"],
        "position": last["position"],
        "version": last["version"],
    }
    return Accepted(answer, repeated=outcome.repeated)


async def finish(
    privacy: Connection, journal: Journal, *, thorough: bool = False, journalled: Collection[UUID] = ()
) -> int:
    """Finish what the log says and what was cut off; how many signatures it was. `thorough`: look everywhere. Raises
    JournalRefused."""
    unfinished = [row["signature"] for row in await privacy.fetch(SQL["unfinished"], thorough)]
    for begin in range(0, len(unfinished), AT_ONCE):
        some = unfinished[begin : begin + AT_ONCE]
        await _write(journal, await privacy.fetch(SQL["erasures"], [each for each in some if each not in journalled]))
        # Journalled. From here a backup that is put back does not bring her back.
        await privacy.execute(SQL["destroy"], some)
    return len(unfinished)


async def settle(ledger: Ledger) -> Settled:
    """Hold the journal against the database, and do what is missing on either side. Before anything is served.

    Raises Unavailable, where it cannot be done.
    """
    journal = journal_of(ledger)
    sentence = "the database did not carry it out"
    try:
        named = await asyncio.to_thread(journal.signatures)
        privacy = await ledger.connect("ledger_privacy")
        try:
            anew = await _erase_anew(ledger, await privacy.fetch(SQL["unerased"], named))
            journalled = set(named)
            finished = await finish(privacy, journal, thorough=True, journalled=journalled)
            known = journalled | set(await asyncio.to_thread(journal.signatures))
            missing = [row for row in await privacy.fetch(SQL["erasures"], None) if row["signature"] not in known]
            await _write(journal, missing)
        finally:
            privacy.terminate()
        return Settled(finished, anew, len(missing))
    except JournalRefused as refusal:
        sentence = str(refusal)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        sentence += f" ({type(error).__name__})"
    raise Unavailable(f"People who were erased may stand in this database again, and it is not served: {sentence}.")


async def look(ledger: Ledger) -> None:
    """See that nobody whom the journal names stands unerased, where a service may not erase. Raises Unavailable."""
    try:
        named = await asyncio.to_thread(journal_of(ledger).signatures)
        if not named:
            return
        signing = await ledger.connect("ledger_signing")
        try:
            left = await signing.fetch(SQL["unerased"], named)
        finally:
            signing.terminate()
    except JournalRefused as refusal:
        raise Unavailable(f"{refusal}.") from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise Unavailable(f"The database cannot be asked who was erased ({type(error).__name__}).") from None
    if left:
        raise Unavailable(
            f"{len(left)} signatures that were erased stand in this database again, as a backup was put back:"
            " start a service of the role admin or all first, which erases them anew."
        )


def journal_of(ledger: Ledger) -> Journal:
    """The journal of a ledger. Raises Unavailable where none is set."""
    if ledger.erasure_journal is None:
        raise Unavailable("There is no journal of erasures: set LEDGER_ERASURE_JOURNAL.")
    return Journal(ledger.erasure_journal)


async def _erase_anew(ledger: Ledger, rows: Sequence[Any]) -> int:
    """Erase signers whom the journal names; how many signatures that were. Raises Unavailable."""
    if not rows:
        return 0
    async with ledger.writer("ledger_privacy") as writer:
        asked = [Submission(EraseSigner(row["petition"], row["signature"]), SYSTEM) for row in rows]
        outcomes = await writer.submit_all(asked)
    refused = sum(not isinstance(outcome, Accepted) for outcome in outcomes)
    if refused:
        raise Unavailable(
            f"{refused} signatures that were erased stand in this database again, and could not be erased anew;"
            " it is not served."
        )
    return len(rows)


async def _write(journal: Journal, rows: Sequence[Any]) -> None:
    lines = [Erased(row["petition"], row["signature"], row["position"], row["recorded"]) for row in rows]
    await asyncio.to_thread(journal.write, lines)
