"""The verifier as a program: what it takes, what it prints, and what it says that it did not prove."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ledger import verify as module
from ledger.verify import WrongCall, main, verify
from tests.ledger.verifying.bundles import (
    OPERATOR,
    ORIGIN,
    WITNESS,
    Bundle,
    Signer,
    head_text,
    lay,
    note,
    rendered,
    root,
)
from tests.ledger.verifying.story import LIBRARY, audited, events, kept, sealed_again, sound

SIZE = sound().heads[-1]
RETIRED = Signer(ORIGIN, bytes(range(5, 37)))


def test_it_imports_nothing_of_ours() -> None:
    """If somebody takes the one file away, then it works there: it needs the standard library and `cryptography`."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - sys.stdlib_module_names == {"cryptography", "orjson"}


def test_it_runs_alone_and_without_orjson(tmp_path: Path) -> None:
    """If it is copied somewhere else and orjson is not there, then it says the same."""
    lay(tmp_path / "bundle", sound().files())
    (tmp_path / "verify.py").write_bytes(Path(module.__file__).read_bytes())
    program = "import sys; sys.modules['orjson'] = None; import verify; sys.exit(verify.main())"
    arguments = ["bundle", "--vkey", OPERATOR.vkey]
    alone = subprocess.run([sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert (alone.returncode, alone.stderr) == (0, "")
    assert alone.stdout.splitlines()[-1] == "nothing is wrong"
    files = {path: path.read_bytes() for path in (tmp_path / "bundle").rglob("*.json")}
    for path, data in files.items():
        path.write_bytes(data.replace(b'"GB"', b'"FR"'))
    again = subprocess.run([sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 1


def test_a_clean_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If nothing is wrong, then the exit is 0, and it says what was checked, in numbers, and what was not proved."""
    lay(tmp_path, sound().files())
    (tmp_path.with_name("kept")).write_bytes(kept())
    arguments = [str(tmp_path), "--vkey", OPERATOR.vkey, "--witness", WITNESS.vkey]
    assert main([*arguments, "--since", str(tmp_path.with_name("kept"))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"head: {ORIGIN}, {SIZE} events, root ")
    assert lines[1] == f"seen by {WITNESS.name} at 2026-09-21T14:13:20Z"
    assert f"{SIZE} events, {sum(map(len, sound().leaves))} bytes, 5 files, 9 heads, 3 petitions" in lines[2]
    assert lines[3] == "not proved:"
    assert lines[-1] == "nothing is wrong"


def test_what_was_not_proved(tmp_path: Path) -> None:
    """If there was nobody to compare with, then it says so; and always what no audit of a log can prove."""
    report = audited(tmp_path, sound().files())
    for word in (
        "left out before it was recorded",
        "identities",
        "times",
        "--since",
        "lines of keys that you did not list",
    ):
        assert any(word in sentence for sentence in report.not_proved), word
    report = audited(tmp_path, sound().files(), since=kept(), witnesses=[WITNESS.vkey])
    assert not any("--since" in sentence or "did not list" in sentence for sentence in report.not_proved)


def test_an_empty_log(tmp_path: Path) -> None:
    """If nothing was ever recorded, then a head of size 0 is that of the tree of nothing."""
    nothing: dict[str, list[dict[str, object]]] = {"petitions": [], "tally": [], "timeline": []}
    assert audited(tmp_path / "a", Bundle([], [0], nothing).files()).findings == []
    wrong = note(head_text(0, bytes(32)), OPERATOR)
    files = {**Bundle([], [0], nothing).files(), "checkpoint": wrong, "checkpoints": wrong}
    assert audited(tmp_path / "b", files).total > 0


def test_a_directory_in_which_nothing_is(tmp_path: Path) -> None:
    """If the directory is empty, then that is a finding, not an error."""
    report = verify(tmp_path, [OPERATOR.vkey])
    assert {(found.where, found.sentence) for found in report.findings} == {
        ("checkpoint", "it is missing"),
        ("checkpoints", "it is missing"),
    }


# -- keys --------------------------------------------------------------------------------------------------------------


def test_heads_that_two_keys_sealed(tmp_path: Path) -> None:
    """If the key was rotated and heads bear both seals, then either is enough; a listed one must hold."""
    lay(tmp_path, sound().but(signers=(OPERATOR, RETIRED)).files())
    for keys in (
        [OPERATOR.vkey],
        [RETIRED.vkey],
        [OPERATOR.vkey, RETIRED.vkey],
        [f"{RETIRED.vkey}\n{OPERATOR.vkey}\n"],
    ):
        assert verify(tmp_path, keys).findings == []
    forged = sound().note(SIZE) + RETIRED.line(b"another text\n")
    (tmp_path / "checkpoint").write_bytes(forged)
    assert "does not hold" in verify(tmp_path, [OPERATOR.vkey, RETIRED.vkey]).findings[0].sentence


def test_keys_in_a_file(tmp_path: Path) -> None:
    """If a file holds several vkeys, one a line, then all of them are listed."""
    lay(tmp_path / "bundle", sound().files())
    (tmp_path / "vkeys").write_text(f"{RETIRED.vkey}\n{OPERATOR.vkey}\n")
    assert verify(tmp_path / "bundle", [str(tmp_path / "vkeys")]).findings == []


@pytest.mark.parametrize(
    "vkey",
    [
        "", "nonsense", OPERATOR.vkey[:-1], OPERATOR.vkey.replace("+", " "), OPERATOR.vkey.replace("p", "P"),
        OPERATOR.vkey.upper(), OPERATOR.vkey + "=", "a+00000000+AAAA", WITNESS.vkey, "x\n",
    ],
)  # fmt: skip
def test_what_is_no_key(vkey: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If a vkey is mistyped, cut, or a witness's, then the call is wrong: exit 2, and one line on standard error."""
    assert main([str(tmp_path), "--vkey", vkey]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1


def test_wrong_calls(tmp_path: Path) -> None:
    """If there is no directory, no kept note, or the witness's key is none, then the call is wrong."""
    with pytest.raises(WrongCall):
        verify(tmp_path / "nowhere", [OPERATOR.vkey])
    with pytest.raises(WrongCall):
        verify(tmp_path, [OPERATOR.vkey], witnesses=[OPERATOR.vkey])
    assert main([str(tmp_path), "--vkey", OPERATOR.vkey, "--since", str(tmp_path / "nowhere")]) == 2
    for arguments in ([], [str(tmp_path)], [str(tmp_path), "--vkey"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2


# -- hostile bundles ---------------------------------------------------------------------------------------------------


def test_nothing_of_the_bundle_can_steer_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If names of files, petitions, rows or an origin hold control characters or turn the direction of writing, then
    they are shown escaped."""
    evil = "\x1b[2J\u202e\u2066\x07\x9b"
    files = sound().files()
    files[f"tile/0/{evil}"] = b""
    files[f"projections/{evil}.json"] = b""
    files["openings/\r.json"] = b""
    row = {**sound().projections["tally"][0], "petition": evil, "value": evil}
    rows = {**sound().projections, "tally": [row]}
    files["projections/tally.json"] = sound().but(projections=rows).files()["projections/tally.json"]
    lay(tmp_path / "a", files)
    assert main([str(tmp_path / "a"), "--vkey", OPERATOR.vkey]) == 1
    other = Signer("petitions\u202e.example", bytes(range(6, 38)))
    lay(tmp_path / "b", sealed_again(events(), signers=(other,)).files())
    assert main([str(tmp_path / "b"), "--vkey", other.vkey]) == 1
    said = capsys.readouterr().out
    assert said.replace("\n", "").isprintable()
    assert said.isascii()
    assert "\\x1b[2J\\u202e\\u2066\\x07\\x9b" in said


def test_files_that_are_none(tmp_path: Path) -> None:
    """If a pipe, a link or a directory stands where a file should, then it is named, and nobody waits for it."""
    lay(tmp_path, sound().files())
    for name in ("tile/0/000", "checkpoint", "projections/tally.json", "tile/entries/000"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        os.mkfifo(tmp_path / name)
        assert name in {found.where for found in verify(tmp_path, [OPERATOR.vkey]).findings}
        (tmp_path / name).unlink()
        (tmp_path / name).mkdir()
        assert name in {found.where for found in verify(tmp_path, [OPERATOR.vkey]).findings}
        (tmp_path / name).rmdir()
        (tmp_path / name).write_bytes(whole)
    (tmp_path / "tile" / "0" / "link").symlink_to("000")
    (found,) = verify(tmp_path, [OPERATOR.vkey]).findings
    assert (found.where, found.sentence) == ("tile/0/link", "it is no plain file")


def test_a_head_that_promises_too_much(tmp_path: Path) -> None:
    """If a head is of 2^53 - 1 events, then the first that is not there is named, and nobody looks for the rest."""
    head = note(head_text(2**53 - 1, bytes(32)), OPERATOR)
    report = audited(tmp_path, {**sound().files(), "checkpoint": head, "checkpoints": head})
    assert (257, "tile/entries/001") in {(found.position, found.where) for found in report.findings}


def test_notes_that_are_too_long(tmp_path: Path) -> None:
    """If a note is longer than any may be, or has very many lines, then it is named."""
    files = sound().files()
    for many in (b"x" * 300_000, files["checkpoint"] + WITNESS.line(b"")[:-1] * 9000, files["checkpoint"] * 9000):
        report = audited(tmp_path, {**files, "checkpoint": many, "checkpoints": many})
        assert "checkpoint" in {found.where for found in report.findings}


@pytest.mark.parametrize(
    "document",
    [
        b"", b"{", b"null\n", b"[]\n", b"{}\n", b"[" * 100_000, b'{"rows":0}\n', b'{"rows":{}}\n', b'{"rows":[1]}\n',
        b'{"rows":[[]]}\n', b'{"rows":[{}]}\n', b'{"rows":"x"}\n', b'{"rows":[{"id":1}]}\n',
        b'{"rows":[{"petition":1,"position":[],"ordinal":{}}]}\n',
        b'{"rows":[{"petition":"x","position":true,"ordinal":0}]}\n', b'{"rows":[{"id":"x","id":"y"}]}\n', b"\xff\n",
        b'{"rows":[{"id":"\\ud800"}]}\n', b'{"rows":' + b"[" * 500 + b"]" * 500 + b"}\n", b'{"rows":[1e999]}\n',
    ],
)  # fmt: skip
def test_projections_that_are_none(document: bytes, tmp_path: Path) -> None:
    """If the file of a projection is malformed in any way, then it is named."""
    for name in ("petitions", "tally", "timeline"):
        report = audited(tmp_path, {**sound().files(), f"projections/{name}.json": document})
        assert f"projections/{name}.json" in {found.where.partition(":")[0] for found in report.findings}


@pytest.mark.parametrize(
    "opening", [b"", b"{}", b"[]", b'{"nonce":1,"identity":2}', b'{"nonce":"","identity":""}', b"\xff"]
)
def test_openings_that_are_none(opening: bytes, tmp_path: Path) -> None:
    """If the file of an opening is malformed in any way, then it is named, at its event."""
    for name in ("openings/3.json", "openings/03.json", "openings/x.json", "openings/3/4.json"):
        report = audited(tmp_path / name.replace("/", "-"), {**sound().files(), name: opening})
        assert [(found.position, found.where) for found in report.findings] == [
            (4 if name[9:] == "3.json" else None, name)
        ]


def test_the_manifest_is_never_trusted(tmp_path: Path) -> None:
    """If the manifest says anything at all, or is not there, then it changes nothing."""
    for manifest in (b"", b'{"size":1,"root":"x"}', b"\xff"):
        assert audited(tmp_path, {**sound().files(), "manifest.json": manifest}).findings == []


def test_rows_in_another_order(tmp_path: Path) -> None:
    """If the rows are right and stand in another order, or one stands there twice, then the file is named."""
    for change in (lambda rows: rows[::-1], lambda rows: [rows[0], *rows]):
        rows = {**sound().projections, "tally": change(list(sound().projections["tally"]))}
        report = audited(tmp_path, sound().but(projections=rows).files())
        assert [found.where for found in report.findings] == ["projections/tally.json"]


def test_a_row_too_many_and_one_too_few(tmp_path: Path) -> None:
    """If a row is missing, or one is there that no event makes, then it is named by its key."""
    rows = list(sound().projections["tally"])
    less, more = rows[1:], [*rows, {**rows[-1], "petition": "zoo"}]
    for some, where, sentence in (
        (less, "bridge total ", "the row is missing"),
        (more, "zoo total ", "the events make no such row"),
    ):
        report = audited(tmp_path, sound().but(projections={**sound().projections, "tally": some}).files())
        assert [(found.where, found.sentence) for found in report.findings] == [
            (f"projections/tally.json: {where}", sentence)
        ]


def test_progress_is_told(tmp_path: Path) -> None:
    """If somebody wants to know how far it is, then it is told after every bundle of entries."""
    told: list[tuple[int, int]] = []
    lay(tmp_path, sound().files())
    verify(tmp_path, [OPERATOR.vkey], progress=lambda done, of: told.append((done, of)))
    assert told == [(256, SIZE), (SIZE, SIZE)]
    told.clear()
    verify(tmp_path, [OPERATOR.vkey], petition=LIBRARY, progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (SIZE, SIZE)


def test_a_leaf_that_is_sealed_is_not_therefore_an_event(tmp_path: Path) -> None:
    """If the operator seals bytes that are no event, then they are named, and what follows is judged all the same."""
    leaves = [*sound().leaves[:200], b"\x00\xff" * 40, rendered({"id": 1}), *sound().leaves[200:]]
    report = audited(tmp_path, sound().but(leaves=leaves, heads=[len(leaves)]).files())
    assert [found.position for found in report.findings if found.where == "tile/entries/000"] == [201, 202]
    assert root(()) != root((b"",))


def test_a_hundred_thousand_signatures_take_some_megabytes() -> None:
    """If many people sign, then memory grows by some hundred bytes a signature, not by objects."""
    program = """
import resource, uuid
from base64 import b64encode
from ledger.verify import Fold, Report
time = "2026-01-01T00:00:00.000000Z"
envelope = {"source": "x", "subject": "p", "time": time, "recordedtime": time, "actor": "site:1"}
opened = {"title": "t", "basis": "itemised", "milestones": [], "public_fields": []}
fold = Fold(Report(), alone=False)
before = 0
for n in range(1, 100_001):
    id = uuid.UUID(int=n << 64 | n)
    data = {"signature": str(id), "signer_ref": b64encode(id.bytes).decode(), "confirmed": True, "channel": "site",
            "kind": "person", "text_version": 1, "at_known": True} if n > 1 else opened
    type = "signature.recorded.v1" if n > 1 else "petition.opened.v1"
    fold.take(n, {**envelope, "type": type, "id": str(n), "version": n, "data": data}, bytes(32))
    if n == 1000:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(fold.signatures.size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout
    signatures, grown = map(int, told.split())
    assert signatures == 99_999
    assert grown * (1 if sys.platform == "darwin" else 1024) < 100_000 * 200
