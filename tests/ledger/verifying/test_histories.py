"""The verifier on random histories: it takes all that the ledger writes, folds it as the projections do, and finds
whatever is done to it, without ever failing itself."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ledger.verify import Report, verify
from tests.histories import History, histories
from tests.ledger.verifying.bundles import OPERATOR, Bundle, Json, lay, read, receipt, relinked, rendered, renumbered
from tests.ledger.verifying.story import events, rows, sealed_again


def bundle_of(history: History, heads: list[int]) -> Bundle:
    return Bundle(history.leaves, heads, rows(history.leaves[: heads[-1]]))


def audited(files: dict[str, bytes], **asked: Any) -> Report:
    with TemporaryDirectory() as directory:
        lay(Path(directory), files)
        return verify(Path(directory), [OPERATOR.vkey], **asked)


def handed(bundle: Bundle, petition: str) -> dict[str, bytes]:
    """What the routes of one petition answer: its events, and the receipt of the last of them."""
    own = [leaf for leaf in bundle.leaves[: bundle.heads[-1]] if read(leaf)["subject"] == petition]
    index = int(read(own[-1])["id"]) - 1
    proof = receipt(bundle.leaves[: bundle.heads[-1]], index, bundle.note(bundle.heads[-1]))
    return {"events.ndjson": b"".join(leaf + b"\n" for leaf in own), "proof.tlog-proof": proof}


@given(histories(), st.data())
@settings(max_examples=40)
def test_a_random_history_verifies_clean(history: History, data: st.DataObject) -> None:
    """If a ledger wrote it, then nothing is found at any head: the projections are what the verifier folds, every older
    head is continued, and each petition is complete alone, in the bundle and from what its own routes answer."""
    heads = sorted(data.draw(st.sets(st.integers(1, history.size), min_size=1, max_size=5)))
    bundle = bundle_of(history, heads)
    files = bundle.files()
    for size in heads:
        report = audited(files, since=bundle.note(size))
        assert report.findings == [], history
        assert report.proved["rows"] == sum(map(len, bundle.projections.values()))
    for petition in {row["id"] for row in bundle.projections["petitions"]}:
        assert audited(files, petition=petition).findings == [], history
        assert audited(handed(bundle, petition), petition=petition).findings == [], history


@given(histories(max_moves=40), st.data())
@settings(max_examples=25)
def test_whoever_is_erased_no_earlier_leaf_root_count_or_proof_changes(history: History, data: st.DataObject) -> None:
    """If any signers are erased at any points of any history, then all that stood before stands, every head that was
    sealed is continued, and the verifier finds nothing."""
    heads = [history.size]
    before = list(history.events)
    states = sorted(history.known.signatures.values(), key=lambda state: state.position)
    names = {petition.petition: name for name, petition in history.known.petitions.items()}
    for state in data.draw(st.lists(st.sampled_from(states), max_size=6)) if states else []:
        history.erase(names[state.petition], state.signature)
        heads.append(history.size)
    assert history.events[: len(before)] == before
    bundle = bundle_of(history, sorted(set(heads)))
    for size in set(heads):
        assert audited(bundle.files(), since=bundle.note(size)).findings == [], history
    erased = [read(leaf)["data"]["signature"] for leaf in history.leaves if read(leaf)["type"] == "signer.erased.v1"]
    assert len(erased) == len(set(erased))


@given(histories(max_moves=30), st.data())
@settings(max_examples=40)
def test_any_single_byte_changed_is_found(history: History, data: st.DataObject) -> None:
    """If any byte of any file of a bundle is another, then something is found, and nothing is raised."""
    bundle = bundle_of(history, sorted({1, (history.size + 1) // 2, history.size}))
    files = bundle.files()
    for _ in range(5):
        name = data.draw(st.sampled_from(sorted(files)))
        at, by = data.draw(st.integers(0, len(files[name]) - 1)), data.draw(st.integers(1, 255))
        changed = files[name][:at] + bytes([files[name][at] ^ by]) + files[name][at + 1 :]
        assert audited({**files, name: changed}).total > 0
    petition = data.draw(st.sampled_from([row["id"] for row in bundle.projections["petitions"]]))
    alone = handed(bundle, petition)
    name = data.draw(st.sampled_from(sorted(alone)))
    at, by = data.draw(st.integers(0, len(alone[name]) - 1)), data.draw(st.integers(1, 255))
    changed = alone[name][:at] + bytes([alone[name][at] ^ by]) + alone[name][at + 1 :]
    assert audited({**alone, name: changed}, petition=petition).total > 0


@given(histories(max_moves=30), st.data())
@settings(max_examples=40)
def test_any_file_cut_lengthened_or_replaced_is_found(history: History, data: st.DataObject) -> None:
    """If a file of a bundle is cut, or longer, or another one, then something is found, and nothing is raised."""
    files = bundle_of(history, sorted({1, history.size})).files()
    for _ in range(3):
        name = data.draw(st.sampled_from(sorted(files)))
        whole = files[name]
        others = [other for each, other in sorted(files.items()) if each != name]
        changed = data.draw(
            st.one_of(
                st.sampled_from([whole[:end] for end in {0, 1, 2, len(whole) // 2, len(whole) - 33, len(whole) - 1}]),
                st.sampled_from([whole + b"\n", whole + b"}\n", b"\n" + whole, whole * 2]),
                st.sampled_from([b"{}\n", b"[]\n", b"[" * 5000, b'{"rows":[[]]}\n', b"\n\n\n", b"---\n", *others]),
                st.binary(max_size=80),
            )
        )
        assume(changed != whole)
        # The newest head alone is what a bundle of that one head has: which older ones there were, only they say.
        assume(name != "checkpoints" or changed != files["checkpoint"])
        assert audited({**files, name: changed}).total > 0


_ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 400),
    st.text(max_size=4),
    st.lists(st.integers(0, 3), max_size=2),
    st.sampled_from([value for event in events() for value in event["data"].values()][:400:7]),
    st.sampled_from(["library", "bridge", "poll", "ledger", "import:1", "system", "2026-01-01T00:00:20.000000Z"]),
)


@given(st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.large_base_example])
def test_whatever_an_operator_seals_is_judged(data: st.DataObject) -> None:
    """If an operator seals events that say anything at all, then they are judged, and nothing is raised."""
    some: list[Json] = [{**event, "data": {**event["data"]}} for event in events()]
    for _ in range(data.draw(st.integers(1, 8))):
        event = data.draw(st.sampled_from(some[:20] + some[-40:]))
        place = event["data"] if data.draw(st.booleans()) else event
        if type(place) is dict and place:
            place[data.draw(st.sampled_from(sorted(place)))] = data.draw(_ANYTHING)
    types = [event["type"] for event in events()]
    for _ in range(data.draw(st.integers(0, 3))):
        some[data.draw(st.integers(0, len(some) - 1))]["type"] = data.draw(st.sampled_from(types[-30:]))
    audited(sealed_again(events()).but(leaves=[rendered(event) for event in some]).files())


@given(st.permutations(list(events()[-30:])))
@settings(max_examples=20)
def test_events_in_any_order_are_judged(some: list[Json]) -> None:
    """If events stand in another order, numbered and linked anew, then they are judged, and nothing is raised."""
    leaves = relinked(renumbered([*events()[:-30], *some]))
    assert audited(sealed_again(events()).but(leaves=leaves).files()).total > 0 or some == list(events()[-30:])
