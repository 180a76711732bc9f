"""Named queries: what a .sql file gives, and what is refused of it."""

import sys
from pathlib import Path

import pytest

from ledger.sql_files import BadSqlFile, queries, split


def test_a_file_gives_its_blocks_by_name_with_their_comments() -> None:
    """If blocks have names, then each is found under its own, whole, and the essay on top belongs to none."""
    text = "-- An essay; and more.\n\n-- name: one\n-- Why.\nSELECT 1\n  -- inside\n;\n\n-- name: two_2\nSELECT $1\n"
    assert split(text) == {"one": "-- Why.\nSELECT 1\n  -- inside\n;", "two_2": "SELECT $1"}


def test_a_comment_inside_a_line_is_no_name() -> None:
    """If `-- name:` stands behind a statement, then it names nothing."""
    assert split("-- name: one\nSELECT 1 -- name: two\n") == {"one": "SELECT 1 -- name: two"}


@pytest.mark.parametrize(
    "text",
    [
        "-- name: one\nSELECT 1\n-- name: one\nSELECT 2\n",
        "-- name: One\nSELECT 1\n",
        "-- name:\nSELECT 1\n",
        "-- name: one\n-- nothing but a remark\n-- name: two\nSELECT 2\n",
        "-- name: one\n",
        "SELECT 1\n-- name: two\nSELECT 2\n",
        "SELECT 1\n",
    ],
    ids=["a name twice", "upper case", "no name", "only a remark", "empty", "before the first name", "no names at all"],
)
def test_a_file_that_is_not_made_of_named_blocks_is_refused(text: str) -> None:
    """If a file cannot be read in one way only, then it is refused, not guessed."""
    with pytest.raises(BadSqlFile):
        split(text)


def test_queries_come_from_the_package_that_ships_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a package ships a file, then its queries are read from there, once, and cannot be changed."""
    package = tmp_path / "shipped_with_queries"
    (package / "sql").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "sql" / "some.sql").write_text("-- name: one\nSELECT 'é'\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        found = queries("shipped_with_queries", "sql/some.sql")
        assert dict(found) == {"one": "SELECT 'é'"}
        assert queries("shipped_with_queries", "sql/some.sql") is found
        with pytest.raises(TypeError):
            found["one"] = ""  # type: ignore[index]
        with pytest.raises(FileNotFoundError):
            queries("shipped_with_queries", "sql/other.sql")
    finally:
        sys.modules.pop("shipped_with_queries", None)
