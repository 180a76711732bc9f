"""Query parameters: each one's form, and that nothing else is let by."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import LARGEST_POSITION
from service.http.parameters import integer, pairs, query
from service.http.problems import Problem
from tests.service.http.conftest import CANARY, Served

READ = "/petitions/save-it.json"

REFUSED = [
    *(f"limit={text}" for text in ("0", "-1", "1001", "1000000000", "1e3", "0x10", "", "%2B1", "1_0", "%201", "01")),
    *(f"limit={text}" for text in ("1.0", "NaN", "%D9%A1", "%EF%BC%91", "true", "9" * 5000, CANARY)),
    "limit=1&limit=2",
    "limit=1&limit=1",
    "limit",
    *(f"after={text}" for text in ("-1", "NaN", "1.0", str(2**53), str(2**63 - 1), str(2**63), str(2**64), "1%202")),
    *(f"as_of={text}" for text in ("-1", "%D9%A1", "2020-01-01", "2020-01-01T00:00:00", "01", "now")),
    *(
        f"effective={quote(text)}"
        for text in (
            "0001-01-01T00:00:00Z",
            "1999-12-31T23:59:59Z",
            "2101-01-01T00:00:00Z",
            "9999-12-31T23:59:59-14:00",
            "2020-01-01T00:00:00",
            "2016-12-31T23:59:60Z",
            "2020-01-01T24:00:00Z",
            "2020-02-30T00:00:00Z",
            "1700000000",
            "",
        )
    ),
    "effective=2020-01-01T00:00:00+01:00",
    *(f"within={text}" for text in ("0h", "-1h", "1", "h", "1h1d", "99999w")),
    *(f"mode={text}" for text in ("AS_RECORDED", "", "as_recorded%00", CANARY)),
    *(f"digest={text}" for text in ("abc", "abcde", "ABCD", "abcd%0A")),
    f"{CANARY}=1",
    "Limit=1",
    "limit%00=1",
    "%ff=1",
    "limit=%ff",
    "limit=%",
    "limit=%zz",
    "limit[]=1",
    "=1",
    "&".join(["a=1"] * 500),
]


@pytest.mark.parametrize("asked", REFUSED)
async def test_a_parameter_that_is_odd_unknown_or_repeated_is_refused(served: Served, asked: str) -> None:
    """If a query holds anything but each known parameter once and in its form, then 422; nothing is clamped."""
    reply = await served.get(f"{READ}?{asked}")
    assert (reply.status, reply.problem) == (422, "validation-failed")


async def test_a_parameter_on_a_route_without_any_is_refused(served: Served) -> None:
    """If a route knows no parameter, then none is ignored: not on a read, not on a write."""
    assert (await served.get("/petitions/a/table?x=1")).status == 422
    assert (await served.post("/petitions/a/confirmation?x=1", b"")).status == 422
    assert served.events.recorded == []


@pytest.mark.parametrize(
    ("asked", "name", "value"),
    [
        ("", "limit", "100"),
        ("limit=1", "limit", "1"),
        ("limit=1000", "limit", "1000"),
        ("limit=%31", "limit", "1"),
        ("&limit=5&", "limit", "5"),
        ("after=0", "after", "0"),
        (f"after={LARGEST_POSITION}", "after", str(LARGEST_POSITION)),
        ("as_of=12", "as_of", "12"),
        ("as_of=2020-12-31T18:30:00Z", "as_of", str(datetime(2020, 12, 31, 18, 30, tzinfo=UTC))),
        ("effective=2020-12-31T18:30:00%2B01:00", "effective", str(datetime(2020, 12, 31, 17, 30, tzinfo=UTC))),
        ("effective=2020-12-31+18:30:00+%2B0100", "effective", str(datetime(2020, 12, 31, 17, 30, tzinfo=UTC))),
        ("within=72h", "within", str(timedelta(hours=72))),
        ("mode=as_corrected", "mode", "as_corrected"),
        ("digest=0a1f", "digest", "0a1f"),
    ],
)
async def test_a_parameter_in_its_form_is_read(served: Served, asked: str, name: str, value: str) -> None:
    """If a parameter is in its form, then the handler gets its value; without it, its default."""
    reply = await served.get(f"{READ}?{asked}")
    assert reply.status == 200
    assert reply.document[name] == value


def test_a_parameter_that_must_be_there_is_missed() -> None:
    """If a required parameter is absent, then the refusal says what it is."""
    with pytest.raises(Problem) as caught:
        query(make_mocked_request("GET", "/x"), index=integer(0, 10, required=True))
    assert caught.value.detail == "The parameter index is missing; it is a whole number from 0 to 10."


@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8)), max_size=10))
def test_a_query_that_is_encoded_as_forms_are_is_read_back(given_pairs: list[tuple[str, str]]) -> None:
    """If names and values are percent-encoded, then they come back as they were."""
    encoded = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in given_pairs)
    assert pairs(encoded) == given_pairs


def refusal(raw: str) -> str | None:
    """The problem with which a raw query is refused."""
    try:
        pairs(raw)
    except Problem as problem:
        return problem.problem
    return None


@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_any_raw_query_is_read_or_refused(raw: str) -> None:
    """If the raw query is anything at all, then it is read or refused as a problem, never otherwise."""
    assert refusal(raw) in (None, "validation-failed")


def test_a_query_of_very_many_parameters_is_refused() -> None:
    """If a query has more parameters than any route knows, then it is refused before they are looked at."""
    assert refusal("&".join("a" * 32)) is None
    assert refusal("&".join("a" * 33)) == "validation-failed"
