"""How fast history is imported, projected, rebuilt and replayed, beside a peer on the same server in the same run.

The peer is what PostgreSQL itself takes for the same leaves: COPY into a table with a primary key, in one
transaction. A ratio against it says what our rules cost, whatever machine this is. Each figure is given with its
spread over the runs.

    .venv/bin/python -m bench.rates [ROWS] [RUNS]
"""

import asyncio
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import asyncpg

from ledger.reading import leaves
from projections.projector import catch_up
from projections.rebuild import rebuild
from projections.replay import Replay
from service.database import Ledger, place
from service.importing import import_log
from service.opening import opening
from service.settings import Settings

ROWS = 50_000
RUNS = 3


async def measure(rows: int, runs: int) -> dict[str, list[float]]:
    """Rates in events a second, by what was done."""
    rates: dict[str, list[float]] = {}

    async def timed(name: str, work: Callable[[], Awaitable[object]], events: int = rows) -> None:
        began = time.perf_counter()
        await work()
        rates.setdefault(name, []).append(events / (time.perf_counter() - began))

    with tempfile.TemporaryDirectory(prefix="ledger-bench-") as directory:
        log = Path(directory) / "log.csv"
        with log.open("w") as file:
            file.write("at,kind,signer,country\n")
            file.writelines(f"2024-01-{1 + n % 28:02d}T10:00:00Z,recorded,S{n},GB\n" for n in range(rows))
        for run in range(runs):
            settings = Settings(home=Path(directory) / f"home-{run}", database_url=None)
            with place(settings, create=True) as where:
                async with where.ledger(origin="bench.localhost/ledger") as ledger:
                    await timed("import of a signature log", partial(_import, ledger, log))
                    await _rest(ledger, rows, timed)
    return rates


async def _import(ledger: Ledger, log: Path) -> None:
    report = await import_log(ledger, opening("bench"), log, mapping={}, kinds={}, zone=None, actor="import:bench")
    assert report.is_clean


async def _rest(ledger: Ledger, rows: int, timed: Callable[..., Awaitable[None]]) -> None:
    projector = await ledger.connect("ledger_projector")
    reader = await ledger.connect("ledger_reader")
    try:
        await timed("projections catching up", lambda: catch_up(projector))
        for name in ("tally", "timeline"):
            await timed(f"rebuild of {name}, compared and swapped", partial(rebuild, projector, [name]))
        stored = [leaf async for leaf in leaves(reader, upto=rows + 1)]

        async def replayed() -> None:
            fold = Replay()
            for leaf in stored:
                fold.apply(leaf)

        await timed("replay of leaves in memory", replayed)
    finally:
        await projector.close()
        await reader.close()
    peer = await asyncpg.connect(ledger.dsn)
    try:
        await peer.execute("CREATE TEMPORARY TABLE peer (position bigint PRIMARY KEY, leaf bytea NOT NULL)")
        await timed(
            "peer: COPY of the same leaves", lambda: peer.copy_records_to_table("peer", records=enumerate(stored))
        )
    finally:
        await peer.close()


def main() -> None:
    """Measure, and print a table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else RUNS
    rates = asyncio.run(measure(rows, runs))
    peer = statistics.median(rates["peer: COPY of the same leaves"])
    print(f"{rows:,} events, median of {runs} runs (least to most), and the ratio to the peer")
    for name, each in rates.items():
        middle = statistics.median(each)
        print(f"  {name:<42} {middle:>12,.0f}/s  ({min(each):,.0f} to {max(each):,.0f})  {middle / peer:6.2f}")
    print(f"  peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


if __name__ == "__main__":
    main()
