"""The auditor's page as a script: its blocks, its programs, and a directory in which they run as printed."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.service.commands import BOUND, PROGRAM, ROOT, environment

PAGE = (ROOT / "docs" / "auditing.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    """The page's blocks of one kind, in order."""
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def set_up(directory: Path) -> None:
    """Lay the page's programs under their names, and the commands that it uses where a PATH finds them."""
    for program in blocks("python"):
        named = re.match(r"# (\w+\.py): ", program)
        assert named is not None
        (directory / named[1]).write_text(program)
    commands = directory / "bin"
    commands.mkdir()
    for name, arguments in (("ledger", f'-c "{PROGRAM}"'), ("python", ""), ("python3", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (commands / name).chmod(0o755)


def run(printed: Sequence[str], directory: Path, **variables: str) -> list[str]:
    """Run blocks one after the other; what each said."""
    if shutil.which("curl") is None:
        pytest.skip("NOT RUN: there is no curl on this machine")
    script = "\necho '=== next'\n".join(printed).replace(".venv/bin/", f"{directory}/bin/")
    given = environment(Path("/nonexistent"), **variables)
    ran = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        env={**given, "PATH": f"{directory}/bin:{given['PATH']}"}, cwd=directory, capture_output=True, text=True,
        timeout=BOUND, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.split("=== next\n")
