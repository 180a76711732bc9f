"""Receipts: a leaf's proof and a signed head in one text, checked offline by whoever has the leaf."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.merkle import leaf_hash, prove_inclusion
from ledger.receipt import LARGEST_RECEIPT, Receipt, ReceiptRefused, check_receipt, read_receipt, write_receipt
from ledger.tree_head import (
    COSIGNATURE,
    Opened,
    SealingKey,
    TreeHead,
    VerifierKey,
    cosigned_text,
    head_text,
    parse_vkey,
    seal_head,
    with_lines,
)
from schemas.canonical import to_base64
from tests.ledger.naive_tree import numbered, within

DATA = Path(__file__).parents[1] / "data"
LADDER = json.loads((DATA / "notes.json").read_text("utf-8"))["ladder"]
MERKLE = json.loads((DATA / "merkle_vectors.json").read_text("utf-8"))

ORIGIN = "petitions.example/ledger"
KEY = SealingKey(ORIGIN, bytes.fromhex(LADDER["seed_hex"]))
TREE = numbered(300)

PROOF = [bytes.fromhex(text) for text in MERKLE["ct_inclusion_0_of_8_hex"]]
NOTE = LADDER["notes_of_the_ct_leaves_by_size"][8].encode()
LEAF = leaf_hash(bytes.fromhex(MERKLE["ct_leaves_hex"][0]))
RECEIPT = (
    b"c2sp.org/tlog-proof@v1\n"
    b"index 0\n"
    b"lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c=\n"
    b"Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4=\n"
    b"a0eq8p7jwq+a+Im8H7klTavTEXfxYjLdaqsDXKOb9uQ=\n"
    b"\n" + NOTE
)


HEADER, HASHES = b"c2sp.org/tlog-proof@v1\n", RECEIPT.split(b"\n\n")[0].split(b"index 0\n")[1] + b"\n"


def sealed(size: int) -> bytes:
    return seal_head(TreeHead(ORIGIN, size, TREE.root(size)), [KEY])


def refuse(data: bytes) -> str:
    """Why this is no receipt."""
    with pytest.raises(ReceiptRefused) as refused:
        read_receipt(data)
    return str(refused.value)


def test_a_receipt_is_the_published_proof_and_the_known_note_in_one_text() -> None:
    """If leaf 0 of the eight well-known ones gets a receipt, then it is the text that C2SP tlog-proof says."""
    assert write_receipt(0, PROOF, NOTE) == RECEIPT
    receipt = read_receipt(RECEIPT)
    assert receipt == Receipt(0, tuple(PROOF), NOTE, None)
    opened = check_receipt(receipt, LEAF, [parse_vkey(LADDER["vkey"])])
    assert opened.head.size == 8
    assert opened.seals == (KEY.verifier,)


@pytest.mark.parametrize("size", [*range(1, 12), 255, 256, 257, 300])
def test_every_leaf_of_a_tree_has_a_receipt_that_holds_for_it_alone(size: int) -> None:
    """If a leaf gets a receipt, then it is read back, holds for the leaf, and for no other."""
    note = sealed(size)
    for index in range(0, size, 1 if size < 12 else 17):
        proof = prove_inclusion(index, size, within(TREE, size))
        receipt = read_receipt(write_receipt(index, proof, note))
        assert receipt == Receipt(index, tuple(proof), note, None)
        assert check_receipt(receipt, TREE.hashes[index], [KEY.verifier]).head == TreeHead(
            ORIGIN, size, TREE.root(size)
        )
        for other in ({(index + 1) % size, 299}) - {index}:
            with pytest.raises(ReceiptRefused):
                check_receipt(receipt, TREE.hashes[other], [KEY.verifier])
            with pytest.raises(ReceiptRefused):
                check_receipt(receipt._replace(index=other), TREE.hashes[index], [KEY.verifier])


def test_a_receipt_of_a_lone_leaf_has_no_hashes() -> None:
    """If the tree is one leaf, then the proof is empty, and the receipt holds."""
    data = write_receipt(0, [], sealed(1))
    assert data == b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + sealed(1)
    check_receipt(read_receipt(data), TREE.hashes[0], [KEY.verifier])


def test_a_receipt_carries_the_cosignatures_of_its_head() -> None:
    """If a witness signed the head, then the receipt tells whoever lists the witness so, with the time."""
    seed = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    witness = VerifierKey("witness.example/w1", COSIGNATURE, seed.public_key().public_bytes_raw())
    head = TreeHead(ORIGIN, 8, TREE.root(8))
    signature = witness.key_id + (1234).to_bytes(8, "big") + seed.sign(cosigned_text(1234, head_text(head)))
    note = with_lines(sealed(8), f"— {witness.name} {to_base64(signature)}\n".encode())
    receipt = read_receipt(write_receipt(3, prove_inclusion(3, 8, within(TREE, 8)), note))
    opened = check_receipt(receipt, TREE.hashes[3], [KEY.verifier, witness])
    assert opened == Opened(head, (KEY.verifier,), ((witness, 1234),))


@pytest.mark.parametrize("extra", [b"\0", b"more", b"\n\n", bytes(5000)])
def test_what_was_added_stands_on_the_second_line_and_proves_nothing(extra: bytes) -> None:
    """If something is added to a receipt, then it is read back, and the receipt holds for what it held for."""
    data = write_receipt(0, PROOF, NOTE, extra)
    assert data.split(b"\n")[1] == b"extra " + base64.b64encode(extra)
    assert data.split(b"\n")[2] == b"index 0"
    receipt = read_receipt(data)
    assert receipt == Receipt(0, tuple(PROOF), NOTE, extra)
    check_receipt(receipt, LEAF, [KEY.verifier])


def test_a_receipt_may_be_as_long_as_its_bounds() -> None:
    """If a receipt has 53 hashes, or as many bytes as there may be, then it is read; with one more, it is not."""
    assert len(read_receipt(write_receipt(0, [bytes(32)] * 53, NOTE)).proof) == 53
    hashes = base64.b64encode(bytes(32)) + b"\n"
    refuse(HEADER + b"index 0\n" + hashes * 54 + b"\n" + NOTE)
    room = LARGEST_RECEIPT - len(HEADER + b"extra \nindex 0\n\n" + NOTE)
    filling = 10 ** (room % 4)  # an index of so many digits more
    assert len(write_receipt(filling, [], NOTE, bytes(room // 4 * 3))) == LARGEST_RECEIPT == 256 * 1024
    refuse(b"#" * (LARGEST_RECEIPT + 1))
    with pytest.raises(ReceiptRefused):
        write_receipt(0, [], NOTE, bytes(room // 4 * 3 + 1))


# What is refused


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"\n\n" + NOTE,
        NOTE,
        HEADER,
        HEADER + b"\n" + NOTE,
        b"index 0\n" + HASHES + b"\n" + NOTE,
        RECEIPT.replace(b"@v1", b"@v2"),
        RECEIPT.replace(b"@v1", b"@v1 "),
        RECEIPT.replace(b"c2sp", b"C2SP"),
        b"\n" + RECEIPT,
        b" " + RECEIPT,
        b"\xef\xbb\xbf" + RECEIPT,
        RECEIPT.replace(b"\n", b"\r\n"),
        RECEIPT.replace(b"index 0\n", b"index 0\r\n"),
        RECEIPT + b"\n",
        RECEIPT[:-1],
        RECEIPT + RECEIPT,
        HEADER + b"index 0\n" + HASHES + NOTE,  # no blank line
        HEADER + b"index 0\n" + HASHES + b"\n\n" + NOTE,
        HEADER + b"\nindex 0\n" + HASHES + b"\n" + NOTE,
        HEADER + b"index 0\n\n" + HASHES + b"\n" + NOTE,
        HEADER + b"index 0\n" + HASHES + b"\n",
        HEADER + b"index 0\n" + HASHES + b"\n" + NOTE.split(b"\n\n")[0] + b"\n",
        HEADER + b"index 0\n" + HASHES + b"comment\n\n" + NOTE,
        HEADER + b"index 0\n" + HASHES + b"extra bW9yZQ==\n\n" + NOTE,
        *(
            RECEIPT.replace(b"index 0\n", line + b"\n")
            for line in (
                *(b"index 00", b"index 01", b"index +0", b"index -1", b"index  0", b"index 0 ", b"index\t0", b"index "),
                *(b"index", b"Index 0", b" index 0", b"index:0", b"0", b"index 0x0", b"index 1e1", b"index \xd9\xa0"),
                *(b"index 9007199254740992", b"index " + b"9" * 5000, b"index 0\nindex 0", b"index 0\nindex 1"),
                *(
                    b"extra bW9yZQ==",
                    b"index 0\nextra bW9yZQ==",
                    b"extra \nindex 0",
                    b"extra\nindex 0",
                    b"Extra AA==\nindex 0",
                ),
                *(b"extra bW9yZQ\nindex 0", b"extra bW9yZR==\nindex 0", b"extra  bW9yZQ==\nindex 0"),
                *(b"extra bW9yZQ== \nindex 0", b"extra bW9yZQ==\nextra bW9yZQ==\nindex 0", b"extra _-8=\nindex 0"),
            )
        ),
        *(
            RECEIPT.replace(b"lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c=", line)
            for line in (
                b"lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c",
                b"lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8d=",  # spare bits that are not zero
                b"lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh-QQt4YwoJz8c=",
                b" lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c=",
                b"lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c= ",
                base64.b64encode(bytes(31)),
                base64.b64encode(bytes(33)),
                bytes(32).hex().encode(),
                b"AA==",
            )
        ),
        HEADER + b"extra " + base64.b64encode(bytes(LARGEST_RECEIPT)) + b"\nindex 0\n" + HASHES + b"\n" + NOTE,
    ],
)
def test_a_receipt_in_any_other_spelling_is_refused(data: bytes) -> None:
    """If a receipt is written in another way, has a line too many or too few, or carries no note, then it is none."""
    refuse(data)


@given(st.integers(0, 8 * len(RECEIPT) - 1))
def test_a_receipt_with_any_bit_flipped_does_not_hold(bit: int) -> None:
    """If any one bit of a receipt is flipped, then it is no receipt, or does not hold."""
    flipped = bytearray(RECEIPT)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ReceiptRefused):
        check_receipt(read_receipt(bytes(flipped)), LEAF, [KEY.verifier])


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda end: HEADER + b"index 0\n\n" + end))
def test_bytes_of_any_kind_are_refused_without_a_crash(data: bytes) -> None:
    """If anything at all stands for a receipt, then it is refused in our own words."""
    refuse(data)


def test_a_receipt_of_another_tree_key_or_leaf_does_not_hold() -> None:
    """If the head is another's, or of another tree, or a hash is missing, added or altered, then it does not hold."""
    receipt = read_receipt(RECEIPT)
    stranger = SealingKey(ORIGIN, bytes(32))
    wrong = [
        (receipt, LEAF, [stranger.verifier]),
        (receipt, LEAF, []),
        (receipt, LEAF[:-1], [KEY.verifier]),
        (receipt, leaf_hash(b"\0"), [KEY.verifier]),
        (receipt._replace(proof=receipt.proof[:-1]), LEAF, [KEY.verifier]),
        (receipt._replace(proof=(*receipt.proof, bytes(32))), LEAF, [KEY.verifier]),
        (receipt._replace(proof=(bytes(32), *receipt.proof[1:])), LEAF, [KEY.verifier]),
        (receipt._replace(index=8), LEAF, [KEY.verifier]),
        (receipt._replace(note=LADDER["notes_of_the_ct_leaves_by_size"][7].encode()), LEAF, [KEY.verifier]),
        (receipt._replace(note=LADDER["notes_of_the_ct_leaves_by_size"][0].encode()), LEAF, [KEY.verifier]),
        (receipt._replace(note=b""), LEAF, [KEY.verifier]),
    ]
    for given_receipt, leaf, keys in wrong:
        with pytest.raises(ReceiptRefused):
            check_receipt(given_receipt, leaf, keys)


@pytest.mark.parametrize(
    ("index", "proof", "note", "extra"),
    [
        (-1, PROOF, NOTE, None),
        (2**53, PROOF, NOTE, None),
        (0, [bytes(31)], NOTE, None),
        (0, [bytes(32)] * 54, NOTE, None),
        (0, PROOF, b"", None),
        (0, PROOF, b"\n" + NOTE, None),
        (0, PROOF, NOTE[:-1], None),
        (0, PROOF, NOTE, b""),
        (0, PROOF, NOTE, bytes(LARGEST_RECEIPT)),
    ],
)
def test_what_would_not_be_a_receipt_is_not_written(
    index: int, proof: list[bytes], note: bytes, extra: bytes | None
) -> None:
    """If a part of a receipt is out of bounds, then none is written."""
    with pytest.raises(ReceiptRefused):
        write_receipt(index, proof, note, extra)


def test_a_refusal_does_not_repeat_what_was_refused() -> None:
    """If a receipt is refused, then the reason holds nothing of it."""
    for data in (b"canary", b"canary\n\n" + NOTE, RECEIPT.replace(b"index 0", b"index canary"), RECEIPT + b"canary"):
        assert "canary" not in refuse(data)
