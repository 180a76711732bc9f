"""What the forms tell clients is what is judged: neither more is promised than is taken, nor less."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.forms import DAY, DOMAIN, DURATION, EMAIL, INSTANT, LINE, LINES, MOMENT, SAID, SEEN
from schemas.instants import InstantRefused, read_duration, read_instant
from schemas.requests import PetitionRequest, SignatureRequest, UpdateRequest

# Texts of what the patterns are about, among all others.
TELLING = st.text(
    st.sampled_from(" \t\n\r\x00\x1b\x85\xa0\u200b\u200d\u2028\u202e\u3000\ufeffaé字"), max_size=6
) | st.text(max_size=6)


def is_of(pattern: str, text: str) -> bool:
    """Whether a text is of the form, `$` being its end as in ECMA 262."""
    return re.fullmatch(pattern.removeprefix("^").removesuffix("$"), text) is not None


def is_taken(judge: Callable[[str], object], text: str) -> bool:
    try:
        judge(text)
    except ValueError:
        return False
    return True


def titled(text: str) -> Any:
    return PetitionRequest.model_validate({"id": "p", "title": text})


def addressed(text: str) -> Any:
    return PetitionRequest.model_validate({"id": "p", "addressee": text})


def worded(text: str) -> Any:
    return PetitionRequest.model_validate({"id": "p", "text": text})


def headed(text: str) -> Any:
    return UpdateRequest.model_validate({"headline": text})


def named(text: str) -> Any:
    return SignatureRequest.model_validate({"organisation": {"name": text}})


@pytest.mark.parametrize(("pattern", "judge"), [(SAID, titled), (LINE, addressed), (LINES, worded), (SAID, headed)])
@given(text=TELLING)
def test_a_text_is_taken_where_it_is_of_its_form(pattern: str, judge: Callable[[str], object], text: str) -> None:
    """If a text is of the form that is told, then it is taken; if it is not, then it is refused."""
    assert is_of(pattern, text) == is_taken(judge, text)


@given(text=TELLING)
def test_a_name_that_is_not_of_its_form_is_refused(text: str) -> None:
    """If a name is not of the form that is told, then it is refused; the form cannot say all that is."""
    assert is_of(SEEN, text) or not is_taken(named, text)


@given(text=st.from_regex(re.compile(INSTANT["pattern"], re.ASCII), fullmatch=True).map(lambda text: text.rstrip("\n")))
def test_a_time_of_the_form_is_taken(text: str) -> None:
    """If a time is of the form that is told, then it is read."""
    read_instant(text)


@pytest.mark.parametrize("text", ["2000-01-01T00:07+21:31", "2100-12-31T23:00:00.5-0200", "2100-12-31 23:00 -02:00"])
def test_a_time_that_its_offset_carries_out_of_the_years_is_not_of_the_form(text: str) -> None:
    """If a time lies in the years 2000 to 2100 only where it was written, then it is refused, and the form says so."""
    assert not is_taken(read_instant, text)
    assert not is_of(INSTANT["pattern"], text)
    assert not is_of(MOMENT["pattern"], text)


@given(
    st.datetimes(),
    st.sampled_from("Tt "),
    st.sampled_from(["", " "]),
    st.sampled_from(["", "Z", "z", "+01:00", "-0530", "+24:00"]),
    st.sampled_from(["minutes", "seconds", "milliseconds", "microseconds"]),
)
def test_a_time_that_is_read_is_of_the_form(moment: Any, sign: str, space: str, offset: str, upto: str) -> None:
    """If a time is read, then it is of the form that is told; at the very ends of the years only in UTC."""
    text = moment.isoformat(sign, upto) + space + offset
    if is_taken(read_instant, text) and "2000-01-02" <= text[:10] <= "2100-12-30":
        assert is_of(INSTANT["pattern"], text)
        assert is_of(MOMENT["pattern"], text)


@given(text=st.from_regex(re.compile(r"\A([0-9]{1,3}[wdhms]){0,4}\Z", re.ASCII)))
def test_a_duration_is_read_where_it_is_of_its_form(text: str) -> None:
    """If a duration is of the form that is told, then it is read, and if not, then it is refused."""
    try:
        read_duration(text)
    except InstantRefused:
        assert not is_of(DURATION["pattern"], text) or "w" in text
    else:
        assert is_of(DURATION["pattern"], text)


@given(st.dates())
def test_a_day_is_read_as_rfc_3339_writes_it(day: date) -> None:
    """If a day is written as its format says, then it is taken."""
    assert DAY["format"] == "date"
    body = f'{{"headline": "h", "effective_on": "{day.isoformat()}"}}'
    assert UpdateRequest.model_validate_json(body, strict=True).effective_on == day


@pytest.mark.parametrize("address", ["jane@example.org", "jürgen@straße.example", "a+b@x.co", "用户@例子.广告"])
def test_an_address_is_of_its_form(address: str) -> None:
    """If an address is one, in whatever script, then it is of the form that is told."""
    assert is_of(EMAIL["pattern"], address)


@pytest.mark.parametrize("control", ["\0", "\x1f", "\x7f", "\x9f", "\u2028"])
def test_no_control_character_is_of_an_address_or_a_domain(control: str) -> None:
    """If a control character stands in an address or a domain, then it is not of the form that is told."""
    assert not is_of(EMAIL["pattern"], f"jane{control}@example.org")
    assert not is_of(EMAIL["pattern"], f"jane@ex{control}ample.org")
    assert not is_of(DOMAIN["pattern"], f"ex{control}ample.org")
    assert is_of(DOMAIN["pattern"], "例子.广告")
