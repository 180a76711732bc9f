"""As whom the server runs: PostgreSQL refuses root, and needs an account that has a name.

An ordinary user runs it as herself. Root runs it in a user namespace in which she appears as `nobody` (the files stay
hers), and where namespaces are refused, as in many containers and in a chroot, as the account `nobody` itself. A
cluster that is there already is run as whoever owns it.

Must never make an account, and never open a directory to others that was closed.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

NOBODY = 65534


class ProcessOptions(TypedDict, total=False):
    """What `subprocess` is told to switch the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """An account, and how a process comes to run as it."""

    uid: int
    """As the file system sees it, from outside of any namespace."""
    gid: int
    how: Literal["own", "namespace", "switched"]

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The command line that runs `argv` as this account, in the same process: no shell or parent stays."""
        prefix: list[str] = []
        if self.how == "namespace":
            prefix = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--"]
        return [*prefix, *map(str, argv)]

    def process_options(self) -> ProcessOptions:
        """What `subprocess` needs to be told beside the command line."""
        if self.how == "switched":
            return {"user": self.uid, "group": self.gid, "extra_groups": []}
        return {}

    def can(self, argv: Sequence[str | Path], environment: Mapping[str, str]) -> bool:
        """Whether this command runs and succeeds as this account, from a directory that everyone may enter."""
        try:
            tried = subprocess.run(
                self.command(argv),
                cwd="/",
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=30,
                check=False,
                **self.process_options(),
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return tried.returncode == 0


def own() -> Account:
    """The caller herself."""
    return Account(os.geteuid(), os.getegid(), "own")


def namespaced() -> Account:
    """The caller in a user namespace of her own. Whether that is allowed here only a trial shows: `Account.can`."""
    return Account(os.geteuid(), os.getegid(), "namespace")


def is_root() -> bool:
    return os.geteuid() == 0


def has_name() -> bool:
    """Whether the caller's account has an entry; in containers with made-up numbers it has none."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def namespace_available() -> bool:
    return shutil.which("unshare") is not None


def name_of(uid: int) -> str:
    """How to name an account to a person: its login, else its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def nobody() -> Account:
    """The account `nobody` of this machine."""
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Account(NOBODY, NOBODY, "switched")
    return Account(entry.pw_uid, entry.pw_gid, "switched")


def owner_of(path: Path) -> Account:
    """Whoever owns the path, seen from the caller: herself, or, for root, somebody to switch to."""
    entry = path.stat()
    if entry.st_uid == os.geteuid():
        return own()
    return Account(entry.st_uid, entry.st_gid, "switched")
