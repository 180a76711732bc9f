"""What became of the rows of a file: counted by outcome, and each refused row by its line. Never a row's content."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Refusal = Callable[[int, str], None]
"""Takes the line and the reason of a refused row."""


@dataclass(slots=True)
class Report:
    """Rows by outcome. `read` = appended + already there + duplicates + skipped + refused + unknown.

    `duplicates` are rows that say what holds already: the same signer signing again. `unknown` are rows whose outcome
    the database did not tell in time; importing the file again settles them. `stopped` is a sentence that says why the
    rows behind those were not tried, None where all were.
    """

    read: int = 0
    appended: int = 0
    already_there: int = 0
    duplicates: int = 0
    skipped: int = 0
    unknown: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    stopped: str | None = None

    @property
    def is_clean(self) -> bool:
        """Whether every row found its place."""
        return not self.refused and not self.unknown and self.stopped is None

    def document(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "read": self.read,
            "appended": self.appended,
            "already_there": self.already_there,
            "duplicates": self.duplicates,
            "skipped": self.skipped,
            "unknown": self.unknown,
            "refused": dict(sorted(self.refused.items())),
            "stopped": self.stopped,
        }
