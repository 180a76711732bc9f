"""What an operator does with a backup of the database: takes one, and puts it back. All else in the home stays."""

import shutil
import subprocess
from pathlib import Path

from service.embedded.place import Place


def back_up(home: Path, backup: Path) -> None:
    """Copy the cluster as it lies, and whose it is. No command may be at work: the last one stops the server."""
    subprocess.run(["cp", "-a", Place(home).data, backup], check=True)


def put_back(home: Path, backup: Path) -> None:
    """The cluster is as it was; the backup stays."""
    shutil.rmtree(Place(home).data)
    subprocess.run(["cp", "-a", backup, Place(home).data], check=True)
