"""The tamper matrix: one thing is done to a sound bundle, and the verifier must find it, at the right position.

Each test is a row of the table in `docs/auditing.md`. What is tampered with is either a file as it lies there, or the
events themselves by the operator, who owns the key and hashes and seals all of it again: the hardest case, in which a
kept head or a witness may be all that is left.
"""

import hmac
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.verify import Report, verify
from tests.ledger.verifying.bundles import (
    OPERATOR,
    ORIGIN,
    WITNESS,
    Bundle,
    Json,
    Signer,
    base64,
    head_text,
    lay,
    leaf_hash,
    note,
    read,
    receipt,
    relinked,
    rendered,
    renumbered,
    root,
    tiles,
)
from tests.ledger.verifying.story import (
    BRIDGE,
    KEPT_SIZE,
    LIBRARY,
    audited,
    edited,
    events,
    kept,
    position,
    rows,
    says,
    sealed_again,
    sound,
)

SIZE = sound().heads[-1]
SECOND = Signer(ORIGIN, bytes(range(2, 34)))
MIDDLE = 150


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def sentences(report: Report) -> str:
    return "\n".join(f"{found.where}: {found.sentence}" for found in report.findings)


# -- bits --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [1, 2, 100, 256, 257, SIZE])
def test_a_bit_of_an_entry(where: int, tmp_path: Path) -> None:
    """If any bit of an entry is flipped, then that event is named, whatever the bit was part of."""
    files, leaves = sound().files(), list(sound().leaves)
    for at in range(0, len(leaves[where - 1]), 61):
        leaves[where - 1] = flipped(sound().leaves[where - 1], at, at % 8)
        entries = {name: data for name, data in tiles(leaves).items() if "entries" in name}
        report = audited(tmp_path, {**files, **entries})
        assert report.first == where, sentences(report)


def test_a_bit_of_the_length_of_an_entry(tmp_path: Path) -> None:
    """If the length before an entry is changed, then the first event that cannot be read any more is named."""
    files = sound().files()
    name = "tile/entries/000"
    for bit in range(8):
        report = audited(tmp_path, {**files, name: flipped(files[name], 1, bit)})
        assert report.first == 1, sentences(report)


def test_a_bit_of_a_tile(tmp_path: Path) -> None:
    """If a bit of a tile is flipped, then the event whose hash it was is named; above the leaves, the last one that the
    hash covers."""
    files = sound().files()
    for name in ("tile/0/000", f"tile/0/001.p/{SIZE - 256}", "tile/1/000.p/1"):
        for at in range(0, len(files[name]), 401):
            report = audited(tmp_path, {**files, name: flipped(files[name], at, at % 8)})
            number = at // 32 + (256 if "001" in name else 0)
            assert [found.where for found in report.findings] == [name]
            assert report.first == (256 if name.startswith("tile/1") else number + 1)


def test_a_bit_of_the_newest_head(tmp_path: Path) -> None:
    """If any bit of `checkpoint` is flipped, then it is named, and the last head that holds is gone on with."""
    files = sound().files()
    for at in range(0, len(files["checkpoint"]), 5):
        report = audited(
            tmp_path, {**files, "checkpoint": flipped(files["checkpoint"], at, at % 8)}, witnesses=[WITNESS.vkey]
        )
        assert {found.where for found in report.findings} == {"checkpoint"}, sentences(report)


def test_a_bit_of_any_head(tmp_path: Path) -> None:
    """If any bit is flipped of what the ledger sealed in a head that was once published, then that head is named."""
    files, at = sound().files(), 0
    for nth, head in enumerate(sound().notes(), start=1):
        for byte in range(nth, len(head) - len(WITNESS.line(b"")), 29):
            changed = flipped(files["checkpoints"], at + byte, byte % 8)
            report = audited(tmp_path, {**files, "checkpoints": changed})
            assert f"checkpoints, note {nth}" in {found.where for found in report.findings}, sentences(report)
        at += len(head) + len(b"---\n")


# -- events taken out, put in, moved -----------------------------------------------------------------------------------


def without(*gone: int) -> list[Json]:
    return [event for event in events() if int(event["id"]) not in gone]


def test_the_first_event_deleted(tmp_path: Path) -> None:
    """If the first event is taken out and all is sealed again, then position 1 is named."""
    assert audited(tmp_path, sealed_again(without(1)).files()).first == 1


def test_an_event_in_the_middle_deleted(tmp_path: Path) -> None:
    """If an event in the middle is taken out and all is sealed again, then its position is named: there stands another,
    which, if all are renumbered, does not name the leaf before it."""
    assert audited(tmp_path / "a", sealed_again(without(MIDDLE)).files()).first == MIDDLE
    leaves = [rendered(event) for event in renumbered(without(MIDDLE))]
    bundle = sealed_again(without(MIDDLE)).but(leaves=leaves)
    assert audited(tmp_path / "b", bundle.files()).first == MIDDLE


def test_the_last_event_deleted(tmp_path: Path) -> None:
    """If the last entry is taken out, then it is missing. If all is sealed again without it, then only a head that
    somebody kept tells, or the witness: it names the first event that is not there any more."""
    the_last_events_deleted(1, tmp_path)


def test_the_last_ten_events_deleted(tmp_path: Path) -> None:
    """If the last ten are taken out, then it is the same."""
    the_last_events_deleted(10, tmp_path)


def the_last_events_deleted(many: int, tmp_path: Path) -> None:
    name = f"tile/entries/001.p/{SIZE - 256}"
    files = sound().files()
    files[name] = tiles(sound().leaves[:-many])[f"tile/entries/001.p/{SIZE - 256 - many}"]
    report = audited(tmp_path / "a", files)
    assert report.first == SIZE - many + 1
    assert any(f"anything from position {SIZE - many + 1} on" in sentence for sentence in report.not_proved)
    shorter = sealed_again(events()[:-many], refolded=True).files()
    assert audited(tmp_path / "b", shorter).findings == []
    assert audited(tmp_path / "c", shorter, since=sound().note(SIZE)).first == SIZE - many + 1
    assert audited(tmp_path / "d", shorter, witnesses=[WITNESS.vkey]).first == SIZE - many


def test_all_events_deleted(tmp_path: Path) -> None:
    """If nothing is left, then position 1 is missing, and a kept head names it where an empty log was sealed."""
    files = sound().files()
    gone = {name: data for name, data in files.items() if not name.startswith("tile/")}
    assert audited(tmp_path / "a", gone).first == 1
    empty = sealed_again([]).but(heads=[0], projections={"petitions": [], "tally": [], "timeline": []}).files()
    assert audited(tmp_path / "b", empty).findings == []
    assert audited(tmp_path / "c", empty, since=kept()).first == 1


def test_two_events_swapped(tmp_path: Path) -> None:
    """If two neighbours change places and all is sealed again, then the first of them is named."""
    some = list(events())
    some[MIDDLE - 1], some[MIDDLE] = some[MIDDLE], some[MIDDLE - 1]
    assert audited(tmp_path / "a", sealed_again(some).files()).first == MIDDLE
    renumbered_too = sealed_again(renumbered(some)).files()
    assert audited(tmp_path / "b", renumbered_too).first in (None, MIDDLE)
    assert audited(tmp_path / "c", renumbered_too, since=sound().note(256)).first is not None


def test_an_event_duplicated(tmp_path: Path) -> None:
    """If an event is there twice and all is sealed again, then the second is named, renumbered or not."""
    some = list(events())
    some.insert(MIDDLE, some[MIDDLE - 1])
    assert audited(tmp_path / "a", sealed_again(some).files()).first == MIDDLE + 1
    assert audited(tmp_path / "b", sealed_again(renumbered(some)).files()).first == MIDDLE + 1


def test_an_event_inserted(tmp_path: Path) -> None:
    """If an event is slipped in, then the one behind it is named, which was there before; renumbered, it does not name
    the leaf before it."""
    invented = read(rendered(events()[MIDDLE - 1]))
    invented["data"] |= {"signature": "0" * 8 + "-0000-7000-8000-" + "0" * 12, "signer_ref": base64(bytes(16))}
    some = [*events()[:MIDDLE], invented, *events()[MIDDLE:]]
    assert audited(tmp_path / "a", sealed_again(some).files()).first == MIDDLE + 1
    leaves = [rendered(event) for event in renumbered(some)]
    assert audited(tmp_path / "b", sealed_again(some).but(leaves=leaves).files()).first == MIDDLE + 1


def test_events_renumbered(tmp_path: Path) -> None:
    """If an event, and all behind it, name other positions, then the first of them is named."""
    some = [{**event, "id": f"{int(event['id']) + (int(event['id']) >= MIDDLE):020d}"} for event in events()]
    assert audited(tmp_path, sealed_again(some).files()).first == MIDDLE


# -- events edited -----------------------------------------------------------------------------------------------------


def test_a_recorded_time_changed(tmp_path: Path) -> None:
    """If an event is said to have been recorded before the one before it, then it is named; if after the one behind it,
    then that one."""
    for at, where in (("2025-12-31T00:00:00.000000Z", MIDDLE), ("2026-01-02T00:00:00.000000Z", MIDDLE + 1)):
        some = edited(MIDDLE, lambda event, at=at: event.update(recordedtime=at))  # type: ignore[misc]
        assert audited(tmp_path, sealed_again(some).files()).first == where


def test_an_event_edited_and_everything_above_it_sealed_again(tmp_path: Path) -> None:
    """If an event is edited, and with it every link, hash, head and row, then the bundle is sound by itself, and a head
    that was kept, or the witness, tells that it is another log."""
    some = edited(KEPT_SIZE - 3, says(country="FR"))
    files = sealed_again(some, refolded=True).files()
    assert audited(tmp_path, files).findings == []
    report = audited(tmp_path, files, since=kept())
    assert report.first == KEPT_SIZE
    assert sentences(report).startswith("the kept head: it is not the head of the first 100 events")
    assert audited(tmp_path, files, witnesses=[WITNESS.vkey]).first == SIZE


def test_an_event_edited_and_sealed_again_with_its_links_left(tmp_path: Path) -> None:
    """If an event is edited and hashed and sealed again, but not what names it, then it is named."""
    leaves = [rendered(event) for event in edited(MIDDLE, says(country="FR"))]
    report = audited(tmp_path, sealed_again(events()).but(leaves=leaves).files())
    assert report.first == MIDDLE
    assert "the chain of the petition breaks at this event" in sentences(report)


# -- heads -------------------------------------------------------------------------------------------------------------


def test_an_older_head_in_place_of_the_newest(tmp_path: Path) -> None:
    """If the bundle is that of an older head, then the first event is named that a published head covers beyond it."""
    files = sealed_again(events()[:300], refolded=True).files()
    report = audited(tmp_path / "a", {**files, "checkpoints": sound().files()["checkpoints"]})
    assert report.first == 301
    assert "checkpoint: it is not the last note of `checkpoints`" in sentences(report)
    report = audited(tmp_path / "b", {**sound().files(), "checkpoint": sound().note(300)})
    assert "checkpoint" in {found.where for found in report.findings}


def test_two_heads_of_one_size(tmp_path: Path) -> None:
    """If two heads of one size with two roots were published, then the one that the events do not have is named."""
    other = note(head_text(256, bytes(32)), OPERATOR, WITNESS)
    notes = sound().notes()
    for at in (3, 4):
        some = b"---\n".join([*notes[:at], other, *notes[at:]])
        report = audited(tmp_path, {**sound().files(), "checkpoints": some})
        assert [(found.position, found.where) for found in report.findings] == [(256, f"checkpoints, note {at + 1}")]


def test_heads_that_fall(tmp_path: Path) -> None:
    """If a smaller head was published after a larger one, then it is named."""
    notes = sound().notes()
    some = b"---\n".join([*notes[:4], notes[2], *notes[4:]])
    report = audited(tmp_path, {**sound().files(), "checkpoints": some})
    assert [(found.position, found.where) for found in report.findings] == [(255, "checkpoints, note 5")]


def test_another_key_under_the_same_name(tmp_path: Path) -> None:
    """If a key that was not listed sealed, under the name of the origin, then no head counts."""
    files = sealed_again(events(), signers=(SECOND,)).files()
    report = audited(tmp_path / "a", files)
    assert "checkpoint: no listed key of the note's origin has sealed it" in sentences(report)
    newest = note(head_text(SIZE, root(tuple(map(leaf_hash, sound().leaves)))), SECOND)
    report = audited(tmp_path / "b", {**sound().files(), "checkpoint": newest})
    assert {found.where for found in report.findings} == {"checkpoint"}


def test_a_witness_that_was_not_listed(tmp_path: Path) -> None:
    """If another witness than the listed one cosigned, even under its name, then the head is named."""
    for stranger in (Signer("elsewhere.example/w2", bytes(32), 4), Signer(WITNESS.name, bytes(32), 4)):
        files = sound().but(signers=(OPERATOR, stranger)).files()
        report = audited(tmp_path / stranger.id.hex(), files, witnesses=[WITNESS.vkey])
        assert [(found.position, found.where) for found in report.findings] == [(SIZE, "checkpoint")]


def test_a_seal_line_twice(tmp_path: Path) -> None:
    """If the line of a listed key stands twice in a head, then the head is named."""
    refuses_the_head(lambda head: head + OPERATOR.line(head.partition(b"\n\n")[0] + b"\n"), tmp_path)


def test_carriage_returns(tmp_path: Path) -> None:
    """If the lines of a head end in CR LF, then the head is named, though they are signed like that."""
    refuses_the_head(lambda head: head.replace(b"\n", b"\r\n"), tmp_path)
    text = head_text(SIZE, root(tuple(map(leaf_hash, sound().leaves)))).replace(b"\n", b"\r\n")
    refuses_the_head(lambda _: note(text, OPERATOR), tmp_path)


def test_base64_that_is_not_canonical(tmp_path: Path) -> None:
    """If a root or a signature is spelled with spare bits, without padding, or in the other alphabet, then the head is
    named, though it is signed like that."""
    top = base64(root(tuple(map(leaf_hash, sound().leaves))))
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    spare = top[:-2] + digits[digits.index(top[-2]) + 1] + "="
    for spelled in (spare, top.rstrip("="), top.replace("+", "-").replace("/", "_").replace("=", "=="), top + "\n\n"):
        refuses_the_head(
            lambda _, spelled=spelled: note(f"{ORIGIN}\n{SIZE}\n{spelled}\n".encode(), OPERATOR),  # type: ignore[misc]
            tmp_path,
        )
    refuses_the_head(lambda head: head.rstrip(b"=\n") + b"\n", tmp_path)


def test_leading_zeros(tmp_path: Path) -> None:
    """If the size is written with zeros before it, a sign, or other digits, then the head is named, though it is signed
    like that."""
    top = base64(root(tuple(map(leaf_hash, sound().leaves))))
    for size in (f"0{SIZE}", f"+{SIZE}", f"{SIZE} ", f"{SIZE}.0", "٣١٧", ""):
        refuses_the_head(
            lambda _, size=size: note(f"{ORIGIN}\n{size}\n{top}\n".encode(), OPERATOR),  # type: ignore[misc]
            tmp_path,
        )


def refuses_the_head(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    files = sound().files()
    files["checkpoint"] = change(files["checkpoint"])
    report = audited(tmp_path, files)
    assert "checkpoint" in {found.where for found in report.findings}, sentences(report)
    assert "checkpoint: it is not the last note" not in sentences(report).partition("\n")[0]


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "tile/0/002",
        "tile/notes.txt",
        "tile/0/000.p/256",
        "tile/0/x000/000",
        "tile/2/000",
        "tile/entries/01",
        "tile/0/.",
    ],
)
def test_a_stray_file(name: str, tmp_path: Path) -> None:
    """If a file lies under tile/ that has no place in the tree, then it is named."""
    name = f"{name}hidden" if name.endswith("/.") else name
    report = audited(tmp_path, {**sound().files(), name: b"stray"})
    assert [found.where for found in report.findings] == [name]


@pytest.mark.parametrize("name", ["tile/0/001.p/5", "tile/0/000.p/255", "tile/entries/001.p/44", "tile/1/000"])
def test_a_superseded_file(name: str, tmp_path: Path) -> None:
    """If a tile of a smaller tree is left, then it is named, be it right or not."""
    report = audited(tmp_path, {**sound().files(), name: tiles(sound().leaves[:300]).get(name, b"left")})
    assert [found.where for found in report.findings] == [name]
    assert "superseded" in sentences(report)


def test_a_file_taken_away(tmp_path: Path) -> None:
    """If any file is missing, then it is named, with the first event for which it is needed."""
    first_needed = {
        "tile/0/000": 1, "tile/entries/000": 1, f"tile/0/001.p/{SIZE - 256}": 257,
        f"tile/entries/001.p/{SIZE - 256}": 257, "tile/1/000.p/1": 256,
    }  # fmt: skip
    for name in sound().files():
        files = {other: data for other, data in sound().files().items() if other != name}
        report = audited(tmp_path / name.replace("/", "-"), files)
        assert name in {found.where for found in report.findings}
        assert report.first == first_needed.get(name)


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_a_published_count_off_by_one(tmp_path: Path) -> None:
    """If the ledger says to have served a number that was not the count, then that event is named."""
    where = position("count.published.v1")
    stated = events()[where - 1]["data"]["count"]
    report = audited(tmp_path, sealed_again(edited(where, says(count=stated + 1))).files())
    assert report.first == where
    assert f"{stated + 1} was published as of position" in sentences(report)


def test_a_claimed_count_off_by_one(tmp_path: Path) -> None:
    """If the count of a petition's row, or any sum of the tally, is off by one, then that row is named."""
    last = position("acceptance.changed.v1")
    for name, column, where in (
        ("petitions", "count", last),
        ("tally", "standing", None),
        ("tally", "withdrawn", None),
    ):
        claimed = [dict(row) for row in sound().projections[name]]
        row = next(row for row in claimed if LIBRARY in (row.get("id"), row.get("petition")))
        row[column] += 1
        report = audited(tmp_path, sound().but(projections={**sound().projections, name: claimed}).files())
        (found,) = report.findings
        assert found.position == where
        assert found.where.startswith(f"projections/{name}.json: {LIBRARY}")
        assert found.sentence == f"the events make other values of {column}"


def test_a_milestone_one_event_early(tmp_path: Path) -> None:
    """If the timeline says that a rung was reached one event before it was, then that position is named."""
    claimed = [dict(row) for row in sound().projections["timeline"]]
    milestone = next(row for row in claimed if row["rung"] == 50)
    reached = milestone["position"]
    milestone["position"] -= 1
    report = audited(tmp_path, sound().but(projections={**sound().projections, "timeline": claimed}).files())
    assert [(found.position, found.sentence) for found in report.findings] == [
        (reached - 1, "the events make no such row"),
        (reached, "the row is missing"),
    ]


# -- rules -------------------------------------------------------------------------------------------------------------


def signature(type: str, petition: str = LIBRARY, nth: int = 0) -> str:
    """The signature that an event of this type is about."""
    return str(events()[position(type, petition, nth) - 1]["data"]["signature"])


@pytest.mark.parametrize(
    "lie",
    [
        says(reason="bot"),
        says(correction="0" * 8 + "-0000-7000-8000-" + "0" * 12),
        says(signature="0" * 8 + "-0000-7000-8000-" + "0" * 12),
        lambda event: says(signature=signature("signature.recorded.v1", "poll"))(event),
        lambda event: says(signature=signature("signature.invalidated.v1", nth=1))(event),
    ],
    ids=["reason", "correction", "no signature", "signature of another petition", "signature twice"],
)  # fmt: skip
def test_a_compensation_whose_target_does_not_match(lie: Callable[[Json], None], tmp_path: Path) -> None:
    """If a correction's event names another reason, correction or signature than it may, then it is named, or the first
    event that it contradicts."""
    where = position("signature.invalidated.v1")
    report = audited(tmp_path, sealed_again(edited(where, lie)).files())
    assert report.first in (where, where + 1), sentences(report)


def test_a_hold_lifted_that_is_not_there(tmp_path: Path) -> None:
    """If a reinstatement lifts the hold of another correction than the one that holds, then it is named."""
    where = position("signature.reinstated.v1")
    other = events()[position("correction.opened.v1", nth=2) - 1]["data"]["correction"]
    report = audited(tmp_path, sealed_again(edited(where, says(lifts=other))).files())
    assert report.first == where


def test_another_set_than_was_frozen(tmp_path: Path) -> None:
    """If a correction moved other signatures than those of its digest, then its end is named."""
    where = position("signature.invalidated.v1", nth=4)
    other = signature("signature.recorded.v1", nth=100)
    report = audited(tmp_path, sealed_again(edited(where, says(signature=other))).files())
    assert report.first == position("correction.completed.v1", nth=2)
    assert "not the set that was frozen" in sentences(report)


def test_two_standing_signatures_of_one_signer(tmp_path: Path) -> None:
    """If a signer has a second signature while the first stands, then the second is named."""
    first = events()[position("signature.recorded.v1") - 1]["data"]["signer_ref"]
    report = audited(tmp_path, sealed_again(edited(MIDDLE, says(signer_ref=first))).files())
    assert report.first == MIDDLE
    assert "a signer signs whose latest signature was not withdrawn, or is held" in sentences(report)


def test_a_wrong_opening(tmp_path: Path) -> None:
    """If an opening is not that of its leaf, or of none, or malformed, then it is named; a right one is not."""
    nonce, identity = bytes(range(32)), b'{"email":"jane@example.org"}'
    label = b"petition-ledger/pii-commit/v1\0"
    commitment = base64(hmac.digest(nonce, label + identity, "sha256"))
    bundle = sealed_again(edited(MIDDLE, says(pii_commit=commitment)), refolded=True)
    right = (nonce, identity)
    assert audited(tmp_path / "a", bundle.but(openings={MIDDLE - 1: right}).files()).findings == []
    for name, wrong in {
        "nonce": {MIDDLE - 1: (nonce[::-1], identity)},
        "identity": {MIDDLE - 1: (nonce, identity + b" ")},
        "short": {MIDDLE - 1: (nonce[:31], identity)},
        "leaf": {MIDDLE: right},
        "event": {0: right},
        "beyond": {SIZE: right},
    }.items():
        report = audited(tmp_path / name, bundle.but(openings=wrong).files())
        (index,) = wrong
        assert [found.position for found in report.findings] == [None if name == "beyond" else index + 1]
        assert [found.where for found in report.findings] == [f"openings/{index}.json"]


# -- a lost tail -------------------------------------------------------------------------------------------------------

NEW = Signer("petitions.example/second", bytes(range(3, 35)))
SURVIVED = 200
RECORDED = "2026-03-01T00:00:00.000000Z"


def continued(**said: object) -> list[Json]:
    """The log after a lost tail: 200 events are left of 300 that a head covered; it goes on under another origin."""
    lost = root(tuple(map(leaf_hash, sound().leaves[:300])))
    data = {"old_origin": ORIGIN, "old_size": 300, "old_root": base64(lost), "reason": "operator-error", **said}
    envelope = {
        "specversion": "1.0", "source": NEW.name, "time": RECORDED, "recordedtime": RECORDED, "actor": "system",
    }  # fmt: skip
    update = {"headline": "We lost a day", "reference": "https://petitions.example/lost"}
    some = [
        *events()[:SURVIVED],
        {**envelope, "type": "log.continued.v1", "subject": "ledger", "data": data},
        {**envelope, "type": "update.posted.v1", "subject": BRIDGE, "data": update},
    ]
    return renumbered(some)


def laid(some: list[Json], old_heads: list[bytes], directory: Path, **asked: object) -> Report:
    """The verdict on a log that was continued."""
    leaves = relinked(some)
    bundle = Bundle(leaves, [SURVIVED + 1, len(leaves)], rows(leaves), (NEW,))
    files = bundle.files()
    files["checkpoints"] = b"---\n".join([*old_heads, *bundle.notes()])
    lay(directory, files)
    return verify(directory, [OPERATOR.vkey, NEW.vkey], **asked)  # type: ignore[arg-type]


def test_a_lost_tail_that_is_continued_rightly(tmp_path: Path) -> None:
    """If the newest head that is known is named, and no other is shown beyond what is left, then nothing is wrong, and
    what was lost is told as not proved."""
    old = [sound().note(size) for size in (1, 100, 300)]
    for since in (old[1], old[2], None):
        report = laid(continued(), old, tmp_path, since=since)
        assert report.findings == []
        assert report.proved["petitions"] == len(sound().projections["petitions"])
        assert f"what events 201 to 300 of {ORIGIN} were: they are lost" in report.not_proved


@pytest.mark.parametrize("size", [150, SURVIVED])
def test_a_log_that_is_continued_behind_events_in_the_place_of_others(size: int, tmp_path: Path) -> None:
    """If people signed on after the loss, so that the head that was shown covers no more events than are left, and
    others, then the report says that what was shown is not what is here; who kept that very head is told no more."""
    shown = note(head_text(size, bytes(32)), OPERATOR)
    for since in (shown, sound().note(100), None):
        report = laid(continued(old_size=size, old_root=base64(bytes(32))), [sound().note(100)], tmp_path, since=since)
        assert report.findings == []
        sentence = f"that the first {size} events are those that {ORIGIN} showed: it names another head"
        assert sentence in report.not_proved


@pytest.mark.parametrize(
    ("said", "old_heads", "where"),
    [
        ({"old_origin": "petitions.example/third"}, [100], 201),
        ({"old_size": 50}, [100], 201),
        ({"old_root": base64(bytes(32))}, [100, 300], 300),
        ({"old_size": 299}, [100, 300], 300),
        ({}, [100, 257, 300], 257),
        ({}, [100, 300, 317], 317),
    ],
)
def test_a_lost_tail_that_is_continued_wrongly(
    said: dict[str, object], old_heads: list[int], where: int, tmp_path: Path
) -> None:
    """If the continuation is of another origin, names an older head than was published, or goes back to an origin that
    the log once had, then it is named; if a head of the old origin is shown beyond what is left, and it is not the one
    that is named, then that head is."""
    report = laid(continued(**said), [sound().note(size) for size in old_heads], tmp_path / "a")
    assert [found.position for found in report.findings] == [where], sentences(report)
    again = {**continued()[SURVIVED], "source": ORIGIN}
    again["data"] = {**again["data"], "old_origin": NEW.name}
    report = laid(renumbered([*continued(), again]), [sound().note(100)], tmp_path / "b")
    assert report.first == SURVIVED + 3, sentences(report)


def test_a_kept_head_of_a_tail_that_was_lost(tmp_path: Path) -> None:
    """If an auditor kept a head of the lost tail that the continuation does not name, then that is told: nothing shows
    any more that it was ever consistent."""
    report = laid(continued(), [sound().note(300)], tmp_path, since=sound().note(257))
    assert [(found.position, found.where) for found in report.findings] == [(257, "the kept head")]


def test_a_petition_that_nobody_signed_since_the_log_was_continued(tmp_path: Path) -> None:
    """If a petition's last event is from before the continuation, then it is proven alone by who lists the keys of both
    origins, and what only the whole log shows of the change is told; by who lists the new key alone it is not."""
    leaves = relinked(continued())
    bundle = Bundle(leaves, [len(leaves)], rows(leaves), (NEW,))
    own = [index for index, leaf in enumerate(leaves) if read(leaf)["subject"] == LIBRARY]
    handed = {
        "events.ndjson": b"".join(leaves[index] + b"\n" for index in own),
        "proof.tlog-proof": receipt(leaves, own[-1], bundle.note(len(leaves))),
    }
    for name, files in {"bundle": bundle.files(), "handed": handed}.items():
        lay(tmp_path / name, files)
        report = verify(tmp_path / name, [OPERATOR.vkey, NEW.vkey], petition=LIBRARY)
        assert report.findings == []
        assert any(f"where it continues that of {ORIGIN}" in sentence for sentence in report.not_proved)
        (found,) = verify(tmp_path / name, [NEW.vkey], petition=LIBRARY).findings
        assert found.position == own[-1] + 1


def test_another_origin_without_a_continuation(tmp_path: Path) -> None:
    """If the origin of events changes, and none says that the log is continued, then the first of them is named."""
    some = [event for event in continued() if event["type"] != "log.continued.v1"]
    assert laid(renumbered(some), [sound().note(100)], tmp_path).first == SURVIVED + 1


def test_a_bundle_whose_key_is_of_another_origin(tmp_path: Path) -> None:
    """If a head is sealed by a listed key under another origin than the events have, then the head is named."""
    lay(tmp_path, sealed_again(events(), signers=(NEW,)).files())
    report = verify(tmp_path, [NEW.vkey])
    assert report.first == 1
    assert {found.sentence for found in report.findings if found.position == 300} == {
        "it is not the head of the first 300 events: their root or their origin is another"
    }


def test_a_projection_of_another_head(tmp_path: Path) -> None:
    """If a projection is folded at another head than the newest, or says so, then it is named."""
    for change in (
        {"as_of_position": SIZE - 1},
        {"root": base64(bytes(32))},
        {"version": True},
        {"projection": "tally"},
    ):
        files = sound().files()
        document = {**json.loads(files["projections/timeline.json"]), **change}
        report = audited(tmp_path, {**files, "projections/timeline.json": rendered(document) + b"\n"})
        assert [found.where for found in report.findings] == ["projections/timeline.json"]
