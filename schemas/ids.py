"""The numbers and names by which everything is called, and the one place where they turn into each other.

Positions, versions, leaf indexes and tree sizes are all integers and all off by one from each other somewhere; four
`NewType`s keep them apart. This module must never parse anything that a person typed without checking its form.
"""

import re
from typing import NewType
from uuid import UUID

Position = NewType("Position", int)
"""Count of events in the ledger, from 1, gapless, in commit order."""

Version = NewType("Version", int)
"""Count of events in one petition, from 1, gapless."""

LeafIndex = NewType("LeafIndex", int)
"""Index of an event's leaf in the log, from 0: `position - 1`."""

TreeSize = NewType("TreeSize", int)
"""Number of leaves that a tree head covers: the position of the last event in it."""

PETITION_ID_PATTERN = r"[a-z0-9][a-z0-9-]{0,99}"
RESERVED_PETITION_ID = "ledger"
ACTOR_PATTERN = r"(?:system|(?:site|admin|auditor|privacy|import):[A-Za-z0-9._-]{1,64})"
LARGEST_POSITION = 2**53 - 1

_PETITION_ID = re.compile(PETITION_ID_PATTERN, re.ASCII)
_ACTOR = re.compile(ACTOR_PATTERN, re.ASCII)
_DIGITS = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_EVENT_ID = re.compile(r"[0-9]{20}", re.ASCII)
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def leaf_index(position: Position) -> LeafIndex:
    """The index of the leaf of the event at this position."""
    return LeafIndex(position - 1)


def tree_size(position: Position) -> TreeSize:
    """The size of the tree whose last leaf is the event at this position."""
    return TreeSize(position)


def event_id(position: Position) -> str:
    """The CloudEvents `id` of the event at this position: decimal, padded with zeros to 20 digits."""
    return f"{position:020d}"


def position_of(event_id: str) -> Position:
    """The position that an event's id states. Raises ValueError where the id is not of that form."""
    if not _EVENT_ID.fullmatch(event_id) or not 1 <= int(event_id) <= LARGEST_POSITION:
        raise ValueError("an event id is a position from 1, padded with zeros to 20 digits")
    return Position(int(event_id))


def is_petition_id(text: str) -> bool:
    """Whether this text may name a petition: a slug, and not the reserved word."""
    return _PETITION_ID.fullmatch(text) is not None and text != RESERVED_PETITION_ID


def is_actor(text: str) -> bool:
    """Whether this text is a role and a random id, as the `actor` attribute carries it."""
    return _ACTOR.fullmatch(text) is not None


def read_position(text: str) -> Position | None:
    """The position that these digits name (0 is the position before the first event); None where they are no digits."""
    if not _DIGITS.fullmatch(text) or int(text) > LARGEST_POSITION:
        return None
    return Position(int(text))


def read_uuid(text: str) -> UUID:
    """A UUID in its one canonical form, lower case with dashes. Raises ValueError for every other spelling."""
    if not _CANONICAL_UUID.fullmatch(text):
        raise ValueError("a UUID is written in lower case, with dashes")
    return UUID(text)
