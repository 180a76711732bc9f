"""Documents: what was made on demand, kept ready in bounded memory, least recently used out first.

A key names what a document is made of and the position that it is true at, so that nothing here ever has to be taken
back. Of several requests for one key at once, the first makes it and the others wait for it. This module must never
keep more than it was given room for, and never remember a failure.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Generic, Protocol, TypeVar

from service import metrics

Key = tuple[Any, ...]


class Weighty(Protocol):
    """What says how many bytes it takes."""

    @property
    def weight(self) -> int: ...


W = TypeVar("W", bound=Weighty)

OVERHEAD: Final = 600
"""Bytes that a kept document takes beside its body, about."""


@dataclass(frozen=True, slots=True)
class Document:
    """An answer, ready to be sent. `position` is the checkpoint that a worker must have reached before it sends it."""

    body: bytes
    etag: str
    position: int

    @property
    def weight(self) -> int:
        """Bytes that it takes, about."""
        return len(self.body) + OVERHEAD


@dataclass(frozen=True, slots=True)
class Together:
    """Documents that are true at one position, by name: kept together, or none of them."""

    documents: Mapping[str, Document]

    @property
    def weight(self) -> int:
        """Bytes that they take, about."""
        return sum(document.weight for document in self.documents.values())


def strong_etag(body: bytes) -> str:
    """The strong entity tag of these bytes (RFC 9110 section 8.8.3), quotes and all."""
    return f'"{sha256(body).hexdigest()[:32]}"'


def document(body: bytes, position: int) -> Document:
    """A document of these bytes."""
    return Document(body, strong_etag(body), position)


class Memory(Generic[W]):
    """The memory. `room` is in bytes; what is larger than `most` is made again each time."""

    def __init__(self, room: int, most: int) -> None:
        self._room = room
        self._most = most
        self._size = 0
        self._kept: OrderedDict[Key, W] = OrderedDict()
        self._making: dict[Key, asyncio.Task[W]] = {}

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._size

    def kept(self, key: Key) -> W | None:
        """The document of this key, where it is kept."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: Key, made: W) -> None:
        """Keep a document, and let go of those that nobody asked for the longest."""
        if key in self._kept or made.weight > self._most:
            return
        self._kept[key] = made
        self._size += made.weight
        while self._size > self._room:
            _, gone = self._kept.popitem(last=False)
            self._size -= gone.weight

    async def get(self, key: Key, make: Callable[[], Awaitable[W]]) -> W:
        """The document of this key, made where it is not kept. Raises what `make` raises, to all who wait for it."""
        found = self.kept(key)
        if found is not None:
            metrics.DOCUMENTS.labels("held").inc()
            return found
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.create_task(self._make(key, make))
            task.add_done_callback(_looked_at)
        # A request that is given up does not take the document from the others.
        return await asyncio.shield(task)

    async def _make(self, key: Key, make: Callable[[], Awaitable[W]]) -> W:
        try:
            made = await make()
            metrics.DOCUMENTS.labels("made").inc()
            self.keep(key, made)
            return made
        finally:
            del self._making[key]


class Documents(Memory[Document]):
    """The memory for single documents, none of which takes more than an eighth of it."""

    def __init__(self, room: int) -> None:
        super().__init__(room, room // 8)


def _looked_at(task: "asyncio.Task[Any]") -> None:
    """Nobody may be left to see what it raised; then nobody is to be told of it."""
    if not task.cancelled():
        task.exception()
