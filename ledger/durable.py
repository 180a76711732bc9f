"""Files that a loss of power leaves as they were promised: on the disk, under their names, and their owner's.

Writing a file and syncing it is not enough: its name stands in its directory, which is synced by itself.
"""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """See to it that a file, or the names in a directory, are on the disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def give_to_owner_of_directory(path: Path) -> None:
    """What root makes belongs to whom the directory belongs: a service that runs as somebody else goes on with it.
    Raises OSError."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
