"""A command's session: where it works, what it tells, and how it ends.

Exit codes are part of the public surface: 0 done, 1 a finding, 2 a wrong call, missing input or unknown petition, 3 the
database or a key is not available. This module is the one place that turns our exceptions into them.
"""

import json
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

import typer

if TYPE_CHECKING:
    from service.database import Ledger

DONE: Final = 0
FINDING: Final = 1
WRONG_CALL: Final = 2
NOT_AVAILABLE: Final = 3
TERMINATED: Final = 143
"""As a shell counts it: 128 and the number of SIGTERM."""

# What a terminal may act upon instead of showing: C0 and C1 controls but tab and newline, bidi controls, zero-widths.
_UNSHOWN: Final = {
    code: f"\\u{code:04x}"
    for code in (
        *range(0x20),
        *range(0x7F, 0xA0),
        0xAD,
        0x061C,
        *range(0x200B, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2060, 0x2070),
        0xFEFF,
    )
    if code not in (0x09, 0x0A)
}


class WrongCall(Exception):
    """The call cannot be carried out as it is. The text is a sentence for a person; exit 2."""


def tell(text: str = "") -> None:
    """Print one line, or several, of the answer."""
    print(text.translate(_UNSHOWN), flush=True)


def tell_json(document: Any) -> None:
    """Print the answer as one JSON document."""
    print(json.dumps(document, ensure_ascii=False, separators=(",", ":")).translate(_UNSHOWN), flush=True)


def say(text: str) -> None:
    """Tell a person what is being done, beside the answer."""
    print(text.translate(_UNSHOWN), file=sys.stderr, flush=True)


def on_terminal() -> bool:
    """Whether somebody watches."""
    return sys.stderr.isatty()


def run(
    work: "Callable[[Ledger], Awaitable[int | None]]", *, create: bool = False, origin: str | None = None
) -> NoReturn:
    """Do a command's work on the ledger of this place, and exit with its code.

    `create`: the command may make LEDGER_HOME, keys and schema. `origin`: the ledger's name, where none is fixed.
    """
    import asyncio

    import asyncpg
    import uvloop
    from pydantic import ValidationError

    from service.database import Unavailable, place
    from service.logging import configure
    from service.settings import Settings

    configure()
    code: int | None = None
    # A command that serves hears SIGTERM itself. For any other it is an interrupt, so that what was entered is left.
    ends = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ends:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        settings = Settings()
        with place(settings, say if on_terminal() else _silent, create=create) as where:

            async def inside() -> int | None:
                task = asyncio.current_task()
                assert task is not None
                # Not left to a handler that raises: whichever callback of the loop it met would swallow it.
                for number in (signal.SIGTERM,) if ends else (signal.SIGTERM, signal.SIGINT):
                    asyncio.get_running_loop().add_signal_handler(number, task.cancel)
                async with where.ledger(say if on_terminal() else _silent, origin=origin) as ledger:
                    return await work(ledger)

            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                code = runner.run(inside())
    except (typer.Exit, KeyboardInterrupt):
        raise
    except asyncio.CancelledError:
        if not ends:
            raise typer.Exit(DONE) from None
        stop(TERMINATED, "Stopped. What was recorded before stays recorded.")
    except WrongCall as error:
        stop(WRONG_CALL, str(error))
    except Unavailable as error:
        stop(NOT_AVAILABLE, str(error))
    except ValidationError as error:
        names = ", ".join(sorted({str(part["loc"][0]) for part in error.errors()}))
        stop(WRONG_CALL, f"These settings are not valid: {names}.")
    except BrokenPipeError:
        with suppress(OSError):
            sys.stdout.close()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError, TimeoutError) as error:
        stop(NOT_AVAILABLE, f"The database did not carry this out ({type(error).__name__}).")
    except Exception as error:
        # Whatever else a driver, a disk or a mistake of ours can bring: its text may hold input or a password.
        stop(NOT_AVAILABLE, f"This could not be carried out ({type(error).__name__}).")
    raise typer.Exit(code or DONE)


def stop(code: int, sentence: str) -> NoReturn:
    """Say why, and exit."""
    say(f"ledger: {sentence}")
    raise typer.Exit(code)


def _silent(text: str) -> None:
    """Tells nobody."""
