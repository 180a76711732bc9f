"""Instants: how a moment is written in the log, read from people and files, and shown in a petition's time zone.

In the log there is one form, `YYYY-MM-DDTHH:MM:SS.ffffffZ`. From outside come RFC 3339 and a page's
`YYYY-MM-DD HH:MM:SS +ZZZZ`; an offset is required, because a time without one is a guess, unless the caller names the
zone that it was written in. Then the rules of that zone decide: a local time that occurred twice means its first
occurrence (what a clock showed first), and one that never occurred is refused, since no clock ever showed it.

This module must never read a clock, never guess an offset, and never repeat what it refuses. It refuses what other
parsers bend: leap seconds, 24:00, numbers of seconds since 1970, parts of a microsecond, years beyond 2000 to 2100.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

FIRST_INSTANT: Final = datetime(2000, 1, 1, tzinfo=UTC)
LAST_INSTANT: Final = datetime(2100, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)

# ASCII digits only: \d would take any script's.
_STORED: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_WRITTEN: Final = re.compile(
    r"([0-9]{4})-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?"
    r"(?:[ ]?([+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])|[ ]?([Zz]))?"
)
_DURATION: Final = re.compile(
    r"(?=[0-9])(?:([0-9]{1,5})w)?(?:([0-9]{1,5})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,8})m)?(?:([0-9]{1,10})s)?"
)
_LONGEST: Final = timedelta(days=36_525)
_ZERO: Final = timedelta(0)


class InstantRefused(ValueError):
    """What was given is no instant or duration that this ledger takes. The message does not repeat it."""


def format_instant(instant: datetime) -> str:
    """An instant in the log's form. It must be in UTC, not in a zone that is at zero that day."""
    zone = instant.tzinfo
    if zone is not UTC and (zone is None or zone.utcoffset(None) != _ZERO):
        raise ValueError("an instant of the ledger is in UTC")
    return instant.isoformat("T", "microseconds")[:26] + "Z"


def parse_instant(text: str) -> datetime:
    """The instant, in UTC, of a text in exactly the log's form. Raises InstantRefused."""
    if not _STORED.fullmatch(text):
        raise InstantRefused("an instant of the ledger is written YYYY-MM-DDTHH:MM:SS.ffffffZ")
    return _calendar(text)


def read_instant(text: str, zone: ZoneInfo | None = None) -> datetime:
    """The instant, in UTC, that a person or a file means. Raises InstantRefused with a sentence for them.

    Taken are RFC 3339 (section 5.6; `T` or a space, any case, `-00:00` as UTC) and `YYYY-MM-DD HH:MM:SS +ZZZZ`; seconds
    may be left out, and have at most six decimals. A text without an offset needs `zone`; one with an offset does not
    ask it.
    """
    form = _WRITTEN.fullmatch(text)
    if form is None:
        raise InstantRefused("a time is written like 2020-12-31T18:30:00+01:00 or 2020-12-31 18:30:00 +0100")
    year, seconds, decimals, offset, zulu = form.groups()
    if not "1999" <= year <= "2101":
        raise InstantRefused("a time lies in the years 2000 to 2100")
    if seconds is not None and seconds[1:3] == "60":
        raise InstantRefused("a leap second is not taken; write the second before or after it")
    if decimals is not None and len(decimals) > 7:
        raise InstantRefused("a time has at most six decimals (microseconds)")
    if offset is not None:
        instant = _calendar(text[: form.start(4)].rstrip(" ") + offset).astimezone(UTC)
    elif zulu is not None:
        instant = _calendar(text[: form.start(5)].rstrip(" ") + "Z")
    elif zone is not None:
        instant = _in_zone(_calendar(text), zone)
    else:
        raise InstantRefused("a time needs its offset from UTC, such as Z or +01:00")
    if not FIRST_INSTANT <= instant <= LAST_INSTANT:
        raise InstantRefused("a time lies in the years 2000 to 2100")
    return instant


def local_text(instant: datetime, zone: ZoneInfo) -> str:
    """An instant as a page shows it, to the second, with the zone's offset then: `2018-01-31 09:56:46 +0000`."""
    text = instant.astimezone(zone).isoformat(" ", "seconds")
    return f"{text[:19]} {text[19:22]}{text[23:25]}"


def read_duration(text: str) -> timedelta:
    """A duration like `72h`, `90m`, `3d`, `2w`, `45s` or `1d12h`: units from large to small, each at most once.

    Longer than nothing, at most 36,525 days. Days and weeks are of 24 hours: a duration knows no zone. Raises
    InstantRefused.
    """
    form = _DURATION.fullmatch(text)
    if form is None:
        raise InstantRefused("a duration is written like 72h, 90m, 3d, 2w, 45s or 1d12h")
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in form.groups())
    duration = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not _ZERO < duration <= _LONGEST:
        raise InstantRefused("a duration is longer than nothing and at most 36,525 days")
    return duration


def _calendar(text: str) -> datetime:
    """The datetime of a text that has the right form; its numbers may still be none of the calendar or the clock."""
    moment: datetime | None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None  # refused below, outside the handler: what fromisoformat raised quotes the text
    if moment is None:
        raise InstantRefused("a date, hour, minute, second or offset does not exist")
    return moment


def _in_zone(local: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which clocks in the zone showed this local time (PEP 495: fold 0)."""
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None, fold=0) != local:
        raise InstantRefused("a local time does not exist: clocks in its zone were put forward over it")
    return instant
