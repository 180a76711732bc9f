"""A story to tamper with: a log that the ledger wrote, in which everything happens once, and its bundle.

Some 320 events, so that the tree has full tiles and partial ones on two levels: a petition that is signed, corrected,
by imports and by two principals, and closed; one that is observed; and a consultation.
"""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from ledger.drafts import draft
from ledger.verify import Report, verify
from projections.replay import Replay
from schemas.commands import (
    ChangeAcceptance,
    ConfirmSignature,
    ContinueCorrection,
    DeclareStatus,
    ObserveCount,
    PostUpdate,
    RevisePetition,
    WithdrawSignature,
)
from schemas.events import PetitionRevised, SignatureAmended, SignerErased
from tests.histories import History, correcting, fixed_bytes, fixed_uuid, opening, signing, token_of
from tests.ledger.verifying.bundles import OPERATOR, WITNESS, Bundle, Json, Signer, lay, read, relinked

LIBRARY, BRIDGE, POLL = "library", "bridge", "poll"
KEPT_SIZE: Final = 100


@cache
def story() -> History:
    """The log."""
    history = History()
    history.settle(opening(LIBRARY, milestones=(10, 50, 250), confirmation="required"))
    history.settle(opening(BRIDGE, basis="observed", milestones=(100, 500)))
    history.settle(
        opening(POLL, public_fields=("country", "answers"), questions={"ban": ("yes", "no")}, goals=(3,)),
    )
    for number in range(0, 280, 20):
        live = {"imported": False, "country": ("GB", "DE", None)[number % 3]}
        history.settle(*(signing(LIBRARY, str(n), **live) for n in range(number, number + 20)), actor="site:9c1e04")
        if number == 0:
            history.settle(signing(LIBRARY, "waiting", confirmed=False, imported=False), actor="site:9c1e04")
            history.settle(signing(POLL, "one", answers={"ban": "yes"}), signing(POLL, "two", kind="organisation",
                           name="Branch 7", reference="Resolution 4"))  # fmt: skip
            history.settle(ObserveCount(BRIDGE, 90, "page", None), ObserveCount(BRIDGE, 100, "milestone", None))
            history.publish(LIBRARY, history.size)
    history.settle(ConfirmSignature(LIBRARY, None, token_of(LIBRARY, "waiting"), False, None), actor="site:9c1e04")
    history.settle(
        *(WithdrawSignature(LIBRARY, None, token_of(LIBRARY, str(n)), False, None) for n in (3, 4, 5)),
        actor="site:9c1e04",
    )
    history.settle(signing(LIBRARY, "4", nth=2, imported=False), actor="site:9c1e04")
    history.settle(correcting(LIBRARY, "invalidate", ["7", "8", "9"], "by import"))
    history.settle(correcting(LIBRARY, "reinstate", ["8"], "lifted by import"))
    signatures = [fixed_uuid(f"{LIBRARY}/{n}/0") for n in (20, 21)]
    correction = history.begin(LIBRARY, "invalidate", signatures, "by admins")
    history.settle(ContinueCorrection(LIBRARY, correction))
    history.settle(
        ObserveCount(BRIDGE, 600, "page", None), ObserveCount(BRIDGE, 367, "status", None, status="successful")
    )
    history.evolve(LIBRARY, draft(SignatureAmended(signature=signatures[0], pii_commit=fixed_bytes("anew", 32))))
    history.settle(RevisePetition(LIBRARY, PetitionRevised(title="Save it", milestones=(10, 270), text_version=2)))
    history.settle(PostUpdate(LIBRARY, "We wrote to three ministers", None, None, None))
    history.settle(DeclareStatus(LIBRARY, "successful", None, None, None, None))
    history.publish(LIBRARY, history.size)
    history.evolve(
        LIBRARY, draft(SignerErased(signature=fixed_uuid(f"{LIBRARY}/3/0"), mode="withdrawn")), actor="privacy:11"
    )
    history.settle(ChangeAcceptance(LIBRARY, "closed", None), actor="admin:7f3a21")
    return history


@cache
def events() -> tuple[Json, ...]:
    """Its events."""
    return tuple(map(read, story().leaves))


def rows(leaves: Sequence[bytes]) -> dict[str, list[Json]]:
    """What the projections make of some leaves."""
    replay = Replay()
    for leaf in leaves:
        replay.apply(leaf)
    return replay.rows()


@cache
def sound() -> Bundle:
    """Its bundle, with a witness's line under every head, and an opening."""
    leaves = story().leaves
    heads = [1, KEPT_SIZE, 255, 256, 257, 300, len(leaves)]
    return Bundle(leaves, heads, rows(leaves), (OPERATOR, WITNESS))


def kept() -> bytes:
    """A head that an auditor kept."""
    return sound().note(KEPT_SIZE)


def positions(type: str, petition: str = LIBRARY) -> list[int]:
    """Where the events of a type stand in a petition."""
    return [int(event["id"]) for event in events() if (event["type"], event["subject"]) == (type, petition)]


def position(type: str, petition: str = LIBRARY, nth: int = 0) -> int:
    """Where an event of a type stands in a petition."""
    return positions(type, petition)[nth]


# -- tampering ---------------------------------------------------------------------------------------------------------


def audited(directory: Path, files: dict[str, bytes], **asked: Any) -> Report:
    """What the verifier says of these files."""
    lay(directory, files)
    return verify(directory, [OPERATOR.vkey], **asked)


def edited(position: int, change: Callable[[Json], None]) -> list[Json]:
    """The events, of which one says something else."""
    some = [json.loads(json.dumps(event)) for event in events()]
    change(some[position - 1])
    return some


def says(**members: Any) -> Callable[[Json], None]:
    """The event says this in its data."""
    return lambda event: event["data"].update(members)


def sealed_again(some: Sequence[Json], *, refolded: bool = False, signers: tuple[Signer, ...] = (OPERATOR,)) -> Bundle:
    """What the operator can do who tampered with events: hash and seal all of it again, with every link of every chain.
    `refolded`: the projections too, where the rules of the log let him; the witness does not help him."""
    leaves = relinked(some)
    heads = [size for size in sound().heads if size < len(leaves)] + [len(leaves)]
    return Bundle(leaves, heads, rows(leaves) if refolded else sound().projections, signers)
