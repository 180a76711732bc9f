"""What a service states of what it served: after a declaration, and daily; only news, and once, whoever else does."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ledger.connecting import Connection
from ledger.fsck import fsck
from ledger.writer import UNAVAILABLE, Writer
from projections.projector import catch_up
from schemas.commands import Accepted, Command, DeclareStatus, ObserveCount, Outcome, Submission, WithdrawSignature
from service.serving import publishing
from service.serving.publishing import Publishing
from tests.conftest import LedgerDatabase
from tests.histories import correcting, fixed_bytes, opening, signing, token_of
from tests.ledger.writing import RUN, writer

DAY = 86_400.0
BEES = "bees"


class Room:
    """A ledger with its projector, and services that publish."""

    def __init__(self, database: LedgerDatabase, admin: Writer, projector: Connection, reader: Connection) -> None:
        self.database, self.admin, self.projector, self.reader = database, admin, projector, reader
        self.rows = 0

    async def happens(self, *commands: Command) -> None:
        """Recorded, and not projected yet."""
        for command in commands:
            self.rows += 1
            row = fixed_bytes(f"row {self.rows}", 16)
            outcome = await self.admin.submit(Submission(command, "import:4711", import_key=row))
            assert isinstance(outcome, Accepted), outcome

    async def projected(self, to: int | None = None) -> None:
        await catch_up(self.projector, to=to)

    def service(self, daily: float = DAY) -> Publishing:
        return Publishing(self.admin, daily)

    async def looks(self, service: Publishing) -> None:
        await service.look(self.reader)

    async def published(self, petition: str = BEES) -> list[tuple[int, int]]:
        """Every number stated, and the position at which it was true."""
        rows = await self.database.superuser.fetch(
            "SELECT (l.data ->> 'count')::bigint AS count, (l.data ->> 'position')::bigint AS position"
            "  FROM ledger.events e JOIN ledger.petitions p USING (petition)"
            " CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'data' AS data) AS l"
            " WHERE e.type = 'count.published.v1' AND p.id = $1 ORDER BY e.position",
            petition,
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def room(ledger_database: LedgerDatabase) -> Any:
    """A petition that two people have signed, projected."""
    projector = await ledger_database.connect("ledger_projector")
    reader = await ledger_database.connect("ledger_reader")
    async with writer(ledger_database, RUN) as admin:
        room = Room(ledger_database, admin, projector, reader)
        await room.happens(opening(BEES), signing(BEES, "a"), signing(BEES, "b"))
        await room.projected()
        yield room


# -- declarations ------------------------------------------------------------------------------------------------------


async def test_a_declaration_is_followed_by_the_count_that_was_served_past_it(room: Room) -> None:
    """If a status is declared while people sign, then nothing is stated until the view has passed it, and then the
    number of the view, where it was true; not that of the log, which is ahead."""
    service = room.service()
    await room.happens(DeclareStatus(BEES, "successful"), signing(BEES, "c"), signing(BEES, "d"))
    await room.looks(service)
    assert await room.published() == []
    await room.projected(to=5)
    await room.looks(service)
    assert await room.published() == [(3, 5)]


async def test_a_declaration_is_followed_once(room: Room) -> None:
    """If a count was stated after a declaration, then no look states another, nor does a service that starts anew."""
    service = room.service()
    await room.happens(DeclareStatus(BEES, "successful"))
    await room.projected()
    await room.looks(service)
    assert await room.published() == [(2, 4)]
    await room.happens(signing(BEES, "c"))
    await room.projected()
    await room.looks(service)
    await room.looks(room.service())
    assert await room.published() == [(2, 4)]


async def test_a_declaration_of_the_number_that_was_stated_last_adds_nothing(room: Room) -> None:
    """If a second declaration finds the number that was stated after the first, then it is not stated again; a third
    that finds another one is followed by it."""
    service = room.service()
    for signer in (None, None, "c"):
        if signer is not None:
            await room.happens(signing(BEES, signer))
        await room.happens(DeclareStatus(BEES, "successful"))
        await room.projected()
        await room.looks(service)
    assert await room.published() == [(2, 4), (3, 8)]


async def test_what_was_counted_elsewhere_is_stated_as_it_was_served_here(room: Room) -> None:
    """If a petition is observed, then the number that this ledger shows of it is stated like any."""
    await room.happens(
        opening("page", basis="observed"), ObserveCount("page", 13_163, "status", None, None, "successful")
    )
    await room.projected()
    await room.looks(room.service())
    assert await room.published("page") == [(13_163, 6)]


# -- daily -------------------------------------------------------------------------------------------------------------


async def test_a_count_that_changed_is_stated_when_its_time_has_come(room: Room) -> None:
    """If nobody declares anything, then the served count is stated once it was not for so long, and has changed; a
    petition that nobody ever signed is not stated to have nobody."""
    await room.happens(opening("empty"))
    await room.projected()
    await room.looks(room.service(DAY))
    assert await room.published() == []
    await room.looks(room.service(0))
    assert await room.published() == [(2, 3)]
    await room.looks(room.service(0))
    await room.happens(signing(BEES, "c"))
    await room.projected()
    await room.looks(room.service(DAY))
    assert await room.published() == [(2, 3)]
    await room.looks(room.service(0))
    assert await room.published() == [(2, 3), (3, 6)]
    assert await room.published("empty") == []


async def test_it_is_looked_daily_a_hundred_times_a_day(room: Room) -> None:
    """If a hundredth of the time has passed, then it is looked again which counts are to be stated; not before."""
    now = 1000.0
    service = Publishing(room.admin, 0.001, clock=lambda: now)
    await room.looks(service)
    await room.happens(signing(BEES, "c"))
    await room.projected()
    now += 0.000_009
    await room.looks(service)
    assert await room.published() == [(2, 3)]
    now += 0.000_002
    await room.looks(service)
    assert await room.published() == [(2, 3), (3, 5)]


# -- whatever else happens ---------------------------------------------------------------------------------------------


async def test_of_many_petitions_none_is_forgotten(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """If more petitions are due than one statement looks at, then the next one goes on with the rest."""
    monkeypatch.setattr(publishing, "AT_MOST", 2)
    names = [f"p{n}" for n in range(5)]
    for name in names:
        await room.happens(opening(name), signing(name, "a"))
    for name in [*names[:3], BEES]:
        await room.happens(DeclareStatus(name, "answered"))
    await room.projected()
    await room.looks(room.service())
    assert [len(await room.published(name)) for name in [*names, BEES]] == [1, 1, 1, 0, 0, 1]
    await room.looks(room.service(0))
    assert [len(await room.published(name)) for name in [*names, BEES]] == [1, 1, 1, 1, 1, 1]


async def test_two_services_that_look_at_once_state_a_number_once(room: Room) -> None:
    """If two services look at the same moment, while people sign, then the log has one number for each declaration."""
    other = await room.database.connect("ledger_reader")
    async with writer(room.database, RUN) as second:
        for turn in range(4):
            await room.happens(DeclareStatus(BEES, "successful"), signing(BEES, f"signer {turn}"))
            await room.projected()
            await asyncio.gather(room.service().look(room.reader), Publishing(second, DAY).look(other))
    assert [number for number, _ in await room.published()] == [3, 4, 5, 6]


async def test_what_could_not_be_written_is_stated_later(room: Room) -> None:
    """If the ledger cannot write when a count is due, then the next look finds it due."""

    class Away(Writer):
        away = True

        async def submit_all(self, submissions: Sequence[Submission]) -> list[Outcome]:
            return [UNAVAILABLE] * len(submissions) if self.away else await room.admin.submit_all(submissions)

    away = Away(lambda: room.database.connect(RUN), RUN, "unused")
    service = Publishing(away, DAY)
    await room.happens(DeclareStatus(BEES, "successful"))
    await room.projected()
    await room.looks(service)
    assert await room.published() == []
    away.away = False
    await room.looks(service)
    assert await room.published() == [(2, 4)]


async def test_a_view_that_is_not_what_the_log_says_is_not_stated_but_told(room: Room) -> None:
    """If the projections serve a number that the log does not give, then the log refuses to say so, and the service
    complains."""
    await room.happens(DeclareStatus(BEES, "successful"))
    await room.projected()
    await room.database.superuser.execute("UPDATE projections.petitions SET count = 7")
    with capture_logs() as said:
        await room.looks(room.service())
    assert [line["event"] for line in said] == ["publishing.view_disagrees"]
    assert await room.published() == []


MOVES = st.sampled_from(
    ["sign", "project"] * 4 + ["withdraw", "hold", "lift", "status", "look", "look", "look daily", "restart"]
)


async def test_whatever_happens_every_number_that_was_stated_is_what_the_replay_gives(room: Room) -> None:
    """If people sign, withdraw, are held and reinstated, while statuses are declared and services look, restart and lag
    behind in any order, then every number stated is the count at its position, none is stated twice in a row, and a
    deep audit finds nothing."""
    opened: dict[str, int] = {}

    async def run(moves: list[tuple[str, int]]) -> None:
        petition = f"p{len(opened)}"
        await room.happens(opening(petition))
        opened[petition] = await room.reader.fetchval("SELECT position FROM ledger.head")
        service = room.service()
        signed, withdrawn, held = set[str](), set[str](), set[str]()
        for nth, (move, a) in enumerate(moves):
            signer = str(a)
            name = f"{petition} {nth}"
            match move:
                case "sign" if signer not in signed:
                    await room.happens(signing(petition, signer))
                    signed.add(signer)
                case "withdraw" if signer in signed - withdrawn:
                    await room.happens(WithdrawSignature(petition, None, token_of(petition, signer), True))
                    withdrawn.add(signer)
                case "hold" if signer in signed - held:
                    await room.happens(correcting(petition, "invalidate", [signer], name))
                    held.add(signer)
                case "lift" if signer in held:
                    await room.happens(correcting(petition, "reinstate", [signer], name))
                    held.discard(signer)
                case "status":
                    await room.happens(DeclareStatus(petition, "answered"))
                case "project":
                    head = await room.reader.fetchval("SELECT position FROM ledger.head")
                    await room.projected(to=head - a)
                case "look":
                    await room.looks(service)
                case "look daily":
                    await room.looks(room.service(0))
                case "restart":
                    service = room.service()
                case _:
                    pass  # nobody is there to do that

    loop = asyncio.get_running_loop()

    @hypothesis_settings(
        max_examples=15, phases=(Phase.generate,), suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.lists(st.tuples(MOVES, st.integers(0, 3)), min_size=20, max_size=40))
    def any_run(moves: list[tuple[str, int]]) -> None:
        asyncio.run_coroutine_threadsafe(run(moves), loop).result()

    await asyncio.to_thread(any_run)
    stated = {petition: await room.published(petition) for petition in opened}
    for petition, numbers in stated.items():
        for number, position in numbers:
            asked = "SELECT sum(delta) FROM ledger.events WHERE petition = $1 AND position <= $2"
            assert number == await room.reader.fetchval(asked, opened[petition], position)
        assert all(one[0] != other[0] and one[1] < other[1] for one, other in pairwise(numbers))
    assert sum(map(len, stated.values())) > 5  # not for want of numbers
    backup = await room.database.connect("ledger_backup")
    assert list(await fsck(backup, deep=True)) == []
