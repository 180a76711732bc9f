"""How fast the ledger signs and is read over HTTP, beside a handler that does nothing, in the same run.

`ledger serve` with two workers, asked by wrk: every signature is of another signer, under a key of its own. The peer is
two processes of bare aiohttp on uvloop, which read the same bodies and answer as many bytes: a ratio to it says what
our rules and the database cost, whatever machine this is. wrk, the service and the database share its cores. With
`--kill` a worker, a backend and the postmaster are killed while signatures come in. Afterwards, killed or not, what was
acknowledged is held against the log, the count and `ledger fsck --deep`.

    .venv/bin/python -m bench.serving [SECONDS] [--kill]
"""

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.service.commands import ROOT, environment, ledger
from tests.service.serving.services import Service, postmaster_of, serving

SECONDS = 5
WORKERS = 2
THREADS = 2
CONNECTIONS = 32
PETITION = "bench"
WITHIN = 60.0  # seconds in which the service must have come back to itself

# Each connection of wrk belongs to a thread, each thread has an interpreter of its own: the thread's number and a
# counter make signers and keys unique. What is acknowledged is written down at once, a line each.
SIGNING = """
local threads, made = {}, 0
function setup(thread)
  made = made + 1
  thread:set("number", made)
  table.insert(threads, thread)
end
function init(args)
  count, statuses = 0, ""
  seen = {}
  acknowledged = io.open(string.format("%s/acknowledged-%d", "@DIRECTORY@", number), "w")
end
function request()
  count = count + 1
  local name = string.format("%d-%d", number, count)
  local headers = {["Content-Type"] = "application/json", ["Authorization"] = "Bearer @TOKEN@",
                   ["Idempotency-Key"] = "bench-" .. name}
  return wrk.format("POST", "@PATH@", headers,
    '{"signer":{"email":"signer-' .. name .. '@example.org","name":"Signer ' .. name .. '"},"area":{"country":"GB"}}')
end
function response(status, headers, body)
  seen[status] = (seen[status] or 0) + 1
  if status == 201 then
    acknowledged:write(body:match('"position":(%d+)') or "?", " ", body:match('"signature":"([^"]+)"') or "?", "\\n")
    acknowledged:flush()
  end
  statuses = ""
  for each, times in pairs(seen) do statuses = statuses .. string.format("%d=%d ", each, times) end
end
"""
READING = "local threads = {}\nfunction setup(thread) table.insert(threads, thread) end\n"
DONE = """
function done(summary, latency, requests)
  local told = ""
  for _, thread in ipairs(threads) do told = told .. (thread:get("statuses") or "") end
  io.write(string.format('told {"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"broken":%d,"statuses":"%s"}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout, told))
end
"""


@dataclass
class Told:
    """What wrk says: good answers a second, latencies in milliseconds, answers by status, connections that broke."""

    rate: float
    p50: float
    p99: float
    broken: int
    statuses: dict[int, int] = field(default_factory=dict)

    def line(self, name: str, peer: "Told | None" = None) -> str:
        """A line of the table."""
        ratio = "" if peer is None else f"  {self.rate / peer.rate:5.2f}"
        others = {status: times for status, times in sorted(self.statuses.items()) if status not in (200, 201)}
        said = f"  {others}" if others else ""
        said += f"  {self.broken} connections broke" if self.broken else ""
        return f"  {name:<28} {self.rate:>9,.0f}/s  p50 {self.p50:7.2f} ms  p99 {self.p99:8.2f} ms{ratio}{said}"


def wrk(address: str, seconds: int, script: str, directory: Path) -> Told:
    """One run of wrk."""
    file = directory / "script.lua"
    file.write_text(script + DONE)
    ran = subprocess.run(
        [
            *("wrk", f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "--latency"),
            *("-s", str(file), address),
        ],
        capture_output=True, text=True, timeout=seconds + 60, check=True,
    )  # fmt: skip
    found = re.search(r"^told (\{.*\})$", ran.stdout, re.MULTILINE)
    assert found is not None, ran.stdout + ran.stderr
    told = json.loads(found[1])
    statuses: dict[int, int] = {}
    for status, times in re.findall(r"(\d+)=(\d+)", told["statuses"]):
        statuses[int(status)] = statuses.get(int(status), 0) + int(times)
    answered = sum(times for status, times in statuses.items() if status < 300) if statuses else told["requests"]
    return Told(answered / told["microseconds"] * 1e6, told["p50"] / 1000, told["p99"] / 1000, told["broken"], statuses)


def signing(directory: Path, token: str, path: str) -> str:
    """The script that signs."""
    return SIGNING.replace("@DIRECTORY@", str(directory)).replace("@TOKEN@", token).replace("@PATH@", path)


class Killer(threading.Thread):
    """Kills a worker, a backend and the postmaster, each once, spread over the run."""

    def __init__(self, service: Service, home: Path, seconds: int) -> None:
        super().__init__(daemon=True)
        self.killed: list[str] = []
        self._service, self._home, self._seconds = service, home, seconds

    def run(self) -> None:
        for share, what in ((0.2, self._worker), (0.4, self._backend), (0.6, self._postmaster)):
            time.sleep(share * self._seconds if not self.killed else 0.2 * self._seconds)
            name, pid = what()
            os.kill(pid, signal.SIGKILL)
            self.killed.append(name)

    def _worker(self) -> tuple[str, int]:
        names = {line["child"] for line in self._service.lines("supervisor.started")}
        return "a worker", self._service.child(min(name for name in names if name.startswith("worker")))

    def _backend(self) -> tuple[str, int]:
        postmaster = postmaster_of(self._home)
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        clients = [pid for pid in children if "ledger_" in title(int(pid)) or "127.0.0.1" in title(int(pid))]
        clients = clients or [pid for pid in children if re.search(r"\[local\]|idle|COMMIT|SELECT", title(int(pid)))]
        return "a backend", int(random.choice(clients))

    def _postmaster(self) -> tuple[str, int]:
        return "the postmaster", postmaster_of(self._home)


def title(pid: int) -> str:
    """What a process calls itself."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    return ""


def check(service: Service, home: Path, directory: Path) -> list[str]:
    """What does not hold of what was acknowledged, once the service is itself again. Stops the service."""
    until = time.monotonic() + WITHIN
    while service.get("/health/ready").status != 200 and time.monotonic() < until:
        time.sleep(0.1)
    acknowledged: dict[str, str] = {}
    for file in directory.glob("acknowledged-*"):
        for line in file.read_text().splitlines():
            position, signature = line.split()
            acknowledged[signature] = position
    recorded: dict[str, int] = {}
    after = 0
    while True:
        lines = service.read(f"/petitions/{PETITION}/events?after={after}&limit=1000").body.splitlines()
        for event in map(json.loads, lines):
            after = int(event["id"])
            if event["type"] == "signature.recorded.v1":
                recorded[event["data"]["signature"]] = after
        if not lines:
            break
    count = service.read(f"/petitions/{PETITION}/count.json?min_position={after}").json()["signature_count"]
    findings = []
    lost = {signature for signature, at in acknowledged.items() if recorded.get(signature) != int(at)}
    if lost:
        findings.append(f"{len(lost):,} acknowledged signatures are not at the position that was answered")
    if count != len(recorded):
        findings.append(f"the count is {count:,}, the log has {len(recorded):,} signatures")
    code, took = service.stop()
    if code != 0:
        findings.append(f"the service ended with {code}")
    checked = ledger(home, "fsck", "--deep")
    if (checked.code, checked.out.strip()) != (0, "no findings"):
        findings.append(f"fsck: {checked.out.strip()[:300]}")
    stored = json.loads(ledger(home, "count", PETITION, "--json").out)["signature_count"]
    if stored != count:
        findings.append(f"the count is {stored:,} on the command line and {count:,} over HTTP")
    print(
        f"  acknowledged {len(acknowledged):,}, recorded {len(recorded):,}, counted {count:,};"
        f" stopped in {took:.1f} s; fsck --deep: {checked.out.strip()}"
    )
    return findings


@contextlib.contextmanager
def bare() -> Iterator[str]:
    """The peer, and where it listens."""
    processes: list[subprocess.Popen[str]] = []
    try:
        port = "0"
        for _ in range(WORKERS):
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.serving", "--bare", port],
                env=environment(Path()), cwd=ROOT, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            processes.append(process)
            assert process.stdout is not None
            port = process.stdout.readline().strip()
        yield f"http://127.0.0.1:{port}"
    finally:
        for process in processes:
            process.terminate()
            process.wait(10)


async def serve_bare(port: int) -> None:
    """A handler that does nothing: reads a body, and answers as many bytes as a signature or a count has."""
    from aiohttp import web

    count, signed = b"x" * 130, b"x" * 520

    async def read(request: web.Request) -> web.Response:
        return web.Response(body=count, content_type="application/json")

    async def sign(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=201, body=signed, content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/count.json", read), web.post("/signatures", sign)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_port=True).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def measure(seconds: int, kill: bool) -> list[str]:
    """Measure, print a table, and say what was found."""
    with tempfile.TemporaryDirectory(prefix="ledger-bench-") as temporary:
        directory, home = Path(temporary), Path(temporary) / "home"
        assert ledger(home, "petition", "open", PETITION).code == 0
        token = ledger(home, "token", "create", "--role", "site", "--name", "bench").out.strip()
        print(f"{WORKERS} workers, {CONNECTIONS} connections, {seconds} s each, {os.cpu_count()} cores shared by all")
        with bare() as address:
            bare_signing = wrk(address, seconds, signing(directory, token, "/signatures"), directory)
            bare_reading = wrk(f"{address}/count.json", seconds, READING, directory)
        print(bare_signing.line("bare handler, POST"))
        print(bare_reading.line("bare handler, GET"), flush=True)
        with serving(home, "--workers", str(WORKERS), LEDGER_LOG_LEVEL="warning" if not kill else "info") as service:
            path = f"/petitions/{PETITION}/signatures"
            reading = wrk(f"{service.address}/petitions/{PETITION}/count.json", seconds, READING, directory)
            killer = Killer(service, home, seconds)
            if kill:
                killer.start()
            signed = wrk(service.address, seconds, signing(directory, token, path), directory)
            killer.join() if kill else None
            print(signed.line("signatures" + (" under kills" if kill else ""), bare_signing))
            print(reading.line("reads of count.json", bare_reading))
            if kill:
                print(f"  killed: {', '.join(killer.killed)}")
            return check(service, home, directory)


def main() -> None:
    """Measure. Exit 1 where something does not hold."""
    arguments = [each for each in sys.argv[1:] if each not in ("--kill", "--bare")]
    if "--bare" in sys.argv:
        import uvloop

        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(serve_bare(int(arguments[0])))
        return
    if shutil.which("wrk") is None:
        print("NOT RUN: there is no wrk on this machine")
        return
    findings = measure(int(arguments[0]) if arguments else SECONDS, "--kill" in sys.argv)
    print("\n".join(f"  FOUND: {each}" for each in findings) or "  nothing was found")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
