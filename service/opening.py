"""What a petition is made of where somebody says only some of it: the defaults of the public surface, in one place."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from ledger.email_policy import STANDARD_1
from schemas.commands import OpenPetition
from schemas.events import Basis, Confirmation, IdentityPolicy, PetitionOpened, Provenance
from schemas.ids import is_petition_id
from schemas.instants import InstantRefused, read_instant
from schemas.ladders import DEFAULT_LADDER, LadderRefused, read_ladder

DEFAULT_TIMEZONE = "Europe/London"


class OpeningRefused(ValueError):
    """The petition cannot be opened as it is described. The text is a sentence for a person."""


def opening(
    petition: str,
    *,
    title: str | None = None,
    addressee: str = "",
    text: str | None = None,
    basis: Basis = "itemised",
    goals: str = DEFAULT_LADDER,
    milestones: str = DEFAULT_LADDER,
    confirmation: Confirmation = "none",
    public_fields: Sequence[str] = ("country",),
    timezone: str = DEFAULT_TIMEZONE,
    opens_at: str | None = None,
    closes_at: str | None = None,
    questions: Mapping[str, Sequence[str]] | None = None,
    provenance: Provenance = "live",
    at: datetime | None = None,
) -> OpenPetition:
    """The command that opens a petition. Raises OpeningRefused, without repeating what it refuses."""
    if not is_petition_id(petition):
        raise OpeningRefused(
            "A petition's id is 1 to 100 of a-z, 0-9 and -, beginning with a letter or digit; `ledger` is reserved."
        )
    known_zone(timezone)
    fields = tuple(dict.fromkeys([*public_fields, *(("answers",) if questions else ())]))
    try:
        opened = PetitionOpened(
            title=petition if title is None else title,
            addressee=addressee,
            basis=basis,
            goals=read_ladder(goals, "goals"),
            milestones=read_ladder(milestones, "milestones"),
            confirmation=confirmation,
            timezone=timezone,
            identity_policy=IdentityPolicy(name=STANDARD_1.name, version=STANDARD_1.version),
            public_fields=fields,
            provenance=provenance,
            opens_at=None if opens_at is None else read_instant(opens_at),
            closes_at=None if closes_at is None else read_instant(closes_at),
            text_sha256=None if text is None else sha256(text.encode()).hexdigest(),
            questions=None if not questions else {key: tuple(choices) for key, choices in questions.items()},
        )
    except (LadderRefused, InstantRefused) as refusal:
        raise OpeningRefused(str(refusal)) from None
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"][:1]) or "petition"
        raise OpeningRefused(f"{where} is not valid: {wrong['msg'].removeprefix('Value error, ')}.") from None
    return OpenPetition(petition, opened, at, text)


def known_zone(timezone: str) -> ZoneInfo:
    """The zone of this name in the IANA database. Raises OpeningRefused.

    Names that mean something else on every machine (`localtime`) are no names of the database.
    """
    if timezone not in _zone_names():
        raise OpeningRefused("The time zone is not one of the IANA database.")
    return ZoneInfo(timezone)


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def read_question(text: str) -> tuple[str, tuple[str, ...]]:
    """A question of a consultation, `KEY=choice,choice,...`. Raises OpeningRefused."""
    key, equals, choices = text.partition("=")
    listed = tuple(choice.strip() for choice in choices.split(","))
    if not equals or not key or not all(listed) or len(set(listed)) != len(listed):
        raise OpeningRefused("A question is given as KEY=choice,choice,...")
    return key, listed
