"""What sealing costs a signature, and how long a vault takes to go to its next epoch.

The times of a single row are those of the processor, in one process, so that what else runs here says little; the peer
is SHA-256 over as many bytes. The rotation is that of `ledger keys rotate --vault`, on an embedded server, without the
wait for services.

    .venv/bin/python -m bench.vault [ROWS]
"""

import asyncio
import hashlib
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from uuid_utils.compat import uuid7

from ledger.vault import IV_BYTES, RANDOM_BYTES, Epoch, Opened, open_identity, rewrap, seal_identity
from ledger.vault_audit import audit_vault
from schemas.findings import Findings
from service.database import Ledger, place
from service.importing import import_log
from service.opening import opening
from service.settings import Settings
from service.vault_keys import rotate_vault

ROWS = 100_000
RUNS = 5
SINGLE = 20_000


def single() -> dict[str, list[float]]:
    """Microseconds of the processor for one row, by what was done."""
    old, new = (Epoch(number, secrets.token_bytes(32)) for number in (1, 2))
    signatures = [UUID(bytes=uuid7().bytes) for _ in range(SINGLE)]
    opened = Opened(secrets.token_bytes(32), b'{"email":"jane.doe@example.org","name":"Jane Doe","postcode":"N1 1AA"}')
    rows = [seal_identity(old, each, opened, secrets.token_bytes(RANDOM_BYTES)) for each in signatures]
    work: dict[str, Callable[[int], object]] = {
        "seal an identity": lambda n: seal_identity(old, signatures[n], opened, secrets.token_bytes(RANDOM_BYTES)),
        "open it": lambda n: open_identity(old, signatures[n], rows[n]),
        "wrap its key anew": lambda n: rewrap(
            old, new, signatures[n], rows[n].wrapped_key, secrets.token_bytes(IV_BYTES)
        ),
        "peer: SHA-256 of the sealed bytes": lambda n: hashlib.sha256(rows[n].sealed).digest(),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(RUNS):
        for name, each in work.items():
            began = time.process_time()
            for n in range(SINGLE):
                each(n)
            times[name].append((time.process_time() - began) / SINGLE * 1e6)
    return times


async def rotation(rows: int) -> dict[str, float]:
    """Seconds, by what was done to so many rows."""
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="ledger-bench-") as directory:
        log = Path(directory) / "log.csv"
        with log.open("w") as file:
            file.write("at,kind,signer,email\n")
            file.writelines(f"2024-01-01T10:00:00Z,recorded,S{n},signer{n}@example.org\n" for n in range(rows))
        settings = Settings(home=Path(directory) / "home", database_url=None)
        with place(settings, create=True) as where:
            async with where.ledger(origin="bench.localhost/ledger") as ledger:
                began = time.perf_counter()
                report = await import_log(
                    ledger, opening("bench"), log, mapping={}, kinds={}, zone=None, actor="import:bench"
                )
                assert report.is_clean
                times["import"] = time.perf_counter() - began
                began = time.perf_counter()
                assert (await rotate_vault(ledger, on_its_way=0)).rewrapped == rows
                times["rotate the vault"] = time.perf_counter() - began
                began = time.perf_counter()
                await _audited(ledger, rows)
                times["open every row and hold it against its leaf"] = time.perf_counter() - began
    return times


async def _audited(ledger: Ledger, rows: int) -> None:
    connection = await ledger.connect("ledger_backup")
    try:
        async with connection.transaction():
            findings = Findings()
            assert (await audit_vault(connection, findings, ledger.epochs())).opened == rows
            assert not findings
    finally:
        await connection.close()


def main() -> None:
    """Measure, and print a table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    print(f"microseconds of the processor a row, median of {RUNS} runs (least to most)")
    for name, each in single().items():
        print(f"  {name:<44} {statistics.median(each):>8.2f}  ({min(each):.2f} to {max(each):.2f})")
    print(f"seconds for {rows:,} rows")
    for name, seconds in asyncio.run(rotation(rows)).items():
        print(f"  {name:<44} {seconds:>8.1f}")


if __name__ == "__main__":
    main()
