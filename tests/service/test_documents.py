"""The memory for documents: bounded, one making at a time, and no memory of failures."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.documents import OVERHEAD, Document, Documents, Memory, Together, document

ROOM = 100 * OVERHEAD


def of(size: int) -> Document:
    return document(b"x" * size, 1)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12 * OVERHEAD)), max_size=80))
def test_what_is_kept_never_takes_more_than_its_room(asked: list[tuple[int, int]]) -> None:
    """If any documents are kept in any order, then all of them together stay within the room."""
    documents = Documents(ROOM)
    for name, size in asked:
        documents.keep((name,), of(size))
        assert documents.size <= ROOM
        kept = [found for number in range(41) if (found := documents.kept((number,))) is not None]
        assert documents.size == sum(len(found.body) + OVERHEAD for found in kept)


def test_the_least_recently_used_goes_first() -> None:
    """If room is needed, then what was asked for a moment ago stays and what nobody asked for goes."""
    documents = Documents(ROOM)
    for name in range(10):
        documents.keep((name,), of(9 * OVERHEAD))
    assert documents.kept((0,)) is not None
    documents.keep(("new",), of(9 * OVERHEAD))
    assert documents.kept((1,)) is None
    assert documents.kept((0,)) is not None


def test_one_document_cannot_take_the_room_of_all() -> None:
    """If a document is larger than an eighth of the room, then it is not kept, and nothing goes for it."""
    documents = Documents(ROOM)
    documents.keep(("small",), of(10))
    documents.keep(("large",), of(ROOM // 8))
    assert documents.kept(("large",)) is None
    assert documents.kept(("small",)) is not None


def test_documents_that_belong_together_are_kept_together() -> None:
    """If documents are of one head, then all of them are kept or none, and they may take the whole room."""
    memory = Memory[Together](ROOM, ROOM)
    memory.keep((1,), Together({"a": of(OVERHEAD), "b": of(2 * OVERHEAD)}))
    assert memory.size == 5 * OVERHEAD
    memory.keep((2,), Together({"a": of(OVERHEAD), "b": of(ROOM - 3 * OVERHEAD)}))
    assert (memory.size, memory.kept((1,))) == (ROOM, None)
    memory.keep((3,), Together({"a": of(0), "b": of(ROOM)}))
    assert memory.kept((3,)) is None
    assert memory.kept((2,)) is not None


async def test_requests_at_once_make_a_document_once() -> None:
    """If many ask for a document that is not there, then it is made once, and all get it."""
    documents, made = Documents(ROOM), 0
    gate = asyncio.Event()

    async def make() -> Document:
        nonlocal made
        made += 1
        await gate.wait()
        return of(10)

    asking = [asyncio.create_task(documents.get(("a",), make)) for _ in range(20)]
    await asyncio.sleep(0)
    gate.set()
    found = await asyncio.gather(*asking)
    assert made == 1
    assert all(each is found[0] for each in found)
    assert await documents.get(("a",), make) is found[0]


async def test_a_request_that_is_given_up_does_not_take_it_from_the_others() -> None:
    """If the request that began the making is cancelled, then the others still get the document."""
    documents = Documents(ROOM)
    gate = asyncio.Event()

    async def make() -> Document:
        await gate.wait()
        return of(10)

    first, second = (asyncio.create_task(documents.get(("a",), make)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.set()
    assert (await second).body == b"x" * 10


async def test_a_failure_is_told_to_all_who_wait_and_not_remembered() -> None:
    """If making fails, then everybody who waits is told, and the next request tries again."""
    documents = Documents(ROOM)

    async def fail() -> Document:
        await asyncio.sleep(0)
        raise ConnectionError

    async def make() -> Document:
        return of(10)

    told = await asyncio.gather(*[documents.get(("a",), fail) for _ in range(3)], return_exceptions=True)
    assert [type(each) for each in told] == [ConnectionError] * 3
    assert (await documents.get(("a",), make)).body == b"x" * 10
