"""A log of texts that is served as a ledger serves its log, by a service that can lie, stumble and move."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from aiohttp import web

from ledger.bundle import BETWEEN
from ledger.tiles import WIDTH, encode_bundle, parse_entries_path, width_at
from ledger.tree_head import read_head
from schemas.canonical import to_base64
from tests.ledger.laying import KEY, leaf, note

Answer = web.StreamResponse | None


@dataclass
class ShownLog:
    """What is served now. Whoever wants it otherwise changes a field, or puts something before the answers."""

    sizes: list[int]
    forked_at: int | None = None
    vkeys: list[str] = field(default_factory=lambda: [KEY.verifier.vkey])
    before: Callable[["ShownLog", web.Request], Answer] = lambda log, request: None
    asked: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    @property
    def notes(self) -> list[bytes]:
        return [note(size, forked_at=self.forked_at) for size in self.sizes]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.rel_url.path_qs)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            return self.before(self, request) or self._answer(request)
        finally:
            self.at_once -= 1

    def _answer(self, request: web.Request) -> web.StreamResponse:
        path, size = request.path.removeprefix("/under"), self.sizes[-1]
        if path == "/vkey":
            return web.Response(text="".join(f"{key}\n" for key in self.vkeys))
        if path == "/heads":
            after = int(request.query["after"])
            page = [each for each in self.notes if read_head(each).size > after][:2]
            return web.Response(body=BETWEEN.join(page))
        if path.startswith("/projections/"):
            if request.query.get("size", str(size)) != str(size):
                return problem(404, "position-not-reached")
            return web.Response(body=self.claim(path.removeprefix("/projections/").removesuffix(".json")))
        place = parse_entries_path(path.removeprefix("/"))
        if place is not None and 0 < place[1] <= width_at(0, place[0], size):
            first = place[0] * WIDTH
            served = [leaf(i) if i != self.forked_at else b"another leaf" for i in range(first, first + place[1])]
            return web.Response(body=encode_bundle(served))
        return problem(404, "not-found")

    def claim(self, name: str) -> bytes:
        head = read_head(self.notes[-1])
        said = {
            "as_of_position": head.size, "projection": name, "root": to_base64(head.root), "rows": [], "version": 1,
        }  # fmt: skip
        return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def problem(status: int, slug: str) -> web.Response:
    return web.json_response({"type": f"/problems/{slug}", "status": status}, status=status)


@contextlib.asynccontextmanager
async def shown(log: ShownLog) -> AsyncIterator[str]:
    """Serve it on a free port; the address, under a prefix as behind a proxy."""
    server = web.Server(log.answer)  # type: ignore[arg-type]  # a server makes requests of this class
    runner = web.ServerRunner(server)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/under/"
    finally:
        await runner.cleanup()
