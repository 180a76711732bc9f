"""The vault's sealing: what was sealed opens with its own epoch, for its own signature, and with nothing else."""

from dataclasses import replace
from itertools import pairwise
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from ledger.vault import RANDOM_BYTES, CannotOpen, Epoch, Opened, open_identity, rewrap, seal_identity
from schemas.sealed import SealedIdentity

KEYS = st.binary(min_size=32, max_size=32)
NONCES = st.binary(min_size=32, max_size=32)
RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
OPENED = st.builds(Opened, NONCES, st.binary(max_size=300))
NUMBERS = st.integers(1, 2**63 - 1)
SIGNATURE = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
EPOCH, NEXT = Epoch(1, b"k" * 32), Epoch(2, b"n" * 32)
JANE = Opened(b"r" * 32, b'{"email":"jane@ex.org"}')
ROW = seal_identity(EPOCH, SIGNATURE, JANE, bytes(range(RANDOM_BYTES)))


@given(KEYS, NUMBERS, st.uuids(), OPENED, RANDOM)
def test_what_is_sealed_opens_as_it_was(
    key: bytes, number: int, signature: UUID, opened: Opened, random: bytes
) -> None:
    """If an identity is sealed, then its epoch opens it for its signature; the row has the lengths that the table asks
    for, and nothing of what is in it."""
    epoch = Epoch(number, key)
    row = seal_identity(epoch, signature, opened, random)
    assert open_identity(Epoch(number, key), signature, row) == opened
    assert (row.epoch, len(row.wrapped_key), len(row.sealed)) == (number, 60, 12 + 32 + len(opened.pii) + 16)


@given(OPENED, RANDOM, st.lists(KEYS, min_size=1, max_size=4))
def test_a_key_may_be_wrapped_anew_as_often_as_one_likes(opened: Opened, random: bytes, keys: list[bytes]) -> None:
    """If a row goes through any epochs, then the last one opens it, none before it does, and its sealed part is what it
    was."""
    epochs = [Epoch(number, key) for number, key in enumerate(keys, 1)]
    row = seal_identity(epochs[0], SIGNATURE, opened, random)
    for old, new in pairwise(epochs):
        wrapped = rewrap(old, new, SIGNATURE, row.wrapped_key, random[:12])
        row = replace(row, epoch=new.number, wrapped_key=wrapped)
    assert open_identity(epochs[-1], SIGNATURE, row) == opened
    for epoch in epochs[:-1]:
        with pytest.raises(CannotOpen):
            open_identity(epoch, SIGNATURE, row)


@pytest.mark.parametrize(
    ("epoch", "signature"),
    [(Epoch(1, b"x" * 32), SIGNATURE), (Epoch(2, b"k" * 32), SIGNATURE), (EPOCH, UUID(int=7))],
    ids=["another key", "another number", "another signature"],
)
def test_what_belongs_elsewhere_does_not_open(epoch: Epoch, signature: UUID) -> None:
    """If key, number or signature is another one, then nothing opens, and nothing is wrapped anew."""
    with pytest.raises(CannotOpen):
        open_identity(epoch, signature, ROW)
    with pytest.raises(CannotOpen):
        rewrap(epoch, NEXT, signature, ROW.wrapped_key, bytes(12))


@given(st.sampled_from(["wrapped_key", "sealed"]), st.data())
def test_a_changed_row_does_not_open(column: str, data: st.DataObject) -> None:
    """If any byte of a row is changed, taken away or added, then it does not open."""
    stored = getattr(ROW, column)
    at = data.draw(st.integers(0, len(stored) - 1))
    flipped = stored[:at] + bytes([stored[at] ^ data.draw(st.integers(1, 255))]) + stored[at + 1 :]
    for changed in (flipped, stored[:at], stored + b"\0"):
        with pytest.raises(CannotOpen):
            open_identity(EPOCH, SIGNATURE, replace(ROW, **{column: changed}))


def test_rows_cannot_be_put_together() -> None:
    """If the key of one row is laid to the sealed part of another, then it does not open."""
    other = seal_identity(EPOCH, SIGNATURE, JANE, bytes(RANDOM_BYTES))
    with pytest.raises(CannotOpen):
        open_identity(EPOCH, SIGNATURE, SealedIdentity(1, other.wrapped_key, ROW.sealed))


def test_the_form_is_the_one_that_is_written_down() -> None:
    """If a row is opened by hand, as the module's text says, then it opens: the labels are for ever."""
    bound = SIGNATURE.bytes
    key = AESGCM(b"k" * 32).decrypt(
        ROW.wrapped_key[:12], ROW.wrapped_key[12:], b"petition-ledger/wrapped-key/v1\0" + bound + bytes(7) + b"\1"
    )
    assert key == bytes(range(32))
    content = AESGCM(key).decrypt(ROW.sealed[:12], ROW.sealed[12:], b"petition-ledger/sealed-identity/v1\0" + bound)
    assert content == JANE.nonce + JANE.pii


def test_an_epoch_is_told_by_its_check() -> None:
    """If two epochs differ in key or number, then their checks do; and the check is none of the key."""
    checks = {Epoch(number, key * 32).check for number in (1, 2, 256) for key in (b"a", b"b")}
    assert len(checks) == 6
    assert {len(check) for check in checks} == {16}


def test_nothing_shows_a_key_or_an_identity() -> None:
    """If anything of it is shown, or an opening fails, then neither key nor identity is in what is said."""
    for shown in (EPOCH, JANE, ROW, [EPOCH], {"row": ROW}):
        assert "kkk" not in repr(shown) + str(shown)
        assert "rrr" not in repr(shown)
        assert "jane" not in repr(shown)
    with pytest.raises(CannotOpen) as refusal:
        open_identity(NEXT, SIGNATURE, ROW)
    assert (str(refusal.value), refusal.value.__context__, refusal.value.__cause__) == ("", None, None)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_other_lengths_are_mistakes_of_ours(size: int) -> None:
    """If a key, a nonce or what is random has another length, then nothing is sealed."""
    with pytest.raises(ValueError, match="32 bytes"):
        Epoch(1, bytes(size))
    with pytest.raises(ValueError, match="32 bytes"):
        seal_identity(EPOCH, SIGNATURE, Opened(bytes(size), b""), bytes(RANDOM_BYTES))
    with pytest.raises(ValueError, match="random"):
        seal_identity(EPOCH, SIGNATURE, JANE, bytes(size))
