"""Provenance in words: what stands beside every petition, wherever it is shown.

Nobody may take a page's numbers, or a simulation, for signatures. This module must never find a shorter word.
"""

from typing import Final

PROVENANCE: Final = {
    "live": "live",
    "observed": "observed: somebody else counted, and the page proves numbers, not signatures",
    "real-log": "real log",
    "synthetic": "synthetic reconstruction: simulated, not anybody's signatures",
}


def heading(title: str, provenance: str) -> str:
    """A petition's title with its provenance in words."""
    return f"{title} [{PROVENANCE[provenance]}]"
