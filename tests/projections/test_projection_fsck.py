"""The audit of the projections: clean where they are what the log makes of them; where they are not, it says how."""

import pytest

from ledger.fsck import fsck as ledger_fsck
from projections.fsck import fsck
from projections.projector import NAMES, catch_up
from projections.rebuild import rebuild
from projections.sealed import advance
from schemas.findings import Findings
from tests.conftest import LedgerDatabase
from tests.filling import BRIDGE, LIBRARY, PAGE
from tests.ledger.sealed_logs import sealed


async def audited(database: LedgerDatabase, *, deep: bool) -> Findings:
    return await fsck(await database.connect("ledger_backup"), deep=deep)


async def projected(database: LedgerDatabase, to: int | None = None) -> int:
    """A filled ledger's projections, caught up."""
    return await catch_up(await database.connect("ledger_projector"), to=to)


async def test_projections_of_an_empty_ledger_are_clean(ledger_database: LedgerDatabase) -> None:
    """If nothing was recorded, then there is nothing to differ."""
    assert list(await audited(ledger_database, deep=True)) == []


@pytest.mark.parametrize("behind", [0, 1, 30, 56])
async def test_projections_are_clean_wherever_they_have_come_to(filled_database: LedgerDatabase, behind: int) -> None:
    """If a projector is not done yet, then its rows are right for its checkpoint, and that is all that is asked."""
    position = await projected(filled_database)
    await filled_database.superuser.execute("TRUNCATE projections.petitions, projections.tally, projections.timeline")
    await filled_database.superuser.execute("TRUNCATE projections.rungs")
    await filled_database.superuser.execute("UPDATE projections.checkpoints SET position = 0")
    assert await catch_up(await filled_database.connect("ledger_projector"), to=position - behind) == position - behind
    seen: list[tuple[int, int]] = []
    connection = await filled_database.connect("ledger_backup")
    findings = await fsck(connection, deep=True, progress=lambda done, of: seen.append((done, of)))
    assert list(findings) == []
    assert seen[-1] == (position - behind,) * 2


async def test_a_rebuilt_projection_is_clean(filled_database: LedgerDatabase) -> None:
    """If another build is the active one, then that one is audited."""
    await projected(filled_database)
    await rebuild(await filled_database.connect("ledger_projector"), ["tally", "timeline"])
    assert list(await audited(filled_database, deep=True)) == []
    await filled_database.superuser.execute("UPDATE projections.timeline SET count = count + 1 WHERE position = 56")
    assert [finding.position for finding in await audited(filled_database, deep=True)] == [56]


@pytest.mark.parametrize(
    ("statement", "shallow", "deep", "petition"),
    [
        (
            "UPDATE projections.tally SET standing = standing + 1 WHERE petition = $1 AND value = 'GB'",
            "projected-tally",
            "tally-row",
            LIBRARY,
        ),
        ("UPDATE projections.tally SET invalidated = 7 WHERE petition = $1", None, "tally-row", LIBRARY),
        ("DELETE FROM projections.tally WHERE petition = $1", "projected-tally", "tally-row", PAGE),
        (
            "UPDATE projections.petitions SET count = count + 1 WHERE id = $1",
            "projected-petition",
            "petitions-row",
            PAGE,
        ),
        ("UPDATE projections.petitions SET title = 'x' WHERE id = $1", None, "petitions-row", LIBRARY),
        ("UPDATE projections.petitions SET opens_at = 'infinity' WHERE id = $1", None, "petitions-rows", None),
        ("DELETE FROM projections.petitions WHERE id = $1", "projected-petition", "petitions-row", BRIDGE),
        ("DELETE FROM projections.timeline WHERE petition = $1 AND kind = 'milestone'", None, "timeline-row", LIBRARY),
        ("UPDATE projections.timeline SET detail = '{}' WHERE petition = $1", None, "timeline-row", LIBRARY),
        ("DELETE FROM projections.rungs WHERE id = $1", None, "rungs-row", LIBRARY),
    ],
)
async def test_a_wrong_row_is_found_in_its_petition(
    filled_database: LedgerDatabase, statement: str, shallow: str | None, deep: str, petition: str | None
) -> None:
    """If a row is not what the leaves make of it, then it is named; what the counts betray, without folding."""
    await projected(filled_database)
    await filled_database.superuser.execute(statement, petition or LIBRARY)
    found = (await audited(filled_database, deep=False)).first(shallow or "")
    assert (found is not None) == (shallow is not None)
    assert found is None or found.petition == petition
    wrong = (await audited(filled_database, deep=True)).first(deep)
    assert wrong is not None
    assert wrong.petition == petition


@pytest.mark.parametrize("reached", [0, 3, 12, 34, 50, 56])
async def test_a_checkpoint_ahead_of_its_state_is_found(filled_database: LedgerDatabase, reached: int) -> None:
    """If a checkpoint says further than its rows show, then that is said, with how far they are."""
    assert await projected(filled_database, to=reached) == reached
    await filled_database.superuser.execute("UPDATE projections.checkpoints SET position = 57")
    assert (await audited(filled_database, deep=False)).first("projected-petition") is not None
    ahead = [finding for finding in await audited(filled_database, deep=True) if finding.rule == "checkpoint-ahead"]
    assert {finding.position for finding in ahead} == {57}
    assert {finding.message.split()[0] for finding in ahead} >= {"petitions", "tally"}
    petitions = next(finding for finding in ahead if finding.message.startswith("petitions"))
    assert petitions.message == f"petitions is said to be at 57, and its rows are those as of {reached}"


@pytest.mark.parametrize("name", NAMES)
async def test_one_checkpoint_ahead_of_its_state_is_found(filled_database: LedgerDatabase, name: str) -> None:
    """If only one projection was left behind, then only that one is told."""
    assert await projected(filled_database, to=20) == 20
    superuser = filled_database.superuser
    await superuser.execute("CREATE TABLE public.old AS SELECT * FROM projections.checkpoints")
    for table in ("petitions", "tally", "timeline", "rungs"):
        if table == name or (name, table) == ("timeline", "rungs"):
            await superuser.execute(f"CREATE TABLE public.old_{table} AS SELECT * FROM projections.{table}")  # noqa: S608
    await catch_up(await filled_database.connect("ledger_projector"))
    for table in ("petitions", "tally", "timeline", "rungs"):
        if table == name or (name, table) == ("timeline", "rungs"):
            await superuser.execute(f"TRUNCATE projections.{table}")
            await superuser.execute(f"INSERT INTO projections.{table} SELECT * FROM public.old_{table}")  # noqa: S608
    findings = await audited(filled_database, deep=True)
    assert {finding.message.split()[0] for finding in findings if finding.rule == "checkpoint-ahead"} == {name}


async def test_a_checkpoint_beyond_the_log_is_found_where_the_log_ends(filled_database: LedgerDatabase) -> None:
    """If a projection has seen more than the log holds, then a tail is gone."""
    position = await projected(filled_database)
    await filled_database.superuser.execute("UPDATE projections.checkpoints SET position = position + 5")
    for deep in (False, True):
        findings = await audited(filled_database, deep=deep)
        assert [(finding.rule, finding.position) for finding in findings] == [("checkpoint", position + 1)] * 3


async def test_a_projection_without_an_active_build_is_found(filled_database: LedgerDatabase) -> None:
    """If nobody can read a projection, then that is a finding and no error."""
    await projected(filled_database)
    await filled_database.superuser.execute("UPDATE projections.checkpoints SET active = false WHERE name = 'tally'")
    assert (await audited(filled_database, deep=True)).by_rule == {"checkpoint": 1}


async def test_a_leaf_that_cannot_be_folded_is_a_finding_and_no_error(filled_database: LedgerDatabase) -> None:
    """If the log itself was meddled with, then this audit says from where on it compares nothing."""
    await projected(filled_database)
    superuser = filled_database.superuser
    await superuser.execute("ALTER TABLE ledger.events DISABLE TRIGGER USER")
    await superuser.execute("UPDATE ledger.events SET leaf = '{}', leaf_hash = sha256('\\x007b7d') WHERE position = 9")
    findings = await audited(filled_database, deep=True)
    assert [(finding.rule, finding.position) for finding in findings] == [("projection-fold", 9)]
    assert await ledger_fsck(await filled_database.connect("ledger_backup"), deep=True)


# -- sealed builds -----------------------------------------------------------------------------------------------------


async def sealed_at(database: LedgerDatabase, *sizes: int) -> int:
    """The ledger, filled and projected; sealed at these sizes, and the sealed builds brought to the last of them."""
    position = await projected(database)
    for size in sizes:
        await sealed(database, upto=size)
    await advance(await database.connect("ledger_projector"), sizes[-1])
    return position


@pytest.mark.parametrize("size", [1, 20, 57])
async def test_sealed_builds_are_clean_at_their_size(filled_database: LedgerDatabase, size: int) -> None:
    """If the sealed builds are where the log was sealed, then their rows are those of that size, wherever the active
    builds are."""
    await sealed_at(filled_database, size)
    assert list(await audited(filled_database, deep=False)) == []
    assert list(await audited(filled_database, deep=True)) == []


async def test_a_sealed_build_that_was_only_begun_is_clean(filled_database: LedgerDatabase) -> None:
    """If a sealer died before it folded anything, then there is an empty build at 0, and nothing wrong."""
    await projected(filled_database)
    await filled_database.superuser.execute(
        "INSERT INTO projections.checkpoints SELECT name, 2, 0, false, true FROM projections.checkpoints"
    )
    assert list(await audited(filled_database, deep=True)) == []


@pytest.mark.parametrize(("reached", "position"), [(21, 21), (41, 41), (999, 41)])
async def test_a_sealed_build_where_nothing_was_sealed_is_found(
    filled_database: LedgerDatabase, reached: int, position: int
) -> None:
    """If a sealed build is between two sealed sizes, or beyond the newest, then that is found."""
    await sealed_at(filled_database, 20, 40)
    await filled_database.superuser.execute("UPDATE projections.checkpoints SET position = $1 WHERE sealed", reached)
    findings = await audited(filled_database, deep=False)
    assert [(each.rule, each.position) for each in findings] == [("sealed-checkpoint", position)] * 3


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE projections.petitions SET count = count + 1 WHERE build = 2 AND id = $1", "sealed-petitions-row"),
        ("UPDATE projections.tally SET invalidated = 7 WHERE build = 2 AND petition = $1", "sealed-tally-row"),
        ("DELETE FROM projections.timeline WHERE build = 2 AND petition = $1", "sealed-timeline-row"),
        ("DELETE FROM projections.rungs WHERE build = 2 AND id = $1", "sealed-rungs-row"),
    ],
)
async def test_a_wrong_sealed_row_is_found(filled_database: LedgerDatabase, statement: str, rule: str) -> None:
    """If what would be claimed of a sealed size is not what the leaves make of it, then that row is named."""
    await sealed_at(filled_database, 40)
    await filled_database.superuser.execute(statement, LIBRARY)
    assert list(await audited(filled_database, deep=False)) == []
    findings = await audited(filled_database, deep=True)
    assert set(findings.by_rule) == {rule}
    wrong = findings.first(rule)
    assert wrong is not None
    assert wrong.petition == LIBRARY
    assert wrong.message.startswith("sealed ")


async def test_a_sealed_checkpoint_ahead_of_its_rows_is_found(filled_database: LedgerDatabase) -> None:
    """If a sealed build says a later size than its rows show, then that is said, with how far they are."""
    await sealed_at(filled_database, 20)
    await sealed(filled_database, upto=40)
    await filled_database.superuser.execute("UPDATE projections.checkpoints SET position = 40 WHERE sealed")
    findings = await audited(filled_database, deep=True)
    told = [finding.message for finding in findings if finding.rule == "checkpoint-ahead"]
    assert "sealed petitions is said to be at 40, and its rows are those as of 20" in told
