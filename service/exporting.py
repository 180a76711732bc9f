"""Exporting: seals what is committed, and writes the audit bundle of it.

The head covers every event that was committed when the export began. What the projections claim is read in the same
snapshot of the database as the newest published head, and only taken where all of it is of that head's size; leaves,
which never change, are read afterwards, a page at a time, and must have the root of every head that was published.

This module must never write a bundle of what was not sealed, and never repair a log that does not have its root.
"""

from pathlib import Path
from typing import Final

from ledger.bundle import PROJECTIONS
from ledger.connecting import Connection
from ledger.laying import Laying
from ledger.log_reading import Published, newest_published, published
from ledger.reading import leaves
from ledger.sealing import every_stated_key
from ledger.tree_head import read_head
from projections.asking.petitions import head_of_log
from projections.claimed import claim
from projections.projector import NAMES
from projections.sealed import sealed_rows
from service.bundles import Laid, Progress, finish, laying, opened
from service.database import Ledger, Unavailable
from service.sealing import seal_and_publish
from service.settings import Settings

AT_ONCE: Final = 2048
"""Leaves that are held in memory: eight bundles."""
BEGINNINGS: Final = 100
"""Looks at a log whose next head is just being published by somebody else."""


class NothingRecorded(Exception):
    """There is no event yet. The text is a sentence for a person."""


async def export(
    ledger: Ledger, settings: Settings, directory: Path, *, progress: Progress = lambda done, total: None
) -> Laid:
    """Write the bundle into this directory, or bring the one that is there up to date.

    Raises NothingRecorded, Disputed, BundleRefused, Unavailable, and SealingRefused.
    """
    with opened(directory) as bundle:
        bundle.belongs_to(ledger.origin)
        connection = await ledger.connect("ledger_reader")
        try:
            committed = (await head_of_log(connection)).position
            if committed == 0:
                raise NothingRecorded("Nothing was recorded yet, so that there is nothing to export.")
            shown, claims = await _sealed(ledger, settings, connection, committed)
            vkeys = [key.vkey for key in await every_stated_key(connection)]
            with laying(bundle, read_head(shown.note), shown.note) as at_work:
                await _take_notes(connection, at_work, shown.nth)
                at_work.begin_leaves()
                await _take_leaves(connection, at_work, progress)
                for name, claimed in claims.items():
                    with at_work.writing(f"{PROJECTIONS}/{name}.json") as file:
                        file.write(claimed)
                return finish(at_work, directory, vkeys)
        finally:
            await connection.close()


async def _sealed(
    ledger: Ledger, settings: Settings, connection: Connection, committed: int
) -> tuple[Published, dict[str, bytes]]:
    """The newest published head, of at least this size, and what every projection claims at exactly its size."""
    for _ in range(BEGINNINGS):
        await seal_and_publish(ledger, settings)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            shown = await newest_published(connection)
            if shown is None or shown.size < committed:
                continue
            claims = {}
            for name in NAMES:
                position, rows = await sealed_rows(connection, name)
                if position != shown.size:
                    break  # the next head is being published, by another sealer
                claims[name] = claim(name, shown.size, shown.root, rows)
            else:
                return shown, claims
    raise Unavailable("The projections do not come to the size of the newest head.")


async def _take_notes(connection: Connection, at_work: Laying, nth: int) -> None:
    after = at_work.notes_after
    while page := await published(connection, after=after):
        at_work.add_notes([each.note for each in page if each.nth <= nth])
        after = page[-1].size
        if page[-1].nth >= nth:
            return


async def _take_leaves(connection: Connection, at_work: Laying, progress: Progress) -> None:
    size, some = at_work.head.size, list[bytes]()
    done = at_work.first
    async for leaf in leaves(connection, after=done, upto=size, page=AT_ONCE):
        some.append(leaf)
        if len(some) == AT_ONCE:
            at_work.take(some)
            done += len(some)
            some.clear()
            progress(done, size)
    at_work.take(some)
    progress(size, size)
