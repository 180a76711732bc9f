"""One petition alone: complete up to its last proven event, from its own events, its chain and one proof."""

from pathlib import Path

import pytest

from ledger.verify import Report, WrongCall, verify
from tests.ledger.verifying.bundles import (
    OPERATOR,
    WITNESS,
    Signer,
    lay,
    read,
    receipt,
    rendered,
)
from tests.ledger.verifying.story import BRIDGE, LIBRARY, POLL, edited, events, position, says, sealed_again, sound

SIZE = sound().heads[-1]


def own(petition: str) -> list[bytes]:
    """The stored bytes of a petition's events."""
    return [leaf for leaf in sound().leaves if read(leaf)["subject"] == petition]


def last(petition: str) -> int:
    return int(read(own(petition)[-1])["id"])


def handed(
    directory: Path, petition: str, leaves: list[bytes] | None = None, proof: bytes | None = None, *witnesses: str
) -> Report:
    """The verdict on what the petition's routes answered."""
    leaves = own(petition) if leaves is None else leaves
    files = {
        "events.ndjson": b"".join(leaf + b"\n" for leaf in leaves),
        "proof.tlog-proof": proof or receipt(sound().leaves, last(petition) - 1, sound().note(SIZE)),
    }
    return verify(lay(directory, files), [OPERATOR.vkey], petition=petition, witnesses=witnesses)


@pytest.mark.parametrize("petition", [LIBRARY, BRIDGE, POLL])
def test_from_its_own_routes(petition: str, tmp_path: Path) -> None:
    """If a petition's events and the receipt of the last of them are handed over, then that is all that is needed; and
    what only a full audit shows is said."""
    report = handed(tmp_path, petition, None, None, WITNESS.vkey)
    assert report.findings == []
    assert report.head is not None
    assert (report.head.size, report.proved["events"]) == (SIZE, len(own(petition)))
    assert any(
        f"no event of this petition after position {last(petition)}" in sentence and "only a full audit" in sentence
        for sentence in report.not_proved
    )


@pytest.mark.parametrize("petition", [LIBRARY, BRIDGE, POLL])
def test_out_of_a_bundle(petition: str, tmp_path: Path) -> None:
    """If a whole bundle is there, then the petition's events are picked, proven by tiles, and its own rows compared."""
    lay(tmp_path, sound().files())
    report = verify(tmp_path, [OPERATOR.vkey], petition=petition)
    assert report.findings == []
    assert report.proved["events"] == len(own(petition))
    assert report.proved["rows"] == sum(
        petition in (row.get("petition"), row.get("id")) for rows in sound().projections.values() for row in rows
    )


def test_the_proof_needs_the_tiles_on_its_way(tmp_path: Path) -> None:
    """If a hash is wrong that the proof of the last event needs, then it is not shown; any other says nothing."""
    where, right = last(BRIDGE), f"tile/0/001.p/{SIZE - 256}"
    files = sound().files()
    for name, index, needed in (
        ("tile/0/000", 0, False),
        ("tile/1/000.p/1", 0, True),
        (right, where - 257, False),
        (right, where - 256, True),
        (right, 0, True),
    ):
        changed = bytearray(files[name])
        changed[32 * index] ^= 1
        report = verify(lay(tmp_path, {**files, name: bytes(changed)}), [OPERATOR.vkey], petition=BRIDGE)
        assert [found.position for found in report.findings] == [where] * needed
    (tmp_path / right).unlink()
    report = verify(tmp_path, [OPERATOR.vkey], petition=BRIDGE)
    assert (where, right) in {(found.position, found.where) for found in report.findings}


def test_an_event_that_is_left_out(tmp_path: Path) -> None:
    """If the first, a middle or the last event of the petition is withheld, then it is told where."""
    leaves = own(LIBRARY)
    middle = 100
    assert handed(tmp_path / "first", LIBRARY, leaves[1:]).first == int(read(leaves[1])["id"])
    assert handed(tmp_path / "middle", LIBRARY, leaves[:middle] + leaves[middle + 1 :]).first == int(
        read(leaves[middle + 1])["id"]
    )
    report = handed(tmp_path / "last", LIBRARY, leaves[:-1])
    assert report.first == int(read(leaves[-2])["id"])
    assert any("not of the last event that was handed over" in found.sentence for found in report.findings)


def test_an_older_proof_shows_less(tmp_path: Path) -> None:
    """If the events end earlier and the receipt is that of the last of them, then it is complete up to there, and says
    that it does not know what came later."""
    leaves = own(LIBRARY)[:50]
    index = int(read(leaves[-1])["id"]) - 1
    proof = receipt(sound().leaves, index, sound().note(SIZE))
    report = handed(tmp_path, LIBRARY, leaves, proof)
    assert report.findings == []
    assert any(f"after position {index + 1}" in sentence for sentence in report.not_proved)


def test_an_event_that_is_edited(tmp_path: Path) -> None:
    """If an event was edited, then its position is named; the last one, since it is not in the signed tree."""
    where = position("signature.recorded.v1", nth=100)
    changed = rendered(edited(where, says(country="FR"))[where - 1])
    leaves = [changed if int(read(leaf)["id"]) == where else leaf for leaf in own(LIBRARY)]
    assert handed(tmp_path / "middle", LIBRARY, leaves).first == where
    end = rendered({**events()[-1], "data": {"acceptance": "paused"}})
    report = handed(tmp_path / "last", LIBRARY, [*own(LIBRARY)[:-1], end])
    assert [(found.position, found.sentence) for found in report.findings] == [
        (SIZE, "its last event is not shown to be in the signed tree")
    ]


def test_events_of_another_petition(tmp_path: Path) -> None:
    """If an event of another petition is among them, then that is told."""
    report = handed(tmp_path, LIBRARY, [*own(LIBRARY), *own(POLL)])
    assert {found.sentence for found in report.findings} == {"it is no event of this petition"}


def test_events_out_of_order(tmp_path: Path) -> None:
    """If events are handed over in another order, then that is told."""
    leaves = own(LIBRARY)
    leaves[5], leaves[6] = leaves[6], leaves[5]
    assert handed(tmp_path, LIBRARY, leaves).total > 0


def test_a_count_that_was_not_the_count(tmp_path: Path) -> None:
    """If a published count is off by one, then it is found from the petition's own events."""
    where = position("count.published.v1")
    bundle = sealed_again(edited(where, says(count=7)))
    report = verify(lay(tmp_path, bundle.files()), [OPERATOR.vkey], petition=LIBRARY)
    assert report.first == where


@pytest.mark.parametrize(
    "change",
    [
        lambda proof: proof.replace(b"tlog-proof@v1", b"tlog-proof@v2"),
        lambda proof: proof.replace(b"index ", b"index 0"),
        lambda proof: proof.replace(b"index ", b"index +"),
        lambda proof: proof.replace(b"\n\n", b"\nAAAA\n\n", 1),
        lambda proof: proof.replace(b"\n\n", b"\n" + b"A" * 43 + b"=\n\n", 1),
        lambda proof: proof.replace(b"\n", b"\r\n"),
        lambda proof: proof[: proof.index(b"\n\n") - 45] + proof[proof.index(b"\n\n") :],
        lambda proof: proof.partition(b"\n\n")[0],
        lambda proof: b"extra \xc3\xa5\n" + proof,
        lambda _: b"\xff",
    ],
)
def test_a_proof_that_is_none(change: object, tmp_path: Path) -> None:
    """If the receipt is malformed, of another length, or another's, then that is told."""
    proof = receipt(sound().leaves, last(LIBRARY) - 1, sound().note(SIZE))
    assert callable(change)
    assert change(proof) != proof
    assert handed(tmp_path, LIBRARY, None, change(proof)).total > 0


def test_extra_data_is_believed_by_nobody(tmp_path: Path) -> None:
    """If a receipt bears extra data, then they change nothing."""
    proof = receipt(sound().leaves, last(LIBRARY) - 1, sound().note(SIZE))
    proof = proof.replace(b"index ", b"extra aGVsbG8=\nindex ", 1)
    assert handed(tmp_path, LIBRARY, None, proof).findings == []


def test_a_head_of_another_origin(tmp_path: Path) -> None:
    """If the head is of another origin than the petition's last event, then that is told."""
    other = Signer("petitions.example/second", bytes(range(3, 35)))
    bundle = sound().but(signers=(other,))
    report = verify(lay(tmp_path, bundle.files()), [other.vkey], petition=LIBRARY)
    assert [found.sentence for found in report.findings] == ["its last event is not shown to be in the signed tree"]


def test_wrong_calls(tmp_path: Path) -> None:
    """If there is no such petition, its name is none, or a kept head is given too, then the call is wrong."""
    lay(tmp_path, sound().files())
    for petition, since in (("nobody", None), ("No Slug", None), (LIBRARY, sound().note(1))):
        with pytest.raises(WrongCall):
            verify(tmp_path, [OPERATOR.vkey], petition=petition, since=since)
