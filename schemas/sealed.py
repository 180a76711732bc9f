"""The sealed form of an identity, as it travels from whoever read it to the vault.

What is in it was encrypted by `ledger.vault` before anybody waited for the head: a writer carries it, and cannot read
it. This module must never hold anything by which it could be opened.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SealedIdentity:
    """A row of `vault.identities` but for its signature: the epoch that wraps, the signature's own key under the
    epoch's, and nonce and canonical identity under the signature's own key. See `ledger.vault`."""

    epoch: int
    wrapped_key: bytes = field(repr=False)
    sealed: bytes = field(repr=False)
