"""What a request handler works with: the wiring of one worker process, made at its start and never changed.

This module must never open anything itself: `service.serving.worker` does, and closes it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from ledger.epochs import Epochs
from service.petition_rules import PetitionRules

if TYPE_CHECKING:
    import asyncpg

    from ledger.writer import Writer
    from service.credentials import Tokens
    from service.database import Ledger
    from service.settings import Settings
    from service.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class Context:
    """One worker's wiring.

    `public`, `audit` and `desk` (what admins read) are pools of reader connections, apart from each other so that an
    audit cannot starve the campaign sites, nor both of them an admin; `admin`, `privacy` (who erases) and `desk` are
    None where the role does not serve admins; `started` is of the monotonic clock, seconds.
    `rules` remembers what never changes about petitions; `epochs` are the keys that identities are sealed under.
    """

    settings: "Settings"
    ledger: "Ledger"
    public: "asyncpg.Pool[Any]"
    audit: "asyncpg.Pool[Any]"
    signing: "Writer"
    admin: "Writer | None"
    snapshots: "Snapshots"
    tokens: "Tokens"
    started: float
    desk: "asyncpg.Pool[Any] | None" = None
    privacy: "Writer | None" = None
    rules: PetitionRules = field(default_factory=PetitionRules)
    epochs: Epochs = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "epochs", self.ledger.epochs())


CONTEXT: Final = web.AppKey("context", Context)
