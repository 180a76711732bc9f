"""The README is true: its picture is what the demonstration prints, and what it links to is there."""

import re
from pathlib import Path

import pytest

from tests.service.conftest import Demonstration

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.database
def test_its_picture_is_what_the_demonstration_prints(demonstration: Demonstration) -> None:
    """If the README shows an explained drift, then the demonstration begins with just these lines."""
    picture = re.search(r"```\n(Keep Profit.*?)```", README, re.DOTALL)
    assert picture is not None
    assert demonstration.said.out.lstrip("\n").startswith(picture[1])


def test_what_it_names_is_there() -> None:
    """If the README names a test or links to a document, then there is one."""
    named = re.findall(r"`(tests/[a-z_/]+\.py)`", README) + re.findall(r"\]\(((?:docs|[A-Z])[^)]*)\)", README)
    assert len(named) > 10
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_its_commands_are_targets_of_make() -> None:
    """If the README says `make X`, then X is a target."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE)) <= targets
