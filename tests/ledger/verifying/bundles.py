"""Audit bundles made naively, from leaves and a list of sizes: what the verifier is tried on.

It shares nothing with what exports a bundle, nor with the verifier: the tree is the definition of RFC 6962 section 2.1,
written down, and the notes and tiles are as the pages of C2SP say. It seals whatever it is told to: it is the operator
who owns the key, honest or not.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Json = dict[str, Any]
ORIGIN: Final = "petitions.example/ledger"


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def rendered(value: object) -> bytes:
    """Canonical bytes, as far as texts of tests go."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


# -- the tree ----------------------------------------------------------------------------------------------------------


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\0" + leaf).digest()


@cache
def root(hashes: tuple[bytes, ...]) -> bytes:
    """MTH of RFC 6962 section 2.1, over leaf hashes."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    return sha256(b"\1" + root(hashes[:k]) + root(hashes[k:])).digest()


def path(index: int, hashes: tuple[bytes, ...]) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1, over leaf hashes."""
    if len(hashes) == 1:
        return []
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    if index < k:
        return [*path(index, hashes[:k]), root(hashes[k:])]
    return [*path(index - k, hashes[k:]), root(hashes[:k])]


def tiles(leaves: Sequence[bytes]) -> dict[str, bytes]:
    """Every tile and every bundle of entries of the tree over these leaves (C2SP tlog-tiles), by its path."""
    files: dict[str, bytes] = {}
    for start in range(0, len(leaves), 256):
        some = leaves[start : start + 256]
        files[named("entries", start // 256, len(some))] = b"".join(
            len(leaf).to_bytes(2, "big") + leaf for leaf in some
        )
    level, hashes = 0, [leaf_hash(leaf) for leaf in leaves]
    while hashes:
        for start in range(0, len(hashes), 256):
            files[named(level, start // 256, len(hashes[start : start + 256]))] = b"".join(hashes[start : start + 256])
        level += 1
        hashes = [root(tuple(hashes[start : start + 256])) for start in range(0, len(hashes) - 255, 256)]
    return files


def named(level: int | str, index: int, width: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    return f"tile/{level}/" + "/".join(groups) + ("" if width == 256 else f".p/{width}")


# -- notes -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Signer:
    """A key with its name. `algorithm` 1 seals, 4 cosigns."""

    name: str
    seed: bytes
    algorithm: int = 1

    @property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def material(self) -> bytes:
        return bytes([self.algorithm]) + self.private.public_key().public_bytes_raw()

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + self.material).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64(self.material)}"

    def line(self, text: bytes, time: int = 1_790_000_000) -> bytes:
        """Its signature line under a text."""
        if self.algorithm == 1:
            signature = self.private.sign(text)
        else:
            signature = time.to_bytes(8, "big") + self.private.sign(b"cosignature/v1\ntime %d\n" % time + text)
        return f"— {self.name} {base64(self.id + signature)}\n".encode()


OPERATOR: Final = Signer(ORIGIN, bytes(range(32)))
WITNESS: Final = Signer("witness.example/w1", bytes(range(1, 33)), algorithm=4)


def head_text(size: int, root: bytes, origin: str = ORIGIN) -> bytes:
    return f"{origin}\n{size}\n{base64(root)}\n".encode()


def note(text: bytes, *signers: Signer) -> bytes:
    """A text with the lines of these signers."""
    return text + b"\n" + b"".join(signer.line(text) for signer in signers)


# -- bundles -----------------------------------------------------------------------------------------------------------


@dataclass
class Bundle:
    """What a bundle is to hold. `heads` are the sizes at which heads were shown; the last is that of `checkpoint`."""

    leaves: list[bytes]
    heads: list[int]
    projections: Mapping[str, list[Json]] = field(default_factory=dict)
    signers: tuple[Signer, ...] = (OPERATOR,)
    openings: Mapping[int, tuple[bytes, bytes]] = field(default_factory=dict)

    def note(self, size: int) -> bytes:
        """The note of the head of this size."""
        hashes = tuple(leaf_hash(leaf) for leaf in self.leaves[:size])
        return note(head_text(size, root(hashes), self.signers[0].name), *self.signers)

    def notes(self) -> list[bytes]:
        return [self.note(size) for size in self.heads]

    def files(self) -> dict[str, bytes]:
        """Every file by its path."""
        size = self.heads[-1]
        top = base64(root(tuple(leaf_hash(leaf) for leaf in self.leaves[:size])))
        files = tiles(self.leaves[:size])
        files["checkpoint"] = self.note(size)
        files["checkpoints"] = b"---\n".join(self.notes())
        for name, rows in self.projections.items():
            document = {"projection": name, "version": 1, "as_of_position": size, "root": top, "rows": rows}
            files[f"projections/{name}.json"] = rendered(document) + b"\n"
        for index, (nonce, identity) in self.openings.items():
            files[f"openings/{index}.json"] = rendered({"nonce": base64(nonce), "identity": base64(identity)})
        return files

    def but(self, **changes: Any) -> "Bundle":
        return replace(self, **changes)


def lay(directory: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a directory that is empty."""
    for name, data in files.items():
        place = directory / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return directory


def receipt(leaves: Sequence[bytes], index: int, head: bytes) -> bytes:
    """The proof of a leaf in a signed head (C2SP tlog-proof)."""
    hashes = [base64(each) for each in path(index, tuple(leaf_hash(leaf) for leaf in leaves))]
    return "\n".join(["c2sp.org/tlog-proof@v1", f"index {index}", *hashes, "", ""]).encode() + head


# -- leaves ------------------------------------------------------------------------------------------------------------


def read(leaf: bytes) -> Json:
    event: Json = json.loads(leaf)
    return event


def relinked(events: Sequence[Json]) -> list[bytes]:
    """The leaves of these events, each made to name the leaf that now stands before it in its petition: what an
    operator does who edits one and hides it. Nothing else is made to fit."""
    last: dict[str, bytes] = {}
    leaves = []
    for event in events:
        subject = event["subject"]
        event = {name: value for name, value in event.items() if name != "prev"}
        if subject in last:
            event["prev"] = base64(last[subject])
        leaf = rendered(event)
        last[subject] = leaf_hash(leaf)
        leaves.append(leaf)
    return leaves


def renumbered(events: Sequence[Json]) -> list[Json]:
    """These events with positions and versions that fit, as an operator would who slips one in or takes one out."""
    versions: dict[str, int] = {}
    numbered = []
    for position, event in enumerate(events, start=1):
        versions[event["subject"]] = versions.get(event["subject"], 0) + 1
        numbered.append({**event, "id": f"{position:020d}", "version": versions[event["subject"]]})
    return numbered
