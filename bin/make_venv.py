"""Makes or refreshes `.venv` from the hashed lock: `make venv`.

Runs on what a bare Debian 12 has: python3, python3-pip, make; standard library only. Where `venv` lacks ensurepip the
environment is made without pip and filled by the interpreter's own; where the interpreter has no pip, ensurepip lends
one. An interpreter that is too old is told so in words, so the first lines are for any Python 3.

Must never install anything whose hash is not in a lock, never build one from source, never name an index: packages come
from wherever this machine's pip is set up to get them.
"""

import sys

OLDEST = (3, 11)
if sys.version_info < OLDEST:
    sys.exit(
        f"make venv: Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, and {sys.executable} is"
        f" {sys.version_info[0]}.{sys.version_info[1]}. Name another one, for instance: make PYTHON=python3.12 venv"
    )

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

OLDEST_PIP = (22, 3)  # the first with --python
# Not the one in an environment that happens to be active: it may be the very one that we make, and has no pip.
INTERPRETER = str(getattr(sys, "_base_executable", None) or sys.executable)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "made-from.json"
RUNTIME_LOCK = "requirements.lock"
DEV_LOCK = "requirements-dev.lock"  # holds all of the runtime lock, at the same versions


def stop(sentence: str) -> NoReturn:
    """Ends with a sentence for a person; a traceback would hide it."""
    print(f"make venv: {sentence}", file=sys.stderr)
    raise SystemExit(1)


def digest(*names: str) -> str:
    """SHA-256 over the named files of the repository, hex."""
    total = hashlib.sha256()
    for name in names:
        total.update(hashlib.sha256((ROOT / name).read_bytes()).digest())
    return total.hexdigest()


def wanted(dev: bool) -> dict[str, str]:
    """What an environment that is current was made from. `dev` is absent where nobody asked for it."""
    stamp = {
        "interpreter": f"{sys.version} at {os.path.realpath(INTERPRETER)}",
        "place": str(VENV),
        "runtime": digest(RUNTIME_LOCK),
        "project": digest("pyproject.toml", "VERSION"),
    }
    if dev:
        stamp["dev"] = digest(DEV_LOCK)
    return stamp


def made() -> dict[str, str]:
    """The stamp of the environment that is there; empty if there is none, or a half-made one."""
    try:
        stamp: dict[str, str] = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if PYTHON.exists() and isinstance(stamp, dict) else {}


def is_current(have: dict[str, str], want: dict[str, str]) -> bool:
    """A runtime that is wanted may have the development tools as well; not the other way round."""
    return all(have.get(key) == value for key, value in want.items())


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Holds the lock that keeps two of us from making one environment at once."""
    with (ROOT / ".venv.lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another one that is making .venv ...", flush=True)
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def run(*command: str) -> None:
    """Runs a step in the repository; its failure is ours."""
    # An active environment or PYTHONHOME of the caller's must not leak into ours.
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}}
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        stop(f"this step failed ({done.returncode}): {' '.join(command)}")


def own_pip() -> bool:
    """Whether this interpreter has a pip that can fill another environment."""
    asked = subprocess.run([INTERPRETER, "-m", "pip", "--version"], capture_output=True, text=True, check=False)
    words = asked.stdout.split()
    if asked.returncode or len(words) < 2:
        return False
    return tuple(int(part) for part in words[1].split(".")[:2] if part.isdigit()) >= OLDEST_PIP


def has_ensurepip() -> bool:
    """Debian takes ensurepip out of python3 and puts it in a package of its own, python3-venv."""
    return subprocess.run([INTERPRETER, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0


def make_empty() -> None:
    """A new environment without packages, in the place of any that is there."""
    if own_pip():
        run(INTERPRETER, "-m", "venv", "--clear", "--without-pip", str(VENV))
    elif has_ensurepip():
        run(INTERPRETER, "-m", "venv", "--clear", str(VENV))
    else:
        stop(f"{INTERPRETER} has neither pip (22.3 or newer) nor ensurepip; on Debian: apt-get install python3-pip")


def pip(*arguments: str) -> None:
    """pip, working on our environment: its own where ensurepip put one there, else the interpreter's."""
    inside = any(VENV.glob("lib/python*/site-packages/pip/__main__.py"))
    start = [str(PYTHON), "-m", "pip"] if inside else [INTERPRETER, "-m", "pip", "--python", str(PYTHON)]
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    run(*start, "--no-input", *quiet, *arguments)


def what_is_to_do(have: dict[str, str], want: dict[str, str]) -> str:
    """The work ahead, so that nobody wonders why it takes a minute."""
    if is_current(have, {key: want[key] for key in want if key != "project"}):
        return "refreshing .venv ..."
    if have and is_current(have, {key: want[key] for key in ("interpreter", "place", "runtime")}):
        return "installing what tests and lint need, about 60 MB ..."
    size = "200 MB" if "dev" in want else "150 MB"
    return f"installing, about {size}, into .venv ..."


def fill(have: dict[str, str], want: dict[str, str]) -> None:
    """Installs what differs between the environment that is there and the one wanted."""
    dev = "dev" in want
    if not is_current(have, {key: want[key] for key in want if key != "project"}):
        lock = DEV_LOCK if dev else RUNTIME_LOCK
        pip("install", "--root-user-action=ignore", "--require-hashes", "--only-binary", ":all:", "-r", lock)
    # pip refuses a directory together with --require-hashes, so the project itself comes second, and alone.
    pip("install", "--root-user-action=ignore", "--no-deps", "--no-build-isolation", "-e", ".")


def main(arguments: Sequence[str]) -> None:
    """Brings `.venv` up to date, says what it does, and does nothing where there is nothing to do."""
    parser = argparse.ArgumentParser(description="Make or refresh .venv from the hashed lock.")
    parser.add_argument("--dev", action="store_true", help="with the tools for tests and lint as well")
    parser.add_argument("--step", default="", metavar="1/4", help="tell it as this step of a longer work")
    options: Any = parser.parse_args(arguments)
    say = f"{options.step} " if options.step else ""

    want = wanted(options.dev)
    if is_current(made(), want):
        if options.step:
            print(f"{say}installed already", flush=True)
        return
    with alone():
        have = made()  # another one may have made it while we waited
        if is_current(have, want):
            return
        print(f"{say}{what_is_to_do(have, want)}", flush=True)
        same_ground = bool(have) and is_current(have, {key: want[key] for key in ("interpreter", "place")})
        if same_ground:
            STAMP.unlink()  # until the end the environment is half-made, whatever happens to us
        else:
            have = {}
            make_empty()
        fill(have, want)
        # Development tools that were there before stay, and are said to, if the runtime below them is still theirs.
        if "dev" in have and have.get("runtime") == want["runtime"]:
            want.setdefault("dev", have["dev"])
        STAMP.write_text(json.dumps(want, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
