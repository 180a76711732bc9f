"""A connection that is cut anywhere in an append: before a message gets through, or before its answer does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from ledger.connecting import connect
from ledger.writer import Writer
from schemas.commands import Accepted
from tests.conftest import LedgerDatabase
from tests.ledger.relaying import SOCKET, relay, socket_of, through
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
        return through(self.directory, url)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        unheard = False

        def passes(data: bytes) -> bool:
            nonlocal unheard
            self.left -= 1
            unheard = unheard or (self.left == -1 and self.answered)
            return self.left != -1 or self.answered

        await relay(reader, writer, self.upstream, passes=passes, answers=lambda: not unheard)


@pytest.fixture
async def knife(petition: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Knife]:
    """A proxy to the server of this ledger, which cuts nothing yet."""
    proxy = Knife(tmp_path, socket_of(petition.url))
    async with await asyncio.start_unix_server(proxy.serve, tmp_path / SOCKET):
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
