"""What a service is told to do, and what its supervisor tells each of its children.

Children are told over a pipe, one line of JSON, because it holds the database's address: neither arguments nor
environments are a place for a password. This module must never log what it carries.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import orjson

from service.database import Ledger
from service.http.routes import Role
from service.settings import Settings

Work = Literal["worker", "projector"]
FIGURES: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that says where a process keeps its metrics."""
WAITING: Final = "waiting"
"""The directory, in that of the service's metrics, where a process that is no worker keeps its own: nobody reads it."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is to be served: which ledger, which role's routes, where, by how many workers."""

    ledger: Ledger
    settings: Settings
    role: Role
    host: str
    port: int
    workers: int


@dataclass(frozen=True, slots=True)
class Orders:
    """What one child does, for which service. `figures` is the directory in which workers share their metrics."""

    work: Work
    service: Service
    figures: Path

    def line(self) -> bytes:
        """As one line, for the child's pipe."""
        service, ledger = self.service, self.service.ledger
        told = {
            "work": self.work,
            "figures": str(self.figures),
            # The URL was read from its file already.
            "settings": {**service.settings.model_dump(mode="json"), "database_url_file": None},
            "ledger": {
                name: str(value) if isinstance(value, Path) else value for name, value in asdict(ledger).items()
            },
            "role": service.role,
            "host": service.host,
            "port": service.port,
            "workers": service.workers,
        }
        return orjson.dumps(told) + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Self:
        """The orders that a supervisor wrote. Whatever is wrong with them is a fault of ours, and raises."""
        told: dict[str, Any] = orjson.loads(line)
        ledger: dict[str, Any] = {
            name: value if name in ("dsn", "origin") or value is None else Path(value)
            for name, value in told["ledger"].items()
        }
        service = Service(
            Ledger(**ledger),
            Settings(**told["settings"]),
            told["role"],
            told["host"],
            told["port"],
            told["workers"],
        )
        return cls(told["work"], service, Path(told["figures"]))
