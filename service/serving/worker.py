"""One worker: what it opens, in which order it begins to answer, and how it stops.

It listens only when it can answer: credentials and every petition's count are in memory before the first connection is
taken. It stops in the opposite order: no new connections, what is in flight is finished, what is queued is written, and
only then are the connections to the database given back; each step within what is left of the grace.

This module must never answer anything itself, and never wait without a bound once it was told to stop.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from socket import socket
from typing import Any, Final

import asyncpg
import structlog
from aiohttp import web

from ledger.connecting import Role, connect, settings
from ledger.writer import Writer
from service.credentials import Tokens
from service.http.app import build
from service.http.context import Context
from service.http.networks import Rates
from service.http.protocol import Limits, Runner
from service.serving.orders import Service
from service.snapshots import Snapshots

MARGIN: Final = 1.0
"""Seconds of the grace that are kept for what comes after the last answer."""
POOLED: Final = 0.5
"""Seconds in which a pool may close by itself."""

log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def working(service: Service, listening: Callable[[], socket]) -> AsyncIterator[None]:
    """Answers requests while the block runs. `listening` makes the socket, when everything is ready.

    Raises what opening the socket raises.
    """
    async with _opened(service) as context:
        chosen = service.settings
        limits = Limits(
            idle=chosen.idle_timeout,
            body=chosen.body_timeout,
            write=chosen.write_timeout,
            shutdown=max(chosen.stop_grace - MARGIN, 0.1),
            network=chosen.network_connections,
            connections=chosen.connections,
            trusted=chosen.trusted_networks,
            rates=None
            if chosen.network_rate is None
            else Rates(reads=chosen.network_rate, audit=chosen.network_audit_rate),
            hosts=frozenset(name.lower() for name in chosen.hosts) or None,
        )
        runner = Runner(build(context, service.role, limits=limits), limits)
        await runner.setup()
        try:
            await web.SockSite(runner, listening(), backlog=chosen.backlog).start()
            log.info("worker.accepting")
            yield
            log.info("worker.stopping")
        finally:
            await runner.cleanup()


@contextlib.asynccontextmanager
async def _opened(service: Service) -> AsyncIterator[Context]:
    """The wiring of one worker, closed in the opposite order."""
    ledger, chosen = service.ledger, service.settings

    def writer(role: Role) -> Writer:
        return Writer(
            lambda: connect(ledger.dsn, role),
            role,
            ledger.origin,
            bound=chosen.write_batch,
            patience=min(chosen.write_patience, chosen.stop_grace),
            capacity=chosen.write_queue,
        )

    async with contextlib.AsyncExitStack() as opened:
        public = await opened.enter_async_context(
            _pool(ledger.dsn, chosen.public_pool, chosen.public_statement_timeout)
        )
        audit = await opened.enter_async_context(_pool(ledger.dsn, chosen.audit_pool, chosen.audit_statement_timeout))
        signing = await opened.enter_async_context(_drained(writer("ledger_signing")))
        admin = privacy = desk = None
        if service.role != "public":
            desk = await opened.enter_async_context(_pool(ledger.dsn, chosen.desk_pool, chosen.audit_statement_timeout))
            admin = await opened.enter_async_context(_drained(writer("ledger_admin")))
            privacy = await opened.enter_async_context(_drained(writer("ledger_privacy")))
        tokens = await opened.enter_async_context(Tokens(lambda: connect(ledger.dsn, "ledger_signing")))
        snapshots = await opened.enter_async_context(
            Snapshots(
                lambda: connect(ledger.dsn, "ledger_reader"),
                interval=chosen.polling_interval,
                documents=chosen.documents_memory << 20,
            )
        )
        while not await snapshots.wait_for(0, 1.0):
            log.warning("worker.waiting_for_the_database")
        yield Context(
            settings=chosen,
            ledger=ledger,
            public=public,
            audit=audit,
            signing=signing,
            admin=admin,
            snapshots=snapshots,
            tokens=tokens,
            started=time.monotonic(),
            desk=desk,
            privacy=privacy,
        )


@contextlib.asynccontextmanager
async def _pool(dsn: str, size: int, statement_timeout: float) -> "AsyncIterator[asyncpg.Pool[Any]]":
    """Reader connections, made when they are needed; a statement is stopped by the server, and given up soon after."""
    pool = await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        timeout=5,
        command_timeout=statement_timeout + 5,
        server_settings={
            **settings("ledger_reader"),
            "statement_timeout": f"{round(statement_timeout * 1000)}ms",
        },
    )
    try:
        yield pool
    finally:
        try:
            await asyncio.wait_for(pool.close(), POOLED)
        except Exception:  # a reader loses nothing
            pool.terminate()


@contextlib.asynccontextmanager
async def _drained(writer: Writer) -> AsyncIterator[Writer]:
    """A writer; leaving writes what is queued. What cannot be written soon now has nobody left who waits for it."""
    await writer.__aenter__()
    try:
        yield writer
    finally:
        try:
            await asyncio.wait_for(writer.__aexit__(None, None, None), MARGIN)
        except TimeoutError:
            log.warning("worker.not_drained")
