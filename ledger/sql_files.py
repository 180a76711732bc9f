"""Named queries: reads them out of the .sql files that are shipped beside the code.

A file is an essay on top, then blocks that each start with a line `-- name: some_query` and go on to the next such one.
The comments of a block stay in its text: the server ignores them, and whoever reads its log sees what the query does.

This module must never put SQL together: what it returns is what stands in the file, with parameters as `$1`, `$2`, ...
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

_NAME_LINE: Final = re.compile(r"^--[ ]*name:[ ]*(.*?)[ ]*$", re.MULTILINE)
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


class BadSqlFile(ValueError):
    """A .sql file is not made of named blocks: a mistake of ours, told at the first use of the file."""


@cache
def queries(package: str, file: str) -> Mapping[str, str]:
    """The named queries of one file, by name. `file` is a path below the package, such as `sql/queries/drift.sql`.

    Read once a process. Raises BadSqlFile for a name that is none, is used twice, or has no statement, and
    FileNotFoundError.
    """
    return MappingProxyType(split(files(package).joinpath(*file.split("/")).read_text(encoding="utf-8")))


def split(text: str) -> dict[str, str]:
    """The blocks of a file's text by name, in the file's order. Raises BadSqlFile."""
    found: dict[str, str] = {}
    marks = list(_NAME_LINE.finditer(text))
    if _statement(text[: marks[0].start()] if marks else text):
        raise BadSqlFile("a statement stands before the first name")
    for mark, end in zip(marks, [*(following.start() for following in marks[1:]), len(text)], strict=True):
        name, block = mark[1], text[mark.end() : end].strip()
        if not _NAME.fullmatch(name):
            raise BadSqlFile("a query's name is lower case letters, digits and _")
        if name in found:
            raise BadSqlFile(f"two queries are named {name}")
        if not _statement(block):
            raise BadSqlFile(f"the query {name} has no statement")
        found[name] = block
    return found


def _statement(block: str) -> bool:
    """Whether anything stands in it but comments of a line and space."""
    return any(line.strip() and not line.lstrip().startswith("--") for line in block.splitlines())
