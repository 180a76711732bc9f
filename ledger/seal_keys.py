"""The keys that seal: the present one in its file, and beside it those that were rotated out, `seal.key.<8 hex>`.

A head is sealed by all of them, the present one first, so that whoever knows only an older verifier key can go on. Who
takes a retired file away ends its sealing; heads that it sealed stay what they are.

This module must never make a key where a command only reads, and never show one.
"""

import re
from pathlib import Path
from typing import Final

from ledger.keys import KeyRefused, load_key, load_or_create_key, retire_key
from ledger.tree_head import SealingKey

CALLED: Final = "sealing"
"""What such a key is called in messages."""
_RETIRED: Final = re.compile(r"[0-9a-f]{8}")


def sealing_keys(path: Path, origin: str) -> list[SealingKey]:
    """The keys that seal under this origin: the present one, then the retired ones, the youngest first.

    Raises KeyMissing where the present one is, and KeyRefused.
    """
    seeds = [load_key(path, CALLED), *(load_key(retired, CALLED) for retired in _retired(path))]
    # A rotation that was cut off leaves one key under two names.
    return [SealingKey(origin, seed) for seed in dict.fromkeys(seeds)]


def make_sealing_key(path: Path, origin: str) -> SealingKey:
    """The present key, made if it is missing (its directory must exist). Raises KeyRefused."""
    return SealingKey(origin, load_or_create_key(path, CALLED))


def rotate_sealing_key(path: Path, origin: str) -> SealingKey:
    """Make a new present key; the old one stays beside it, and goes on sealing. Raises KeyMissing and KeyRefused."""
    old = SealingKey(origin, load_key(path, CALLED))
    return SealingKey(origin, retire_key(path, retired_path(path, old), CALLED))


def retired_path(path: Path, key: SealingKey) -> Path:
    """Where this key lies once it is retired."""
    return path.with_name(f"{path.name}.{key.verifier.key_id.hex()}")


def _retired(path: Path) -> list[Path]:
    """The files of retired keys, the youngest key first: a file keeps the time at which its key was made."""
    try:
        found = [
            (-entry.stat().st_mtime_ns, entry.name, entry)
            for entry in path.parent.iterdir()
            if entry.name.startswith(f"{path.name}.") and _RETIRED.fullmatch(entry.name.removeprefix(f"{path.name}."))
        ]
    except OSError as error:
        raise KeyRefused(f"it cannot be seen which keys lie beside {path}: {error.strerror}") from error
    return [entry for _, _, entry in sorted(found)]
