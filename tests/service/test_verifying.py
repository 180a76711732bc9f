"""`ledger verify` and `ledger replay DIR`: an audit from files alone, on a machine that has nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from typer.testing import CliRunner

from projections.replay import Replay, replay
from service.cli import app
from tests.histories import History, histories
from tests.ledger.verifying.bundles import OPERATOR, WITNESS, Bundle, Signer, lay
from tests.service.commands import ROOT, Ended, environment

OTHER = Signer(OPERATOR.name, bytes(32))


@pytest.fixture(scope="module")
def history() -> History:
    """Some history with two petitions."""
    return find(
        histories(),
        lambda history: history.size > 8 and len({row["id"] for row in folded(history).rows()["petitions"]}) > 1,
        settings=settings(
            database=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.fixture
def bundle(history: History, tmp_path: Path) -> Path:
    """A bundle of it that a witness has seen, with a head before the newest."""
    made = Bundle(history.leaves, [3, history.size], folded(history).rows(), (OPERATOR, WITNESS))
    (tmp_path / "kept").write_bytes(made.note(3))
    return lay(tmp_path / "bundle", made.files())


def folded(history: History) -> Replay:
    fold = Replay()
    for leaf in history.leaves:
        fold.apply(leaf)
    return fold


def command(*arguments: str | Path) -> Ended:
    """Call `ledger` in this process: it needs nothing but files."""
    done = CliRunner().invoke(app, [*map(str, arguments)])
    return Ended(done.exit_code, done.stdout, done.stderr)


def process(program: str, *arguments: str | Path) -> Ended:
    """Run a program where there is no ledger."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=environment(Path("/nonexistent")), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


def test_a_clean_bundle_exits_0_and_says_what_was_not_proved(bundle: Path, history: History) -> None:
    """If nothing is wrong, then the head, what was checked and what was not proved are told, by both doors alike."""
    kept = bundle.with_name("kept")
    told = command("verify", bundle, "--vkey", OPERATOR.vkey, "--witness", WITNESS.vkey, "--since", kept)
    assert told.code == 0, told.out + told.err
    assert "nothing is wrong" in told.lines
    assert told.lines[0].startswith(f"head: {OPERATOR.name}, {history.size} events, root ")
    assert "not proved:" in told.lines
    alone = process("import sys, ledger.verify; sys.exit(ledger.verify.main())", bundle, "--vkey", OPERATOR.vkey)
    assert alone.code == 0
    assert "nothing is wrong" in alone.lines


def test_the_json_holds_the_same(bundle: Path, history: History) -> None:
    """If JSON is asked for, then it is one document with the head, the findings, and what was and was not proved."""
    told = command("verify", bundle, "--vkey", OPERATOR.vkey, "--json")
    document = json.loads(told.out)
    assert told.code == 0
    assert document["head"]["size"] == history.size
    assert (document["findings"], document["total"], document["first"]) == ([], 0, None)
    assert document["proved"]["events"] == history.size
    assert document["not_proved"]


def test_a_finding_exits_1_and_names_its_position(bundle: Path) -> None:
    """If an entry was changed, then the exit is 1 and the first divergent position is named, in words and in JSON."""
    path = next((bundle / "tile" / "entries").rglob("*"))
    path = path if path.is_file() else next(path.iterdir())
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    told = command("verify", bundle, "--vkey", OPERATOR.vkey)
    assert told.code == 1
    assert "the first at position 1:" in told.out
    document = json.loads(command("verify", bundle, "--vkey", OPERATOR.vkey, "--json").out)
    assert document["first"] == 1
    assert document["findings"][0]["position"] == 1
    assert document["total"] >= len(document["findings"]) > 0


def test_the_key_is_a_text_or_a_file(bundle: Path, tmp_path: Path) -> None:
    """If the key is given as a file, or is another one than that which sealed, then it is used as it is."""
    (tmp_path / "vkey").write_text(f"{OTHER.vkey}\n{OPERATOR.vkey}\n")
    assert command("verify", bundle, "--vkey", tmp_path / "vkey").code == 0
    assert command("verify", bundle, "--vkey", OTHER.vkey).code == 1


def test_one_petition_is_looked_at_alone(bundle: Path, history: History) -> None:
    """If a petition is named, then it alone is verified."""
    (petition, *_) = (row["id"] for row in folded(history).rows()["petitions"])
    assert command("verify", bundle, "--vkey", OPERATOR.vkey, "--petition", petition).code == 0


def test_wrong_calls_exit_2(bundle: Path, tmp_path: Path) -> None:
    """If there is no bundle, no key or no kept note, then that is said in a sentence, with exit 2."""
    for arguments in (
        (tmp_path / "none", "--vkey", OPERATOR.vkey),
        (bundle,),
        (bundle, "--vkey", "nonsense"),
        (bundle, "--vkey", OPERATOR.vkey, "--since", tmp_path / "none"),
        (bundle, "--vkey", OPERATOR.vkey, "--petition", "Not A Slug"),
        (bundle, "--vkey", OPERATOR.vkey, "--witness", OPERATOR.vkey),
    ):
        told = command("verify", *arguments)
        assert told.code == 2, arguments
        assert told.out == ""
        assert "Traceback" not in told.err


def test_verifying_imports_no_database_no_network_and_no_settings(bundle: Path) -> None:
    """If a bundle is verified, then nothing was imported that could ask anybody, and it needs no ledger."""
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))\n"
        "from service.cli import main\nmain()"
    )
    told = process(program, "verify", bundle, "--vkey", OPERATOR.vkey)
    assert told.code == 0
    loaded = set(told.err.split())
    assert "ledger.verify" in loaded
    ours = {name for name in loaded if name.split(".")[0] in ("schemas", "ledger", "projections")}
    assert ours <= {"ledger", "ledger.verify"}
    packages = {name.split(".")[0] for name in loaded}
    assert not packages & {"asyncpg", "aiohttp", "uvloop", "pydantic_settings", "structlog"}
    assert not {"service.settings", "service.database", "service.bundles"} & loaded


def test_a_bundle_folds_to_what_its_events_say(bundle: Path, history: History) -> None:
    """If a bundle is replayed, whole, up to a position or for one petition, then it is the fold of its leaves."""
    assert json.loads(command("replay", bundle).out) == replay(history.leaves)
    assert json.loads(command("replay", bundle, "--as-of", "5").out) == replay(history.leaves, 5)
    (petition, *_) = (row["id"] for row in folded(history).rows()["petitions"])
    alone = json.loads(command("replay", bundle, "--petition", petition).out)
    assert alone == replay(history.leaves, None, petition)


def test_what_cannot_be_replayed_is_a_wrong_call(bundle: Path, history: History, tmp_path: Path) -> None:
    """If there is no bundle, a petition that is not in it, a position beyond it, or damage, then the exit is 2."""
    for arguments, said in (
        ((tmp_path / "none",), "no audit bundle"),
        ((bundle, "--petition", "nobody"), "no petition"),
        ((bundle, "--as-of", str(history.size + 1)), "last event is at position"),
        ((bundle, "--as-of", "nonsense"), "a moment is"),
    ):
        told = command("replay", *arguments)
        assert told.code == 2, arguments
        assert said in told.err
        assert told.out == ""
    path = next(path for path in (bundle / "tile" / "entries").rglob("*") if path.is_file())
    path.write_bytes(path.read_bytes()[:-1])
    assert command("replay", bundle).code == 2
