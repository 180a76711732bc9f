"""Identity: what a signer said of themselves, and everything that is derived from it by a key or a hash.

From an identity come, and from here alone:

- the *signer token*, by which a signer who signs again is recognised: a keyed hash of what identifies them under the
  petition's policy, with a key per petition, so that the same person in two petitions has two unrelated tokens;
- the *commitment* in the leaf: an HMAC of the identity as given under 32 random bytes, which says nothing without them;
- what reviewers search by: the address's domain, and a keyed hash of the name, both for a time;
- keyed names of import rows, commands and idempotency keys, so that what the database keeps of them can neither be
  read nor, once its key or row is gone, be computed from a guess.

Every derivation has a label of its own and joins its parts unambiguously: no two of them can ever hash the same bytes.
The labels are for ever: a changed one would recognise nobody.

This module must never store, log or echo an identity, and must never be handed the clock or randomness by itself: nonce
and keys are arguments.
"""

import hmac
import unicodedata
from dataclasses import dataclass
from typing import Final, assert_never

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.email_policy import IGNORABLE, EmailPolicy
from schemas.canonical import render

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 32
TOKEN_BYTES: Final = 16

_PETITION_KEY: Final = b"petition-ledger/petition-key/v1\x00"
_SIGNER: Final = b"petition-ledger/signer/v1\x00"
_PII_COMMIT: Final = b"petition-ledger/pii-commit/v1\x00"
_IMPORT_KEY: Final = b"petition-ledger/import-key/v1\x00"
_FINGERPRINT: Final = b"petition-ledger/fingerprint/v1\x00"
_IDEMPOTENCY: Final = b"petition-ledger/idempotency/v1\x00"
_NAME: Final = b"petition-ledger/name/v1\x00"


@dataclass(frozen=True, slots=True)
class Email:
    """A person who signs by an address, as written."""

    address: str
    name: str | None = None
    postcode: str | None = None


@dataclass(frozen=True, slots=True)
class Ref:
    """A person whom a site knows by a reference of its own: `site` is the site's actor, so that the same reference of
    two sites is two people."""

    ref: str
    site: str


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation, by its public name; `reference` is e.g. the resolution by which it signs."""

    name: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """A signer in a file: its opaque reference, and an address where the file has one."""

    signer: str
    email: str | None = None


Identity = Email | Ref | Organisation | Imported


class IdentityRefused(ValueError):
    """The identity identifies nobody. The message is a sentence that does not repeat it."""


def normalised(identity: Identity, policy: EmailPolicy) -> bytes:
    """What identifies the signer: a kind, NUL, and the kind's own part, which so cannot be taken for another kind's.

    An imported signer with an address is the person who signs live with it. A reference is taken as it is, letter by
    letter, beside whose it is. An organisation's name is compared in NFKC, case-folded, without what cannot be seen,
    its spaces collapsed. Raises EmailRefused, or IdentityRefused where nothing is left or the text is not Unicode.
    """
    match identity:
        case Email(address=address) | Imported(email=str() as address):
            return b"email\x00" + policy.mailbox_key(address).encode()
        case Imported(signer=signer):
            return b"signer\x00" + _part(signer)
        case Ref(ref=ref, site=site):
            return b"ref\x00" + framed(_part(site), _part(ref))
        case Organisation(name=name):
            return b"organisation\x00" + _part(_organisation_key(name))
        case _:
            assert_never(identity)


def signer_token(petition_key: bytes, identity: Identity, policy: EmailPolicy) -> bytes:
    """The 16 bytes by which the petition recognises this signer. Raises as `normalised` does."""
    return hmac.digest(petition_key, _SIGNER + normalised(identity, policy), "sha256")[:TOKEN_BYTES]


def email_domain(identity: Identity, policy: EmailPolicy) -> str | None:
    """The domain of the signer's address in the policy's one form, by which reviewers find fraud; None without an
    address. Raises EmailRefused."""
    match identity:
        case Email(address=address) | Imported(email=str() as address):
            return policy.mailbox_key(address).rpartition("@")[2]
        case _:
            return None


def name_token(petition_key: bytes, name: str) -> bytes | None:
    """The 16 bytes by which a reviewer finds every signer of the petition who gave this name, compared as the names of
    organisations are; None where nothing of it is left."""
    key = _organisation_key(name)
    return hmac.digest(petition_key, _NAME + key.encode(), "sha256")[:TOKEN_BYTES] if key else None


def canonical_pii(identity: Identity) -> bytes:
    """The identity as given, in canonical bytes: what the vault keeps and the leaf commits to.

    An object of the members of the signing body: `email`, `name`, `postcode`; `ref`, and the `site` whose reference
    it is; `organisation` with `name` and `reference`; or `signer` and `email` of an imported row. Absent members are
    absent. Raises schemas.canonical's NotCanonical.
    """
    match identity:
        case Email(address, name, postcode):
            return render(_present({"email": address, "name": name, "postcode": postcode}))
        case Ref(ref, site):
            return render({"ref": ref, "site": site})
        case Organisation(name, reference):
            return render({"organisation": _present({"name": name, "reference": reference})})
        case Imported(signer, email):
            return render(_present({"signer": signer, "email": email}))
        case _:
            assert_never(identity)


def pii_commit(nonce: bytes, pii: bytes) -> bytes:
    """The 32 bytes in the leaf that bind it to canonical identity bytes, under a nonce of 32 random bytes."""
    if len(nonce) != NONCE_BYTES:
        raise ValueError("a commitment's nonce has 32 bytes")
    return hmac.digest(nonce, _PII_COMMIT + pii, "sha256")


def key_check(root_key: bytes) -> bytes:
    """What tells this root key from any other, without being of any use to derive it: 16 bytes."""
    return hmac.digest(root_key, b"petition-ledger/key-check/v1", "sha256")[:16]


def petition_key(root_key: bytes, petition_id: str) -> bytes:
    """The petition's own 32-byte key, from the vault's root key by HKDF-SHA256 (RFC 5869), without a salt."""
    if len(root_key) != KEY_BYTES:
        raise ValueError("a root key has 32 bytes")
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=_PETITION_KEY + petition_id.encode()).derive(root_key)


def import_key(petition_key: bytes, row_identity: bytes) -> bytes:
    """The 16 bytes by which an imported row is found again. `row_identity` is best made by `framed`."""
    return hmac.digest(petition_key, _IMPORT_KEY + row_identity, "sha256")[:TOKEN_BYTES]


def fingerprint(key: bytes, route: str, command: bytes) -> bytes:
    """The 32 bytes that tell whether a repeated idempotency key came with the same command, on the same route.

    `key` is the petition's key, or the root key where a command has no petition yet; `command` its normalised bytes.
    """
    return hmac.digest(key, _FINGERPRINT + framed(route.encode(), command), "sha256")


def idempotency_token(key: bytes, credential: str, client_key: str) -> bytes:
    """The 16 bytes that stand for a client's idempotency key: unique per credential and, by `key`, per petition."""
    return hmac.digest(key, _IDEMPOTENCY + framed(credential.encode(), client_key.encode()), "sha256")[:TOKEN_BYTES]


def framed(*parts: bytes) -> bytes:
    """The parts, each behind its length in 8 bytes: different parts never give the same bytes."""
    return b"".join([len(part).to_bytes(8, "big") + part for part in parts])


def _organisation_key(name: str) -> str:
    """Case-folded and in NFKC, by Unicode's compatibility caseless matching (section 3.13, D146), which folds twice so
    that the order of accents does not matter; without ignorable characters, its runs of white space made one space.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", name).casefold()).casefold()
    return " ".join(unicodedata.normalize("NFKC", IGNORABLE.sub("", folded)).split())


def _part(text: str) -> bytes:
    try:
        part = text.encode()
    except UnicodeEncodeError:
        part = b""  # refused below, outside the handler: the encoder's exception holds the text
    if not part:
        raise IdentityRefused("a signer's reference or an organisation's name is empty or not text")
    return part


def _present(members: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in members.items() if value is not None}
