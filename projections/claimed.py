"""What this ledger claims at a tree head: the rows of a projection as one document, which an audit holds against a fold
of its own.

Pure. The same rows at the same head are the same bytes, wherever they are written: over HTTP and in a bundle. This
module must never put anything into a claim that cannot be folded from the leaves.
"""

from typing import Any, Final

import orjson

from projections.replay import Rows
from schemas.canonical import to_base64

VERSION: Final = 1

_WRITTEN: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER | orjson.OPT_APPEND_NEWLINE


def claim(name: str, size: int, root: bytes, rows: Rows) -> bytes:
    """The claim that these are the rows of the projection of this name at the head of this size and 32-byte root."""
    said: dict[str, Any] = {
        "projection": name,
        "version": VERSION,
        "as_of_position": size,
        "root": to_base64(root),
        "rows": rows,
    }
    return orjson.dumps(said, option=_WRITTEN)
