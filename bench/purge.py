"""The replay of a purge that happened: a petition of 200,000 signatures, of which 75,169 came from one network.

It is signed through the writer of live signing, with the evidence that a site sends. The network is the first of the
petition's signals, which fills in the preview; it is opened, approved by a second principal, run to its end, and
explained by drift and notice; then reversed, whereupon the count is as before and the history longer. Durations are of
this machine, in this run; everything that is said of the numbers is asserted. A small one of it runs as a test.

    .venv/bin/python -m bench.purge [SIGNATURES] [FRAUD]
"""

import asyncio
import resource
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from ledger.connecting import Connection
from ledger.email_policy import STANDARD_1
from ledger.identity import NONCE_BYTES
from ledger.vault import RANDOM_BYTES
from ledger.writer import Writer
from projections.asking.drift import drift
from projections.asking.petitions import number_of
from projections.asking.serving import rules as notices_of
from projections.moments import read_moment
from projections.projector import catch_up
from schemas.commands import Accepted, ApproveCorrection, Command, Submission
from schemas.requests import PreviewRequest, ReversalRequest, SignatureRequest
from service.correcting import choose, choose_applied, opening, run_to_its_end, told
from service.database import Ledger, place
from service.opening import opening as opening_petition
from service.region_names import names
from service.reviewing import disposable_domains, look
from service.settings import Settings
from service.signing import SIGNER_REF_BYTES, Fresh, Rules, recording

SIGNATURES = 200_000
FRAUD = 75_169
PETITION = "purge"
PROPOSER, APPROVER = "admin:7f3a21", "admin:0b5e11"
AT_ONCE = 1_000


@dataclass
class Purge:
    """What was measured, in seconds, and what the numbers were."""

    seconds: dict[str, float] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began


async def purge(ledger: Ledger, signatures: int, fraud: int) -> Purge:
    """Sign, purge and reverse; raises AssertionError where a number is not what it must be."""
    done = Purge()
    rules = Rules(PETITION, STANDARD_1, ledger.petition_key(PETITION))
    async with _connections(ledger) as (admin, reader, projector), ledger.writer("ledger_admin") as writer:
        await _asked(writer, opening_petition(PETITION), "system")
        with done.timed("signing"):
            await _sign(ledger, rules, signatures, fraud)
        await catch_up(projector)
        with done.timed("signals"):
            signal, *others = await look(admin, PETITION, names(None), disposable_domains(None))
        assert (signal.kind, signal.count, signal.matched) == ("network", fraud, fraud)
        assert signal.where == {"network": "203.0.113.0/24"}
        done.numbers["signals besides"] = len(others)
        request = PreviewRequest.model_validate(
            {"reason": signal.reason, "rule": signal.rule, "where": signal.where}, strict=True
        )
        with done.timed("preview"):
            chosen = await choose(admin, rules, request)
            effect = await told(admin, reader, PETITION, chosen)
        assert len(chosen.rows) == fraud
        assert effect["effect"]["count"] == {"before": signatures, "after": signatures - fraud}
        with done.timed("opening"):
            opened = await _asked(writer, opening(PETITION, chosen, request, effect, chosen.digest), PROPOSER)
        assert opened["state"] == "proposed"
        await _run(writer, opened, APPROVER, done, "approval and run")
        with done.timed("projections catching up"):
            await catch_up(projector)
        done.numbers["count after"] = await _count(reader)
        assert done.numbers["count after"] == signatures - fraud
        with done.timed("drift, its first page"):
            number = await number_of(reader, PETITION)
            assert number is not None
            span = (str(opened["position"] - 1), str(await _head(reader)))
            view = await drift(reader, number, read_moment(span[0]), read_moment(span[1]), recorded=True, limit=100)
        assert (view.net, view.causes.invalidated) == (-fraud, -fraud)
        assert await notices_of(reader, [opened["correction"]]) == {opened["correction"]: signal.rule}
        assert signal not in await look(admin, PETITION, names(None), disposable_domains(None))
        done.numbers["events before the reversal"] = await _head(reader)
        with done.timed("opening of the reversal"):
            applied = await choose_applied(admin, PETITION, UUID(opened["correction"]))
            back = ReversalRequest.model_validate({"reason": "mistake", "rule": "It was a university's."}, strict=True)
            undone = await _asked(
                writer, opening(PETITION, applied, back, await told(admin, reader, PETITION, applied)), APPROVER
            )
        await _run(writer, undone, PROPOSER, done, "approval and run of the reversal")
        await catch_up(projector)
        done.numbers["count as before"] = await _count(reader)
        done.numbers["events after the reversal"] = await _head(reader)
        assert done.numbers["count as before"] == signatures
        assert done.numbers["events after the reversal"] > done.numbers["events before the reversal"]
    return done


async def _sign(ledger: Ledger, rules: Rules, signatures: int, fraud: int) -> None:
    """Every so often one of the fraud, as it came; each with a name, an address and where it came from: the fraud from
    one network, people from everywhere."""
    epoch = ledger.epochs().newest()
    async with ledger.writer("ledger_signing", bound=AT_ONCE) as writer:
        for first in range(0, signatures, AT_ONCE):
            asked = []
            for n in range(first, min(first + AT_ONCE, signatures)):
                is_fraud = n * fraud // signatures != (n + 1) * fraud // signatures
                home = n * 7_919 % 60_000
                host = f"203.0.113.{n % 250}" if is_fraud else f"10.{home >> 8}.{home & 255}.{n % 250}"
                domain = "bots.example.org" if is_fraud else "people.example.org"
                request = SignatureRequest.model_validate(
                    {"signer": {"email": f"s{n}@{domain}", "name": f"Signer {n}"}, "evidence": {"ip": host}}
                )
                random = secrets.token_bytes
                fresh = Fresh(uuid7(), random(SIGNER_REF_BYTES), random(NONCE_BYTES), random(RANDOM_BYTES))
                asked.append(Submission(recording(request, rules, epoch, "site:9c1e04", fresh)[0], "site:9c1e04"))
            outcomes = await writer.submit_all(asked)
            assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes[0]


async def _run(writer: Writer, opened: dict[str, Any], by: str, done: Purge, name: str) -> None:
    correction = UUID(opened["correction"])
    with done.timed(name):
        await _asked(writer, ApproveCorrection(PETITION, correction, opened["digest"]), by)
        await run_to_its_end(writer, PETITION, correction)


async def _asked(writer: Writer, command: Command, actor: str) -> dict[str, Any]:
    outcome = await writer.submit(Submission(command, actor))
    assert isinstance(outcome, Accepted), outcome
    return outcome.answer


async def _count(reader: Connection) -> int:
    return int(await reader.fetchval("SELECT count FROM projections.current_petitions WHERE id = $1", PETITION))


async def _head(reader: Connection) -> int:
    return int(await reader.fetchval("SELECT position FROM ledger.head"))


@asynccontextmanager
async def _connections(ledger: Ledger) -> AsyncIterator[tuple[Connection, Connection, Connection]]:
    opened = [await ledger.connect(role) for role in ("ledger_admin", "ledger_reader", "ledger_projector")]
    try:
        yield opened[0], opened[1], opened[2]
    finally:
        for each in opened:
            each.terminate()


async def _measure(home: Path, signatures: int, fraud: int) -> Purge:
    with place(Settings(home=home, database_url=None), create=True) as where:
        async with where.ledger(origin="bench.localhost/ledger") as ledger:
            return await purge(ledger, signatures, fraud)


def main() -> None:
    signatures, fraud = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) > 2 else (SIGNATURES, FRAUD)
    with tempfile.TemporaryDirectory(prefix="ledger-bench-") as directory:
        done = asyncio.run(_measure(Path(directory) / "home", signatures, fraud))
    for name, seconds in done.seconds.items():
        print(f"{name:<36}{seconds:>10.1f} s")
    for name, count in done.numbers.items():
        print(f"{name:<36}{count:>12,}")
    print(f"{'most memory':<36}{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>10.0f} MiB")


if __name__ == "__main__":
    main()
