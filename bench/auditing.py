"""How fast the log is sealed, exported and verified, how far sealing lags behind an import, and how large a bundle is.

Verifying runs as an auditor runs it, in a process of its own that imports none of the service; its peer is one pass of
SHA-256 over the same leaves in this process: the least that any verifier has to do.

    .venv/bin/python -m bench.auditing [ROWS]
"""

import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from ledger.merkle import leaf_hash
from ledger.reading import leaves
from projections.projector import catch_up
from service.database import Ledger, place
from service.exporting import export
from service.importing import import_log
from service.opening import opening
from service.sealing_keys import verifier_keys
from service.serving.sealing import seal_the_log
from service.settings import Settings

ROWS = 100_000
LOOK = 0.1
"""Seconds between two looks at how far the seal is behind."""
LAG = "SELECT h.position - coalesce((SELECT max(size) FROM ledger.published_heads), 0) FROM ledger.head h"


@dataclass
class Measured:
    """Seconds by what was done, events behind the published head while it grew, and what verifying took."""

    seconds: dict[str, float] = field(default_factory=dict)
    behind: list[int] = field(default_factory=list)
    bundle: int = 0
    memory: int = 0


async def measure(rows: int) -> Measured:
    """Import, seal beside it, export, verify."""
    told = Measured()
    with tempfile.TemporaryDirectory(prefix="ledger-bench-") as directory:
        log, bundle = Path(directory) / "log.csv", Path(directory) / "bundle"
        with log.open("w") as file:
            file.write("at,kind,signer,country\n")
            file.writelines(f"2024-01-{1 + n % 28:02d}T10:00:00Z,recorded,S{n},GB\n" for n in range(rows))
        settings = Settings(home=Path(directory) / "home", database_url=None)
        with place(settings, create=True) as where:
            async with where.ledger(origin="bench.localhost/ledger") as ledger:
                await _grow(ledger, where.settings, log, told)
                began = time.perf_counter()
                await export(ledger, where.settings, bundle)
                told.seconds["export of the bundle, sealed and projected"] = time.perf_counter() - began
                (vkey,) = await verifier_keys(ledger)
                await _hash(ledger, rows, told)
        told.bundle = sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file())
        _verify(bundle, vkey, told)
    return told


async def _grow(ledger: Ledger, settings: Settings, log: Path, told: Measured) -> None:
    """Import, while a sealer seals what it finds."""
    sealing = asyncio.create_task(seal_the_log(ledger, settings))
    watching = asyncio.create_task(_watch(ledger, told.behind))
    began = time.perf_counter()
    report = await import_log(ledger, opening("bench"), log, mapping={}, kinds={}, zone=None, actor="import:bench")
    told.seconds["import, sealed beside it"] = time.perf_counter() - began
    assert report.is_clean
    for task in (sealing, watching):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    projector = await ledger.connect("ledger_projector")
    await catch_up(projector)
    await projector.close()


async def _watch(ledger: Ledger, behind: list[int]) -> None:
    reader = await ledger.connect("ledger_reader")
    try:
        while True:
            behind.append(await reader.fetchval(LAG))
            await asyncio.sleep(LOOK)
    finally:
        reader.terminate()


async def _hash(ledger: Ledger, rows: int, told: Measured) -> None:
    reader = await ledger.connect("ledger_reader")
    stored = [leaf async for leaf in leaves(reader, upto=rows + 1)]
    await reader.close()
    began = time.perf_counter()
    for leaf in stored:
        leaf_hash(leaf)
    told.seconds["peer: SHA-256 of every leaf"] = time.perf_counter() - began


# What a process used at the most counts from its parent's memory at the fork: so it has a small parent of its own.
_MEASURED = """
import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def _verify(bundle: Path, vkey: str, told: Measured) -> None:
    audit = (sys.executable, "-m", "ledger.verify", str(bundle), "--vkey", vkey)
    ran = subprocess.run([sys.executable, "-c", _MEASURED, *audit], check=True, stdout=subprocess.PIPE, text=True)
    *report, measured = ran.stdout.splitlines()
    print(*report, sep="\n")
    took, processor, memory = measured.split()
    told.seconds["verify, in a process of its own"] = float(took)
    told.seconds["verify, seconds of the processor"] = float(processor)
    told.memory = int(memory)


def main() -> None:
    """Measure, and print a table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    told = asyncio.run(measure(rows))
    peer = told.seconds["peer: SHA-256 of every leaf"]
    print(f"{rows:,} events, one run")
    for name, seconds in told.seconds.items():
        print(f"  {name:<46} {seconds:>9.2f} s  {rows / seconds:>12,.0f}/s  {seconds / peer:8.1f} times the peer")
    behind = sorted(told.behind)
    print(
        f"  events behind the published head, every {LOOK} s: median {statistics.median(behind):,.0f},"
        f" at the most {behind[-1]:,}"
    )
    print(f"  bundle: {told.bundle:,} bytes, {told.bundle / (rows + 1):,.0f} an event")
    print(f"  verify: at the most {told.memory / 1024:,.0f} MiB")


if __name__ == "__main__":
    main()
