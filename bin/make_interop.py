"""Makes `.venv-interop`, in which other people's verifier and witness run: `make interop`.

They are `aics-tlog` and `aics-witness`, and need Python 3.12 or newer, which we do not: so they live in an environment
of their own, made with whatever interpreter this machine has that is new enough. Where it has none, that is said, and
the tests that need them say so too.

Must never install anything whose hash is not in the lock, never build one from source, never name an index, and never
touch `.venv`.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

OLDEST: Final = (3, 12)
ROOT: Final = Path(__file__).resolve().parent.parent
VENV: Final = ROOT / ".venv-interop"
LOCK: Final = ROOT / "requirements-interop.lock"
STAMP: Final = VENV / "made-from.json"
# What an interpreter has to have, and who it is.
PROBE: Final = "import ensurepip, sys, venv; print(sys.version_info[:2] >= (3, 12) and sys.version)"


def not_run(sentence: str) -> NoReturn:
    """Ends with the sentence that a summary of tests is searched for."""
    print(f"NOT RUN: tests/interop: {sentence}", file=sys.stderr)
    raise SystemExit(1)


def candidates() -> Iterator[str]:
    """Interpreters that may be new enough: the one that runs this, those on the path, those that pyenv keeps."""
    yield str(getattr(sys, "_base_executable", None) or sys.executable)
    for name in ("python3.14", "python3.13", "python3.12", "python3"):
        if found := shutil.which(name):
            yield found
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for each in sorted(kept.glob("3.1[2-9]*/bin/python3"), reverse=True):
        yield str(each)


def version_of(interpreter: str) -> str:
    """Its version where it will do; empty where it is too old, cannot make environments, or is none."""
    try:
        asked = subprocess.run([interpreter, "-c", PROBE], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = asked.stdout.strip()
    return "" if asked.returncode or said == "False" else said


def run(*command: str) -> None:
    """Runs a step; where it fails, the tests are not run."""
    inherited = {k: v for k, v in os.environ.items() if k not in {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}}
    environment = {**inherited, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        not_run(f"this step failed ({done.returncode}): {' '.join(command)}")


def main() -> None:
    """Brings `.venv-interop` up to date, and does nothing where there is nothing to do."""
    for interpreter in candidates():
        if version := version_of(interpreter):
            break
    else:
        not_run(f"there is no Python {OLDEST[0]}.{OLDEST[1]} or newer with venv and ensurepip on this machine")
    wanted = {"interpreter": f"{version} at {os.path.realpath(interpreter)}", "lock": LOCK.read_text(encoding="utf-8")}
    try:
        if json.loads(STAMP.read_text(encoding="utf-8")) == wanted and (VENV / "bin" / "python").exists():
            return
    except (OSError, ValueError):
        pass  # none, or a half-made one
    print("installing other people's verifier and witness, about 20 MB, into .venv-interop ...", flush=True)
    run(interpreter, "-m", "venv", "--clear", str(VENV))
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--no-input", "--quiet", "install"]
    run(*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK))
    STAMP.write_text(json.dumps(wanted) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
