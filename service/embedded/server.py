"""What a caller is given: a server to connect to, or a sentence why there is none.

Must never import a driver: a command that only asks for help may import it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

PORT = 5432  # only a part of the socket's name: nothing listens on TCP
SUPERUSER = "postgres"

Say = Callable[[str], None]
"""Takes one line for a person about what is being done."""


class EmbeddedUnavailable(Exception):
    """The embedded server cannot be had. The text is a sentence for a person; the command line exits 3 with it."""


@dataclass(frozen=True)
class Server:
    """A server that accepts connections on a unix socket, for as long as the caller stays in `shared`."""

    socket_dir: Path
    port: int = PORT
    superuser: str = SUPERUSER

    def dsn(self, database: str, user: str | None = None) -> str:
        """A connection URL that asyncpg and libpq take. Without `user` it is the superuser's."""
        where = urlencode({"host": str(self.socket_dir), "port": self.port})
        return f"postgresql://{quote(user or self.superuser, safe='')}@/{quote(database, safe='')}?{where}"
