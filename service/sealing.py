"""Sealing, wired: keys from their files, the copy of the head, the witness, and the projections' sealed builds.

A head goes out in one order: it is sealed in the database; copied outside of it, to the disk; shown to the witness, who
has a bounded time; the sealed builds come to its size; it is published. Each step is committed before the next begins,
and whoever dies in between has only done what it committed: the next sealer goes on from there. Whoever may seal at the
same time takes turns with it, and publishes nothing smaller than what was published.

Before the first step stands the guard: `opened` refuses a database that is behind its copy, or behind what the witness
has seen.

This module must never seal inside an append, never show what was not copied, and never make a key in the place of one
that was lost.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import structlog

from ledger.connecting import Connection
from ledger.head_copy import HeadCopy
from ledger.keys import KeyMissing, KeyUnavailable
from ledger.log_reading import Published, newest_published
from ledger.proving import consistency
from ledger.seal_keys import make_sealing_key, sealing_keys
from ledger.sealing import (
    Sealed,
    SealingRefused,
    due,
    every_stated_key,
    guard,
    lock,
    newest_sealed,
    publish,
    seal,
    unpublished,
)
from ledger.tree_head import NoteRefused, SealingKey, VerifierKey, read_head
from projections import sealed
from service.database import Ledger, Unavailable, made
from service.settings import Settings
from service.witness import Witness, witness

log = structlog.get_logger(__name__)


class Sealer:
    """One sealer at work, made by `opened`. Its methods raise SealingRefused, KeyUnavailable, UnknownType, and what
    asyncpg and the disk raise; after any of it, it is opened again.

    `connection` is in the role `ledger_sealer`, `projector` in `ledger_projector`. With `makes_key` the first key of a
    log that was never sealed is made.
    """

    def __init__(
        self,
        ledger: Ledger,
        connection: Connection,
        projector: Connection,
        *,
        cosigner: Witness | None = None,
        makes_key: bool = False,
    ) -> None:
        if ledger.seal_key_file is None or ledger.head_copy is None:
            raise Unavailable("Nothing is sealed here: no key file is set.")
        self._origin = ledger.origin
        self._key_file = ledger.seal_key_file
        self._copy = HeadCopy(ledger.head_copy)
        self._connection = connection
        self._projector = projector
        self._witness = cosigner
        self._makes_key = makes_key
        self._copied = 0  # the size of what is in the copy, as far as this sealer has seen

    async def guard(self) -> None:
        """Refuse a database that went back; else see that the copy is of what was published last."""
        await self._hold_against_what_was_shown(await self._keys())
        await self._copy_what_others_published()

    async def once(self) -> Published | None:
        """Bring seals, copy, sealed builds and what is shown up to what is committed; the newest head that is shown.

        None where nothing was ever recorded.
        """
        shown = await newest_published(self._connection)
        if shown is not None and shown.size > self._copied:
            await self._copy_what_others_published()
        if await due(self._connection):
            keys = await self._keys()
            if await unpublished(self._connection) is not None:
                await self._show(keys)  # what somebody sealed who did not come further
            newest = await seal(self._connection, self._origin, keys)
            if newest is not None and (shown is None or shown.size < newest.head.size):
                await self._show(keys)
                shown = await newest_published(self._connection)
        elif shown is not None:
            await sealed.advance(self._projector, shown.size)  # after a rebuild, which forgets the sealed builds
            shown = await self._show_again(shown)
        return shown

    async def _show(self, keys: Sequence[SealingKey]) -> None:
        """Copy and publish the newest sealed head, if it was not published meanwhile."""
        async with self._connection.transaction():
            await lock(self._connection)
            newest = await unpublished(self._connection)
            if newest is None:
                return
            await self._write_copy(newest.note)
        # Copied. From here whoever puts an older database in this one's place is found out.
        note = await self._cosigned(newest, keys)
        await sealed.advance(self._projector, newest.head.size)
        async with self._connection.transaction():
            await lock(self._connection)
            shown = await newest_published(self._connection)
            if shown is None or shown.size < newest.head.size:
                await publish(self._connection, 1 if shown is None else shown.nth + 1, newest.head.size, note)
        # Published. From here it is what auditors are shown.

    async def _show_again(self, shown: Published) -> Published:
        """Publish the head that is shown once more, where the witness did not sign it before and does now."""
        newest = await newest_sealed(self._connection)
        if self._witness is None or not self._witness.may_be_asked or newest is None or newest.note != shown.note:
            return shown
        note = await self._cosigned(newest, await self._keys())
        if note != shown.note:
            async with self._connection.transaction():
                await lock(self._connection)
                if await newest_published(self._connection) == shown:
                    await publish(self._connection, shown.nth + 1, shown.size, note)
        return await newest_published(self._connection) or shown

    async def _cosigned(self, newest: Sealed, keys: Sequence[SealingKey]) -> bytes:
        """The head's note, with the witness's line where there is one who signs it in its time.

        A witness who says that this is not the log that it knows is believed where its view shows that.
        """
        if self._witness is None:
            return newest.note

        async def prove(old: int) -> Sequence[bytes]:
            return (await consistency(self._connection, old, newest.head.size)).proof

        note = await self._witness.cosign(newest.note, [key.verifier for key in keys], prove)
        if self._witness.contradicts:
            await self._hold_against_what_was_shown(keys)
        return note

    async def _hold_against_what_was_shown(self, keys: Sequence[SealingKey]) -> None:
        """The guard: the copy, and what the witness shows of this log. Raises SealingRefused."""
        listed = [key.verifier for key in keys]
        view = None
        if self._witness is not None:
            view = await self._witness.view([*listed, *await self._keys_before(listed)])
        await guard(self._connection, self._copy, listed, [] if view is None else [view])

    async def _keys_before(self, listed: Sequence[VerifierKey]) -> list[VerifierKey]:
        """Keys that sealed this log and whose files are gone."""
        return [key for key in await every_stated_key(self._connection) if key not in listed]

    async def _keys(self) -> list[SealingKey]:
        """The keys as their files are now: whoever rotates them stops nothing."""
        try:
            return sealing_keys(self._key_file, self._origin)
        except KeyMissing:
            if not self._makes_key or await every_stated_key(self._connection):
                raise
            log.info("sealer.makes_its_key", file=str(self._key_file))
            return [made(self._key_file, lambda path: make_sealing_key(path, self._origin))]

    async def _copy_what_others_published(self) -> None:
        """See that the copy is not older than what is shown: another sealer may keep a copy elsewhere, or have written
        this one late, when it thawed after others had gone on."""
        async with self._connection.transaction():
            await lock(self._connection)
            shown = await newest_published(self._connection)
            if shown is None:
                return
            if _is_older(self._copy.read(), shown):
                await self._write_copy(shown.note)
            self._copied = max(self._copied, shown.size)

    async def _write_copy(self, note: bytes) -> None:
        """Under the lock. To its end, even where whoever waits for it is cancelled: the lock must not be given back
        while a thread still writes."""
        writing = asyncio.create_task(asyncio.to_thread(self._copy.write, note))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])
            raise
        except OSError as error:
            raise SealingRefused(
                f"The newest tree head cannot be copied to {self._copy.path} ({error.strerror}): nothing newer is"
                " published until it can."
            ) from None
        self._copied = read_head(note).size


@contextlib.asynccontextmanager
async def opened(ledger: Ledger, *, cosigner: Witness | None = None, makes_key: bool = False) -> AsyncIterator[Sealer]:
    """A sealer with connections of its own, past the guard. Raises Unavailable, SealingRefused and KeyUnavailable."""
    async with contextlib.AsyncExitStack() as connections:
        connection = await ledger.connect("ledger_sealer")
        connections.callback(connection.terminate)
        projector = await ledger.connect("ledger_projector")
        connections.callback(projector.terminate)
        sealer = Sealer(ledger, connection, projector, cosigner=cosigner, makes_key=makes_key)
        await sealer.guard()
        yield sealer


async def seal_and_publish(ledger: Ledger, settings: Settings) -> Published | None:
    """Seal what is committed when this begins, and show it; the newest head that is shown then.

    None where nothing was ever recorded. Raises SealingRefused where the log went back, and Unavailable.
    """
    try:
        async with (
            witness(settings, ledger.origin) as cosigner,
            opened(ledger, cosigner=cosigner, makes_key=True) as sealer,
        ):
            return await sealer.once()
    except KeyUnavailable as error:
        raise Unavailable(f"{error}: without its key the log cannot be sealed.") from None


def _is_older(held: bytes | None, shown: Published) -> bool:
    try:
        return held is None or read_head(held).size < shown.size
    except NoteRefused:
        return False
