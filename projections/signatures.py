"""The signatures of a fold: which there are, and the little of each that decides whether it stands.

An open-addressing table from 16-byte ids to dense rows of state, tally key and holds: about 30 bytes a signature, so
that a million of them fold on a small machine. Where an id is placed follows `hash`, which differs from process to
process; rows are in order of recording, so that nothing that can be seen depends on it.

Pure, and without a rule of its own: `projections.standing` decides what may follow what. It must never forget a
signature.
"""

from array import array
from collections.abc import Iterator
from typing import Final

NOT_THERE: Final = -1
_CONFIRMED: Final = 1
_WITHDRAWN: Final = 2


class Signatures:
    """The signatures so far."""

    __slots__ = ("_corrections", "_held", "_hold_sets", "_ids", "_keys", "_mask", "_sets", "_slots", "_states")

    def __init__(self) -> None:
        self._ids = bytearray()
        self._states = bytearray()
        self._keys = array("I")
        self._held = array("I")  # which set of holds, by its index; 0 is the empty one
        self._mask = 1023
        self._slots = array("i", [NOT_THERE]) * (self._mask + 1)
        self._sets: list[tuple[str, ...]] = [()]
        self._hold_sets: dict[tuple[str, ...], int] = {(): 0}
        self._corrections: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._states)

    def find(self, id: bytes) -> int:
        """The row of this signature, or -1."""
        ids, slots, mask = self._ids, self._slots, self._mask
        slot = hash(id) & mask
        while (row := slots[slot]) != NOT_THERE:
            if ids[16 * row : 16 * row + 16] == id:
                return row
            slot = (slot + 1) & mask
        return NOT_THERE

    def add(self, id: bytes, confirmed: bool, key: int) -> int:
        """A new row. The id must not be there, and be of 16 bytes."""
        row = len(self._states)
        self._ids += id
        self._states.append(_CONFIRMED if confirmed else 0)
        self._keys.append(key)
        self._held.append(0)
        if 2 * row >= self._mask:
            self._grow()  # which places every row
        else:
            self._place(id, row)
        return row

    def stands(self, row: int) -> bool:
        """Whether the signature counts."""
        return self._states[row] == _CONFIRMED and not self._held[row]

    def key(self, row: int) -> int:
        """The index of its tally key."""
        return self._keys[row]

    def is_confirmed(self, row: int) -> bool:
        """Whether it was confirmed, at once or later."""
        return bool(self._states[row] & _CONFIRMED)

    def is_withdrawn(self, row: int) -> bool:
        """Whether its signer withdrew."""
        return bool(self._states[row] & _WITHDRAWN)

    def confirm(self, row: int) -> None:
        """It is confirmed from here on."""
        self._states[row] |= _CONFIRMED

    def withdraw(self, row: int) -> None:
        """It is withdrawn, for good."""
        self._states[row] |= _WITHDRAWN

    def holds(self, row: int) -> tuple[str, ...]:
        """The corrections that hold it, in the order in which they did."""
        return self._sets[self._held[row]]

    def hold(self, row: int, correction: str) -> None:
        """One correction more holds it."""
        self._set_holds(row, (*self.holds(row), self._corrections.setdefault(correction, correction)))

    def lift(self, row: int, correction: str) -> None:
        """One correction less holds it."""
        self._set_holds(row, tuple(hold for hold in self.holds(row) if hold != correction))

    def held(self) -> Iterator[bytes]:
        """The ids of the signatures that some correction holds."""
        for row, held in enumerate(self._held):
            if held:
                yield bytes(self._ids[16 * row : 16 * row + 16])

    def _set_holds(self, row: int, holds: tuple[str, ...]) -> None:
        index = self._hold_sets.get(holds)
        if index is None:
            index = self._hold_sets[holds] = len(self._sets)
            self._sets.append(holds)
        self._held[row] = index

    def _place(self, id: bytes, row: int) -> None:
        slots, mask = self._slots, self._mask
        slot = hash(id) & mask
        while slots[slot] != NOT_THERE:
            slot = (slot + 1) & mask
        slots[slot] = row

    def _grow(self) -> None:
        self._mask = 2 * self._mask + 1
        del self._slots  # the old table makes room before the new one takes it
        self._slots = array("i", [NOT_THERE]) * (self._mask + 1)
        ids = self._ids
        for row in range(len(self._states)):
            self._place(bytes(ids[16 * row : 16 * row + 16]), row)
