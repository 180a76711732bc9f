"""The newest published tree head, which bounds whatever is shown or proven of the log.

This module must never give a head that was not published: it may be no more than sealed, and then nobody has it outside
this ledger's own database.
"""

from typing import Final

from ledger.connecting import Connection
from ledger.log_reading import Published, newest_published
from service.http.problems import Problem

BRIEF: Final = "public, max-age=1"
"""For what the next seal may change: as a rule a second later."""
TEXT: Final = "text/plain; charset=utf-8"


def not_yet_sealed(detail: str) -> Problem:
    """No published head covers what is asked for; the next one may."""
    return Problem("not-yet-sealed", detail, headers={"Cache-Control": BRIEF, "Retry-After": "1"})


async def newest(connection: Connection) -> Published:
    """The newest published head. Raises Problem `not-yet-sealed` where there is none."""
    head = await newest_published(connection)
    if head is None:
        raise not_yet_sealed("No tree head has been published yet.")
    return head


async def covering(connection: Connection, size: int) -> Published:
    """The newest published head, of this size or a larger one. Raises Problem `not-yet-sealed`."""
    head = await newest(connection)
    if head.size < size:
        raise not_yet_sealed("No published tree head covers this yet.")
    return head
