"""Commands side by side share one server: whoever comes first starts it, the last one out stops it.

What a killed command leaves is taken over by the next: the kernel drops its locks, so that the next one finds the
server alive and itself alone, and becomes its user like any other.

Must never stop a server that somebody else uses.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from service.embedded import cluster, postmaster
from service.embedded.place import POLL, Lock, Place, open_place
from service.embedded.server import EmbeddedUnavailable, Say, Server

PATIENCE = postmaster.RECOVERY + postmaster.FAST  # seconds; as long as whoever holds the door may need


def _silent(line: str) -> None:
    """Tells nobody."""


@contextlib.contextmanager
def shared(home: Path, say: Say = _silent, *, programs: Path | None = None) -> Iterator[Server]:
    """A server on the cluster under `home`, for as long as the block runs; it starts the server or joins it.

    `programs` is a directory with `postgres` and `initdb`, instead of those found. Raises EmbeddedUnavailable. A
    process that forks must see its children end before it leaves: they inherit its place among the users.
    """
    place = open_place(home)
    with place.users() as users:
        with _door(place, say):
            try:
                server = _enter(place, users, programs, say)
            except BaseException:
                _stop_if_last(place, users, say)
                raise
        try:
            yield server
        finally:
            _leave(place, users, say)


def _enter(place: Place, users: Lock, programs: Path | None, say: Say) -> Server:
    """Becomes a user, and sees to it that there is something to use. Holds the door."""
    alone = users.take()
    users.take(shared=True)  # not atomic, but nobody can come in between: we hold the door
    server = postmaster.find(place, place.data, say)
    if server is not None:
        return server
    if place.is_alive():
        if not alone and postmaster.is_running(place.data):
            raise EmbeddedUnavailable(
                f"the database server of {place.home} is in use by another command, but cannot be reached. "
                "End that command, and try again."
            )
        # Nobody uses it, or what is left of it has no postmaster any more: nothing is lost that was committed.
        postmaster.end(place, place.data, say)
    return postmaster.start(place, cluster.settle(place, programs, say), say)


def _leave(place: Place, users: Lock, say: Say) -> None:
    """Stops being a user; the last one stops the server."""
    try:
        with _door(place, say):
            _stop_if_last(place, users, say)
    except EmbeddedUnavailable as error:
        say(f"{error}")  # the work is done; whoever comes next finds the server, and itself alone with it


def _stop_if_last(place: Place, users: Lock, say: Say) -> None:
    if users.take():
        postmaster.end(place, place.data, say)


@contextlib.contextmanager
def _door(place: Place, say: Say) -> Iterator[None]:
    """Waits for its turn to start or stop the server."""
    began = time.monotonic()
    told = False
    with place.door() as door:
        while not door.take():
            waited = time.monotonic() - began
            if waited > PATIENCE:
                raise EmbeddedUnavailable(f"another command has been starting or stopping {place.home} for too long")
            if waited > 1 and not told:
                say("waiting for another command that starts or stops the database server ...")
                told = True
            time.sleep(POLL)
        yield
