"""Refusals over HTTP: the one exception that handlers raise, and the problem document (RFC 9457) that it becomes.

Every error of the service leaves through here, whoever raised it: a handler, the router, aiohttp itself. A document
says what is wrong by our own words alone. This module must never put anything of the request, or of an exception's
text, into an answer or a log.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from traceback import walk_tb
from typing import Final, NamedTuple

import orjson
from aiohttp import web

from schemas import problems

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MEDIA_TYPE: Final = "application/problem+json"

PROTECTION: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": "ledger",
    "X-Content-Type-Options": "nosniff",
}
"""What every answer carries unless its handler chose otherwise. `Server` names no version."""

FAILURE: Final = web.RequestKey("failure", BaseException)
"""What went wrong unexpectedly in a request, for its one log line."""

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_RETRY_AFTER: Final[Mapping[int, str]] = {429: "1", 503: "1"}
_FRAMES: Final = 6


class Invalid(NamedTuple):
    """One thing that is wrong with a body. `pointer` (RFC 6901) names only members that the body's model knows."""

    pointer: str
    message: str


class Problem(Exception):
    """A request is refused.

    `detail` is a sentence for the caller, in our words; `status` differs from the type's own only where the public
    surface gives a type two; `close` ends the connection after the answer.
    """

    def __init__(
        self,
        problem: problems.Problem,
        detail: str,
        *,
        errors: tuple[Invalid, ...] = (),
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.status = problems.PROBLEMS[problem].status if status is None else status
        self.close = close

    def document(self) -> dict[str, object]:
        """The members of the problem document, also for a result line of a batch."""
        document: dict[str, object] = {
            "type": f"/problems/{self.problem}",
            "title": problems.PROBLEMS[self.problem].title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [error._asdict() for error in self.errors]
        return document

    def body(self) -> bytes:
        """The problem document as bytes."""
        return orjson.dumps(self.document())

    def response(self) -> web.Response:
        """The answer, complete with the headers that every answer carries."""
        headers = {**PROTECTION, "Cache-Control": "no-store"}
        if self.status in _RETRY_AFTER:
            headers["Retry-After"] = _RETRY_AFTER[self.status]
        response = web.Response(
            status=self.status, body=self.body(), content_type=MEDIA_TYPE, headers={**headers, **self.headers}
        )
        if self.close:
            response.force_close()
            response.headers["Connection"] = "close"  # said even where aiohttp takes what it could not read for 1.0
        return response


class Disconnected(ConnectionError):
    """The client went away before its request was read; nobody is left to answer."""


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever a handler raises into a problem document. Only cancellation and a vanished client pass."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as exception:
        return of_http_exception(exception).response()
    except Disconnected:
        raise
    except Exception as exception:
        request[FAILURE] = exception
        return unexpected(request.method).response()


def of_http_exception(exception: web.HTTPException) -> Problem:
    """What aiohttp raised by itself, as a problem of ours; its text may quote the request and is left behind."""
    match exception:
        case web.HTTPNotFound():
            return Problem("not-found", "There is nothing at this path.")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(exception.allowed_methods))
            return Problem("method-not-allowed", "The path does not take this method.", headers={"Allow": allowed})
        case web.HTTPRequestEntityTooLarge():
            return Problem("payload-too-large", "The body is too large.", close=True)
        case web.HTTPExpectationFailed():
            return expectation_failed()
        case _ if exception.status >= 500:
            return Problem("unavailable", "The request could not be served.")
        case _:
            return Problem("malformed-request", "The request cannot be read.", close=True)


def expectation_failed() -> Problem:
    """RFC 9110 section 10.1.1: an expectation other than 100-continue is answered 417."""
    return Problem("malformed-request", "The only expectation that is met is 100-continue.", status=417, close=True)


def unexpected(method: str) -> Problem:
    """A fault of ours. A read changed nothing; what a write did is not known, and its key will tell."""
    if method in _SAFE_METHODS:
        return Problem("unavailable", "The request could not be served.")
    return Problem("outcome-unknown", "Ask again with the same idempotency key.")


def frames(exception: BaseException) -> list[str]:
    """Where an exception came from, innermost last: module, function and line of at most six frames; no values."""
    return list(_frames(exception))[-_FRAMES:]


def _frames(exception: BaseException) -> Iterator[str]:
    for frame, line in walk_tb(exception.__traceback__):
        yield f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}:{line}"
