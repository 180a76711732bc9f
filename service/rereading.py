"""A file's bytes from the first one on, as often as they are asked for, also where the file is a pipe.

What is no regular file (`/dev/stdin`, `<(...)`) can be read once: it is written, as it comes, into a temporary file
that has no name, so that nothing of it is left behind whatever happens. Several readings may go on beside one another.

This module must never hold more than a block in memory.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

BLOCK: Final = 1 << 20
"""Bytes read at once."""


@contextmanager
def rereadable(path: Path) -> Iterator[Callable[[], Iterator[bytes]]]:
    """What reads the file from its first byte to its last, each time it is called. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            yield lambda: _blocks(file.fileno())
            return
        with TemporaryFile(buffering=0) as copy:
            shutil.copyfileobj(file, copy, BLOCK)
            yield lambda: _blocks(copy.fileno())


def _blocks(file: int) -> Iterator[bytes]:
    place = 0
    while block := os.pread(file, BLOCK, place):
        yield block
        place += len(block)
