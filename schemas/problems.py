"""The problem types: every way in which a request can be refused, by name, with its HTTP status and title (RFC 9457).

The list is fixed by the public surface. This module must never hold anything about a particular request.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Problem = Literal[
    "malformed-request",
    "idempotency-key-missing",
    "idempotency-key-invalid",
    "cursor-invalid",
    "unauthenticated",
    "forbidden",
    "origin-refused",
    "not-found",
    "not-yet-sealed",
    "position-not-reached",
    "method-not-allowed",
    "not-acceptable",
    "request-timeout",
    "petition-closed",
    "invalid-transition",
    "digest-mismatch",
    "precondition-failed",
    "payload-too-large",
    "unsupported-media-type",
    "validation-failed",
    "idempotency-key-reused",
    "precondition-required",
    "rate-limited",
    "outcome-unknown",
    "unavailable",
]


@dataclass(frozen=True, slots=True)
class ProblemType:
    """What every problem of one type has in common."""

    status: int
    title: str


PROBLEMS: Final[dict[Problem, ProblemType]] = {
    "malformed-request": ProblemType(400, "The request cannot be read"),
    "idempotency-key-missing": ProblemType(400, "The idempotency key is missing"),
    "idempotency-key-invalid": ProblemType(400, "The idempotency key is not of its form"),
    "cursor-invalid": ProblemType(400, "The cursor is not valid here"),
    "unauthenticated": ProblemType(401, "A valid credential is needed"),
    "forbidden": ProblemType(403, "The credential does not allow this"),
    "origin-refused": ProblemType(403, "The request comes from an origin that is not allowed"),
    "not-found": ProblemType(404, "There is no such thing"),
    "not-yet-sealed": ProblemType(404, "The position is not sealed yet"),
    "position-not-reached": ProblemType(404, "The position is not reached"),
    "method-not-allowed": ProblemType(405, "The method is not allowed here"),
    "not-acceptable": ProblemType(406, "No acceptable form of the answer exists"),
    "request-timeout": ProblemType(408, "The request did not arrive in time"),
    "petition-closed": ProblemType(409, "The petition does not take this now"),
    "invalid-transition": ProblemType(409, "The present state does not allow this"),
    "digest-mismatch": ProblemType(409, "The set is not the one that was previewed"),
    "precondition-failed": ProblemType(412, "The state has changed since it was read"),
    "payload-too-large": ProblemType(413, "The body is too large"),
    "unsupported-media-type": ProblemType(415, "The media type is not accepted"),
    "validation-failed": ProblemType(422, "The request is not valid"),
    "idempotency-key-reused": ProblemType(422, "The idempotency key was used for another request"),
    "precondition-required": ProblemType(428, "The request needs a precondition"),
    "rate-limited": ProblemType(429, "Too many requests"),
    "outcome-unknown": ProblemType(503, "Whether this was recorded is not known; ask again with the same key"),
    "unavailable": ProblemType(503, "Not recorded; try again later"),
}

assert PROBLEMS.keys() == set(get_args(Problem))
