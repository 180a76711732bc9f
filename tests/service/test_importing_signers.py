"""Who signs in a file: by its own reference, by an address, by both in some of her rows, and live beside it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.email_policy import STANDARD_1
from ledger.identity import Email, signer_token
from schemas.commands import Accepted
from service.database import Ledger
from service.importing import import_log
from service.opening import opening
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import by_site, recording
from tests.service.test_importing import ledger, written

__all__ = ["ledger"]

NUMBERS = count()


@dataclass(frozen=True)
class Row:
    """A row by what it names, or (`live`) somebody who signs on a site with the address."""

    kind: str
    reference: str
    address: str | None

    @property
    def names(self) -> list[str]:
        """The reference first: it is the file's own."""
        return [name for name in (None if self.kind == "live" else self.reference, self.address) if name is not None]


@dataclass
class Person:
    signs: bool = False
    signed: int = 0


@dataclass
class Register:
    """What a clerk would keep by hand: each name means one person, from the first row that tells."""

    people: dict[str, Person] = field(default_factory=dict)

    def take(self, row: Row) -> str:
        named = [self.people[name] for name in row.names if name in self.people]
        if row.kind == "withdrawn":
            if not named:
                return "unknown-signer"
            person = next((each for each in named if each.signs), named[0])
            if not person.signs:
                return "holds-already"
            person.signs = False
        elif any(each.signs for each in named):
            person = next(each for each in named if each.signs)
            self._tell(row, person)
            return "duplicate"
        else:
            person = named[0] if named else Person()
            person.signs = True
            person.signed += 1
        self._tell(row, person)
        return "appended"

    def _tell(self, row: Row, person: Person) -> None:
        for name in row.names:
            self.people.setdefault(name, person)

    @property
    def standing(self) -> int:
        return len({id(each) for each in self.people.values() if each.signs})


KINDS = st.sampled_from(["recorded", "recorded", "withdrawn", "live"])
ANY_ROW = st.builds(Row, KINDS, st.sampled_from("AB"), st.sampled_from(["x@a.org", "y@a.org", None])).filter(
    lambda row: row.kind != "live" or row.address is not None
)
OWN = {"A": "x@a.org", "B": "y@a.org"}
OWN_ROW = st.builds(
    lambda kind, reference, told: Row(kind, reference, OWN[reference] if told else None),
    st.sampled_from(["recorded", "recorded", "withdrawn"]), st.sampled_from("AB"), st.booleans(),
)  # fmt: skip


class Clerk:
    """Takes rows one file after another into a petition of its own, live ones by a site."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger, self.folder = ledger, folder
        self.petition = f"p{next(NUMBERS)}"
        self.minute = count(1)

    async def take(self, rows: Sequence[Row]) -> list[str]:
        """What became of each row. Rows that follow one another and are not live are one file."""
        said = await self._import([])  # opens the petition
        file: list[Row] = []
        for row in rows:
            if row.kind == "live":
                said += await self._import(file)
                said.append(await self._sign(row))
                file = []
            else:
                file.append(row)
        return said + await self._import(file)

    async def _import(self, rows: Sequence[Row]) -> list[str]:
        lines = ["at,kind,signer,email"]
        for row in rows:
            lines.append(f"{self._next().isoformat()},{row.kind},{row.reference},{row.address or ''}")
        refused: dict[int, str] = {}
        path = written(self.folder / "log.csv", "\n".join(lines))
        report = await import_log(
            self.ledger, opening(self.petition), path, mapping={}, kinds={}, zone=None, actor="import:test",
            refused=lambda line, reason: refused.update({line: reason}),
        )  # fmt: skip
        taken = [refused.get(line, "taken") for line in range(2, len(lines) + 1)]
        assert taken.count("taken") == report.appended + report.duplicates
        return taken

    def _next(self) -> datetime:
        return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=next(self.minute))

    async def _sign(self, row: Row) -> str:
        assert row.address is not None
        token = signer_token(self.ledger.petition_key(self.petition), Email(row.address), STANDARD_1)
        command = recording("live", petition=self.petition, token=token, signature=uuid4(), at=self._next())
        async with self.ledger.writer("ledger_signing") as site:
            outcome = await site.submit(by_site(command))
        assert isinstance(outcome, Accepted)
        return "taken"

    async def events(self) -> dict[str, int]:
        connection = await self.ledger.connect("ledger_backup")
        try:
            rows = await connection.fetch(
                "SELECT type::text, count(*) FROM ledger.events JOIN ledger.petitions p USING (petition)"
                " WHERE p.id = $1 GROUP BY type", self.petition,
            )  # fmt: skip
            standing = await connection.fetchval("SELECT count FROM ledger.petitions WHERE id = $1", self.petition)
        finally:
            await connection.close()
        return {**{row["type"]: row["count"] for row in rows}, "standing": standing}


def hold(ledger: Ledger, folder: Path, rows: Sequence[Row], register: Register) -> None:
    """What became of the rows, against the clerk's register."""
    expected = [register.take(row) for row in rows]

    async def work() -> tuple[list[str], dict[str, int]]:
        clerk = Clerk(ledger, folder)
        return await clerk.take(rows), await clerk.events()

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        said, events = runner.run(work())
    assert said == ["taken" if each in ("appended", "duplicate") else each for each in expected]
    withdrawn = sum(row.kind == "withdrawn" and each == "appended" for row, each in zip(rows, expected, strict=True))
    assert events.get("signature.recorded.v1", 0) == expected.count("appended") - withdrawn
    assert events.get("signature.withdrawn.v1", 0) == withdrawn
    assert events["standing"] == register.standing


def test_any_rows_and_live_signers_are_told_apart_as_a_clerk_would(
    ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If rows name signers by reference, by address or by both, and some sign live by an address, then each row means
    whom a clerk would take it for who keeps a register of names."""

    @settings(max_examples=40)
    @given(st.lists(ANY_ROW, min_size=1, max_size=9))
    def rows_are_told_apart(rows: list[Row]) -> None:
        hold(ledger, tmp_path, rows, Register())

    rows_are_told_apart()


class ByReference(Register):
    """A register that never looks at an address."""

    def take(self, row: Row) -> str:
        return super().take(Row(row.kind, row.reference, None))


def test_an_address_in_only_some_of_her_rows_changes_nothing(
    ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If every signer of a file has an address of her own that stands in only some of her rows, then all is as if it
    stood in none: no signer stands twice, and none is unknown."""

    @settings(max_examples=40)
    @given(st.lists(OWN_ROW, min_size=1, max_size=9))
    def addresses_change_nothing(rows: list[Row]) -> None:
        hold(ledger, tmp_path, rows, ByReference())

    addresses_change_nothing()


@pytest.mark.parametrize("kind", ["recorded", "confirmed", "withdrawn", "invalidated", "reinstated"])
async def test_a_row_of_any_kind_finds_her_by_either_name(ledger: Ledger, tmp_path: Path, kind: str) -> None:
    """If she signed by reference alone, then a row of any kind that also has her address means her, and from then on
    she signs live by that address as herself."""
    lines = ["at,kind,signer,email,reason", "2024-01-01T10:00:00Z,recorded,A,,"]
    if kind == "reinstated":
        lines.append("2024-01-02T10:00:00Z,invalidated,A,,bot")
    lines.append(f"2024-01-03T10:00:00Z,{kind},A,a@x.org,{'bot' if kind in ('invalidated', 'reinstated') else ''}")
    command = opening("p", confirmation="required" if kind == "confirmed" else "none")
    path = written(tmp_path / "log.csv", "\n".join(lines))
    report = await import_log(ledger, command, path, mapping={}, kinds={}, zone=None, actor="import:test")
    assert dict(report.refused) == {}
    token = signer_token(ledger.petition_key("p"), Email("a@x.org"), STANDARD_1)
    async with ledger.writer("ledger_signing") as site:
        outcome = await site.submit(by_site(recording("live", petition="p", token=token)))
    assert isinstance(outcome, Accepted)
    # After a withdrawal she signs anew; else she is known to have signed.
    assert outcome.repeated == (kind != "withdrawn")
