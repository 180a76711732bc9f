"""What schemathesis is told beside its configuration: how lines are sent, what a declaration names, and two checks that
are stricter than a list of statuses.

Loaded by schemathesis' own process; see test_contract.py. Every exception from a check stands here, by the very words
of the one refusal that it is for, with its reason.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import CheckContext, not_a_server_error
from schemathesis.engine import observations
from schemathesis.specs.openapi.checks import positive_data_acceptance

# Refusals of requests that follow the document, because of what no schema can say. Each is the whole text of a detail,
# or of an error's message.
UNSAYABLE = {
    # two parameters or members together
    "A claim is either that the count was at least a number, or exactly one.": "one of two parameters is required",
    "A claim is about an instant or about a window, not both.": "two parameters exclude each other",
    "petition is not valid: a petition closes after it opens.": "two times are compared",
    "`from` lies after `to`: a drift is told forwards.": "two moments are compared",
    "A tree of this size has no leaf of this index.": "two numbers are compared",
    "`from` is larger than `to`: a tree only grows.": "two numbers are compared",
    # the state of the ledger, and of the world
    "The petition has no text of this version.": "which texts there are",
    "The petition asks no such question, or not with this choice.": "which questions there are",
    "The effective time lies more than 60 seconds ahead.": "what time it is",
    "The count never became this number.": "what the count was",
    "The count never became this number before the later end.": "what the count was",
    "The time zone is not one of the IANA database.": "which zones there are",
    # what no pattern can say without Unicode's tables
    "is not blank": "signs of private use, or not assigned, are drawn as nothing",
    "holds no characters that cannot be seen": "joiners stand between letters of scripts that join",
    "has at most 8 combining marks in a row": "which signs combine",
    "an e-mail address holds no spaces and no characters that cannot be seen": "which signs are seen",
    "an e-mail address has a domain of the public internet after the @": "which names are reserved",
    "an e-mail address has at most 64 octets before the @": "octets, not characters",
    "an e-mail address has at most 254 octets": "octets, not characters",
    # what a rule may not name, and where a network ends
    "holds no address of a person or of a network": "which numbers are addresses",
    "is a network of IPv4 or IPv6 in CIDR, with no bits set behind its prefix": "which bits are set",
    "is a domain of the public internet": "which names are reserved",
    "a window ends after it begins": "two times are compared",
    "The list names a signature that the petition does not have.": "which signatures there are",
    # what JSON Schema takes for the same
    "a number is not an integer written as one": "1.0 is an integer to JSON Schema",
    "each rung of a ladder is higher than the one before it": "the order of a list",
}


def lines() -> st.SearchStrategy[bytes]:
    """Bodies of a batch: lines that are signatures, lines that are JSON, and lines that are nothing."""
    key = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)
    signer = st.fixed_dictionaries({"ref": st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=30)})
    signature = st.fixed_dictionaries({"signer": signer, "idempotency_key": key})
    value = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    )
    document = (signature | value).map(lambda each: json.dumps(each).encode())
    line = document | st.binary(max_size=40).map(lambda each: each.replace(b"\n", b""))
    return st.lists(line, min_size=1, max_size=20).map(b"\n".join).filter(bool)


schemathesis.openapi.media_type("application/x-ndjson", lines())


def without_giving_up(path_of: Callable[[str, tuple[str, str]], str | None]) -> Callable[..., str | None]:
    """schemathesis looks for links in answers, and its whole run ends at a text there that begins as a URL and is none,
    such as a reference that it made itself."""

    def path(value: str, origin: tuple[str, str]) -> str | None:
        try:
            return path_of(value, origin)
        except ValueError:
            return None

    return path


observations._same_origin_path = without_giving_up(observations._same_origin_path)


def problem_of(response: schemathesis.Response) -> dict[str, Any]:
    """The problem document of an answer; empty where it is none."""
    if not response.headers.get("content-type", [""])[0].startswith("application/problem+json"):
        return {}
    document: dict[str, Any] = json.loads(response.content)
    return document


def longer_than_a_century(within: object) -> bool:
    """Whether a text of the form of a duration says more than 36,525 days."""
    seconds = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
    parts = re.findall("([0-9]+)([wdhms])", within) if isinstance(within, str) else []
    return sum(int(number) * seconds[unit] for number, unit in parts) > 36_525 * 86_400


@schemathesis.check
def no_fault_of_ours(ctx: CheckContext, response: schemathesis.Response, case: Case[Any]) -> bool | None:
    """`not_a_server_error`, but for the 503 by which a position that is not reached in time is told."""
    waited = "min_position" in (case.query or {})
    if response.status_code == 503 and waited and problem_of(response).get("type") == "/problems/position-not-reached":
        return None
    return not_a_server_error(ctx, response, case)


@schemathesis.check
def what_is_described_is_taken(ctx: CheckContext, response: schemathesis.Response, case: Case[Any]) -> bool | None:
    """`positive_data_acceptance`, but for the refusals that no schema can say."""
    if case.meta is None or any(part.mode.is_negative for part in case.meta.components.values()):
        return None  # schemathesis calls a case positive whose If-None-Match it made invalid by itself
    problem = problem_of(response)
    match problem.get("type"):
        case "/problems/precondition-failed" if "If-Match" in (case.headers or {}):
            return None  # a tag of the right form, of another state
        case "/problems/idempotency-key-reused" if "Idempotency-Key" in (case.headers or {}):
            return None  # a key of the right form, of another request
        case "/problems/cursor-invalid" if "after" in (case.query or {}):
            return None  # a position, of no event of this answer
        case "/problems/validation-failed" if longer_than_a_century((case.query or {}).get("within")):
            return None  # each part is of its form, their sum is too long
        case "/problems/validation-failed":
            said = [error["message"] for error in problem.get("errors", [])] or [problem["detail"]]
            if all(each in UNSAYABLE for each in said):
                return None
        case _:
            pass
    return positive_data_acceptance(ctx, response, case)
