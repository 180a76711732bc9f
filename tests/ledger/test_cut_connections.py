"""A connection that is cut anywhere in an append: before a message gets through, or before its answer does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from ledger.connecting import connect
from ledger.writer import Writer
from schemas.commands import Accepted
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import PETITION, SOURCE, by_site, recording, some_id
from tests.ledger.writing import SIGN, stored


@dataclass
class Knife:
    """A proxy before the server's socket that cuts one connection at one message of the client.

    Messages are counted over all connections from when it is set. `answered`: the message goes through, and what the
    server answers is lost.
    """

    directory: Path
    upstream: str
    left: int = -1
    answered: bool = False

    def dsn(self, url: str) -> str:
        """The address of the ledger through this proxy."""
        return urlsplit(url)._replace(query=f"host={quote(str(self.directory))}&port=5432").geturl()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(self.upstream)
        last = asyncio.Event()

        async def forward() -> None:
            while data := await reader.read(65536):
                self.left -= 1
                if self.left == -1 and not self.answered:
                    return
                if self.left == -1:
                    last.set()
                up_writer.write(data)
                await up_writer.drain()

        async def back() -> None:
            while data := await up_reader.read(65536):
                if last.is_set():
                    return
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


@pytest.fixture
async def knife(petition: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Knife]:
    """A proxy to the server of this ledger, which cuts nothing yet."""
    query = parse_qs(urlsplit(petition.url).query)
    if "host" not in query:
        pytest.skip("the server of TEST_DATABASE_URL has no unix socket in its address")
    proxy = Knife(tmp_path, f"{query['host'][0]}/.s.PGSQL.{query.get('port', ['5432'])[0]}")
    async with await asyncio.start_unix_server(proxy.serve, tmp_path / ".s.PGSQL.5432"):
        yield proxy


@pytest.mark.parametrize("answered", [False, True], ids=["the message is lost", "the answer is lost"])
async def test_a_cut_at_any_message_of_an_append_changes_no_answer(
    petition: LedgerDatabase, knife: Knife, answered: bool
) -> None:
    """If the connection is cut at any one message, from its start to the answer to COMMIT, then the signature is told
    recorded, stands where it was told, and stands once."""
    told: list[tuple[int, object]] = []
    async with Writer(partial(connect, knife.dsn(petition.url), SIGN), SIGN, SOURCE) as site:
        for nth in range(100):
            await site._disconnect()  # so that every append begins with its connection
            knife.left, knife.answered = nth, answered
            outcome = await site.submit(by_site(recording(f"s{nth}"), key=f"k{nth}"))
            assert isinstance(outcome, Accepted), nth
            told.append((outcome.answer["position"], some_id(f"{PETITION}/s{nth}/1")))
            if knife.left >= 0:
                break  # the append had fewer messages than that: every one of them was cut
        else:
            pytest.fail("an append has more messages than this test cuts")
    assert nth > 5
    assert [(position, signature) for position, signature, _ in await stored(petition)] == told
