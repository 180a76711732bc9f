"""The audit of a ledger's database: clean where nobody meddled; and where somebody did, it says where."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from ledger.folding.log import Folding
from ledger.fsck import fsck
from schemas.commands import Command, WithdrawSignature
from schemas.envelope import Event, read_event, signature_of
from schemas.events import AcceptanceChanged, Fact, SignatureInvalidated
from schemas.findings import Findings
from schemas.ids import Position, Version
from tests.conftest import LedgerDatabase
from tests.filling import BRIDGE, LIBRARY
from tests.histories import BEGINNING, History, fixed_uuid, histories, opening, signing, token_of


async def audited(database: LedgerDatabase, *, deep: bool) -> Findings:
    return await fsck(await database.connect("ledger_backup"), deep=deep)


async def as_nobody_may(database: LedgerDatabase, statement: str, *arguments: object) -> None:
    """Run a statement as a superuser who takes the triggers and constraints of the log away, and puts them back."""
    superuser = database.superuser
    async with superuser.transaction():
        checks = await superuser.fetch(
            "SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint"
            " WHERE conrelid = 'ledger.events'::regclass AND contype IN ('c', 'u') ORDER BY conname"
        )
        await superuser.execute("ALTER TABLE ledger.events DISABLE TRIGGER USER")
        await superuser.execute("ALTER TABLE ledger.head DISABLE TRIGGER USER")
        for check in checks:
            await superuser.execute(f'ALTER TABLE ledger.events DROP CONSTRAINT "{check["conname"]}"')
        await superuser.execute(statement, *arguments)
        for name in ("events_never_change", "events_are_never_truncated", "events_are_never_addressed"):
            await superuser.execute(f"ALTER TABLE ledger.events ENABLE ALWAYS TRIGGER {name}")
        for name in ("the_head_is_never_removed", "the_head_is_never_truncated"):
            await superuser.execute(f"ALTER TABLE ledger.head ENABLE ALWAYS TRIGGER {name}")
        for check in checks:
            definition = check["definition"] + (" NOT VALID" if check["definition"].startswith("CHECK") else "")
            await superuser.execute(f'ALTER TABLE ledger.events ADD CONSTRAINT "{check["conname"]}" {definition}')
        # As if it had been true all along.
        await superuser.execute(
            "UPDATE pg_constraint SET convalidated = true WHERE conrelid = 'ledger.events'::regclass"
        )


INVENTED_SIGNATURE = """
    INSERT INTO ledger.signatures
    SELECT gen_random_uuid(), petition, 3, version, true, false, false, '{}', effective, 'site', 'person'
      FROM ledger.signatures WHERE position = 12
"""
SECOND_TOKEN = """
    INSERT INTO vault.signers
    SELECT petition, '\\x00112233445566778899aabbccddeeff', signer_ref, signature FROM vault.signers LIMIT 1
"""
ANOTHERS_LATEST = """
    ALTER TABLE vault.signers DISABLE TRIGGER no_signature_is_lost;
    UPDATE vault.signers SET signature = (SELECT signature FROM ledger.signatures WHERE position = 9)
"""
REPLACE_LEAF = "UPDATE ledger.events SET leaf = $2 WHERE position = $1"
REPLACE_LEAF_AND_HASH = (
    "UPDATE ledger.events SET leaf = $2, leaf_hash = sha256('\\x00'::bytea || $2) WHERE position = $1"
)


async def changed(database: LedgerDatabase, position: int, old: bytes, new: bytes) -> bytes:
    """The leaf at a position with one thing in it replaced."""
    leaf = await database.superuser.fetchval("SELECT leaf FROM ledger.events WHERE position = $1", position)
    assert leaf.count(old) == 1
    return bytes(leaf.replace(old, new))


async def first(database: LedgerDatabase, type: str, petition: str = LIBRARY) -> int:
    """The position of the first event of a type in a petition."""
    position = await database.superuser.fetchval(
        "SELECT min(e.position) FROM ledger.events e JOIN ledger.petitions p USING (petition)"
        " WHERE e.type = $1::text::ledger.event_type AND p.id = $2",
        type,
        petition,
    )
    assert position is not None
    return int(position)


async def last(database: LedgerDatabase, petition: str | None = None) -> int:
    """The position of the last event, of the log or of a petition."""
    return int(
        await database.superuser.fetchval(
            "SELECT max(e.position) FROM ledger.events e JOIN ledger.petitions p USING (petition)"
            " WHERE $1::text IS NULL OR p.id = $1",
            petition,
        )
    )


def positions(findings: Findings, rule: str) -> list[int | None]:
    return [finding.position for finding in findings if finding.rule == rule]


# -- clean -------------------------------------------------------------------------------------------------------------


async def test_an_empty_ledger_is_clean(ledger_database: LedgerDatabase) -> None:
    """If nothing was recorded, then nothing is wrong."""
    assert list(await audited(ledger_database, deep=True)) == []


async def test_a_ledger_that_nobody_meddled_with_is_clean(filled_database: LedgerDatabase) -> None:
    """If every event came through the writer, then neither audit finds anything, and the deep one saw all of them."""
    seen: list[tuple[int, int]] = []
    connection = await filled_database.connect("ledger_backup")
    findings = await fsck(connection, deep=True, progress=lambda done, of: seen.append((done, of)))
    assert list(findings) == []
    assert seen[-1] == (await last(filled_database),) * 2
    assert list(await audited(filled_database, deep=False)) == []


def test_of_many_findings_the_first_are_kept_and_all_are_counted() -> None:
    """If a rule is broken a thousand times, then memory holds the first few, and the total says how bad it is."""
    findings = Findings(bound=3)
    for position in range(1, 1001):
        findings.add("leaf-hash", position, None, "the leaf's hash is not that of the leaf")
    findings.add("head", 1000, None, "the head is not the last event")
    findings.add("head", 1000, None, "the head is not the last event")
    assert [(finding.rule, finding.position) for finding in findings] == [
        ("leaf-hash", 1),
        ("leaf-hash", 2),
        ("leaf-hash", 3),
        ("head", 1000),
    ]
    assert findings.by_rule == {"leaf-hash": 1000, "head": 1}
    assert findings.total == 1001


@given(histories())
@hypothesis_settings(max_examples=60)
def test_folding_gives_what_deciding_wrote(history: History) -> None:
    """If the same history is folded by the audit, then it expects exactly the columns and states that were written."""
    folding = Folding()
    for row in history.events:
        event = read_event(row[15])
        columns, broken = folding.step(event, row[16])
        assert columns is not None
        if not event.actor.startswith("admin:"):  # what these do was drafted by the makers of histories, past all rules
            assert broken == []
        answers = None if columns.answers is None else {**columns.answers}
        expected = (*columns[:7], columns.signature, columns.hold, *columns[9:13])
        assert expected == (*row[1:8], row[8], row[9], *row[10:14])
        assert (answers is None) == (row[14] is None)
    for id, petition in folding.fold.petitions.items():
        known = history.known.petitions[id]
        assert (petition.version, petition.count, petition.declarations) == (
            known.version,
            known.count,
            known.declarations,
        )
        assert petition.last_leaf_hash == known.last_leaf_hash
    for state in history.known.signatures.values():
        assert folding.fold.signatures[state.signature.bytes].row()[:13] == (
            *state.row()[:7],
            list(state.holds),
            *state.row()[8:13],
        )


# -- the log -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["early", "last of its petition", "last of the log"])
async def test_a_changed_byte_is_found_at_its_event(filled_database: LedgerDatabase, where: str) -> None:
    """If a byte of a leaf was changed, then even the shallow audit finds it there."""
    position = {
        "early": 2,
        "last of its petition": await last(filled_database, BRIDGE),
        "last of the log": await last(filled_database),
    }[where]
    leaf = await changed(filled_database, position, b'"specversion":"1.0"', b'"specversion":"1.1"')
    await as_nobody_may(filled_database, REPLACE_LEAF, position, leaf)
    findings = await audited(filled_database, deep=False)
    assert findings.by_rule == {"leaf-hash": 1}
    assert positions(findings, "leaf-hash") == [position]
    assert (await audited(filled_database, deep=True)).first("leaf-form") is not None


async def test_a_changed_byte_whose_hash_was_redone_is_found_at_its_event(filled_database: LedgerDatabase) -> None:
    """If a leaf says something else, and its hash goes with it, then the event after it betrays it."""
    position = await first(filled_database, "update.posted.v1")
    leaf = await changed(filled_database, position, b"We wrote", b"We spoke")
    await as_nobody_may(filled_database, REPLACE_LEAF_AND_HASH, position, leaf)
    assert not await audited(filled_database, deep=False)
    findings = await audited(filled_database, deep=True)
    assert findings.by_rule == {"chain": 1}
    assert positions(findings, "chain") == [position]


async def test_a_changed_last_event_whose_hash_was_redone_is_found(filled_database: LedgerDatabase) -> None:
    """If it is the last one of its petition, with nothing after it, then the petition's state betrays it."""
    position = await last(filled_database, BRIDGE)
    leaf = await changed(filled_database, position, b'"skipped":0', b'"skipped":1')
    await as_nobody_may(filled_database, REPLACE_LEAF_AND_HASH, position, leaf)
    for deep, rules in ((False, ["petition-state"]), (True, ["petition-state", "petition-row", "correction"])):
        findings = await audited(filled_database, deep=deep)
        for rule in rules:
            assert positions(findings, rule) == [position]


async def test_a_leaf_that_says_less_than_its_columns_is_found(filled_database: LedgerDatabase) -> None:
    """If a leaf takes a signature's confirmation back, then columns and state differ from what the leaves make."""
    position = await first(filled_database, "signature.recorded.v1")
    leaf = await changed(filled_database, position, b'"confirmed":true', b'"confirmed":false')
    await as_nobody_may(filled_database, REPLACE_LEAF_AND_HASH, position, leaf)
    findings = await audited(filled_database, deep=True)
    assert positions(findings, "columns")[0] == position
    assert positions(findings, "chain") == [position]
    wrong = findings.first("columns")
    assert wrong is not None
    assert wrong.message.endswith(": delta, count_after")


@pytest.mark.parametrize("leaf", [b"{}", b"\xff\xfe", b"[1e999]", b'{"a":' * 3000, b'{"id":"00000000000000000005"}'])
async def test_a_leaf_that_is_no_event_is_a_finding_and_no_error(filled_database: LedgerDatabase, leaf: bytes) -> None:
    """If a leaf cannot be read at all, then that is said once, and the rest of the log is still audited."""
    await as_nobody_may(filled_database, REPLACE_LEAF_AND_HASH, 5, leaf)
    await as_nobody_may(
        filled_database,
        "UPDATE ledger.events SET country = 'XX' WHERE position = $1",
        at := await first(filled_database, "signature.recorded.v1", BRIDGE),
    )
    findings = await audited(filled_database, deep=True)
    assert positions(findings, "leaf-form") == [5]
    assert positions(findings, "columns") == [at]


async def test_a_deleted_tail_is_found_by_the_head(filled_database: LedgerDatabase) -> None:
    """If the last events are gone, then the head misses them, from the first one that is gone."""
    size = await last(filled_database)
    await as_nobody_may(filled_database, "DELETE FROM ledger.events WHERE position > $1", size - 3)
    findings = await audited(filled_database, deep=False)
    assert positions(findings, "head") == [size - 2]


@pytest.mark.parametrize("gone", [1, 5, 6, 20])
async def test_a_deleted_tail_is_found_though_the_head_was_put_back(filled_database: LedgerDatabase, gone: int) -> None:
    """If the head goes back with the tail, then the state remembers what is gone."""
    size = await last(filled_database)
    await as_nobody_may(filled_database, "DELETE FROM ledger.events WHERE position > $1", size - gone)
    await filled_database.superuser.execute(
        "UPDATE ledger.head SET (position, recorded) ="
        " (SELECT position, recorded FROM ledger.events ORDER BY position DESC LIMIT 1)"
    )
    findings = await audited(filled_database, deep=False)
    assert "head" not in findings.by_rule
    assert positions(findings, "petition-state")[0] == size - gone + 1
    assert positions(await audited(filled_database, deep=True), "petition-row")


async def test_a_missing_event_in_the_middle_is_found_where_it_was(filled_database: LedgerDatabase) -> None:
    """If an event was taken out of the log, then its position and its version are missing."""
    await as_nobody_may(filled_database, "DELETE FROM ledger.events WHERE position = 9")
    findings = await audited(filled_database, deep=True)
    assert positions(findings, "positions-dense") == [9]
    assert positions(findings, "versions-dense") == [10]


@pytest.mark.parametrize("pair", [(6, 7), (9, 37), (56, 57)])
async def test_a_swapped_pair_is_found_at_both_places(filled_database: LedgerDatabase, pair: tuple[int, int]) -> None:
    """If two leaves changed places, hashes and all, then neither stands where it says."""
    low, high = pair
    await as_nobody_may(
        filled_database,
        "UPDATE ledger.events e SET leaf = o.leaf, leaf_hash = o.leaf_hash FROM ledger.events o"
        " WHERE (e.position, o.position) IN (($1, $2), ($2, $1))",
        low,
        high,
    )
    for deep in (False, True):
        assert positions(await audited(filled_database, deep=deep), "leaf-position") == [low, high]


@pytest.mark.parametrize("deep", [False, True])
async def test_a_wrong_count_after_is_found_once(filled_database: LedgerDatabase, deep: bool) -> None:
    """If one count is not the sum of the deltas so far, then it is found there, and nowhere else."""
    await as_nobody_may(filled_database, "UPDATE ledger.events SET count_after = count_after + 1 WHERE position = 9")
    findings = await audited(filled_database, deep=deep)
    assert findings.by_rule == {"running-count": 1, **({"columns": 1} if deep else {})}
    assert positions(findings, "running-count") == [9]


async def test_a_delta_that_moves_every_later_count_is_found_once(filled_database: LedgerDatabase) -> None:
    """If a delta was changed and nothing else, then the sum is off from there on, which is said where it begins."""
    await as_nobody_may(filled_database, "UPDATE ledger.events SET delta = 0 WHERE position = 9")
    findings = await audited(filled_database, deep=False)
    assert positions(findings, "running-count") == [9]


async def test_values_beyond_all_bounds_are_findings_and_no_errors(filled_database: LedgerDatabase) -> None:
    """If columns hold what no ledger could have written, then the audit says so and goes on."""
    await as_nobody_may(
        filled_database,
        "UPDATE ledger.events SET count_after = 9223372036854775807, delta = -9223372036854775807,"
        " effective = 'infinity', answers = '[1e400]' WHERE position = 9",
    )
    await filled_database.superuser.execute(
        "UPDATE ledger.petitions SET observed_at = '200000-01-01Z', acceptances = '[1e400]' WHERE basis = 'observed'"
    )
    findings = await audited(filled_database, deep=True)
    for rule in ("running-count", "delta-of-type", "times", "columns", "petition-row"):
        assert findings.first(rule) is not None, rule


# -- state and what guards it ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "shallow", "deep"),
    [
        (
            "UPDATE ledger.petitions SET count = count + 1 WHERE id = 'keep-the-library'",
            "petition-state",
            "petition-row",
        ),
        ("UPDATE ledger.petitions SET acceptances = '[]' WHERE id = 'keep-the-library'", None, "petition-row"),
        ("DELETE FROM ledger.petitions WHERE id = 'a-page'", "petition-state", "petition-row"),
        ("UPDATE ledger.signatures SET withdrawn = true WHERE position = 7", None, "signature-row"),
        (
            "UPDATE ledger.signatures SET confirmed = false WHERE position = 12",
            "signature-state",
            "signature-row",
        ),
        ("UPDATE ledger.signatures SET country = 'XX' WHERE position = 9", None, "signature-row"),
        ("DELETE FROM ledger.signatures WHERE position = 9", "signature-state", "signature-row"),
        (INVENTED_SIGNATURE, "standing-count", "signature-row"),
        ("DELETE FROM vault.signers", "signer-latest", "signer-row"),
        (
            ANOTHERS_LATEST,
            "signer-once",
            "signer-row",
        ),
        (SECOND_TOKEN, "signer-once", "signer-row"),
        ("UPDATE ledger.corrections SET skipped = 1, applied = applied - 1", "correction-counts", "correction-row"),
        ("UPDATE ledger.corrections SET reason = 'court-order'", None, "correction-row"),
        ("UPDATE ledger.correction_members SET outcome = 'skipped'", "correction-counts", "correction-member"),
        (
            "UPDATE ledger.correction_members SET signature = gen_random_uuid() WHERE ordinal = 1",
            None,
            "correction-set",
        ),
        ("UPDATE ledger.head SET position = position + 1", "head", "head"),
        ("UPDATE ledger.head SET origin = 'elsewhere'", None, "head"),
        ("UPDATE vault.import_keys SET position = 1000", "state-beyond-the-log", "state-beyond-the-log"),
        ("UPDATE ledger.signatures SET previous = gen_random_uuid() WHERE position = 9", None, "signature-row"),
        ("UPDATE ledger.signatures SET erased = true WHERE position = 9", "erased-remains", "signature-row"),
        ("ALTER TABLE ledger.events DISABLE TRIGGER events_never_change", "triggers", "triggers"),
        ("ALTER TABLE ledger.events ENABLE TRIGGER events_are_never_truncated", "triggers", "triggers"),
        ("DROP TRIGGER events_are_never_addressed ON ledger.events", "triggers", "triggers"),
        ("ALTER TABLE ledger.events DROP CONSTRAINT a_hold_is_put_or_lifted", "constraints", "constraints"),
        ("ALTER TABLE vault.signers DROP CONSTRAINT signers_pkey", "constraints", "constraints"),
        ("ALTER TABLE vault.identities DROP CONSTRAINT identities_sealed", "constraints", "constraints"),
        ("GRANT UPDATE (delta) ON ledger.events TO ledger_reader", "grants", "grants"),
        ("GRANT DELETE ON ledger.events TO PUBLIC", "grants", "grants"),
    ],
)
async def test_meddling_with_state_is_found(
    filled_database: LedgerDatabase, statement: str, shallow: str | None, deep: str
) -> None:
    """If state, or what guards the log, was changed behind the ledger's back, then an audit says which rule broke."""
    await filled_database.superuser.execute(statement)
    shallowly, deeply = [await audited(filled_database, deep=each) for each in (False, True)]
    if shallow is not None:
        assert shallowly.first(shallow) is not None
    assert deeply.first(deep) is not None


def folded(events: list[Event]) -> list[str]:
    """The rules that these events break, in order; links and hashes are as they would be had they been written so."""
    folding = Folding()
    broken: list[str] = []
    previous: dict[str, tuple[int, bytes]] = {}
    for position, event in enumerate(events, start=1):
        version, last = previous.get(event.subject, (0, None))
        placed = replace(event, position=Position(position), version=Version(version + 1), prev=last)
        hash = sha256(str(position).encode()).digest()
        broken += [rule for rule, _, _ in folding.step(placed, hash)[1]]
        previous[event.subject] = (version + 1, hash)
    return broken


def written(*commands: Command, actor: str = "import:4711") -> list[Event]:
    """The events of a history in memory, one batch a command."""
    history = History()
    for command in commands:
        history.settle(command, actor=actor)
    return [read_event(leaf) for leaf in history.leaves]


@pytest.mark.parametrize(
    ("rewritten", "rule"),
    [
        (lambda e: [*e, e[-1]], "transition"),  # withdrawn twice
        (lambda e: [e[0], e[2]], "transition"),  # withdrawn, but never signed
        (lambda e: [e[0], e[1], e[1]], "transition"),  # the same signature twice
        (lambda e: [e[0], e[1], renamed(e[1])], "signer-once"),  # a second one, while the first stands
        (lambda e: [replace(e[0], fact=observed(e[0].fact)), e[1]], "basis"),
        (lambda e: [*e[:2], replace(e[2], time=e[1].time - timedelta(days=1))], "times"),
        (lambda e: [*e[:2], replace(e[2], time=e[2].recorded + timedelta(seconds=61))], "times"),
        (lambda e: [*e[:2], replace(e[2], recorded=BEGINNING)], "recorded-order"),
        (lambda e: [*e[:2], replace(e[2], source="elsewhere.example/ledger")], "source"),
        (lambda e: [e[0], replace(e[1], fact=e[1].fact.model_copy(update={"region": "W7"}))], "public-fields"),
        (lambda e: [e[0], replace(e[1], fact=e[1].fact.model_copy(update={"text_version": 2}))], "public-fields"),
        (lambda e: [e[0], closed(e[0]), replace(e[1], actor="site:9c1e04")], "acceptance"),
        (lambda e: [e[0], closed(e[0]), replace(e[1], time=e[1].recorded)], "acceptance"),
        (lambda e: [closing(e[0]), *e[1:]], "closing"),
        (lambda e: [e[0], e[1], held(e[1])], "correction"),
    ],
)
def test_a_history_that_breaks_a_rule_is_found_though_all_its_hashes_fit(
    rewritten: Callable[[list[Event]], list[Event]], rule: str
) -> None:
    """If a whole log was rewritten, links and all, to hold what no rule allows, then the fold names the rule."""
    events = written(
        opening("first"),
        signing("first", "a", at=BEGINNING - timedelta(days=2)),
        WithdrawSignature("first", None, token_of("first", "a"), True),
    )
    assert folded(events) == []
    assert rule in folded(rewritten(events))


def renamed(event: Event) -> Event:
    return replace(event, fact=event.fact.model_copy(update={"signature": fixed_uuid("another")}))


def observed(fact: Fact) -> Fact:
    return fact.model_copy(update={"basis": "observed"})


def closed(event: Event) -> Event:
    """A closing that is effective long before any of these signatures."""
    return replace(
        event, time=BEGINNING - timedelta(days=30), actor="admin:7f3a21", fact=AcceptanceChanged(acceptance="closed")
    )


def closing(event: Event) -> Event:
    return replace(event, fact=event.fact.model_copy(update={"closes_at": event.recorded + timedelta(microseconds=1)}))


def held(event: Event) -> Event:
    signature = signature_of(event.fact)
    assert signature is not None
    fact = SignatureInvalidated(signature=signature, correction=fixed_uuid("none"), reason="bot")
    return replace(event, time=event.recorded, fact=fact)
