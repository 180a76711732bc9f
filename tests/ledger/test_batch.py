"""Any run of commands, batched in any way, through real writers into a real database: it ends as the oracle says."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, ClassVar, cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from ledger.connecting import Connection, connect
from ledger.fsck import fsck
from ledger.writer import Writer
from schemas.commands import (
    Accepted,
    Command,
    ConfirmSignature,
    CorrectImported,
    EraseSigner,
    ObserveCount,
    Outcome,
    RecordSignature,
    Refused,
    RevisePetition,
    Submission,
    WithdrawSignature,
)
from schemas.events import Acceptance, PetitionRevised
from tests.conftest import LedgerDatabase
from tests.ledger.checking import LOG, check
from tests.ledger.model import Petition, Said
from tests.ledger.submissions import (
    accepting,
    by_admin,
    by_site,
    imported,
    opening,
    recording,
    some_bytes,
    some_id,
    some_instant,
)
from tests.ledger.writing import ERASE, RUN, SIGN, writer

SIGNERS = st.sampled_from("abc")
ITEMISED = st.sampled_from(["free", "vouched"])
ANY = st.sampled_from(["free", "vouched", "watched"])
TIMES = st.none() | st.integers(0, 12).map(some_instant)
KEYS = st.none() | st.none() | st.sampled_from(["k1", "k2", "k3"])


@dataclass
class Asked:
    """One asking, and what the oracle does with it."""

    petition: str
    submission: Submission
    oracle: Callable[[datetime], Said | list[str]]

    @property
    def is_live_signing(self) -> bool:
        command = self.submission.command
        return isinstance(command, RecordSignature | ConfirmSignature | WithdrawSignature) and not command.imported


class AnyRun(RuleBasedStateMachine):
    """Rules ask; `write` sends what was asked as one batch, and holds everything against the oracle."""

    runner: ClassVar[asyncio.Runner]
    site: ClassVar[Writer]
    admin: ClassVar[Writer]
    privacy: ClassVar[Writer]
    officer: ClassVar[Connection]
    reader: ClassVar[Connection]
    runs: ClassVar["count[int]"] = count()
    examined: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.run = next(self.runs)
        self.models = {
            "free": Petition(),
            "vouched": Petition(confirmation="required"),
            "watched": Petition(basis="observed"),
        }
        self.ids: dict[str, list[tuple[str, int]]] = {name: [] for name in self.models}
        self.queue: list[Asked] = []
        self.past: list[Asked] = []
        self.answers: dict[tuple[str, bytes], tuple[bytes, dict[str, Any]]] = {}
        self.rows: dict[tuple[str, bytes], str] = {}
        self.numbers = count(1)

    def name(self, petition: str) -> str:
        return f"{petition}-{self.run}"

    @initialize()
    def open(self) -> None:
        for petition, model in self.models.items():
            command = opening(
                self.name(petition),
                basis=model.basis,
                confirmation=model.confirmation,
                provenance="observed" if model.basis == "observed" else "live",
            )

            def opened(now: datetime, model: Petition = model) -> Said:
                model.opened()
                return Said("taken")

            self.queue.append(Asked(petition, by_admin(command), opened))
        self.write()

    def ask(
        self,
        petition: str,
        command: Command,
        oracle: Callable[[datetime], Said | list[str]],
        key: str | None = None,
        row: str | None = None,
    ) -> None:
        if row is not None:
            submission = imported(command, row)
        else:
            submission = by_site(command, key, repr(command)) if key else by_site(command)
        self.queue.append(Asked(petition, submission, oracle))
        self.past.append(self.queue[-1])

    # -- asking --------------------------------------------------------------------------------------------------------

    @rule(petition=ANY, signer=SIGNERS, at=TIMES, confirmed=st.none() | st.booleans(), key=KEYS)
    def sign(self, petition: str, signer: str, at: datetime | None, confirmed: bool | None, key: str | None) -> None:
        self._sign(petition, signer, at, confirmed, False, key=key)

    @rule(petition=ANY, signer=SIGNERS, at=TIMES)
    def import_signature(self, petition: str, signer: str, at: datetime | None) -> None:
        self._sign(petition, signer, at, None, True, row=f"row {next(self.numbers)}")

    def _sign(
        self, petition: str, signer: str, at: datetime | None, confirmed: bool | None, is_imported: bool, **how: Any
    ) -> None:
        n = next(self.numbers)
        self.ids[petition].append((signer, n))
        command = recording(signer, n, self.name(petition), at=at, confirmed=confirmed, imported=is_imported)
        model, id = self.models[petition], command.signature
        self.ask(petition, command, lambda now: model.sign(signer, id, confirmed, at, now, is_imported), **how)

    @rule(petition=ANY, at=TIMES, is_imported=st.booleans(), withdraw=st.booleans(), which=st.integers(0, 5), key=KEYS)
    def follow(
        self, petition: str, at: datetime | None, is_imported: bool, withdraw: bool, which: int, key: str | None
    ) -> None:
        """Confirm or withdraw a signature by its id, whether it was recorded or not."""
        signer, n = [("nobody", 0), *self.ids[petition]][-1 - which % (len(self.ids[petition]) + 1)]
        id = some_id(f"{self.name(petition)}/{signer}/{n}")
        make = WithdrawSignature if withdraw else ConfirmSignature
        model = self.models[petition]
        decide = model.withdraw if withdraw else model.confirm
        command = make(self.name(petition), id, None, is_imported, at)
        # Only who imports says that something was imported: by that, fsck judges the event.
        how = {"row": f"row {next(self.numbers)}"} if is_imported else {"key": key}
        self.ask(petition, command, lambda now: decide(id, at, now, is_imported), **how)

    @rule(petition=ITEMISED, signer=SIGNERS, at=TIMES, withdraw=st.booleans())
    def follow_by_name(self, petition: str, signer: str, at: datetime | None, withdraw: bool) -> None:
        """Confirm or withdraw as a file's row that names the signer."""
        model = self.models[petition]
        make = WithdrawSignature if withdraw else ConfirmSignature
        command = make(self.name(petition), None, some_bytes(f"{self.name(petition)}/{signer}", 16), True, at)

        def oracle(now: datetime) -> Said:
            if signer not in model.of_signer:
                return Said("unknown-signer")
            return (model.withdraw if withdraw else model.confirm)(model.of_signer[signer][-1], at, now, True)

        self.ask(petition, command, oracle, row=f"row {next(self.numbers)}")

    @rule(
        petition=ITEMISED,
        kind=st.sampled_from(["invalidate", "invalidate", "reinstate"]),
        signers=st.lists(SIGNERS, min_size=1, max_size=4),
        at=TIMES,
    )
    def correct(self, petition: str, kind: str, signers: list[str], at: datetime | None) -> None:
        n = next(self.numbers)
        name = self.name(petition)
        rows = tuple(
            (some_bytes(f"{name}/{signer}", 16), some_bytes(f"{n}/{nth}", 16)) for nth, signer in enumerate(signers)
        )
        correction = some_id(f"{name}/{n}")
        model = self.models[petition]
        command = CorrectImported(name, correction, kind, "bot", rows, at)
        self.queue.append(
            Asked(
                petition,
                Submission(command, "import:4711"),
                lambda now: model.correct(kind, correction, list(signers), at, now, True),
            )
        )

    @rule(petition=ITEMISED, what=st.sampled_from(["open", "open", "paused", "closed"]), at=TIMES)
    def accept(self, petition: str, what: str, at: datetime | None) -> None:
        model = self.models[petition]
        command = replace(accepting(cast(Acceptance, what), self.name(petition)), at=at)
        self.queue.append(Asked(petition, by_admin(command), lambda now: model.accept(what, at or now)))

    @rule(petition=ITEMISED, closes_at=st.integers(0, 12).map(some_instant))
    def let_the_closing_time_pass(self, petition: str, closes_at: datetime) -> None:
        model = self.models[petition]
        command = RevisePetition(self.name(petition), PetitionRevised(text_version=1, closes_at=closes_at))
        self.queue.append(Asked(petition, by_admin(command), lambda now: model.revise(closes_at)))

    @rule(petition=st.sampled_from(["watched", "watched", "free"]), number=st.integers(0, 50), at=TIMES)
    def observe(self, petition: str, number: int, at: datetime | None) -> None:
        model = self.models[petition]
        command = ObserveCount(self.name(petition), number, "page", at)
        self.queue.append(Asked(petition, by_admin(command), lambda now: model.observe(number, at, now)))

    @precondition(lambda self: self.past)
    @rule(which=st.integers(0, 30))
    def ask_again(self, which: int) -> None:
        """The same key, the same row, or simply the same again."""
        self.queue.append(self.past[-1 - which % len(self.past)])

    @rule(petition=ITEMISED, which=st.integers(0, 5))
    def erase(self, petition: str, which: int) -> None:
        """Erase the signer of a signature, who may be erased already, and destroy what is held of her."""
        if self.queue:
            self.write()
        model, name = self.models[petition], self.name(petition)
        recorded = [id for id in (some_id(f"{name}/{s}/{n}") for s, n in self.ids[petition]) if id in model.signatures]
        if not recorded:
            return
        id = recorded[-1 - which % len(recorded)]
        outcome = self.runner.run(self.privacy.submit(Submission(EraseSigner(name, id), "privacy:0d15ea")))
        hers = [str(each) for each in model.erase(id, datetime.now(UTC))]
        assert isinstance(outcome, Accepted)
        assert outcome.answer == {"petition": name, "signatures": hers}
        self.runner.run(self.officer.execute("SELECT ledger.destroy_erased($1)", hers))
        self.answers = {key: said for key, said in self.answers.items() if said[1].get("signature") not in hers}
        self.rows = {row: signature for row, signature in self.rows.items() if signature not in hers}
        self._compare(petition, model)

    # -- writing -------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.queue)
    @rule()
    def write(self) -> None:
        asked, self.queue = self.queue, []
        live = all(each.is_live_signing and each.submission.import_key is None for each in asked)
        outcomes = self.runner.run((self.site if live else self.admin).submit_all([each.submission for each in asked]))
        now = datetime.now(UTC)
        for petition in {
            each.petition for each, outcome in zip(asked, outcomes, strict=True) if not _by_the_database(outcome)
        }:
            self.models[petition].pass_time(now)
        for each, outcome in zip(asked, outcomes, strict=True):
            self._hold(each, outcome, now)
        for petition, model in self.models.items():
            self._compare(petition, model)

    def _hold(self, asked: Asked, outcome: Outcome, now: datetime) -> None:
        """The outcome of one asking against the oracle's."""
        key, row = asked.submission.answer_key, asked.submission.import_key
        if key is not None and (asked.petition, key.key) in self.answers:
            fingerprint, answer = self.answers[asked.petition, key.key]
            if fingerprint == key.fingerprint:
                assert outcome == Accepted(answer, repeated=True)
            else:
                assert isinstance(outcome, Refused)
                assert outcome.reason == "key-reused"
            return
        if row is not None and (asked.petition, row) in self.rows:
            assert outcome == Accepted({}, repeated=True, already_there=True)
            return
        model = self.models[asked.petition]
        changes, events = len(model.changes), len(model.events)
        model.pass_time(now)
        said = asked.oracle(now)
        if _by_the_database(outcome):  # and with it the closing that was to be written before it
            del model.changes[changes:], model.events[events:]
        if isinstance(said, list):
            assert isinstance(outcome, Accepted)
            assert outcome.answer["rows"] == said
            return
        self.examined.add(said.verdict)
        if said.verdict not in ("taken", "as-is"):
            assert isinstance(outcome, Refused)
            assert outcome.reason == said.verdict
            return
        assert isinstance(outcome, Accepted)
        assert outcome.repeated == (said.verdict == "as-is")
        assert outcome.answer.get("state") == said.state
        if key is not None:
            self.answers[asked.petition, key.key] = (key.fingerprint, outcome.answer)
        if row is not None:
            self.rows[asked.petition, row] = outcome.answer.get("signature", "")

    def _compare(self, petition: str, model: Petition) -> None:
        """The log and the state of one petition against the oracle's."""
        rows = self.runner.run(
            self.reader.fetch(
                "SELECT e.type::text, e.delta, p.count, p.version"
                " FROM ledger.petitions p JOIN ledger.events e USING (petition) WHERE p.id = $1 ORDER BY e.position",
                self.name(petition),
            )
        )
        assert [(row["type"], row["delta"]) for row in rows] == model.events
        assert {(row["count"], row["version"]) for row in rows} == {(model.count, len(model.events))}


def _by_the_database(outcome: Outcome) -> bool:
    """Whether it is one of those that Python cannot foresee."""
    return isinstance(outcome, Refused) and outcome.reason == "refused"


def _take_an_id_twice(run: AnyRun) -> None:
    """A run that chance finds too seldom: a row whose id an erased signature has, after its petition's closing time."""
    run.open()
    run.import_signature("vouched", "a", some_instant(2))
    run.erase("vouched", 0)
    run.let_the_closing_time_pass("vouched", some_instant(8))
    run.write()
    run.ask_again(0)
    run.write()
    assert "refused" in run.examined
    run.erase("vouched", 0)


def _go_back_in_time(run: AnyRun) -> None:
    """A run that chance finds too seldom: a row that is older than what it follows."""
    run.open()
    run.import_signature("free", "a", some_instant(5))
    run.follow_by_name("free", "a", some_instant(3), True)
    run.write()
    assert "before-its-predecessor" in run.examined


def test_any_run_of_commands_ends_as_the_oracle_says(ledger_database: LedgerDatabase) -> None:
    """If any commands come in any order and in any batches, with keys and rows repeated, then each is answered as the
    oracle says, the log holds the events that it says, and every rule holds of the whole log."""
    # A loop of its own, in which the writers live on: the rules of a machine are no coroutines and take turns with it.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        site, admin, privacy = (writer(ledger_database, role) for role in (SIGN, RUN, ERASE))
        AnyRun.runner, AnyRun.site, AnyRun.admin, AnyRun.privacy = runner, site, admin, privacy
        AnyRun.officer = runner.run(connect(ledger_database.url, ERASE))
        AnyRun.reader = runner.run(connect(ledger_database.url, "ledger_backup"))
        try:
            runner.run(site.__aenter__())
            runner.run(admin.__aenter__())
            runner.run(privacy.__aenter__())
            _go_back_in_time(AnyRun())
            _take_an_id_twice(AnyRun())
            run_state_machine_as_test(
                AnyRun,
                settings=settings(
                    max_examples=150,
                    stateful_step_count=60,
                    deadline=None,
                    # Without shrinking: every attempt writes to the database, and it would take minutes.
                    phases=(Phase.reuse, Phase.generate),
                    suppress_health_check=list(HealthCheck),
                ),
            )
            check(runner.run(AnyRun.reader.fetch(LOG)))
            assert list(runner.run(fsck(AnyRun.reader, deep=True))) == []
            assert {"taken", "as-is", "petition-closed", "before-its-predecessor", "erased"} <= AnyRun.examined
        finally:
            runner.run(site.__aexit__(None, None, None))
            runner.run(admin.__aexit__(None, None, None))
            runner.run(privacy.__aexit__(None, None, None))
            runner.run(AnyRun.officer.close())
            runner.run(AnyRun.reader.close())
