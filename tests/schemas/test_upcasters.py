"""Upcasters: an old leaf stays as it was, and is read in the newest form; here with steps that exist for these
tests only."""

from typing import Any

import pytest

from schemas import upcasters
from schemas.canonical import canonical
from schemas.envelope import MalformedEvent, UnknownType, read_event
from schemas.events import CATALOGUE, AcceptanceChanged
from schemas.upcasters import STEPS, Step, upcast


def from_words(data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """v0 said `takes_signatures`; v1 says what it takes."""
    return "acceptance.changed.v0b", {"acceptance": "open" if data.pop("takes_signatures") else "closed"}


def to_v1(data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "acceptance.changed.v1", data


STEPS_OF_THE_TEST: dict[str, Step] = {"acceptance.changed.v0": from_words, "acceptance.changed.v0b": to_v1}


@pytest.fixture
def old_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if two older versions of a type had been written once."""
    for type_, step in STEPS_OF_THE_TEST.items():
        monkeypatch.setitem(upcasters.STEPS, type_, step)


def leaf(type_: str, data: dict[str, Any]) -> bytes:
    """A leaf of these tests."""
    return canonical(
        {
            "specversion": "1.0",
            "id": f"{1:020d}",
            "source": "x",
            "type": type_,
            "subject": "p",
            "time": "2024-01-01T00:00:00.000000Z",
            "recordedtime": "2024-01-01T00:00:00.000000Z",
            "version": 1,
            "actor": "system",
            "data": data,
        }
    )


def test_every_step_leads_to_a_type_of_the_catalogue_and_none_from_one() -> None:
    """If a step is shipped, then it reads a type that is no longer written. While every type is at its first version,
    there is none."""
    assert not STEPS.keys() & CATALOGUE.keys()
    assert STEPS == {}


@pytest.mark.usefixtures("old_types")
def test_an_old_leaf_is_read_in_the_newest_form() -> None:
    """If a leaf is of an old version, then as many steps as it takes are gone, and its type is the newest."""
    old = leaf("acceptance.changed.v0", {"takes_signatures": False})
    event = read_event(old)
    assert event.fact == AcceptanceChanged(acceptance="closed")
    assert event.type == "acceptance.changed.v1"
    assert old == leaf("acceptance.changed.v0", {"takes_signatures": False})


def test_without_its_step_an_old_type_is_unknown() -> None:
    """If the steps are not there, then the same leaf is of a type that is not known: the steps are what reads it."""
    with pytest.raises(UnknownType):
        read_event(leaf("acceptance.changed.v0", {"takes_signatures": False}))


@pytest.mark.usefixtures("old_types")
@pytest.mark.parametrize("data", [{}, {"acceptance": "open"}])
def test_an_old_leaf_that_is_malformed_is_refused_as_every_other(data: dict[str, Any]) -> None:
    """If an old leaf lacks what its step reads, then it is malformed: no step's own error gets out."""
    with pytest.raises(MalformedEvent):
        read_event(leaf("acceptance.changed.v0", data))


def test_a_step_cannot_change_what_it_was_given() -> None:
    """If a step takes its data apart, then the data that was read stays whole."""
    data = {"takes_signatures": True}
    assert upcast("acceptance.changed.v0", data, STEPS_OF_THE_TEST) == ("acceptance.changed.v1", {"acceptance": "open"})
    assert data == {"takes_signatures": True}


def test_a_type_without_a_step_is_left_alone() -> None:
    """If a type has no step, then it comes back as it is."""
    data = {"acceptance": "open"}
    assert upcast("acceptance.changed.v1", data) == ("acceptance.changed.v1", data)


def test_steps_in_a_circle_are_found_out() -> None:
    """If steps lead back to where they came from, then that is an error, and no endless loop."""
    circle: dict[str, Step] = {"a": lambda data: ("b", data), "b": lambda data: ("a", data)}
    with pytest.raises(ValueError):
        upcast("a", {}, circle)
    with pytest.raises(ValueError):
        upcast("a", {}, {"a": lambda data: ("a", data)})
