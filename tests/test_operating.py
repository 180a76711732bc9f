"""The operator's page says what the code does."""

import re

from service.settings import variables
from tests.service.commands import ROOT

PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")


def test_every_setting_stands_on_the_page() -> None:
    """If a setting is added, renamed, or gets another default or bound in words, then the page says the same."""
    rows = re.findall(r"^\| `((?:LEDGER|DATABASE)_\w+)` \| (?:`(.*?)`)? ?\| (.*?) \|$", PAGE, re.MULTILINE)
    assert rows == variables()


def test_what_it_names_exists() -> None:
    """If the page names a file of the repository, then it is there, and its unit starts what the page says."""
    for name in re.findall(r"\]\((?!http|#)(.*?)\)", PAGE):
        assert (ROOT / "docs" / name).exists(), name
    unit = (ROOT / "docs" / "ledger.service").read_text(encoding="utf-8")
    assert re.search(r"^ExecStart=/opt/ledger/.venv/bin/ledger serve ", unit, re.MULTILINE)
    assert "KillMode=mixed" in unit
