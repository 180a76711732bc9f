"""Names of areas: those of the world's countries, the operator's regions, and codes that nobody has named."""

from importlib.resources import files
from pathlib import Path

import pytest

from service.region_names import RegionsRefused, names


def test_every_country_has_a_name() -> None:
    """If a code is one of ISO 3166-1, then it has a name, and no code that is none has."""
    lines = files("tzdata.zoneinfo").joinpath("iso3166.tab").read_text(encoding="utf-8").splitlines()
    codes = {line[:2] for line in lines if line and not line.startswith("#")}
    called = names(None)
    assert set(called.countries) == codes
    assert all(called.countries.values())
    assert len(set(called.countries.values())) == len(codes)
    assert called.country("GB") == "United Kingdom"


def test_a_code_without_a_name_is_its_own() -> None:
    """If nobody has named a code, then it is shown as it is."""
    assert names(None).country("XX") == "XX"
    assert names(None).region("E14000530") == "E14000530"


def test_regions_are_the_operators(tmp_path: Path) -> None:
    """If the operator names regions, then they are called so, and their population is known where it is said."""
    path = tmp_path / "regions.json"
    path.write_text('{"E14000530": {"name": "Aldershot", "population": 76205}, "W7": {"name": "Ealing"}}')
    called = names(path)
    assert (called.region("E14000530"), called.region("W7")) == ("Aldershot", "Ealing")
    assert dict(called.populations) == {"E14000530": 76205}


@pytest.mark.parametrize(
    "text",
    [None, "", "[]", "code,name\n", '{"W7": "Ealing"}', '{"W 7": {"name": "Ealing"}}', '{"W7": {"name": ""}}',
     '{"W7": {"name": "Ealing", "population": -1}}', '{"W7": {"name": "Ealing", "mayor": "x"}}'],
)  # fmt: skip
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str | None) -> None:
    """If the file is missing or not of its form, then it is refused in a sentence that does not repeat it."""
    path = tmp_path / "regions.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RegionsRefused, match="LEDGER_REGIONS_FILE") as refused:
        names(path)
    assert "Ealing" not in str(refused.value)
