"""The walk-through for campaign sites runs as printed, against the demonstration that serves it."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.commands import BOUND, PROGRAM, ROOT, environment
from tests.service.conftest import Demonstration

pytestmark = pytest.mark.database

WALK = (ROOT / "docs" / "campaign-sites.md").read_text(encoding="utf-8")


@pytest.fixture
def address(demonstration: Demonstration) -> Iterator[str]:
    """The demonstration, serving on a free port, until the test ends."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "demo", "--port", "0"],
        env=environment(demonstration.home), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as serving:  # fmt: skip
        try:
            assert serving.stdout is not None
            for line in serving.stdout:
                if line.startswith("listening on "):
                    yield line.split()[-1]
                    break
            else:
                pytest.fail("the demonstration did not serve")
        finally:
            serving.terminate()
            serving.communicate(timeout=BOUND)
    assert serving.returncode == 0


def test_it_runs_as_printed(demonstration: Demonstration, address: str, tmp_path: Path) -> None:
    """If the blocks of the walk-through are run one after the other, then each answers as the text around it says."""
    if shutil.which("curl") is None:
        pytest.skip("NOT RUN: there is no curl on this machine")
    program = tmp_path / "bin" / "ledger"
    blocks = re.findall(r"```sh\n(.*?)```", WALK, re.DOTALL)
    script = "\necho '=== next'\n".join(blocks).replace(".venv/bin/ledger", str(program))
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -c "{PROGRAM}" "$@"\n')
    program.chmod(0o755)
    ran = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        env=environment(demonstration.home, SITE=address), cwd=tmp_path, capture_output=True, text=True,
        timeout=BOUND, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    _, signed, again, count, polled, withdrawn, why = ran.stdout.split("=== next\n")
    first = json.loads(signed)
    assert first["state"] == "standing"
    assert first["opening"]
    assert json.loads(again)["signature"] == first["signature"]
    assert json.loads(again)["duplicate"] is True
    assert json.loads(count)["as_of_position"] == first["position"]
    assert polled.strip() == "304"
    assert json.loads(withdrawn)["state"] == "withdrawn"
    drift, claim, timeline = (json.loads(each) for each in re.findall(r"\{.*?\}(?=\{\"petition|\{\"entries|\s*$)", why))
    assert [event["delta"] for event in drift["events"] if event["delta"]] == [4, -1, -1, 3]
    assert (claim["verdict"], claim["lower"], claim["upper"]) == ("undetermined", 5000, 9999)
    # Beside what was imported stands what this service has served of it, as soon as it has.
    assert len([entry for entry in timeline["entries"] if entry["kind"] != "published"]) == 21
