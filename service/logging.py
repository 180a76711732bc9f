"""Logging: JSON lines on standard error, readable where somebody watches. No personal data, tokens or keys, ever.

What libraries log goes the same way, but of them only who spoke, how loud, and which kind of error where in the code:
their sentences may quote a request.
"""

import logging
import os
import sys
from traceback import walk_tb
from types import TracebackType
from typing import Any, Final

import structlog

_FRAMES: Final = 3
"""How many of an error's innermost places are told."""


def configure(level: int = logging.WARNING, **always: Any) -> None:
    """Set up logging for this process. `always` stands in every line, with the process number."""
    on_terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if on_terminal
        else structlog.processors.JSONRenderer()
    )

    def stamp(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        for name, value in always.items():
            event.setdefault(name, value)
        return event

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            stamp,
            _places_of_the_error,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=bool(always),  # a service configures it again, once it knows its settings
    )
    if always:
        always["pid"] = os.getpid()
        _take_over_libraries()


class _Libraries(logging.Handler):
    """Takes what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        spoken: dict[str, Any] = {"logger": record.name, "at": f"{record.module}:{record.lineno}"}
        if error is not None:
            spoken |= {"error": type(error).__name__, "where": places(error.__traceback__)}
        structlog.get_logger("libraries").log(record.levelno, "library.logged", **spoken)


def _take_over_libraries() -> None:
    root = logging.getLogger()
    root.handlers[:] = [_Libraries(logging.WARNING)]
    logging.captureWarnings(True)


def _places_of_the_error(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Where an error happened, without what it says: an exception's own words may quote a request."""
    if event.pop("exc_info", None):
        error = sys.exception()
        if error is not None:
            event["where"] = places(error.__traceback__)
    return event


def places(traceback: TracebackType | None) -> list[str]:
    """The innermost places of an error, outermost first: `file:line function`."""
    steps = [
        f"{frame.f_code.co_filename.rpartition('/')[2]}:{line} {frame.f_code.co_name}"
        for frame, line in walk_tb(traceback)
    ]
    return steps[-_FRAMES:]
