"""Mirroring: the audit bundle of a running service, over HTTP, without a database.

Nothing that a service answers is believed. Leaves are fetched, never hashes: the tree is made of them here, on top of
the tree that is there already, and must have the root of every head that was ever shown (`ledger.laying`). A log that
was edited, cut or forked is added to no mirror; what was served is kept beside it, with both heads, as evidence.

What the projections claim is fetched first: it says of which head it is, and the head of that size is what is mirrored.
Where the service publishes the next head meanwhile, all begins again.

This module must never wait or read without a bound, and never follow an answer to another place.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from random import uniform
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import orjson

from ledger.bundle import PROJECTIONS, Bundle, split_notes
from ledger.laying import Diverged, Laying
from ledger.tiles import WIDTH, decode_bundle, entries_path
from ledger.tree_head import NoteRefused, Opened, VerifierKey, open_note, parse_vkey, read_head
from schemas.canonical import MAX_BYTES, from_base64
from service.bundles import Disputed, Laid, Progress, finish, laying, opened

AT_ONCE: Final = 8
"""Requests under way."""
TRIES: Final = 6
"""Of one request, where the service does not answer as it should."""
FIRST_PAUSE: Final = 0.2
"""Seconds before the second of them; each pause is twice the one before."""
PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""What may be otherwise in a moment."""
BEGINNINGS: Final = 20
"""Of a mirror, where the service publishes the next head meanwhile."""
PATIENCE: Final = aiohttp.ClientTimeout(total=300, sock_connect=10, sock_read=30)
CLAIMS: Final = ("petitions", "tally", "timeline")

LARGEST_CLAIM: Final = 256 << 20
LARGEST_PAGE: Final = 64 << 20
LARGEST_BUNDLE: Final = WIDTH * (2 + MAX_BYTES)
LARGEST_KEYS: Final = 64 << 10

# The beginning of a claim, which is canonical: its members are in order, and the rows come behind.
_CLAIM: Final = re.compile(
    rb'\{"as_of_position":([1-9][0-9]{0,15}),"projection":"([a-z]+)","root":"([A-Za-z0-9+/]{43}=)","rows":\[', re.ASCII
)


class Unreachable(Exception):
    """The service is not there, or does not answer as a ledger does. The text is a sentence for a person."""


class NothingSealed(Exception):
    """The service has published no head yet. The text is a sentence for a person."""


class _Moved(Exception):
    """The service has published another head meanwhile."""


class _Refused(Exception):
    """The service answered with this status, which asking again does not change, and perhaps with a problem."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(status)
        self.status = status
        self.problem = problem

    def told(self) -> Exception:
        """The same for a person."""
        if self.problem == "not-yet-sealed":
            return NothingSealed("The service has not sealed anything yet.")
        return Unreachable(f"The service answers {self.status} where a ledger would answer.")


async def mirror(
    address: str,
    directory: Path,
    *,
    trusted: Sequence[VerifierKey] = (),
    progress: Progress = lambda done, total: None,
) -> Laid:
    """Bring the bundle of the service at this address (an http or https URL) into this directory, or up to date.

    `trusted`: keys of which one must have sealed the head; default those that the service shows, which protects against
    nothing but a broken answer. Raises Unreachable, NothingSealed, Disputed, and BundleRefused.
    """
    with opened(directory) as bundle:
        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=PATIENCE,
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "signature-ledger-mirror"},
        ) as session:
            service = _Service(session, address)
            for _ in range(BEGINNINGS):
                try:
                    return await _mirror(service, bundle, trusted, progress)
                except _Moved:
                    continue
    raise Unreachable("The service publishes heads faster than what it claims at one of them can be fetched.")


async def _mirror(service: "_Service", bundle: Bundle, trusted: Sequence[VerifierKey], progress: Progress) -> Laid:
    size, root, claims = await _claims(service)
    vkeys = await _vkeys(service)
    note = await _newest_note(service, size)
    head = _vouched_for(note, trusted or vkeys).head
    if head.root != root:
        raise Disputed("What the projections claim is of another root than the head of the same size.")
    with laying(bundle, head, note) as at_work:
        await _take_notes(service, at_work, note)
        at_work.begin_leaves()
        done = at_work.first
        async with aclosing(_entries(service, done, size)) as bundles:
            async for leaves in bundles:
                at_work.take(leaves)
                done += len(leaves)
                progress(done, size)
        for name, claim in claims.items():
            with at_work.writing(f"{PROJECTIONS}/{name}.json") as file:
                file.write(claim)
        return finish(at_work, bundle.directory, [key.vkey for key in vkeys])


async def _claims(service: "_Service") -> tuple[int, bytes, dict[str, bytes]]:
    """What every projection claims at one head: its size, its root, and the documents. Raises _Moved."""
    found: dict[str, bytes] = {}
    stated: set[tuple[int, bytes]] = set()
    asked = ""
    for name in CLAIMS:
        try:
            found[name] = await service.get(f"{PROJECTIONS}/{name}.json{asked}", LARGEST_CLAIM)
        except _Refused as refused:
            if found:
                raise _Moved from None
            raise refused.told() from None
        beginning = _CLAIM.match(found[name])
        if beginning is None or beginning[2] != name.encode():
            raise Unreachable("The service claims no projections in the form of a ledger.")
        stated.add((int(beginning[1]), from_base64(beginning[3].decode())))
        asked = f"?size={int(beginning[1])}"
    if len(stated) > 1:
        raise _Moved
    ((size, root),) = stated
    return size, root, found


async def _vkeys(service: "_Service") -> list[VerifierKey]:
    try:
        text = (await service.get("vkey", LARGEST_KEYS)).decode()
        return [parse_vkey(line) for line in text.splitlines()]
    except _Refused as refused:
        raise refused.told() from None
    except (UnicodeDecodeError, NoteRefused):
        raise Unreachable("The service shows no keys in the form of a ledger.") from None


def _vouched_for(note: bytes, keys: Sequence[VerifierKey]) -> Opened:
    try:
        return open_note(note, keys)
    except NoteRefused as refused:
        raise Disputed(f"The head that the service shows is not believed: {refused}.") from None


async def _heads(service: "_Service", after: int) -> AsyncGenerator[list[bytes], None]:
    """The notes that were shown of sizes above this one, a page at a time."""
    while True:
        try:
            page = await service.get(f"heads?after={after}", LARGEST_PAGE)
            notes = list(split_notes(page.splitlines(keepends=True)))
            sizes = [read_head(note).size for note in notes]
        except _Refused as refused:
            raise refused.told() from None
        except ValueError:  # NoteRefused is one
            raise Unreachable("The service lists no heads in the form of a ledger.") from None
        if not notes:
            return
        if sizes[-1] <= after:
            raise Unreachable("The service lists its heads out of order.")
        after = sizes[-1]
        yield notes


async def _newest_note(service: "_Service", size: int) -> bytes:
    """The note that was shown last of the head of this size. Raises _Moved where there is none."""
    async with aclosing(_heads(service, size - 1)) as pages:
        async for notes in pages:
            of_size = [note for note in notes if read_head(note).size == size]
            if of_size:
                return of_size[-1]
            break
    raise _Moved


async def _take_notes(service: "_Service", at_work: Laying, newest: bytes) -> None:
    """Every note that was shown up to this one."""
    async with aclosing(_heads(service, at_work.notes_after)) as pages:
        async for notes in pages:
            wanted = [note for note in notes if read_head(note).size <= at_work.head.size]
            if newest in wanted:
                at_work.add_notes(wanted[: wanted.index(newest) + 1])
                return
            at_work.add_notes(wanted)
            if len(wanted) < len(notes):
                return


async def _entries(service: "_Service", first: int, size: int) -> AsyncGenerator[list[bytes], None]:
    """The leaves from index `first`, a multiple of 256, up to this size, in order, a bundle at a time."""
    waiting: deque[asyncio.Task[list[bytes]]] = deque()
    try:
        for index in range(first // WIDTH, -(-size // WIDTH)):
            width = min(WIDTH, size - index * WIDTH)
            waiting.append(asyncio.create_task(_bundle(service, index, width)))
            if len(waiting) == AT_ONCE:
                yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _bundle(service: "_Service", index: int, width: int) -> list[bytes]:
    """The first `width` leaves of a bundle. Where the log has grown, only the full one may be there."""
    try:
        try:
            return decode_bundle(await service.get(entries_path(index, width), LARGEST_BUNDLE), width)
        except _Refused as refused:
            if width == WIDTH or refused.status != 404:
                raise
        return decode_bundle(await service.get(entries_path(index, WIDTH), LARGEST_BUNDLE), WIDTH)[:width]
    except _Refused as refused:
        raise refused.told() from None
    except ValueError:
        raise Diverged(f"Of the leaves from {index * WIDTH:,} on not as many are served as the head covers.") from None


class _Service:
    """What is asked, within bounds. Raises Unreachable, and _Refused where the answer is no."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._address = address.rstrip("/")

    async def get(self, path: str, most: int) -> bytes:
        """The body of an answer of 200, of at most so many bytes. What may pass is asked again, ever more slowly."""
        said = ""
        for nth in range(TRIES):
            if nth:
                await asyncio.sleep(uniform(0.5, 1) * FIRST_PAUSE * 2 ** (nth - 1))
            try:
                status, body = await self._ask(path, most)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                said = f"does not answer ({type(error).__name__})"
                continue
            if status == 200:
                return body
            if status not in PASSING:
                raise _Refused(status, _problem(body))
            said = f"answers {status}"
        raise Unreachable(f"The service {said}, {TRIES} times.")

    async def _ask(self, path: str, most: int) -> tuple[int, bytes]:
        async with self._session.get(f"{self._address}/{path}", allow_redirects=False) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                body += chunk
                if len(body) > most:
                    raise Unreachable(f"The service answers with more than {most:,} bytes where a ledger would not.")
            return response.status, bytes(body)


def is_address(text: str) -> bool:
    """Whether this is the address of a service: http or https, a host, and nothing behind the path."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises where it is none
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)


def _problem(body: bytes) -> str:
    """The slug of a problem document, if this is one."""
    try:
        return str(orjson.loads(body)["type"]).removeprefix("/problems/")
    except (ValueError, TypeError, KeyError):
        return ""
