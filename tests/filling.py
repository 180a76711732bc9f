"""A ledger in a database with a bit of everything in it, written the only way there is: through writers.

Itemised and observed petitions, live and imported acts, dated and undated; corrections that overlap on one signature
and lift each other; a signer who withdrew and signed again; a consultation that the clock closed; refusals in between.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ledger.connecting import Role
from ledger.writer import Writer
from schemas.commands import (
    Accepted,
    ChangeAcceptance,
    Command,
    ConfirmSignature,
    DeclareStatus,
    ObserveCount,
    Outcome,
    PostUpdate,
    Refused,
    RevisePetition,
    Submission,
    WithdrawSignature,
)
from schemas.events import PetitionRevised
from tests.histories import SOURCE, correcting, fixed_bytes, fixed_uuid, opening, signing, token_of

if TYPE_CHECKING:
    from tests.conftest import LedgerDatabase

LIBRARY, BRIDGE, PAGE = "keep-the-library", "ban-the-bridge", "a-page"
SITE, ADMIN, FILE = "site:9c1e04", "admin:7f3a21", "import:4711"
LONG_AGO = datetime(2014, 5, 17, tzinfo=UTC)
SIGNED = "signature.recorded.v1"


async def fill(database: "LedgerDatabase") -> None:
    """Some 60 events in three petitions; every command is taken, but for those that must be refused."""
    await _said(
        database,
        "ledger_admin",
        ADMIN,
        opening(LIBRARY, milestones=(2, 4), public_fields=("country", "region")),
        opening(PAGE, basis="observed"),
        opening(
            BRIDGE,
            at=LONG_AGO,
            public_fields=("answers",),
            questions={"ban": ("no", "yes")},
            confirmation="required",
            closes_at=LONG_AGO + timedelta(days=9),
        ),
        PostUpdate(LIBRARY, "We wrote to the ministers"),
    )
    await _said(
        database,
        "ledger_signing",
        SITE,
        *[_live(LIBRARY, str(n), country="GB" if n % 2 else None, region="W7" if n % 3 else None) for n in range(8)],
    )
    await _said(
        database,
        "ledger_signing",
        SITE,
        _withdrawing(LIBRARY, "0"),
        _live(LIBRARY, "0", nth=1, country="FR"),
        _live(LIBRARY, "waits", confirmed=False),
        _withdrawing(LIBRARY, "1"),
    )
    await _said(
        database,
        "ledger_signing",
        SITE,
        ConfirmSignature(LIBRARY, fixed_uuid(f"{LIBRARY}/waits/0"), None, False),
        _live(LIBRARY, "2", nth=7),  # a duplicate: nothing is recorded
    )
    await _imported(
        database,
        correcting(LIBRARY, "invalidate", ["2", "3", "4"], "first", reason="bot"),
        correcting(LIBRARY, "invalidate", ["3", "4", "5"], "second", reason="duplicate"),
        correcting(LIBRARY, "reinstate", ["3"], "third", reason="mistake"),
        signing(LIBRARY, "paper", channel="paper", country="IE"),
        signing(LIBRARY, "union", channel="import", kind="organisation", name="Branch 7"),
        WithdrawSignature(LIBRARY, None, token_of(LIBRARY, "paper"), True),
    )
    await _imported(
        database,
        signing(BRIDGE, "0", at=LONG_AGO + timedelta(days=1), answers={"ban": "yes"}),
        signing(BRIDGE, "1", at=LONG_AGO + timedelta(days=2), answers={"ban": "no"}, confirmed=None),
        ConfirmSignature(BRIDGE, None, token_of(BRIDGE, "1"), True, LONG_AGO + timedelta(days=3)),
        correcting(BRIDGE, "invalidate", ["0"], "old", at=LONG_AGO + timedelta(days=4), reason="court-order"),
        WithdrawSignature(BRIDGE, None, token_of(BRIDGE, "0"), True, LONG_AGO + timedelta(days=5)),
        correcting(BRIDGE, "reinstate", ["0"], "new", at=LONG_AGO + timedelta(days=6), reason="mistake"),
    )
    late = await _submit(database, "ledger_admin", FILE, [signing(BRIDGE, "late", at=LONG_AGO + timedelta(days=10))])
    assert isinstance(late[0], Refused)
    assert late[0].reason == "petition-closed"
    await _imported(
        database,
        ObserveCount(PAGE, 100, "milestone", LONG_AGO),
        ObserveCount(PAGE, 160, "page", LONG_AGO + timedelta(days=2)),
        ObserveCount(PAGE, 120, "milestone", LONG_AGO + timedelta(days=1)),
        ObserveCount(PAGE, 90, "status", LONG_AGO + timedelta(days=3), None, "successful"),
        ObserveCount(PAGE, 95, "page", None),
    )
    await _said(
        database,
        "ledger_admin",
        ADMIN,
        RevisePetition(LIBRARY, PetitionRevised(title="Keep both libraries", text_version=2)),
        ChangeAcceptance(LIBRARY, "paused"),
    )
    await _said(database, "ledger_signing", SITE, _withdrawing(LIBRARY, "6"))
    await _said(
        database, "ledger_admin", ADMIN, ChangeAcceptance(LIBRARY, "open"), DeclareStatus(LIBRARY, "answered", 5)
    )
    await _said(database, "ledger_signing", SITE, _live(LIBRARY, "last", at=datetime.now(UTC) + timedelta(seconds=20)))


def _live(petition: str, signer: str, nth: int = 0, **said: object) -> Command:
    command = signing(petition, signer, nth=nth, **{"imported": False, **said})
    return replace(command, signer_ref=fixed_bytes(f"ref {petition}/{signer}/{nth}", 16))


def _withdrawing(petition: str, signer: str, nth: int = 0) -> Command:
    return WithdrawSignature(petition, fixed_uuid(f"{petition}/{signer}/{nth}"), None, False)


async def _said(database: "LedgerDatabase", role: Role, actor: str, *commands: Command) -> None:
    outcomes = await _submit(database, role, actor, commands)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes


async def _imported(database: "LedgerDatabase", *commands: Command) -> None:
    await _said(database, "ledger_admin", FILE, *commands)


async def _submit(database: "LedgerDatabase", role: Role, actor: str, commands: Sequence[Command]) -> list[Outcome]:
    async with Writer(lambda: database.connect(role), role, SOURCE) as writer:
        if actor != FILE:
            return await writer.submit_all([Submission(command, actor) for command in commands])
        # What a row of a file names, the row before it may have made: a batch each.
        return [await writer.submit(Submission(command, actor, import_key=_row(command))) for command in commands]


def _row(command: Command) -> bytes:
    return fixed_bytes(f"row {command!r}", 16)
