"""`/docs` in a real browser: it draws every operation, with nothing but what this service sends.

The browser is asked over its own debugging protocol, so that what it fetched and what it complained of is known, not
guessed from the page.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from service.http.app import build, collected
from service.http.context import Context
from service.http.protocol import Limits, Runner

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60.0  # seconds; a browser that takes longer hangs

DRAWN = "document.querySelectorAll('.opblock').length"
OPENED = "document.querySelectorAll('.opblock-body .responses-wrapper').length"


class Tab:
    """A page of the browser, and all that it said and fetched."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.session: str | None = None
        self.fetched: list[str] = []
        self.complaints: list[str] = []
        self._asked = 0

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command, and its result; what the page does meanwhile is remembered."""
        self._asked += 1
        asked = {"id": self._asked, "method": method, "params": parameters}
        await self.socket.send_json(asked if self.session is None else {**asked, "sessionId": self.session})
        while True:
            told = await self.socket.receive_json(timeout=PATIENCE)
            if told.get("id") == self._asked:
                assert "error" not in told, told
                return cast(dict[str, Any], told["result"])
            self._heard(told.get("method"), told.get("params", {}))

    async def value(self, expression: str) -> Any:
        """What an expression is in the page."""
        told = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return told["result"].get("value")

    async def until(self, expression: str, wanted: object) -> None:
        """Wait until an expression has this value in the page."""
        try:
            async with asyncio.timeout(PATIENCE):
                while await self.value(expression) != wanted:  # noqa: ASYNC110  # a page on the other side
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"{expression} is {await self.value(expression)}, not {wanted}; {self.complaints}")

    def _heard(self, event: str | None, told: dict[str, Any]) -> None:
        match event:
            case "Network.requestWillBeSent":
                self.fetched.append(told["request"]["url"])
            case "Network.loadingFailed":
                self.complaints.append(f"not loaded: {told['errorText']} {told.get('blockedReason', '')}")
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(told["exceptionDetails"])[:500])
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "assert", "warning"):
                self.complaints.append(json.dumps(told["args"])[:500])
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):  # a broken policy is told here
                self.complaints.append(json.dumps(told["entry"])[:500])
            case _:
                pass


@asynccontextmanager
async def a_tab(home: Path) -> AsyncIterator[Tab]:
    """A tab of a browser of its own, which is ended with it."""
    program = next((found for name in BROWSERS if (found := shutil.which(name)) is not None), None)
    if program is None:
        pytest.skip("NOT RUN: there is no chromium on this machine")
    options = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
        *(f"--user-data-dir={home}", "--remote-debugging-port=0", "about:blank"),
    )
    browser = await asyncio.create_subprocess_exec(
        program, *options, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        door = await _door(browser)
        async with aiohttp.ClientSession() as client, client.ws_connect(door, max_msg_size=0) as socket:
            tab = Tab(socket)
            target = (await tab.ask("Target.createTarget", url="about:blank"))["targetId"]
            attached = await tab.ask("Target.attachToTarget", targetId=target, flatten=True)
            tab.session = attached["sessionId"]
            for area in ("Page", "Runtime", "Log", "Network"):
                await tab.ask(f"{area}.enable")
            yield tab
    finally:
        browser.terminate()
        await browser.communicate()


async def _door(browser: asyncio.subprocess.Process) -> str:
    """Where the browser takes commands: it says so when it is ready."""
    assert browser.stderr is not None
    async with asyncio.timeout(PATIENCE):
        async for line in browser.stderr:
            if line.startswith(b"DevTools listening on "):
                return line.decode().split()[-1]
    pytest.fail("the browser did not begin")


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """The service's own application behind its own protocol. The page needs no ledger."""
    limits = Limits(shutdown=1.0)
    runner = Runner(build(cast(Context, None), "all", limits=limits), limits)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_page_draws_every_operation_and_asks_nobody_else(address: str) -> None:
    """If a browser opens the page, then every operation is drawn, and opens; it complains of nothing, breaks no rule of
    the page's policy, and fetches from nowhere but here.
    """
    with TemporaryDirectory(prefix="ledger-browser-", ignore_cleanup_errors=True) as home:
        async with a_tab(Path(home)) as tab:
            await tab.ask("Page.navigate", url=f"{address}/docs")
            await tab.until(DRAWN, len(collected()))
            for _ in range(2):  # the first and, once that is open, another
                await tab.value("document.querySelector('.opblock:not(.is-open) .opblock-summary-control').click()")
            await tab.until(OPENED, 2)
            await tab.value("document.querySelector('.models-control')?.click()")
            title = await tab.value("document.querySelector('.info .title').innerText")
            paths = await tab.value("[...document.querySelectorAll('.opblock-summary-path')].map(e => e.dataset.path)")
            assert title.startswith("The signature ledger")
            assert sorted(paths) == sorted(route.template for route in collected())
            fetched = [urlsplit(url) for url in tab.fetched]
            assert tab.complaints == []
            assert {url.netloc for url in fetched if url.scheme != "data"} == {urlsplit(address).netloc}
            assert {"/docs", "/openapi.json", "/docs/start.js"} <= {url.path for url in fetched}
