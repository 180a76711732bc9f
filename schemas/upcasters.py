"""Upcasters: how an older version of an event type is read today.

A stored leaf never changes. When a type needs another form, the catalogue gains `<name>.v<n+1>` and this module gains
one pure step from `v<n>` to it; every reader then sees only the newest form, and the hash still covers what was
written.

A step must never look at anything but the data it is given, and must never make up what the old form did not say.
"""

from collections.abc import Callable, Mapping
from typing import Any

Step = Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]

STEPS: dict[str, Step] = {}
"""From an old type to the step that reads it: (new type, new data). Empty while every type is at its first version."""


def upcast(type: str, data: dict[str, Any], steps: Mapping[str, Step] = STEPS) -> tuple[str, dict[str, Any]]:
    """Type and data in the newest form known, after as many steps as it takes.

    Raises ValueError where steps lead back to a type already passed: a mistake of ours, not of the data.
    """
    passed = {type}
    while (step := steps.get(type)) is not None:
        type, data = step(dict(data))
        if type in passed:
            raise ValueError("the upcasters lead in a circle")
        passed.add(type)
    return type, data
