"""Corrections that overlap, in any order and all at once: what holds a signature is what was put and not yet lifted."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.fsck import fsck
from schemas.commands import Accepted, Outcome, Submission
from tests.conftest import LedgerDatabase
from tests.ledger.checking import stands, whole_log
from tests.ledger.submissions import by_site, recording, some_id, withdrawing
from tests.ledger.test_correcting import ask, correcting, count, ids, signed, told
from tests.ledger.writing import RUN, writer

SIGNERS = ("s0", "s1", "s2")
SIGNATURES = ids(*SIGNERS)
SOME = st.sets(st.integers(0, 2), min_size=1).map(lambda each: tuple(SIGNATURES[n] for n in sorted(each)))
STEPS = st.one_of(
    st.tuples(st.just("invalidate"), SOME),
    st.tuples(st.just("reinstate"), SOME),
    st.tuples(st.just("lift"), SOME, st.integers(0, 9)),
    st.tuples(st.just("reverse"), st.integers(0, 9)),
    st.tuples(st.just("withdraw"), st.integers(0, 2)),
)


@dataclass
class Holds:
    """What should hold whom, kept by hand; and of each correction what it did, in order."""

    of: dict[UUID, set[UUID]] = field(default_factory=lambda: {each: set() for each in SIGNATURES})
    withdrawn: set[UUID] = field(default_factory=set)
    done: list[tuple[UUID, str, list[UUID]]] = field(default_factory=list)
    reversed: set[UUID] = field(default_factory=set)

    def apply(self, named: UUID, kind: str, members: Sequence[UUID], lifts: UUID | None = None) -> int:
        """Put or lift these holds; how many signatures were eligible."""
        applied = []
        for each in members:
            if kind == "invalidate":
                self.of[each].add(named)
            elif lifts is None and self.of[each]:
                self.of[each].clear()
            elif lifts in self.of[each]:
                self.of[each].discard(lifts)
            else:
                continue
            applied.append(each)
        self.done.append((named, kind, applied))
        return len(applied)

    def standing(self) -> int:
        return sum(not holds and each not in self.withdrawn for each, holds in self.of.items())


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=14))
def test_a_signature_stands_when_every_hold_is_lifted_in_whatever_order(steps: list[tuple[Any, ...]]) -> None:
    """If corrections that overlap are put, lifted one by one or all at once, reversed and their reversals reversed,
    with withdrawals between, then a signature stands exactly when nothing holds it and its signer did not withdraw."""
    desk, _ = signed(len(SIGNERS))
    should = Holds()
    for nth, (what, *about) in enumerate(steps):
        name, named = f"c{nth}", some_id(f"c{nth}")
        if what == "withdraw":
            if SIGNATURES[about[0]] not in should.withdrawn:
                desk.ask(by_site(withdrawing(SIGNERS[about[0]])))
            should.withdrawn.add(SIGNATURES[about[0]])
        elif what in ("invalidate", "reinstate"):
            answer = told(ask(desk, correcting(name, about[0], kind=what)))
            assert answer["applied"] == should.apply(named, what, about[0])
        elif what == "lift":
            holding = [each for each in should.done if each[1] == "invalidate"]
            if holding:
                lifts = holding[about[1] % len(holding)][0]
                answer = told(ask(desk, correcting(name, about[0], kind="reinstate", lifts=lifts)))
                assert answer["applied"] == should.apply(named, "reinstate", about[0], lifts)
        else:
            left = [each for each in should.done if each[0] not in should.reversed and each[2]]
            if left:
                of, kind, members = left[about[0] % len(left)]
                opposite, lifts = ("reinstate", of) if kind == "invalidate" else ("invalidate", None)
                command = correcting(name, tuple(members), kind=opposite, lifts=lifts, reverses=of)
                answer = told(ask(desk, replace(command, conditions=("reversal",))))
                assert answer["applied"] == should.apply(named, opposite, members, lifts)
                should.reversed.add(of)
        assert {each: set(desk.known.signatures[each].holds) for each in SIGNATURES} == should.of
        assert count(desk) == should.standing()


async def test_invalidating_reinstating_and_withdrawing_may_race(petition: LedgerDatabase) -> None:
    """If sixteen invalidate, reinstate, reverse, withdraw and sign again at once over the same few signatures, through
    four writers, then each is taken at its position, the count is what stands, and the ledger is sound."""
    signers = [f"s{n}" for n in range(6)]
    signatures = ids(*signers)
    async with AsyncExitStack() as opened:
        admins = [await opened.enter_async_context(writer(petition, RUN)) for _ in range(2)]
        sites = [await opened.enter_async_context(writer(petition)) for _ in range(2)]
        await sites[0].submit_all([by_site(recording(each)) for each in signers])

        async def correct(task: int) -> list[Outcome]:
            chance, admin, actor = random.Random(task), admins[task % 2], f"admin:{task:06x}"
            outcomes: list[Outcome] = []
            mine: list[tuple[str, tuple[UUID, ...]]] = []
            for nth in range(8):
                name, some = f"k{task}-{nth}", tuple(chance.sample(signatures, chance.randint(1, 4)))
                command = correcting(name, some, kind=chance.choice(("invalidate", "invalidate", "reinstate")))
                if mine and chance.random() < 0.4:
                    of, some = mine.pop(chance.randrange(len(mine)))
                    command = correcting(name, some, kind="reinstate", lifts=some_id(of), reverses=some_id(of))
                outcomes.append(await admin.submit(Submission(command, actor)))
                if command.kind == "invalidate":
                    mine.append((name, some))
            return outcomes

        async def sign(task: int) -> list[Outcome]:
            chance, site = random.Random(task), sites[task % 2]
            outcomes = []
            for nth in range(8):
                signer = chance.choice(signers)
                again = recording(signer, 2 + task * 10 + nth)
                outcomes.append(await site.submit(by_site(withdrawing(signer) if nth % 2 == 0 else again)))
            return outcomes

        racing = await asyncio.gather(*[(correct if task < 12 else sign)(task) for task in range(16)])
    outcomes = [outcome for each in racing for outcome in each]
    assert [each for each in outcomes if not isinstance(each, Accepted)] == []
    log = await whole_log(petition)
    assert {"signature.invalidated.v1", "signature.reinstated.v1", "signature.withdrawn.v1"} <= {e["type"] for e in log}
    stored = await petition.superuser.fetch("SELECT confirmed, withdrawn, holds FROM ledger.signatures")
    counted = await petition.superuser.fetchval("SELECT count FROM ledger.petitions")
    assert counted == sum(stands(dict(each.items())) for each in stored)
    assert list(await fsck(await petition.connect("ledger_backup"), deep=True)) == []
