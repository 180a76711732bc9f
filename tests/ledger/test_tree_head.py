"""Tree heads and the notes that carry them: one spelling, sealed by who is listed, refused in every other form."""

import base64
import json
import pickle
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.merkle import EMPTY_ROOT
from ledger.tree_head import (
    COSIGNATURE,
    ED25519,
    NoteRefused,
    Opened,
    SealingKey,
    TreeHead,
    VerifierKey,
    cosigned_text,
    head_text,
    open_note,
    open_text,
    parse_vkey,
    read_head,
    seal_head,
    with_lines,
)
from ledger.verify import WrongCall, read_key

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "notes.json").read_text("utf-8"))
LADDER = VECTORS["ladder"]
NOTES = [note.encode() for note in LADDER["notes_of_the_ct_leaves_by_size"]]

ORIGIN = "petitions.example/ledger"
KEY = SealingKey(ORIGIN, bytes.fromhex(LADDER["seed_hex"]))
OTHER = SealingKey(ORIGIN, bytes(range(32)))
ELSEWHERE = SealingKey("elsewhere.example/log", bytes(range(32)))
HEAD = TreeHead(ORIGIN, 8, base64.b64decode("XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="))
NOTE = seal_head(HEAD, [KEY])
TEXT = head_text(HEAD)

WITNESS_SEED = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
WITNESS = VerifierKey("witness.example/w1", COSIGNATURE, WITNESS_SEED.public_key().public_bytes_raw())
WITNESS_LATER_SEED = Ed25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
WITNESS_LATER = VerifierKey("witness.example/w2", COSIGNATURE, WITNESS_LATER_SEED.public_key().public_bytes_raw())


def line(name: str, signature: bytes) -> bytes:
    return b"\xe2\x80\x94 " + name.encode() + b" " + base64.b64encode(signature) + b"\n"


def cosignature(
    timestamp: int, text: bytes = TEXT, key: VerifierKey = WITNESS, seed: Ed25519PrivateKey = WITNESS_SEED
) -> bytes:
    """A witness's line, put together as C2SP tlog-cosignature says it."""
    signed = seed.sign(b"cosignature/v1\ntime " + str(timestamp).encode() + b"\n" + text)
    return line(key.name, key.key_id + timestamp.to_bytes(8, "big") + signed)


def refuse(note: bytes, keys: list[VerifierKey] | None = None) -> str:
    """Why the note is refused to whoever lists these keys; by default the one that sealed it."""
    with pytest.raises(NoteRefused) as refused:
        open_note(note, [KEY.verifier] if keys is None else keys)
    return str(refused.value)


# Published notes


@pytest.mark.parametrize("vector", VECTORS["published"], ids=lambda vector: vector["vkey"].partition("+")[0])
def test_a_published_note_is_opened_with_its_published_key(vector: dict[str, str]) -> None:
    """If golang.org/x/mod, C2SP or the Go checksum database has published a note and its key, then the one opens with
    the other, and not with a bit of it changed."""
    key = parse_vkey(vector["vkey"])
    note = vector["note"].encode()
    assert key.vkey == vector["vkey"]
    signed = open_text(note, [key])
    assert signed.seals == (key,)
    assert signed.text == note.rpartition(b"\n\n")[0] + b"\n"
    with pytest.raises(NoteRefused):
        open_text(note.replace(b"e", b"f", 1), [key])


def test_a_head_of_the_go_checksum_database_is_read_and_believed_of_no_ledger() -> None:
    """If the origin of a head is not the name of the key that signed it, then it is read, and not opened."""
    vector = VECTORS["published"][2]
    note = vector["note"].encode()
    root = base64.b64decode("vt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=")
    assert read_head(note) == TreeHead("go.sum database tree", 35_225_469, root)
    assert "origin" in refuse(note, [parse_vkey(vector["vkey"])])


def test_the_ladder_is_sealed_and_opened_byte_for_byte() -> None:
    """If heads of the well-known leaves are sealed with the key of RFC 8032 TEST 1, then the known notes come out."""
    assert KEY.verifier.vkey == LADDER["vkey"]
    assert parse_vkey(LADDER["vkey"]) == KEY.verifier
    for size, note in enumerate(NOTES):
        head = read_head(note)
        assert (head.origin, head.size) == (ORIGIN, size)
        assert seal_head(head, [KEY]) == note
        assert open_note(note, [KEY.verifier]) == Opened(head, (KEY.verifier,), ())


# Heads


def test_a_head_is_three_lines() -> None:
    """If a head is written, then it is its origin, its size in digits and its root in base64, each on a line."""
    assert TEXT == b"petitions.example/ledger\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n"
    largest = TreeHead(ORIGIN, 2**53 - 1, bytes(32))
    assert open_note(seal_head(largest, [KEY]), [KEY.verifier]).head == largest


@pytest.mark.parametrize(
    "head",
    [
        HEAD._replace(size=-1),
        HEAD._replace(size=2**53),
        HEAD._replace(size=0),  # with a root that is not that of the empty tree
        HEAD._replace(root=b""),
        HEAD._replace(root=bytes(31)),
        HEAD._replace(root=bytes(33)),
        *(
            HEAD._replace(origin=origin)
            for origin in ("", "a\nb", "a\n", "\n", "a\rb", "a\tb", "a\0b", "a\x1fb", "\ud800")
        ),
    ],
)
def test_what_is_no_head_is_neither_written_nor_sealed(head: TreeHead) -> None:
    """If a part of a head is out of bounds, then there is no text of it, and nothing to seal."""
    with pytest.raises(NoteRefused):
        head_text(head)
    with pytest.raises(NoteRefused):
        seal_head(head, [KEY])


def text_of(*lines: str) -> bytes:
    """A text of these lines, sealed as it is by the key that is listed."""
    text = "".join(f"{line}\n" for line in lines).encode()
    return text + b"\n" + line(ORIGIN, KEY.verifier.key_id + KEY.sign(text))


ROOT = base64.b64encode(HEAD.root).decode()


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (ORIGIN,),
        (ORIGIN, "8"),
        ("", "8", ROOT),
        (ORIGIN, "", ROOT),
        (ORIGIN, "8", ""),
        (ORIGIN, "8", ROOT, "extension"),
        (ORIGIN, "8", ROOT, ""),
        (ORIGIN, "8", ROOT, "", ORIGIN, "8", ROOT),
        *((ORIGIN, size, ROOT) for size in ("08", "00", "+8", "-8", "8 ", " 8", "8.0", "8e0", "0x8", "٨", "8_0", "²")),
        *((ORIGIN, size, ROOT) for size in (str(2**53), "1" + "0" * 16, "9" * 5000)),
        (ORIGIN, "0", ROOT),
        *((ORIGIN, "8", root) for root in (ROOT + " ", " " + ROOT, ROOT + "=", ROOT[:-1], ROOT[:-2], ROOT[:40])),
        (ORIGIN, "8", ROOT[:-2] + "h="),  # spare bits that are not zero
        (ORIGIN, "8", ROOT.replace("/", "_").replace("+", "-")),
        (ORIGIN, "8", base64.b64encode(bytes(31)).decode()),
        (ORIGIN, "8", base64.b64encode(bytes(33)).decode()),
        (ORIGIN, "8", HEAD.root.hex()),
    ],
)
def test_a_sealed_text_of_another_form_is_no_head(lines: tuple[str, ...]) -> None:
    """If a listed key has sealed something that is not the three lines in their one spelling, then it is refused."""
    assert open_note(text_of(ORIGIN, "8", ROOT), [KEY.verifier]).head == HEAD
    note = text_of(*lines)
    refuse(note)
    with pytest.raises(NoteRefused):
        read_head(note)


# The form of a note


SEAL = NOTE.removeprefix(TEXT + b"\n")


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n",
        b"\n\n",
        b"\n\n\n",
        TEXT,
        TEXT + b"\n",
        SEAL,
        b"\n" + SEAL,
        b"\n\n" + SEAL,
        TEXT + SEAL,
        TEXT.rstrip(b"\n") + b"\n\n\n" + SEAL,
        NOTE.rstrip(b"\n"),
        NOTE + b"\n",
        NOTE + b" ",
        NOTE + b"\0",
        b"\n" + NOTE,
        NOTE + b"\xff",
        NOTE.replace(b"\n", b"\r\n"),
        NOTE.replace(b"\n", b"\r"),
        NOTE.replace(b"=\n", b"=\r\n"),
        NOTE.decode().encode("utf-16"),
        NOTE.replace(b"\n", b"\xe2\x80\xa8"),
        NOTE.replace(b"\xe2\x80\x94", b"-"),
        NOTE.replace(b"\xe2\x80\x94", b"--"),
        NOTE.replace(b"\xe2\x80\x94", b"\xe2\x80\x93"),  # an en dash
        NOTE.replace(b"\xe2\x80\x94 ", b"\xe2\x80\x94"),
        NOTE.replace(b"\xe2\x80\x94 ", b"\xe2\x80\x94  "),
        NOTE.replace(b"\xe2\x80\x94 ", b"\xe2\x80\x94\xc2\xa0"),
        NOTE.replace(b"\xe2\x80\x94 ", b" \xe2\x80\x94 "),
        NOTE.replace(b"\xe2\x80\x94 ", b"\xe2\x80\x94\t"),
        *(
            TEXT + b"\n" + SEAL.rstrip(b"\n") + end
            for end in (b" \n", b"=\n", b"A\n", b"\t\n", b"\x0b\n", b"\x7f\n", b" x\n")
        ),
        TEXT + b"\n" + SEAL + b"comment\n",
        TEXT + b"\n" + b"comment\n" + SEAL,
        TEXT + b"\n" + SEAL + b"\xe2\x80\x94 unknown.example\n",
        TEXT + b"\n" + SEAL + b"\xe2\x80\x94 unknown.example \n",
        TEXT + b"\n" + SEAL + b"\xe2\x80\x94 unknown.example AAAA\n",
        TEXT + b"\n" + SEAL + b"\xe2\x80\x94 unknown.example AAAAAA==\n",  # an id, and no signature
        TEXT + b"\n" + SEAL + b"\xe2\x80\x94 unknown.example AAAAAAB=\n",
        TEXT + b"\n" + SEAL + b"\xe2\x80\x94  AAAAAAA=\n",
        TEXT + b"\n" + SEAL + b"\xe2\x80\x94 two words AAAAAAA=\n",
        TEXT + b"\n" + SEAL + b"\xe2\x80\x94 a+b AAAAAAA=\n",
        TEXT + b"\n" + SEAL + b"\xe2\x80\x94 a\xc2\xa0b AAAAAAA=\n",
        TEXT + b"\n" + SEAL + b"\xe2\x80\x94 a\xe3\x80\x80b AAAAAAA=\n",
        TEXT + b"\n" + SEAL + b"\xe2\x80\x94 a\xc2\x85b AAAAAAA=\n",
        TEXT + b"\n" + SEAL + b"\xe2\x80\x94 \xed\xa0\x80 AAAAAAA=\n",  # half of a surrogate pair
    ],
)
def test_a_note_in_any_other_form_is_refused(note: bytes) -> None:
    """If a byte of a note's form is another, then it is refused, whoever sealed it, and its head is not even read."""
    refuse(note)
    with pytest.raises(NoteRefused):
        read_head(note)


def test_a_seal_in_base64_that_is_not_canonical_is_refused() -> None:
    """If the spare bits at the end of a seal's base64 are not zero, then two notes would be one: it is refused."""
    name, encoded = SEAL.decode().rstrip("\n").rsplit(" ", 1)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet[alphabet.index(encoded[-2]) + 1]
    assert base64.b64decode(encoded[:-2] + last + "=") == base64.b64decode(encoded)
    refuse(TEXT + f"\n{name} {encoded[:-2]}{last}=\n".encode())


@given(st.integers(0, 8 * len(NOTE) - 1))
def test_a_note_with_any_bit_flipped_is_refused(bit: int) -> None:
    """If any one bit of a sealed note is flipped, then it does not open."""
    flipped = bytearray(NOTE)
    flipped[bit // 8] ^= 1 << bit % 8
    refuse(bytes(flipped))


@given(st.integers(0, len(NOTE) - 1), st.binary(max_size=3), st.integers(0, 5))
def test_a_note_with_any_piece_replaced_is_refused_or_the_same(at: int, piece: bytes, gone: int) -> None:
    """If bytes of a note are replaced by others, then it does not open, unless it is the same; and never crashes."""
    changed = NOTE[:at] + piece + NOTE[at + gone :]
    if changed != NOTE:
        refuse(changed)


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_refused_without_a_crash(data: bytes) -> None:
    """If anything at all stands for a note, or behind one, then it is refused in our own words."""
    refuse(data)
    with pytest.raises(NoteRefused):
        read_head(data)
    with pytest.raises(NoteRefused):
        with_lines(NOTE, data)


def test_at_least_sixteen_long_signatures_are_accepted_and_not_without_end() -> None:
    """If a note has sixteen signatures of the longest kind, or as many lines as there may be, then it opens; with one
    line more, or beyond its bound in bytes, it does not."""
    strangers = [line(f"w{number}.example", bytes(4) + bytes(5000)) for number in range(15)]
    assert open_note(NOTE + b"".join(strangers), [KEY.verifier]).head == HEAD
    short = [line(f"w{number}.example", bytes(76)) for number in range(32)]
    assert open_note(NOTE + b"".join(short[:31]), [KEY.verifier]).head == HEAD
    refuse(NOTE + b"".join(short))
    room = 128 * 1024 - len(NOTE) - len(line("w", b""))
    longest = NOTE + line("w" + "w" * (room % 4), bytes(room // 4 * 3))
    assert len(longest) == 128 * 1024
    assert open_note(longest, [KEY.verifier]).head == HEAD
    assert "too long" in refuse(NOTE + line("w" + "w" * (room % 4 + 1), bytes(room // 4 * 3)))


# Who signed it


def test_lines_of_unknown_keys_are_ignored_wherever_they_stand() -> None:
    """If others signed too, even under the listed key's name or its id (but not both), then the note opens."""
    strangers = [
        line(ORIGIN, OTHER.verifier.key_id + bytes(64)),
        line("elsewhere.example", KEY.verifier.key_id + bytes(64)),
        line("witness.example/w1", bytes(76)),
        line("witness.example/w1", bytes(76)),
        line("é.example/\u200b", b"12345"),
    ]
    before, behind = b"".join(strangers[:2]), b"".join(strangers[2:])
    opened = open_note(TEXT + b"\n" + before + SEAL + behind, [KEY.verifier])
    assert opened == Opened(HEAD, (KEY.verifier,), ())


@pytest.mark.parametrize(
    "signature",
    [
        *(
            bytes(64),
            b"\xff" * 64,
            b"\0",
            KEY.sign(TEXT)[:-1],
            KEY.sign(TEXT) + b"\0",
            (1).to_bytes(8, "big") + KEY.sign(TEXT),
        ),
        *(KEY.sign(TEXT[:-1]), KEY.sign(NOTE), OTHER.sign(TEXT)),
    ],
)
def test_a_bad_signature_of_a_listed_key_refuses_the_whole_note(signature: bytes) -> None:
    """If the line of one listed key does not hold, then the note is refused, though another listed key's does."""
    bad = line(ORIGIN, KEY.verifier.key_id + signature)
    refuse(TEXT + b"\n" + bad)
    good = seal_head(HEAD, [OTHER])
    assert open_note(good + bad, [OTHER.verifier]).seals == (OTHER.verifier,)
    for note in (good + bad, TEXT + b"\n" + bad + good.removeprefix(TEXT + b"\n")):
        assert "does not hold" in refuse(note, [OTHER.verifier, KEY.verifier])


def test_a_seal_whose_scalar_was_raised_by_the_group_order_is_refused() -> None:
    """If S of a signature is replaced by S + L, the other spelling of the same number, then it does not hold."""
    order = 2**252 + 27742317777372353535851937790883648493
    signature = KEY.sign(TEXT)
    raised = int.from_bytes(signature[32:], "little") + order
    refuse(TEXT + b"\n" + line(ORIGIN, KEY.verifier.key_id + signature[:32] + raised.to_bytes(32, "little")))


def test_a_second_line_of_a_listed_key_refuses_the_note() -> None:
    """If a listed key has two lines, even the same one twice, then the note is refused."""
    assert "two lines" in refuse(NOTE + SEAL)
    cosigned = NOTE + cosignature(1) + cosignature(2)
    assert "two lines" in refuse(cosigned, [KEY.verifier, WITNESS])
    assert open_note(cosigned, [KEY.verifier]).cosignatures == ()


def test_a_note_without_a_seal_of_a_listed_key_is_refused() -> None:
    """If no listed key of the origin sealed a head, then it is refused, whoever else did."""
    for strangers in ([], [OTHER.verifier], [WITNESS]):
        with pytest.raises(NoteRefused):
            open_text(NOTE, strangers)
    refuse(NOTE, [])
    refuse(NOTE, [OTHER.verifier])
    refuse(NOTE + cosignature(1), [WITNESS])
    elsewhere = TEXT + b"\n" + line(ELSEWHERE.verifier.name, ELSEWHERE.verifier.key_id + ELSEWHERE.sign(TEXT))
    assert open_text(elsewhere, [ELSEWHERE.verifier]).seals == (ELSEWHERE.verifier,)
    assert "origin" in refuse(elsewhere, [ELSEWHERE.verifier])


def test_an_origin_that_only_looks_alike_is_another() -> None:
    """If a mark that nobody sees stands before the origin, then the head is another's, though our key signed it."""
    text = b"\xef\xbb\xbf" + TEXT
    note = text + b"\n" + line(ORIGIN, KEY.verifier.key_id + KEY.sign(text))
    assert read_head(note).origin == "\ufeff" + ORIGIN
    assert "origin" in refuse(note)


def test_the_public_key_under_another_name_or_use_is_another_key() -> None:
    """If the right public key is listed under another name, or as a witness's, then the seal is a stranger's."""
    public = KEY.verifier.public
    refuse(NOTE, [VerifierKey("petitions.example", ED25519, public)])
    refuse(NOTE, [VerifierKey(ORIGIN, COSIGNATURE, public)])


def test_a_key_of_the_same_name_and_id_that_is_another_key_is_not_believed() -> None:
    """If somebody's key has the name and the id of the listed one, then its signature does not hold; and both cannot be
    listed."""
    twin = VerifierKey(ORIGIN, ED25519, OTHER.verifier.public)
    object.__setattr__(twin, "key_id", KEY.verifier.key_id)
    refuse(NOTE, [twin])
    refuse(NOTE, [KEY.verifier, twin])
    refuse(NOTE, [twin, KEY.verifier])
    assert open_note(NOTE, [KEY.verifier, KEY.verifier]).seals == (KEY.verifier,)


def test_two_keys_seal_one_head_and_either_opens_it() -> None:
    """If a head is sealed by an old and a new key, then whoever lists either opens it, and who lists both hears of
    both, in the order of the lines."""
    note = seal_head(HEAD, [OTHER, KEY])
    assert open_note(note, [KEY.verifier]).seals == (KEY.verifier,)
    assert open_note(note, [OTHER.verifier]).seals == (OTHER.verifier,)
    assert open_note(note, [KEY.verifier, OTHER.verifier]).seals == (OTHER.verifier, KEY.verifier)


@pytest.mark.parametrize("keys", [[], [ELSEWHERE], [KEY, ELSEWHERE], [KEY, KEY]])
def test_a_head_is_not_sealed_by_none_by_a_stranger_or_twice(keys: list[SealingKey]) -> None:
    """If there is no key, or one is not of the origin, or one comes twice, then there is no note."""
    with pytest.raises(NoteRefused):
        seal_head(HEAD, keys)


@pytest.mark.parametrize("origin", ["two words", "a+b", "no\u00a0break", "wide\u3000space"])
def test_an_origin_that_is_no_name_of_a_key_is_not_sealed(origin: str) -> None:
    """If an origin has a space or a plus, then no key can bear it, and no head of it is sealed."""
    with pytest.raises(NoteRefused):
        SealingKey(origin, bytes(32))
    with pytest.raises(NoteRefused):
        seal_head(HEAD._replace(origin=origin), [KEY])


# Cosignatures


@pytest.mark.parametrize("timestamp", [0, 1, 1_679_315_147, 2**63 - 1])
def test_a_cosignature_of_a_listed_witness_is_told_with_its_time(timestamp: int) -> None:
    """If a listed witness has signed the head and a time, then the note opens with both."""
    note = with_lines(NOTE, cosignature(timestamp))
    assert open_note(note, [KEY.verifier, WITNESS]) == Opened(HEAD, (KEY.verifier,), ((WITNESS, timestamp),))
    assert open_note(note, [KEY.verifier]) == Opened(HEAD, (KEY.verifier,), ())
    assert read_head(note) == HEAD


def test_what_a_witness_signs_is_a_header_a_time_and_the_text() -> None:
    """If a head is cosigned, then what is signed is what C2SP tlog-cosignature shows."""
    assert cosigned_text(1_679_315_147, TEXT) == b"cosignature/v1\ntime 1679315147\n" + TEXT


def test_several_witnesses_are_told_in_the_order_of_their_lines() -> None:
    """If two witnesses have signed, then both are told; if only one is listed, then that one."""
    later = cosignature(2, key=WITNESS_LATER, seed=WITNESS_LATER_SEED)
    note = with_lines(with_lines(NOTE, later), cosignature(1))
    assert open_note(note, [KEY.verifier, WITNESS, WITNESS_LATER]).cosignatures == ((WITNESS_LATER, 2), (WITNESS, 1))
    assert open_note(note, [KEY.verifier, WITNESS]).cosignatures == ((WITNESS, 1),)
    assert with_lines(NOTE, later + cosignature(1)) == note


@pytest.mark.parametrize(
    "signature",
    [
        WITNESS_SEED.sign(TEXT),  # a seal's form under a witness's key
        (7).to_bytes(8, "big") + WITNESS_SEED.sign(TEXT),
        (7).to_bytes(8, "big") + WITNESS_SEED.sign(cosigned_text(8, TEXT)),
        (7).to_bytes(8, "little") + WITNESS_SEED.sign(cosigned_text(7, TEXT)),
        (7).to_bytes(8, "big") + WITNESS_SEED.sign(cosigned_text(7, TEXT[:-1])),
        (7).to_bytes(8, "big") + WITNESS_SEED.sign(cosigned_text(7, NOTE)),
        (7).to_bytes(8, "big") + WITNESS_SEED.sign(cosigned_text(7, TEXT)) + b"\0",
        (7).to_bytes(4, "big") + WITNESS_SEED.sign(cosigned_text(7, TEXT)),
        (2**63).to_bytes(8, "big") + WITNESS_SEED.sign(cosigned_text(2**63, TEXT)),
        (2**64 - 1).to_bytes(8, "big") + WITNESS_SEED.sign(cosigned_text(2**64 - 1, TEXT)),
        (7).to_bytes(8, "big") + WITNESS_LATER_SEED.sign(cosigned_text(7, TEXT)),
        b"\0",
    ],
)
def test_a_bad_cosignature_of_a_listed_witness_refuses_the_note(signature: bytes) -> None:
    """If a listed witness's line is not its signature over just this time and text, then the note is refused."""
    note = NOTE + line(WITNESS.name, WITNESS.key_id + signature)
    refuse(note, [KEY.verifier, WITNESS])
    assert open_note(note, [KEY.verifier]).head == HEAD


def test_a_cosignature_of_another_head_is_refused() -> None:
    """If a witness's line was taken from another head, then it does not hold for this one."""
    other = head_text(HEAD._replace(size=9))
    refuse(with_lines(NOTE, cosignature(1, other)), [KEY.verifier, WITNESS])


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"\n",
        b"\n" + cosignature(1),
        cosignature(1) + b"\n",
        cosignature(1) + b"\n" + cosignature(1),
        cosignature(1).rstrip(b"\n"),
        cosignature(1).replace(b"\n", b"\r\n"),
        cosignature(1) + cosignature(2),
        SEAL,
        b"".join(line(f"w{number}.example", bytes(76)) for number in range(32)),
    ],
)
def test_what_is_not_lines_is_not_added(lines: bytes) -> None:
    """If a witness answers with nothing, with a blank line, with a line too many or a second one of a key, then nothing
    is added: what is sealed would no longer be the text."""
    with pytest.raises(NoteRefused):
        with_lines(NOTE, lines)


# Keys


@pytest.mark.parametrize("text", [LADDER["vkey"], WITNESS.vkey, *(vector["vkey"] for vector in VECTORS["published"])])
def test_a_vkey_is_read_in_its_one_spelling(text: str) -> None:
    """If a key is read from its text, then it is written as that text, and its id is the hash that C2SP says."""
    key = parse_vkey(text)
    assert key.vkey == text
    hashed = sha256(key.name.encode() + b"\n" + bytes([key.algorithm]) + key.public).digest()
    assert key.key_id == hashed[:4] == bytes.fromhex(text.split("+")[1])


def vkey(material: bytes, name: str = ORIGIN) -> str:
    """A vkey of this material whose id is right."""
    digest = sha256(name.encode("utf-8", "surrogatepass") + b"\n" + material).hexdigest()
    return f"{name}+{digest[:8]}+{base64.b64encode(material).decode()}"


GOOD = LADDER["vkey"]
PUBLIC = KEY.verifier.public


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++",
        ORIGIN,
        GOOD + "\n",
        " " + GOOD,
        GOOD + " ",
        GOOD.replace("40bbf6ba", "40BBF6BA"),
        GOOD.replace("40bbf6ba", "40bbf6bb"),
        GOOD.replace("40bbf6ba", "0x40bbf6ba"),
        GOOD.replace("40bbf6ba", "40bbf6b"),
        GOOD.replace(ORIGIN, "petitions.example/ledges"),
        GOOD[:-1],
        GOOD[:-1] + "=",
        GOOD + "=",
        GOOD.replace("+40", "++40"),
        vkey(b"\x01" + PUBLIC, ""),
        vkey(b"\x01" + PUBLIC, "two words"),
        vkey(b"\x01" + PUBLIC, "a\u2028b"),
        vkey(b"\x01" + PUBLIC, "a\nb"),
        vkey(b"\x01" + PUBLIC, "a\x00b"),
        vkey(b"\x01" + PUBLIC, "\udc80"),
        vkey(b"\x01" + PUBLIC[:-1]),
        vkey(b"\x01" + PUBLIC + b"\0"),
        vkey(b"\x00" + PUBLIC),
        vkey(b"\x02" + PUBLIC),
        vkey(b"\x05" + PUBLIC),
        vkey(b"\x06" + PUBLIC),
        vkey(b"\x06" + bytes(1312)),
        vkey(b"\xff" + PUBLIC),
        vkey(b""),
    ],
)
def test_what_is_no_vkey_is_refused(text: str) -> None:
    """If a vkey is written in another way, its id is another key's, or it is of a kind that nobody here reads, then it
    is refused, in words that do not repeat it."""
    with pytest.raises(NoteRefused) as refused:
        parse_vkey(text)
    assert "petitions" not in str(refused.value)


@pytest.mark.parametrize(
    ("algorithm", "public"),
    [(ED25519, b""), (ED25519, PUBLIC[:-1]), (ED25519, PUBLIC + b"\0"), (0, PUBLIC), (2, PUBLIC), (256, PUBLIC)],
)
def test_a_key_of_another_length_or_kind_is_none(algorithm: int, public: bytes) -> None:
    """If a public key has not 32 bytes, or is for something else than to seal or to cosign, then it is no key."""
    with pytest.raises(NoteRefused):
        VerifierKey(ORIGIN, algorithm, public)


# RFC 8032 section 5.1, in the plainest arithmetic: points (x, y) of -x^2 + y^2 = 1 + d x^2 y^2.
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def added(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2
    return (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P


def points_of_small_order() -> set[Point]:
    """The eight points whose order divides 8: multiples of one of order 8, found by taking a point times L, the order
    of the large subgroup."""
    order = 2**252 + 27742317777372353535851937790883648493
    y = 2
    while True:
        square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        x = pow(square, (P + 3) // 8, P)
        if x * x % P != square:
            x = x * pow(2, (P - 1) // 4, P) % P
        if x * x % P == square:
            small, power, times = (0, 1), (x, y), order
            while times:
                if times & 1:
                    small = added(small, power)
                power, times = added(power, power), times >> 1
            multiples, multiple = {(0, 1)}, small
            while multiple not in multiples:
                multiples.add(multiple)
                multiple = added(multiple, small)
            if len(multiples) == 8:
                return multiples
        y += 1


@pytest.mark.parametrize("algorithm", [ED25519, COSIGNATURE])
def test_a_key_of_small_order_is_refused_in_every_encoding(algorithm: int) -> None:
    """If a public key is one of the eight points of small order, under whose name a signature can hold for many texts,
    or lies outside the field, then it is refused, whatever its sign, by the ledger and by the verifier."""
    ys = {y for _, y in points_of_small_order()}
    assert len(ys) == 5
    for y in {*ys, *(y + P for y in ys if y + P < 2**255), *range(P, 2**255)}:
        for sign in (0, 1):
            public = (y | sign << 255).to_bytes(32, "little")
            with pytest.raises(NoteRefused):
                VerifierKey(ORIGIN, algorithm, public)
            with pytest.raises(WrongCall):
                read_key(vkey(bytes([algorithm]) + public))


def test_a_key_under_which_one_signature_holds_for_every_text_cannot_be_listed() -> None:
    """If somebody would list the neutral point, under which one signature holds for any text, then it is refused."""
    neutral = (1).to_bytes(32, "little")
    for text in (b"one", b"another"):
        Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), text)
    with pytest.raises(NoteRefused):
        parse_vkey(vkey(b"\x01" + neutral))


@given(st.binary(min_size=32, max_size=32))
def test_every_seed_makes_a_key_that_seals_and_opens(seed: bytes) -> None:
    """If a key is made of any 32 bytes, then it can be listed, and opens what it sealed."""
    key = SealingKey(ORIGIN, seed)
    assert parse_vkey(key.verifier.vkey) == key.verifier
    assert read_key(key.verifier.vkey).public == key.verifier.public
    assert open_note(seal_head(HEAD, [key]), [key.verifier]).seals == (key.verifier,)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_seed_of_another_length_makes_no_key(length: int) -> None:
    """If a seed has not 32 bytes, then there is no key."""
    with pytest.raises(ValueError):
        SealingKey(ORIGIN, bytes(length))


def test_a_sealing_key_shows_its_seed_to_nobody() -> None:
    """If a sealing key is shown, or somebody tries to keep it elsewhere, then only its public half is seen."""
    seed = bytes.fromhex(LADDER["seed_hex"])
    for shown in (repr(KEY), str(KEY), f"{[KEY]}"):
        assert KEY.verifier.vkey in shown
        assert repr(seed)[2:-1] not in shown
        assert seed.hex() not in shown
    assert not hasattr(KEY, "__dict__")
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


def test_a_refusal_does_not_repeat_what_was_refused() -> None:
    """If a note is refused, then the reason holds nothing of it."""
    for note in (b"canary\n1\ncanary\n\n" + SEAL, NOTE + line("canary.example", b"1234"), b"canary" + NOTE, b"canary"):
        assert "canary" not in refuse(note)


def test_the_empty_tree_has_one_root() -> None:
    """If a head has no leaves, then its root is that of RFC 6962, or it is none."""
    empty = TreeHead(ORIGIN, 0, EMPTY_ROOT)
    assert open_note(seal_head(empty, [KEY]), [KEY.verifier]).head == empty
