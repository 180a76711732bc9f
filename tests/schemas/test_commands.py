"""Commands are intents: frozen, named as such, and without who asks."""

import dataclasses
from typing import get_args
from uuid import UUID

import pytest

from schemas.commands import (
    Accepted,
    AnswerKey,
    Command,
    ConfirmSignature,
    Outcome,
    Refused,
    Submission,
    Unknown,
    WithdrawSignature,
)

COMMANDS = get_args(Command)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_names_its_petition_and_never_who_asks(command: type) -> None:
    """If something is asked, then it says of which petition first, and has no member for an actor, a role or a
    credential: those come from the credential, never from a body."""
    names = [each.name for each in dataclasses.fields(command)]
    assert names[0] == "petition"
    assert not {"actor", "role", "credential", "token_of_the_asker", "recorded", "position", "version"} & set(names)


@pytest.mark.parametrize("type_", [*COMMANDS, Submission, AnswerKey, Accepted, Refused, Unknown])
def test_commands_and_outcomes_are_frozen(type_: type) -> None:
    """If somebody changes a command or an outcome, then that is an error."""
    assert type_.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(type_)


def test_an_outcome_is_one_of_three() -> None:
    """If something was asked, then it is recorded, refused, or unknown."""
    assert get_args(Outcome) == (Accepted, Refused, Unknown)


@pytest.mark.parametrize("make", [ConfirmSignature, WithdrawSignature])
@pytest.mark.parametrize(("actor", "imported"), [("import:4711", False), ("site:9c1e04", True), ("admin:7f3a21", True)])
def test_only_who_imports_says_that_something_was_imported(
    make: type[ConfirmSignature | WithdrawSignature], actor: str, imported: bool
) -> None:
    """If somebody else states what is imported, or whoever imports what is live, then it is no submission."""
    with pytest.raises(ValueError, match="by whoever imports"):
        Submission(make("p", UUID(int=1), None, imported, None), actor)
    command = make("p", UUID(int=1), None, not imported, None)
    assert Submission(command, actor).command is command
