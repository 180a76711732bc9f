"""The problem types: a list that is fixed, because others build against it."""

from typing import get_args

import pytest

from schemas.problems import PROBLEMS, Problem

STATUSES = {
    "malformed-request": 400, "idempotency-key-missing": 400, "idempotency-key-invalid": 400, "cursor-invalid": 400,
    "unauthenticated": 401, "forbidden": 403, "origin-refused": 403, "not-found": 404, "not-yet-sealed": 404,
    "position-not-reached": 404, "method-not-allowed": 405, "not-acceptable": 406, "request-timeout": 408,
    "petition-closed": 409, "invalid-transition": 409, "digest-mismatch": 409, "precondition-failed": 412,
    "payload-too-large": 413, "unsupported-media-type": 415, "validation-failed": 422, "idempotency-key-reused": 422,
    "precondition-required": 428, "rate-limited": 429, "outcome-unknown": 503, "unavailable": 503,
}  # fmt: skip


def test_the_problem_types_are_those_that_are_promised() -> None:
    """If a problem type is added, lost or gets another status, then that is a change of the public surface."""
    assert {name: problem.status for name, problem in PROBLEMS.items()} == STATUSES
    assert set(get_args(Problem)) == set(STATUSES)


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_a_title_is_a_sentence_that_fits_every_request(problem: object) -> None:
    """If a problem is named, then by a short sentence without a full stop and without a place for what was sent."""
    title = getattr(problem, "title")  # noqa: B009
    assert title[0].isupper()
    assert not title.endswith(".")
    assert not {"{", "}", "%"} & set(title)
