"""What an exception of the database says about a batch: refused, unknown, or never sent.

An error does not mean "not recorded". A connection cut at COMMIT, a failing disk or a shutdown can leave the client
with an exception and the database with the events. Only an answer of the server that it refused the statement proves
that nothing was stored.

Pure. The classes are those of the SQL standard's SQLSTATE; the rule is the first that matches:
  - before the append was sent nothing can have been stored: refused where the server could not read what was asked
    (class 22 or 54), else not sent;
  - class 22 (data), 23 (integrity), 40 but not 40003 (rollback), 42 (syntax, access), 53 (resources), 54 (limits), P0
    (raised by our own functions): the server judged the batch and rolled it back;
  - all else (08 connection, 57P0x shutdown, 57014 while committing, 40003, class 25 after a failover, errors of the
    driver and of the operating system, time-outs, cancellation): unknown.
"""

from typing import Final, Literal

Verdict = Literal["not-sent", "refused", "unknown"]

_REFUSED_CLASSES: Final = frozenset({"22", "23", "40", "42", "53", "54", "P0"})
_STATEMENT_COMPLETION_UNKNOWN: Final = "40003"
_UNREADABLE_CLASSES: Final = frozenset({"22", "54"})
_OF_THE_SERVER_CLASSES: Final = frozenset({"40", "42", "53"})
# Of class 42, our own functions raise this one, for what a role may not write; the rest is a schema that is not ready.
_NOT_ALLOWED: Final = "42501"

_CLOCK_IS_BEHIND: Final = "55000"


def judge(error: BaseException, *, sent: bool) -> Verdict:
    """What became of a batch whose transaction ended in this error. `sent`: whether the append had been sent."""
    state = getattr(error, "sqlstate", None)  # only what the server itself answered has one
    judged = _REFUSED_CLASSES if sent else _UNREADABLE_CLASSES
    if isinstance(state, str) and state[:2] in judged and state != _STATEMENT_COMPLETION_UNKNOWN:
        return "refused"
    return "unknown" if sent else "not-sent"


def says_clock_is_behind(error: BaseException) -> bool:
    """Whether nothing is appended because the log was last recorded more than 60 s ahead of the database's clock. Asked
    of errors before the append was sent: only `ledger.read_state` raises this one there."""
    return getattr(error, "sqlstate", None) == _CLOCK_IS_BEHIND


def blames_the_batch(error: BaseException) -> bool:
    """Whether a refusal is about what was asked. Else it is about the server (a deadlock, a full disk, a schema that is
    not ready), and the same batch may be taken later."""
    state = getattr(error, "sqlstate", None) or ""
    return state == _NOT_ALLOWED or state[:2] not in _OF_THE_SERVER_CLASSES
