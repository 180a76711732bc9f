"""One embedded server for all commands of a LEDGER_HOME: joined, left, killed, taken over."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.embedded import sockets
from service.embedded.place import Place
from service.embedded.server import EmbeddedUnavailable
from service.embedded.sharing import shared
from tests.conftest import home_for_a_server
from tests.embedded.commands import PATIENCE, ROOT, Command, eventually, postmaster_of, run

pytestmark = pytest.mark.database


@pytest.fixture
def home() -> Iterator[Path]:
    with home_for_a_server() as directory:
        yield directory


async def test_a_second_start_keeps_the_data(home: Path) -> None:
    """If all commands have ended and another one starts, then it finds what was committed."""
    with shared(home) as server:
        await run(server.dsn("postgres"), "CREATE TABLE kept AS SELECT 7 AS n")
    assert not Place(home).is_alive()
    with shared(home) as server:
        assert await run(server.dsn("postgres"), "SELECT n FROM kept") == 7


async def test_two_commands_use_one_server_and_the_last_one_out_stops_it(home: Path) -> None:
    """If two commands run and the one that started the server ends, then the other one keeps it; then it stops."""
    with Command(home) as first:
        assert first.answer().startswith("in ")
        started = postmaster_of(home)
        with shared(home) as server:
            assert postmaster_of(home) == started
            assert first.leave() == 0
            assert await run(server.dsn("postgres"), "SELECT 1") == 1
            assert postmaster_of(home) == started
    assert not Place(home).is_alive()
    assert not server.socket_dir.exists()


def test_commands_that_start_at_once_start_one_server(home: Path) -> None:
    """If four commands come at the same time to an empty home, then one makes the cluster and all of them get it."""
    commands = [Command(home) for _ in range(4)]
    try:
        assert len({command.answer() for command in commands}) == 1
        assert [command.leave() for command in commands] == [0, 0, 0, 0]
    finally:
        for command in commands:
            command.kill()
    assert not Place(home).is_alive()


async def test_what_a_killed_command_leaves_is_taken_over(home: Path) -> None:
    """If the only command is killed, then its server lives on, and the next command uses it and stops it."""
    with Command(home) as killed:
        assert killed.answer().startswith("in ")
        left = postmaster_of(home)
        killed.kill()
    assert Place(home).is_alive()
    with shared(home) as server:
        assert postmaster_of(home) == left
        assert await run(server.dsn("postgres"), "SELECT 1") == 1
    assert not Place(home).is_alive()


async def test_a_command_killed_beside_another_takes_nothing_away(home: Path) -> None:
    """If one of two commands is killed, then the other one still stops the server when it ends."""
    with Command(home) as killed, shared(home) as server:
        assert killed.answer().startswith("in ")
        killed.kill()
        assert await run(server.dsn("postgres"), "SELECT 1") == 1
    assert not Place(home).is_alive()


async def test_a_killed_server_recovers_what_was_committed(home: Path) -> None:
    """If the postmaster is killed with everything around it, then the next command recovers every committed row."""
    with Command(home) as killed:
        assert killed.answer().startswith("in ")
        with shared(home) as server:
            await run(server.dsn("postgres"), "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
            os.kill(postmaster_of(home), signal.SIGKILL)
            killed.kill()
    with shared(home) as server:
        assert await run(server.dsn("postgres"), "SELECT count(*) FROM kept") == 1000


async def test_a_server_killed_under_its_users_is_started_again_by_the_next_command(home: Path) -> None:
    """If the postmaster is killed while a command uses it, then a second command starts it at the same socket."""
    with shared(home) as server:
        await run(server.dsn("postgres"), "CREATE TABLE kept AS SELECT 7 AS n")
        killed = postmaster_of(home)
        os.kill(killed, signal.SIGKILL)
        with Command(home) as second:
            assert second.answer() == f"in {server.socket_dir}"
            assert postmaster_of(home) != killed
            assert await run(server.dsn("postgres"), "SELECT n FROM kept") == 7
            assert second.leave() == 0
        assert await run(server.dsn("postgres"), "SELECT n FROM kept") == 7
    assert not Place(home).is_alive()


def test_stale_records_that_name_a_living_process_are_no_obstacle(home: Path) -> None:
    """If a crash left postmaster.pid, and its number belongs to another process by now, then the server starts."""
    with shared(home):
        pass
    lines = [str(os.getpid()), str(Place(home).data), "1", "5432", "/nowhere", "", "0 0", "ready"]
    (Place(home).data / "postmaster.pid").write_text("\n".join(lines) + "\n")
    with shared(home):
        assert postmaster_of(home) != os.getpid()


def test_an_interrupted_initdb_is_made_anew(home: Path) -> None:
    """If a command was killed while it made the cluster, then the next one clears the half of it away."""
    half = home / "postgres" / "data.new-1234"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with shared(home):
        assert [path.name for path in Place(home).data.parent.glob("data*") if path.is_dir()] == ["data"]
    assert Place(home).elsewhere() is not None or not half.exists()


def test_an_interrupt_from_the_keyboard_does_not_reach_the_server(home: Path) -> None:
    """If Ctrl-C signals the group of the command that started the server, then the server serves the others."""
    with Command(home, start_new_session=True, stderr=subprocess.DEVNULL) as interrupted:
        assert interrupted.answer().startswith("in ")
        with shared(home):
            started = postmaster_of(home)
            os.killpg(interrupted.process.pid, signal.SIGINT)
            interrupted.process.wait(PATIENCE)
            assert Place(home).is_alive()
            assert postmaster_of(home) == started
            assert os.getsid(started) == started
    assert not Place(home).is_alive()


def test_no_process_left_running_holds_what_the_command_was_given(home: Path, tmp_path: Path) -> None:
    """If a command is killed, then whoever reads its output sees the end, and its directory can be taken away."""
    with Command(home) as killed:
        assert killed.answer().startswith("in ")
        killed.process.kill()
        # Reads to the end of the pipe: it comes only when nobody holds the other side any more.
        assert killed.process.communicate(timeout=PATIENCE)[0] == ""
    server = postmaster_of(home)
    fds = Path(f"/proc/{server}/fd")
    if fds.exists():
        held = {fd.name: str(fd.readlink()) for fd in fds.iterdir()}
        assert held["0"] == "/dev/null"
        assert held["1"] == held["2"] == str(Place(home).log)
    if Path("/proc/self/environ").exists():
        assert f"LEDGER_HOME={home}".encode() in Path(f"/proc/{server}/environ").read_bytes().split(b"\0")
    with shared(home):
        pass


async def test_the_server_keeps_its_promises(home: Path) -> None:
    """If one asks the server, then it is durable, silent about parameters, in UTC, and deaf on TCP."""
    wanted = {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "listen_addresses": "",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "TimeZone": "UTC",
        "server_encoding": "UTF8",
        "lc_collate": "C",
        "data_checksums": "on",
    }
    with shared(home) as server:
        rows = {name: await run(server.dsn("postgres"), f"SELECT current_setting('{name}', true)") for name in wanted}
        if rows["lc_collate"] is None:  # no setting any more from version 16 on
            rows["lc_collate"] = await run(
                server.dsn("postgres"), "SELECT datcollate FROM pg_database WHERE datname = 'template0'"
            )
        assert rows == wanted
        assert server.socket_dir.stat().st_mode & 0o777 == 0o700
        assert Place(home).log.stat().st_mode & 0o777 == 0o600


async def test_nothing_personal_reaches_the_log(home: Path) -> None:
    """If a statement fails on a value, then the server's log holds neither the statement nor the value nor the row."""
    with shared(home) as server:
        await run(server.dsn("postgres"), "CREATE TABLE unique_once (word text PRIMARY KEY)")
        await run(server.dsn("postgres"), "INSERT INTO unique_once VALUES ('tell-nobody')")
        with pytest.raises(Exception, match="unique_once_pkey"):
            await run(server.dsn("postgres"), "INSERT INTO unique_once VALUES ('tell-nobody')")
        log = Place(home).log.read_text()
    assert "unique_once_pkey" in log
    assert "tell-nobody" not in log


def test_another_version_of_the_data_is_said_in_words(home: Path) -> None:
    """If the data were written by a version that is not here, then that is said, and they stay as they are."""
    with shared(home):
        pass
    version = Place(home).data / "PG_VERSION"
    version.write_text("14\n")
    with pytest.raises(EmbeddedUnavailable, match=r"written by PostgreSQL 14, .* is 1[5-8]") as refused, shared(home):
        pass
    assert "Nothing was changed" in str(refused.value)
    assert version.read_text() == "14\n"


def test_something_else_in_the_place_of_the_data_is_left_alone(home: Path) -> None:
    """If the data directory is there and is no cluster, then that is said, and it is not initialised over."""
    data = home / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "letter").write_text("mine")
    with pytest.raises(EmbeddedUnavailable, match="holds no PostgreSQL data"), shared(home):
        pass
    assert [path.name for path in data.iterdir()] == ["letter"]


def test_a_directory_without_programs_is_said_in_words(home: Path, tmp_path: Path) -> None:
    """If the given directory holds no PostgreSQL, then the sentence names it, and what to do instead."""
    with pytest.raises(EmbeddedUnavailable, match="has no postgres") as refused, shared(home, programs=tmp_path):
        pass
    assert "DATABASE_URL" in str(refused.value)


def test_entering_imports_no_driver_and_no_web_server() -> None:
    """If a command only imports the door to the embedded server, then nothing heavy is imported with it."""
    program = "import sys, service.embedded.sharing; print({'aiohttp', 'asyncpg'} & set(sys.modules))"
    heavy = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert heavy.stdout.strip() == "set()"


def test_the_server_of_a_removed_home_does_not_meet_its_successor(home: Path) -> None:
    """If a home is removed under a running server and made anew, then the new server has a socket of its own."""
    with Command(home) as killed:
        before = killed.answer()
        orphan = postmaster_of(home)
        killed.kill()
    elsewhere = Place(home).elsewhere()
    orphans_socket = Path(before.removeprefix("in "))
    (home / "postgres").rename(home / "removed")
    try:
        with Command(home) as after:
            assert after.answer() != before
            assert postmaster_of(home) != orphan
            assert after.leave() == 0
    finally:
        os.kill(orphan, signal.SIGINT)
        data = (elsewhere or home / "removed") / "data"
        assert eventually(lambda: not (data / "postmaster.pid").exists())
        sockets.remove(orphans_socket)
        if elsewhere is not None:
            shutil.rmtree(elsewhere)
