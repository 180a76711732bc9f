"""The vault's sealing: an identity under a key of its own, and that key under the key of an epoch.

    sealed       = n1 || AES-256-GCM(signature's key, n1, nonce || canonical identity,  label || signature)
    wrapped key  = n2 || AES-256-GCM(epoch's key,     n2, signature's key,              label || signature || epoch)

AES-256-GCM is that of NIST SP 800-38D with 12 bytes of nonce and 16 of tag. The additional data bind each to its row: a
sealed identity that is laid beside another signature, or a key beside another epoch, does not open. Erasing a row's
wrapped key and destroying the epochs that wrapped it makes every copy of the row unreadable, wherever it is.

A signature's key seals once in its life, so that its nonce cannot repeat; an epoch's key wraps at most 2^32 keys under
random nonces (SP 800-38D, section 8.3), and a rotation begins a new one.

Pure: everything random is an argument. This module must never show a key or an identity: not in a message, not in a
representation. The labels are for ever.
"""

import hmac
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.identity import KEY_BYTES, NONCE_BYTES
from schemas.sealed import SealedIdentity

IV_BYTES: Final = 12
RANDOM_BYTES: Final = KEY_BYTES + 2 * IV_BYTES
"""What sealing one identity takes of randomness: the signature's own key, and two nonces of the cipher."""
CHECK_BYTES: Final = 16

_SEALED: Final = b"petition-ledger/sealed-identity/v1\x00"
_WRAPPED: Final = b"petition-ledger/wrapped-key/v1\x00"
_CHECK: Final = b"petition-ledger/epoch-check/v1"


class CannotOpen(Exception):
    """It does not open with this key for this signature: it was changed, or belongs elsewhere. Says nothing else."""


class Epoch:
    """An epoch of the vault: its number and its key, of which only what tells it from others can be had."""

    __slots__ = ("_cipher", "check", "number")

    def __init__(self, number: int, key: bytes) -> None:
        if len(key) != KEY_BYTES or number < 1:
            raise ValueError("an epoch has a number from 1 on and a key of 32 bytes")
        self.number = number
        self.check = hmac.digest(key, _CHECK + number.to_bytes(8, "big"), "sha256")[:CHECK_BYTES]
        """16 bytes that tell this key from any other, and are of no use to derive it."""
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return f"Epoch({self.number})"

    def wrap(self, signature: UUID, key: bytes, iv: bytes) -> bytes:
        """A signature's own key, wrapped: 60 bytes. `iv` is 12 random bytes."""
        return iv + self._cipher.encrypt(iv, key, self._bound_to(signature))

    def unwrap(self, signature: UUID, wrapped: bytes) -> bytes:
        """The signature's own key. Raises CannotOpen."""
        return _decrypted(self._cipher, wrapped, self._bound_to(signature))

    def _bound_to(self, signature: UUID) -> bytes:
        return _WRAPPED + signature.bytes + self.number.to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class Opened:
    """What opens a leaf's commitment: its nonce, and the identity in canonical bytes."""

    nonce: bytes = field(repr=False)
    pii: bytes = field(repr=False)


def seal_identity(epoch: Epoch, signature: UUID, opened: Opened, random: bytes) -> SealedIdentity:
    """The sealed form of an identity. `random` is RANDOM_BYTES, never used before."""
    if len(opened.nonce) != NONCE_BYTES or len(random) != RANDOM_BYTES:
        raise ValueError("a commitment's nonce has 32 bytes, and sealing takes 56 random ones")
    key, iv = random[:KEY_BYTES], random[KEY_BYTES:-IV_BYTES]
    sealed = iv + AESGCM(key).encrypt(iv, opened.nonce + opened.pii, _SEALED + signature.bytes)
    return SealedIdentity(epoch.number, epoch.wrap(signature, key, random[-IV_BYTES:]), sealed)


def open_identity(epoch: Epoch, signature: UUID, identity: SealedIdentity) -> Opened:
    """What was sealed. Raises CannotOpen, also where the epoch is another one."""
    content = _decrypted(
        AESGCM(epoch.unwrap(signature, identity.wrapped_key)), identity.sealed, _SEALED + signature.bytes
    )
    if len(content) < NONCE_BYTES:
        raise CannotOpen
    return Opened(content[:NONCE_BYTES], content[NONCE_BYTES:])


def rewrap(old: Epoch, new: Epoch, signature: UUID, wrapped: bytes, iv: bytes) -> bytes:
    """A key that the old epoch wrapped, wrapped by the new one: the sealed identity stays as it is. Raises
    CannotOpen."""
    return new.wrap(signature, old.unwrap(signature, wrapped), iv)


def _decrypted(cipher: AESGCM, data: bytes, bound_to: bytes) -> bytes:
    try:
        return cipher.decrypt(data[:IV_BYTES], data[IV_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        pass  # refused below, outside the handler: nothing of it travels on
    raise CannotOpen
