"""Names of areas: what a country's or a region's code is called where it is shown.

Countries are those of ISO 3166-1 by their usual English names, shipped beside this module; regions are the operator's,
from LEDGER_REGIONS_FILE. The log holds codes alone. This module must never refuse to show a code that it has no name
for: then the code is its own name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from schemas.events import Line, Region

UNKNOWN: Final = "Unknown"


class RegionsRefused(ValueError):
    """The file of regions cannot be used. The text is a sentence for a person."""


class _Region(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    name: Line = Field(min_length=1)
    population: int | None = Field(None, ge=0)


_REGIONS: Final = TypeAdapter(dict[Region, _Region])


@dataclass(frozen=True, slots=True)
class Names:
    """What codes are called, and how many people live in a region, where that is known."""

    countries: Mapping[str, str]
    regions: Mapping[str, str]
    populations: Mapping[str, int]

    def country(self, code: str) -> str:
        """What a country is called."""
        return self.countries.get(code, code)

    def region(self, code: str) -> str:
        """What a region is called."""
        return self.regions.get(code, code)


@cache
def names(regions_file: Path | None) -> Names:
    """The names, read once a process. Raises RegionsRefused.

    The file is a JSON object: a region's code to `{"name": ..., "population": ...}`, the population optional.
    """
    countries: dict[str, str] = orjson.loads(files("service").joinpath("country_names.json").read_bytes())
    regions = {} if regions_file is None else _read(regions_file)
    return Names(
        MappingProxyType(countries),
        MappingProxyType({code: region.name for code, region in regions.items()}),
        MappingProxyType(
            {code: region.population for code, region in regions.items() if region.population is not None}
        ),
    )


def _read(path: Path) -> dict[str, _Region]:
    try:
        return _REGIONS.validate_json(path.read_bytes())
    except OSError:
        raise RegionsRefused("The file of LEDGER_REGIONS_FILE cannot be read.") from None
    except ValidationError as error:
        wrong = error.error_count()
        raise RegionsRefused(
            f"The file of LEDGER_REGIONS_FILE is no JSON object of code to name and population ({wrong} faults)."
        ) from None
