"""The witness: somebody else's service that signs our heads, asked over HTTP (C2SP tlog-witness).

A head goes out with the witness's line where the witness gives one within the time that it has, and without it where it
does not: a witness may be slow, away or wrong, and the log goes on. What it says is used only once it is verified: a
line that verifies under a key from the settings, and a view that our own key signed.

This module must never hold sealing up for longer than the time it was given, never follow a redirection, and never log
what a witness sent.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import aiohttp
import structlog

from ledger.tree_head import NoteRefused, VerifierKey, open_note, parse_vkey, read_head
from ledger.witnessing import SIZE_TYPE, AnswerRefused, cosigned, monitoring_path, read_size, submission
from service.settings import Settings

Prove = Callable[[int], Awaitable[Sequence[bytes]]]
"""Gives the consistency proof to the head that is shown, from the size that the witness signed last."""

LONGEST_ANSWER: Final = 64 * 1024
"""Bytes; what is longer is no answer."""
FIRST_PAUSE: Final = 1.0
"""Seconds for which a witness that failed is left alone; doubled with each failure, up to the longest."""
LONGEST_PAUSE: Final = 60.0

log = structlog.get_logger(__name__)


class _Failed(Exception):
    """Why a witness gave nothing that can be used: a word for the log, and the status where there was an answer."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.status = status


class _Contradicts(_Failed):
    """The witness signed something of ours that this log does not continue, or says so."""


class Witness:
    """One witness, for one log. Not to be asked by two tasks at a time."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        origin: str,
        witnesses: Sequence[VerifierKey],
        submit: str,
        monitor: str,
        patience: float,
    ) -> None:
        self._session = session
        self._origin = origin
        self._witnesses = witnesses
        self._submit = f"{submit}/add-checkpoint"
        self._monitor = f"{monitor}/{monitoring_path(origin)}"
        self._patience = patience
        self._signed = 0  # the size that it signed last, as far as we know
        self._trouble: tuple[str, int | None] | None = None
        self._pause = 0.0
        self._rests_until = 0.0
        self.contradicts = False
        """Whether it just refused a head as one that does not continue what it signed: then its view, which our own key
        signed, says whether this is the log that it knows."""

    @property
    def may_be_asked(self) -> bool:
        """False for a while after it failed, so that one that is away does not slow every head down."""
        return asyncio.get_running_loop().time() >= self._rests_until

    async def cosign(self, note: bytes, keys: Sequence[VerifierKey], prove: Prove) -> bytes:
        """The note with the witness's lines; the note itself where there are none. `keys` are the log's.

        Takes `patience` seconds at most, and the proofs. Raises only what `prove` raises.
        """
        self.contradicts = False
        if not self.may_be_asked:
            return note
        try:
            shown = await self._cosigned(note, keys, prove)
        except _Failed as failed:
            self._rest(failed)
            return note
        if self._trouble is not None:
            log.info("witness.found_again")
        self._trouble, self._pause = None, 0.0
        return shown

    async def view(self, keys: Sequence[VerifierKey]) -> bytes | None:
        """The last head of this log that it signed, if it shows one that one of our keys signed. `keys` are the log's.

        None where it shows none or cannot be reached, which is told: then the copy alone guards against a restored
        backup.
        """
        try:
            async with self._within(self._deadline()):
                answer = self._session.get(self._monitor, allow_redirects=False)
                status, _, body = await _read(answer)
            if status == 404:
                log.info("witness.has_signed_nothing_yet")
                return None
            if status != 200:
                raise _Failed("refused", status)
            head = open_note(body, keys).head
            if head.origin != self._origin:
                raise _Failed("not-ours", status)
        except NoteRefused:
            log.warning("witness.no_view", why="not-ours", guarded_by="the copy of the newest head alone")
            return None
        except _Failed as failed:
            log.warning(
                "witness.no_view", why=failed.why, status=failed.status, guarded_by="the copy of the newest head alone"
            )
            return None
        self._signed = head.size
        return body

    async def _cosigned(self, note: bytes, keys: Sequence[VerifierKey], prove: Prove) -> bytes:
        size, deadline = read_head(note).size, self._deadline()

        async def shown_from(known: int) -> bytes | int:
            proof = await prove(known) if 0 < known < size else []
            return await self._show(submission(known, proof, note), note, keys, deadline)

        told = await shown_from(self._signed if self._signed <= size else 0)
        if isinstance(told, int):  # the size that it signed last is another: once more, from there
            if told > size:
                raise _Contradicts("ahead", 409)
            told = await shown_from(told)
            if isinstance(told, int):
                raise _Failed("moving", 409)
        self._signed = size
        return told

    async def _show(self, body: bytes, note: bytes, keys: Sequence[VerifierKey], deadline: float) -> bytes | int:
        """The note with the witness's lines, or the size that the witness signed last where it is another one."""
        async with self._within(deadline):
            asked = self._session.post(self._submit, data=body, allow_redirects=False)
            status, media_type, answer = await _read(asked)
        try:
            match status:
                case 200:
                    return cosigned(note, answer, keys, self._witnesses)
                case 409 if media_type == SIZE_TYPE:
                    return read_size(answer)
                case 409 | 422:
                    raise _Contradicts("contradicts", status)
                case _:
                    raise _Failed("refused", status)
        except AnswerRefused:
            raise _Failed("unreadable", status) from None

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._patience

    @contextlib.asynccontextmanager
    async def _within(self, deadline: float) -> AsyncIterator[None]:
        """Turns whatever can go wrong on the way into a failure that has a name."""
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except TimeoutError:
            raise _Failed("too-slow") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _Failed(type(error).__name__) from None

    def _rest(self, failed: _Failed) -> None:
        self.contradicts = isinstance(failed, _Contradicts)
        self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE)
        self._rests_until = asyncio.get_running_loop().time() + self._pause
        if self._trouble != (failed.why, failed.status):  # told once, not with every head
            self._trouble = (failed.why, failed.status)
            tell = log.error if self.contradicts else log.warning
            tell("witness.did_not_sign", why=failed.why, status=failed.status)


@contextlib.asynccontextmanager
async def witness(settings: Settings, origin: str) -> AsyncIterator[Witness | None]:
    """The witness that the settings name, for the log of this origin; None where they name none."""
    if settings.witness_url is None:
        yield None
        return
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None),  # one bound for an exchange, whatever its parts
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield Witness(
            session,
            origin,
            [parse_vkey(each) for each in settings.witness_vkey],
            settings.witness_url,
            settings.witness_monitor or settings.witness_url,
            settings.witness_timeout,
        )


async def _read(asked: contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]) -> tuple[int, str, bytes]:
    """The status, the media type and the body of an answer, of which no more is read than an answer can hold."""
    async with asked as answer:
        body = bytearray()
        async for part in answer.content.iter_any():
            body += part
            if len(body) > LONGEST_ANSWER:
                raise _Failed("too-long", answer.status)
        return answer.status, answer.content_type, bytes(body)
