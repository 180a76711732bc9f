"""Waiting for what may come from several sides, and never for longer than was said."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first(*events: asyncio.Event) -> None:
    """Wait until one of them has come."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def within(seconds: float, event: asyncio.Event) -> bool:
    """Whether the event comes within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def cancelled(*tasks: "asyncio.Task[None]") -> None:
    """Cancel tasks and wait for their end, whatever it is."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def unless(stopping: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Whether the work was done before it was to be given up. Raises what it raises."""
    doing = asyncio.create_task(work)
    watching = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([doing, watching], return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            return False
        await doing
        return True
    finally:
        watching.cancel()
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
