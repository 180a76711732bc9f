"""Positions, versions, indexes and sizes; petition ids and actors: one form each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import (
    LARGEST_POSITION,
    Position,
    event_id,
    is_actor,
    is_petition_id,
    leaf_index,
    position_of,
    read_position,
    read_uuid,
    tree_size,
)

positions = st.integers(1, LARGEST_POSITION).map(Position)


@given(positions)
def test_a_position_its_id_its_leaf_and_its_tree_belong_together(position: Position) -> None:
    """If an event is at a position, then its id says so, its leaf is one below, and the tree with it is as large."""
    assert position_of(event_id(position)) == position
    assert len(event_id(position)) == 20
    assert int(leaf_index(position)) + 1 == int(tree_size(position)) == int(position)


@given(positions, positions)
def test_ids_sort_as_positions_do(one: Position, other: Position) -> None:
    """If ids are sorted as text, then they are in order of position."""
    assert (event_id(one) < event_id(other)) == (one < other)


@pytest.mark.parametrize("text", [
    "", "1", "0" * 20, "0" * 19 + "١", "0" * 18 + "1", "0" * 20 + "1", "-" + "0" * 18 + "1", "0" * 18 + "1\n",
    f"{LARGEST_POSITION + 1:020d}", "+" + "1" * 19,
])  # fmt: skip
def test_what_is_no_event_id_is_refused(text: str) -> None:
    """If a text is not a position from 1 in exactly 20 ASCII digits, then it is no event id."""
    with pytest.raises(ValueError):
        position_of(text)


@given(st.integers(0, LARGEST_POSITION))
def test_digits_name_a_position(number: int) -> None:
    """If digits are written as numbers are, then they name that position, 0 among them."""
    assert read_position(str(number)) == number


@pytest.mark.parametrize(
    "text", ["", "01", "-1", "+1", " 1", "1 ", "1\n", "1.0", "1e3", "١", "9" * 16, "9" * 5000, "x"]
)
def test_what_is_no_position_is_none(text: str) -> None:
    """If a text is anything else than digits in their one form, within 2^53-1, then it names no position."""
    assert read_position(text) is None


@pytest.mark.parametrize(("text", "is_one"), [
    ("a", True), ("0", True), ("keep-profit-out", True), ("a" * 100, True), ("ledger-", True), ("ledgers", True),
    ("", False), ("-a", False), ("A", False), ("a_b", False), ("a" * 101, False), ("ledger", False), ("a\n", False),
    ("é", False), ("a b", False), ("a/b", False), ("١", False),
])  # fmt: skip
def test_a_petition_id_is_a_slug_and_not_the_reserved_word(text: str, is_one: bool) -> None:
    """If a text is a slug of at most 100 characters and not `ledger`, then it may name a petition."""
    assert is_petition_id(text) == is_one


@pytest.mark.parametrize(("text", "is_one"), [
    ("system", True), ("site:9c1e04", True), ("admin:7f3a21", True), ("import:a.b_c-D", True), ("privacy:x", True),
    ("auditor:x", True), ("import:" + "x" * 64, True),
    ("", False), ("site", False), ("site:", False), ("system:x", False), ("root:x", False), ("site:a b", False),
    ("site:a@b", False), ("Site:x", False), ("site:x\n", False), ("import:" + "x" * 65, False), ("site:é", False),
])  # fmt: skip
def test_an_actor_is_a_role_and_a_random_id(text: str, is_one: bool) -> None:
    """If a text is one of the roles and an id without spaces or signs of an address, then it may be an actor."""
    assert is_actor(text) == is_one


@given(st.uuids())
def test_a_uuid_has_one_text(uuid: object) -> None:
    """If a UUID is written in lower case with dashes, then it is read; in any other way, it is refused."""
    text = str(uuid)
    assert str(read_uuid(text)) == text
    for other in (f"{{{text}}}", f"urn:uuid:{text}", text.replace("-", ""), f"{text}\n", f" {text}"):
        with pytest.raises(ValueError):
            read_uuid(other)
    if text.upper() != text:
        with pytest.raises(ValueError):
            read_uuid(text.upper())
