"""A relay between a client and the server's socket, for tests that cut a connection where they choose."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

SOCKET = ".s.PGSQL.5432"


def through(directory: Path, url: str) -> str:
    """The address of a ledger by the socket in this directory."""
    return urlsplit(url)._replace(query=f"host={quote(str(directory))}&port=5432").geturl()


def socket_of(url: str) -> str:
    """The server's own socket. Skips where the address has none."""
    query = parse_qs(urlsplit(url).query)
    if "host" not in query:
        pytest.skip("the server of TEST_DATABASE_URL has no unix socket in its address")
    return f"{query['host'][0]}/.s.PGSQL.{query.get('port', ['5432'])[0]}"


async def relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    upstream: str,
    *,
    passes: Callable[[bytes], bool],
    answers: Callable[[], bool],
) -> None:
    """Carry one connection until `passes` refuses a message of the client, or `answers` refuses what came back."""
    up_reader, up_writer = await asyncio.open_unix_connection(upstream)

    async def forward() -> None:
        while (data := await reader.read(65536)) and passes(data):
            up_writer.write(data)
            await up_writer.drain()

    async def back() -> None:
        while (data := await up_reader.read(65536)) and answers():
            writer.write(data)
            await writer.drain()

    tasks = [asyncio.create_task(forward()), asyncio.create_task(back())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for end in (writer, up_writer):
        end.close()
        with contextlib.suppress(OSError):
            await end.wait_closed()
