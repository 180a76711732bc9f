"""Streams: answers too long to be held in memory, sent as they are read.

Until the first chunk is there, whatever goes wrong is still a problem document; after it, nothing honest is left but to
break the connection off, which a client can tell from an end. This module must never end a stream that is not complete
as if it were.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Final

import structlog
from aiohttp import web

from service.http import conditional

CHUNK: Final = 32 * 1024
"""Bytes that are sent at once."""
WITHIN: Final = 120.0
"""Seconds in which a client must take the whole stream."""

log = structlog.get_logger(__name__)


async def stream(
    request: web.Request,
    chunks: AsyncGenerator[bytes, None],
    media: str,
    *,
    tag: str,
    cache: str = conditional.REVALIDATE,
    headers: Mapping[str, str] | None = None,
    within: float = WITHIN,
) -> web.StreamResponse:
    """The answer to a read: the chunks, or 304 without reading one where the client has them. `tag` is a strong tag of
    what they will be. Raises what the first chunk raises, and Problem.
    """
    async with contextlib.aclosing(chunks):
        quick = conditional.respond(request, b"", media, tag=tag, cache=cache, headers=headers)
        if quick.status != 200:
            return quick
        response = web.StreamResponse(headers={"Content-Type": media, "ETag": tag, "Cache-Control": cache})
        response.headers.update(headers or {})
        if request.method == "HEAD":
            return response
        first = await anext(chunks, b"")
        try:
            async with asyncio.timeout(within):
                await response.prepare(request)
                await response.write(first)
                async for chunk in chunks:
                    await response.write(chunk)
                await response.write_eof()
        except Exception as error:
            log.info("stream.broken_off", error=type(error).__name__)
            if request.transport is not None:
                request.transport.abort()
        return response


async def gathered(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The pieces in chunks of about the size that is sent at once."""
    buffer = bytearray()
    async for piece in pieces:
        buffer += piece
        if len(buffer) >= CHUNK:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)
