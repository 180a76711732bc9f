"""Instants and durations: one form in the log, a few forms from outside, no guessing."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.instants import (
    FIRST_INSTANT,
    LAST_INSTANT,
    InstantRefused,
    format_instant,
    local_text,
    parse_instant,
    read_duration,
    read_instant,
)

LONDON = ZoneInfo("Europe/London")
ZONES = st.sampled_from(["Europe/London", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "UTC"]).map(ZoneInfo)
INSTANTS = st.datetimes(FIRST_INSTANT.replace(tzinfo=None), LAST_INSTANT.replace(tzinfo=None), timezones=st.just(UTC))
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59)


def test_the_form_of_the_log_has_six_decimals_and_z() -> None:
    """If an instant has no part of a second, or a year below 1000, then its form is as long as any other."""
    assert format_instant(datetime(2014, 5, 17, 1, 11, 9, tzinfo=UTC)) == "2014-05-17T01:11:09.000000Z"
    assert format_instant(datetime(7, 1, 2, 3, 4, 5, 6, tzinfo=UTC)) == "0007-01-02T03:04:05.000006Z"
    assert format_instant(datetime(2014, 5, 17, tzinfo=ZoneInfo("UTC"))) == "2014-05-17T00:00:00.000000Z"


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_is_read_back(instant: datetime) -> None:
    """If an instant is written in the log's form, then reading it gives the instant, in UTC, to the microsecond."""
    parsed = parse_instant(format_instant(instant))
    assert parsed == instant
    assert parsed.tzinfo is UTC


@given(INSTANTS, INSTANTS)
def test_written_instants_sort_as_the_instants_do(one: datetime, other: datetime) -> None:
    """If two instants are compared as texts, then the order is that of time."""
    assert (format_instant(one) < format_instant(other)) is (one < other)


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2014, 1, 1),  # noqa: DTZ001  # a naive one is the point
        datetime(2014, 1, 1, tzinfo=LONDON),
        datetime(2014, 7, 1, tzinfo=LONDON),
        datetime(2014, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_only_utc_is_written(instant: datetime) -> None:
    """If a datetime is naive or in a zone, even one at offset zero that day, then it is not written."""
    with pytest.raises(ValueError, match="UTC"):
        format_instant(instant)


@pytest.mark.parametrize(
    "text",
    [
        *("", "2014-05-17T01:11:09Z", "2014-05-17T01:11:09.000000+00:00", "2014-05-17 01:11:09.000000Z"),
        *("2014-05-17T01:11:09.000000z", "2014-05-17T01:11:09,000000Z", "2014-05-17T01:11:09.0000000Z"),
        *("2014-02-30T00:00:00.000000Z", "2014-05-17T24:00:00.000000Z", "2016-12-31T23:59:60.000000Z"),
        *("0000-01-01T00:00:00.000000Z", "2014-05-17T01:11:09.000000Z\n", "٢٠١٤-05-17T01:11:09.000000Z"),
    ],
)
def test_only_the_form_of_the_log_is_parsed(text: str) -> None:
    """If a text differs from the log's form in anything, or is no moment, then it is refused."""
    with pytest.raises(InstantRefused):
        parse_instant(text)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2014-05-17 02:11:09 +0100", datetime(2014, 5, 17, 1, 11, 9, tzinfo=UTC)),
        ("2018-01-31 09:56:46 +0000", datetime(2018, 1, 31, 9, 56, 46, tzinfo=UTC)),
        ("2016-06-26T12:50:01Z", datetime(2016, 6, 26, 12, 50, 1, tzinfo=UTC)),
        ("2016-06-26t12:50:01z", datetime(2016, 6, 26, 12, 50, 1, tzinfo=UTC)),
        ("2016-06-26 12:50:01 Z", datetime(2016, 6, 26, 12, 50, 1, tzinfo=UTC)),
        ("2014-05-31T00:00+01:00", datetime(2014, 5, 30, 23, 0, tzinfo=UTC)),
        ("2014-05-31T00:00:00.25-05:30", datetime(2014, 5, 31, 5, 30, 0, 250_000, tzinfo=UTC)),
        ("2014-05-31T00:00:00.123456-00:00", datetime(2014, 5, 31, 0, 0, 0, 123_456, tzinfo=UTC)),
        ("1999-12-31T23:30:00-01:00", datetime(2000, 1, 1, 0, 30, tzinfo=UTC)),
        ("2101-01-01T00:30:00+01:00", datetime(2100, 12, 31, 23, 30, tzinfo=UTC)),
    ],
)
def test_times_of_people_and_files_are_read(text: str, instant: datetime) -> None:
    """If a time is written with its offset in one of the known forms, then it is that instant, in UTC."""
    assert read_instant(text) == instant
    assert read_instant(text).tzinfo is UTC
    assert read_instant(text, LONDON) == instant


@given(INSTANTS, OFFSETS)
def test_any_offset_leads_to_the_same_instant(instant: datetime, minutes: int) -> None:
    """If one instant is written at any offset, then it is read as the same instant."""
    local = instant.replace(tzinfo=None) + timedelta(minutes=minutes)
    sign = "-" if minutes < 0 else "+"
    hours, rest = divmod(abs(minutes), 60)
    for text in (
        f"{local.isoformat()}{sign}{hours:02}:{rest:02}",
        f"{local.isoformat(' ')} {sign}{hours:02}{rest:02}",
    ):
        assert read_instant(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "1700000000", "1700000000.5", "2014-05-17", "2014-05-17T", "20140517T021109Z", "2014-W20-6"),
        *("2014-05-17T02Z", "2014-5-17T02:11:09Z", " 2014-05-17T02:11:09Z", "2014-05-17T02:11:09Z\n"),
        *("2014-05-17T02:11:09+1", "2014-05-17T02:11:09+01", "2014-05-17T02:11:09+24:00", "2014-05-17T02:11:09+01:60"),
        *("2014-05-17T24:00:00Z", "2014-05-17T23:60:00Z", "2016-12-31T23:59:60Z", "2014-02-29T00:00:00Z"),
        *("2014-13-01T00:00:00Z", "2014-00-01T00:00:00Z", "2014-05-17T02:11:09.Z", "2014-05-17T02:11:09.1234567Z"),
        *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "1999-12-31T23:59:59Z", "2101-01-01T00:00:00Z"),
        *("2000-01-01T00:00:00+00:01", "2100-12-31T23:59:59-00:01", "0000-01-01T00:00:00Z", "2014-05-17X02:11:09Z"),
        *("٢٠١٤-05-17T02:11:09Z", "2014-05-17T02:11:09 GMT", "2014-05-17T02:11:09+01:00[Europe/London]"),
    ],
)
@pytest.mark.parametrize("zone", [None, LONDON])
def test_what_other_parsers_bend_is_refused(text: str, zone: ZoneInfo | None) -> None:
    """If a text is no moment of the years 2000 to 2100 in a known form, then it is refused and not repeated."""
    with pytest.raises(InstantRefused) as refusal:
        read_instant(text, zone)
    assert not text or text not in str(refusal.value)
    assert refusal.value.__context__ is None


def test_a_time_without_offset_needs_a_zone() -> None:
    """If a time has no offset, then it is refused, unless the zone in which it was written is named."""
    with pytest.raises(InstantRefused, match="offset"):
        read_instant("2014-05-17 02:11:09")
    assert read_instant("2014-05-17 02:11:09", LONDON) == datetime(2014, 5, 17, 1, 11, 9, tzinfo=UTC)
    assert read_instant("2014-01-17 02:11:09", LONDON) == datetime(2014, 1, 17, 2, 11, 9, tzinfo=UTC)


def test_an_hour_that_came_twice_means_the_first() -> None:
    """If clocks were put back over a local time, then it is read as its first occurrence, in summer time."""
    assert read_instant("2014-10-26 01:30:00", LONDON) == datetime(2014, 10, 26, 0, 30, tzinfo=UTC)
    assert read_instant("2014-10-26 02:00:00", LONDON) == datetime(2014, 10, 26, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("2014-03-30 01:00:00", "Europe/London"),
        ("2014-03-30 01:59:59.999999", "Europe/London"),
        ("2011-12-30 12:00", "Pacific/Apia"),
    ],
)
def test_an_hour_that_never_came_is_refused(text: str, zone: str) -> None:
    """If clocks were put forward over a local time, then no clock ever showed it, and it is refused."""
    with pytest.raises(InstantRefused, match="does not exist"):
        read_instant(text, ZoneInfo(zone))


@given(INSTANTS, ZONES)
@example(datetime(2014, 10, 26, 1, 30, tzinfo=UTC), LONDON)
def test_a_shown_time_leads_back_to_its_second(instant: datetime, zone: ZoneInfo) -> None:
    """If an instant is shown in any zone, then reading the text gives that second; without offset, it or a repeat."""
    second = instant.replace(microsecond=0)
    text = local_text(instant, zone)
    assert read_instant(text) == second
    first = read_instant(text[:19], zone)
    assert first == second or local_text(first, zone)[:19] == text[:19]
    assert first <= second


def test_a_page_shows_the_offset_of_the_day() -> None:
    """If an instant is shown in London, then the offset is that of the season."""
    assert local_text(datetime(2018, 1, 31, 9, 56, 46, 999_999, tzinfo=UTC), LONDON) == "2018-01-31 09:56:46 +0000"
    assert local_text(datetime(2014, 5, 17, 1, 11, 9, tzinfo=UTC), LONDON) == "2014-05-17 02:11:09 +0100"
    assert local_text(datetime(2014, 5, 17, tzinfo=UTC), ZoneInfo("America/St_Johns")) == "2014-05-16 21:30:00 -0230"


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("72h", timedelta(hours=72)),
        ("90m", timedelta(minutes=90)),
        ("3d", timedelta(days=3)),
        ("2w", timedelta(days=14)),
        ("45s", timedelta(seconds=45)),
        ("1d12h", timedelta(hours=36)),
        ("1w2d3h4m5s", timedelta(days=9, hours=3, minutes=4, seconds=5)),
        ("36525d", timedelta(days=36525)),
    ],
)
def test_durations_are_read(text: str, duration: timedelta) -> None:
    """If a duration is written with its units, then it is their sum."""
    assert read_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        "72",
        "h",
        "0h",
        "0d0s",
        "-1h",
        "+1h",
        "1.5h",
        "1 h",
        "12h1d",
        "1h1h",
        "1H",
        "P3D",
        "36526d",
        "9" * 99 + "s",
        "1h\n",
        "١h",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """If a text is no positive sum of units from large to small, or out of bounds, then it is refused."""
    with pytest.raises(InstantRefused):
        read_duration(text)
