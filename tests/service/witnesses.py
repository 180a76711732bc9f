"""A witness for tests, on the loopback: it checks what C2SP tlog-witness says, or answers as it is told to.

It reads what it is sent by rules of its own, so that a mistake in how we write it is no mistake in how it is read.
"""

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.merkle import Node, ProofRefused, check_consistency, leaf_hash, prove_consistency, root
from ledger.tree_head import (
    COSIGNATURE,
    NoteRefused,
    SealingKey,
    TreeHead,
    VerifierKey,
    open_note,
    read_head,
    seal_head,
)
from service.witness import Prove, Witness

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
TIME = 1_700_000_000


class Log:
    """A log of some leaves that can show each of its sizes, without a database."""

    def __init__(self, key: SealingKey, leaves: Iterable[str]) -> None:
        self._key = key
        self._hashes = [leaf_hash(leaf.encode()) for leaf in leaves]

    def note(self, size: int, *keys: SealingKey) -> bytes:
        """The head of this size, sealed by the log's key, or by others under its name."""
        origin = self._key.verifier.name
        return seal_head(TreeHead(origin, size, root(self._hashes[:size])), keys or [self._key])

    async def shown(self, witness: Witness, size: int, *keys: SealingKey) -> bytes:
        """What goes out of this head after the witness was asked."""
        sealing = keys or (self._key,)
        return await witness.cosign(self.note(size, *keys), [key.verifier for key in sealing], self._proving(size))

    def _proving(self, size: int) -> Prove:
        async def prove(old: int) -> Sequence[bytes]:
            return prove_consistency(old, size, self._subtree)

        return prove

    def _subtree(self, node: Node) -> bytes:
        return root(self._hashes[node.index << node.height : (node.index + 1) << node.height])


class Cosigner:
    """A witness's key."""

    def __init__(self, name: str = "witness.example/w1", seed: bytes = b"w" * 32) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, COSIGNATURE, self._private.public_key().public_bytes_raw())

    def line(self, note: bytes, time: int = TIME) -> bytes:
        """The line by which it signs the head of a note (C2SP tlog-cosignature)."""
        text = note.partition(b"\n\n")[0] + b"\n"
        signature = self._private.sign(b"cosignature/v1\ntime %d\n" % time + text)
        signed = base64.b64encode(self.verifier.key_id + time.to_bytes(8, "big") + signature)
        return b"\xe2\x80\x94 %s %s\n" % (self.verifier.name.encode(), signed)


class WitnessDouble:
    """Signs what continues what it signed; `answering` makes it answer something else."""

    def __init__(self, log_keys: Sequence[VerifierKey], cosigner: Cosigner) -> None:
        self.log_keys = log_keys
        self.cosigner = cosigner
        self.signed: TreeHead | None = None
        self.shows: bytes | None = None
        self.asked: list[bytes] = []
        self.answering: Answering | None = None
        self.url = ""

    async def add_checkpoint(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.read())
        if self.answering is not None:
            return await self.answering(request)
        told, _, note = self.asked[-1].partition(b"\n\n")
        first, *lines = told.split(b"\n")
        assert first.startswith(b"old ")
        old, proof = int(first[4:]), [base64.b64decode(line, validate=True) for line in lines]
        try:
            head = open_note(note, self.log_keys).head
        except NoteRefused:
            return web.Response(status=403)
        last = self.signed.size if self.signed is not None else 0
        if old > head.size:
            return web.Response(status=400)
        if old != last:
            return web.Response(status=409, body=b"%d\n" % last, headers={"Content-Type": "text/x.tlog.size"})
        try:
            if self.signed is None:
                assert not proof, "from nothing there is nothing to prove"
            else:
                check_consistency(last, head.size, self.signed.root, head.root, proof)
        except ProofRefused:
            return web.Response(status=422, text="it would be a fork")
        self.signed = head
        self.shows = note + self.cosigner.line(note)
        return web.Response(body=self.cosigner.line(note))

    async def checkpoint(self, request: web.Request) -> web.StreamResponse:
        if self.answering is not None:
            return await self.answering(request)
        if self.shows is None:
            return web.Response(status=404)
        origin = read_head(self.shows).origin
        assert request.match_info["origin"] == hashlib.sha256(origin.encode()).hexdigest()
        return web.Response(body=self.shows)


@asynccontextmanager
async def witnessing(double: WitnessDouble) -> AsyncIterator[WitnessDouble]:
    """The double, listening on a free port of the loopback while the block runs, below a prefix."""
    app = web.Application()
    app.router.add_post("/w/add-checkpoint", double.add_checkpoint)
    app.router.add_get("/w/{origin}/checkpoint", double.checkpoint)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        double.url = f"http://127.0.0.1:{runner.addresses[0][1]}/w"
        yield double
    finally:
        await runner.cleanup()
