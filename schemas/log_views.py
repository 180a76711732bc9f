"""What is answered about the log itself: proofs that its tree heads hold, and what this ledger claims at one of them.

The JSON bodies of the audit reads of the public surface that speak of trees, as `schemas.views` has those that speak of
counts. Hashes are SHA-256 in padded standard base64, as C2SP writes them. This module must never compute a hash.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from schemas.events import Count, OrdinalFrom1
from schemas.views import View

Hash = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{43}=$")]
"""The 32 bytes of a hash, in base64."""

ProjectionName = Literal["petitions", "tally", "timeline"]


class InclusionView(View):
    """A proof that a leaf is in a tree (RFC 6962 section 2.1.1): `proof` leads from the leaf's sibling to the root."""

    index: Count
    size: OrdinalFrom1
    leaf_hash: Hash
    root: Hash
    proof: Annotated[tuple[Hash, ...], Field(max_length=63)]


class ConsistencyView(View):
    """A proof that a tree only grew (RFC 6962 section 2.1.2): the larger one begins with the leaves of the smaller."""

    old: OrdinalFrom1 = Field(serialization_alias="from")
    new: OrdinalFrom1 = Field(serialization_alias="to")
    from_root: Hash
    to_root: Hash
    proof: Annotated[tuple[Hash, ...], Field(max_length=64)]


class ProjectionView(View):
    """What this ledger claims at a tree head: the rows of one projection, folded exactly up to `as_of_position`, the
    size of the head; `root` is its root.
    """

    projection: ProjectionName
    version: Literal[1]
    as_of_position: OrdinalFrom1
    root: Hash
    rows: tuple[dict[str, Any], ...]
