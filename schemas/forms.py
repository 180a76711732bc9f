"""How texts are written, for those who write them: JSON Schemas of times, days, addresses, durations and lines.

They are what the OpenAPI document tells clients; the rules themselves stand where texts are judged. A pattern is in the
words that ECMA 262 and Python share. A schema here takes every text that a client has a reason to send; the few rules
that no pattern can say (which domains are of the public internet, what cannot be seen) are said in its description.

This module must never judge a text, and never promise a form that is refused for its form.
"""

from collections.abc import Mapping
from typing import Any, Final

_YEAR: Final = "(20[0-9]{2}|2100)"
_LEAP: Final = "20([02468][048]|[13579][26])"
_MONTH_AND_DAY: Final = (
    "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_OFFSET: Final = "([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])"
# On the first and on the last day an offset may carry a time out of the years that are taken.
_WITHIN: Final = r"(?!2000-01-01[^+]*\+|2100-12-31[^Zz+]*-[0-9:]+$)"

INSTANT: Final[Mapping[str, Any]] = {
    "type": "string",
    "pattern": f"^{_WITHIN}({_YEAR}-{_MONTH_AND_DAY}|{_LEAP}-02-29)[Tt ]{_CLOCK} ?{_OFFSET}$",
    "examples": ["2020-12-31T18:30:00Z", "2018-01-31T09:56:46.250000+01:00"],
}
"""RFC 3339, with what people write of it: a space for the T, no seconds, an offset without its colon."""

DAY: Final[Mapping[str, Any]] = {"type": "string", "format": "date", "examples": ["2014-06-20"]}

DURATION: Final[Mapping[str, Any]] = {
    "type": "string",
    "pattern": ("^(?=.*[1-9])(?=[0-9])([0-9]{1,5}w)?([0-9]{1,5}d)?([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,10}s)?$"),
    "description": "Weeks, days, hours, minutes and seconds, at most 36,525 days in all.",
    "examples": ["72h", "3d", "1d12h"],
}

MOMENT: Final[Mapping[str, Any]] = {
    "type": "string",
    "pattern": "^((count:)?(0|[1-9][0-9]{0,14})|" + INSTANT["pattern"][1:-1] + ")$",
    "examples": ["4711", "2018-01-31T09:56:46Z", "count:13163"],
}
"""A position, a time, or the event by which the count last became a number."""

_CONTROLS: Final = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
_WRITTEN: Final = rf"[^\s@{_CONTROLS}]"

EMAIL: Final[Mapping[str, Any]] = {
    "type": "string",
    "format": "idn-email",
    "minLength": 3,
    "maxLength": 320,
    "pattern": rf"^{_WRITTEN}+@{_WRITTEN}+\.{_WRITTEN}+$",
    "description": (
        "An address of the public internet, at most 254 octets long and 64 of them before the @, without quotes,"
        " comments or characters that cannot be seen. What spellings are one mailbox is the petition's identity policy."
    ),
    "examples": ["jane@example.org"],
}

ADDRESS: Final[Mapping[str, Any]] = {
    "type": "string",
    "maxLength": 45,
    "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}],
    "examples": ["192.0.2.1", "2001:db8::1"],
}

NETWORK: Final[Mapping[str, Any]] = {
    "type": "string",
    "minLength": 2,
    "maxLength": 49,
    "description": "A network of IPv4 or IPv6 in CIDR, with no bits set behind its prefix.",
    "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
    "examples": ["192.0.2.0/24", "2001:db8::/32"],
}

DOMAIN: Final[Mapping[str, Any]] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 253,
    "pattern": rf"^{_WRITTEN}+\.{_WRITTEN}+$",
    "description": "A domain of the public internet, as it stands behind the @ of an address.",
    "examples": ["example.org"],
}

UUID: Final[Mapping[str, Any]] = {
    "type": "string",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    "examples": ["01890a5d-ac96-774b-bcce-b302099a8057"],
}

_CONTROLS_BUT_BREAKS: Final = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f"
_DIRECTIONS: Final = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_BLANKS: Final = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_UNSEEN: Final = (
    r"\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2064\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
)

LINE: Final = f"^[^{_CONTROLS}{_DIRECTIONS}]*$"
"""One line: no control characters, no line breaks, no characters that turn the direction of writing."""
SAID: Final = f"^[^{_CONTROLS}{_DIRECTIONS}]*[^{_CONTROLS}{_DIRECTIONS}{_BLANKS}][^{_CONTROLS}{_DIRECTIONS}]*$"
"""Such a line that is not blank."""
SEEN: Final = (
    f"^[^{_CONTROLS}{_DIRECTIONS}{_UNSEEN}]*[^{_CONTROLS}{_DIRECTIONS}{_UNSEEN}{_BLANKS}]"
    f"[^{_CONTROLS}{_DIRECTIONS}{_UNSEEN}]*$"
)
"""Such a line in which nothing is that cannot be seen."""
LINES: Final = (
    rf"^[^{_CONTROLS_BUT_BREAKS}]*[^{_CONTROLS_BUT_BREAKS}{_BLANKS}\t\n\r\u2028\u2029][^{_CONTROLS_BUT_BREAKS}]*$"
)
"""Several lines that are not blank: no control characters but tabs and line breaks."""
