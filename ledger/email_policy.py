"""E-mail policies: which spellings of an address are one mailbox, as a rule with a name and a version.

The key of a mailbox serves one purpose, to recognise a signer who signs again. It is never an address to write to,
never shown, and never stored: only a keyed hash of it is. A petition names its policy in its first event and keeps it,
so a policy must never change: a better rule is a new version beside the old ones, in a function of its own.

Two errors are possible, and they are not alike. To miss that two spellings are one mailbox counts a person twice, which
a correction can mend. To take two people's mailboxes for one silences somebody. So where a provider's rule is not known
for certain, spellings stay apart.

`standard`, version 1:

- White space around an address is dropped, and nothing else is. Characters that cannot be seen (controls, bidirectional
  and zero-width ones, variation selectors, tags, fillers), spaces and code points that are not assigned are refused.
- The whole is brought to NFKC, so that full-width letters, ligatures and a full-width @ are what they look like.
  Homoglyphs of other scripts are not: they are other mailboxes.
- One `@`. No display name, quoted local part, comment, address literal, or trailing dot. At most 64 octets before the
  `@` and 254 in all, counted in UTF-8 before it and in ASCII after it.
- The domain is IDNA 2008 in ASCII, lower case (UTS #46 without the transitional rules: `straße.example` is not
  `strasse.example`), of at least two labels, under no top-level name that is reserved against use on the public
  internet. `.test` and `.example` are reserved for tests and documents, and serve them here.
- The local part loses its case letter by letter, and only where one upper-case letter stands against one lower-case
  one: A is a, É is é, but ß is not ss, dotless ı is not i and the final ς is not σ. RFC 5321 would let `A@` and `a@` be
  two people; no provider does.
- Tags after a plus and dots are dropped for the providers of the table, which are known to ignore them, and nowhere
  else. Yahoo's tags follow a hyphen that may as well belong to a name, and Fastmail's sub-domain addressing looks like
  any sub-domain: both are left alone.

This module must never use the network, and a refusal never repeats the address.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

import idna
from email_validator import EmailNotValidError, validate_email

# Unicode's Default_Ignorable_Code_Point and the blank Braille pattern: what is not seen cannot tell two texts apart.
IGNORABLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

_LONGEST_TEXT: Final = 320  # more characters than any address has, and few enough to normalise without thinking
_LONGEST_LOCAL: Final = 64  # octets: RFC 5321 section 4.5.3.1.1
_LONGEST_ADDRESS: Final = 254  # octets: RFC 5321 section 4.5.3.1.3, less the angle brackets
_WHITE_SPACE: Final = " \t\n\v\f\r"
_UNSEEN_OR_UNASSIGNED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})

# What nearly every address is, in ASCII: a dot-atom (RFC 5322 section 3.2.3) at a host name under a top-level domain
# of letters. Exact, not approximate: what matches needs no further look, what does not goes the long way.
_ORDINARY: Final = re.compile(
    r"([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)"
    r"@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63})"
)

# RFC 6761 (invalid, localhost), 6762 (local), 7686 (onion), 3172 (arpa), 9476 (alt); `internal` is ICANN's since 2024.
_RESERVED: Final = frozenset({"alt", "arpa", "internal", "invalid", "local", "localhost", "onion"})


class EmailRefused(ValueError):
    """The text is no address that this policy takes. The message is a sentence that does not repeat it."""


class UnknownPolicy(LookupError):
    """A petition names an identity policy that this software does not have."""


@dataclass(frozen=True, slots=True)
class EmailPolicy:
    """A policy as a petition names it. `mailbox_key` maps an address as written to its mailbox's key.

    The key is text of the form `local@domain`; `mailbox_key` raises EmailRefused, and a key is its own key.
    """

    name: str
    version: int
    mailbox_key: Callable[[str], str]


def email_policy(name: str, version: int) -> EmailPolicy:
    """The policy that a petition's first event names. Raises UnknownPolicy."""
    policy = _POLICIES.get((name, version))
    if policy is None:
        raise UnknownPolicy("this identity policy is not known here")
    return policy


class _Provider(NamedTuple):
    """What one provider's domain ignores before the @; `domain` is the one that stands for its other names."""

    domain: str
    drops_tags: bool
    drops_dots: bool


_PROVIDERS: Final[Mapping[str, _Provider]] = MappingProxyType(
    {name: _Provider("gmail.com", drops_tags=True, drops_dots=True) for name in ("gmail.com", "googlemail.com")}
    | {
        # The same local part at two names of these providers may be two people's: each name stands for itself.
        name: _Provider(name, drops_tags=True, drops_dots=False)
        for name in (
            *("outlook.com", "hotmail.com", "hotmail.co.uk", "live.com", "live.co.uk", "msn.com"),
            *("fastmail.com", "fastmail.fm", "proton.me", "protonmail.com", "pm.me", "icloud.com", "me.com", "mac.com"),
        )
    }
)


def _standard_1(text: str) -> str:
    """`standard`, version 1, as the head of this module tells it."""
    address = text.strip(_WHITE_SPACE)
    ordinary = _ORDINARY.fullmatch(address)
    if ordinary is not None and len(address) <= _LONGEST_ADDRESS:
        local, domain = ordinary.groups()
        # Two hyphens may begin an IDNA label: those go the long way.
        if len(local) <= _LONGEST_LOCAL and "--" not in domain:
            return _key_1(local.lower(), domain.lower())
    return _key_1(*_parts_1(address))


def _parts_1(address: str) -> tuple[str, str]:
    """The local part and the domain of an address that is not ordinary, both normalised."""
    if len(address) > _LONGEST_TEXT:
        raise EmailRefused("an e-mail address has at most 254 octets")
    _refuse_unseen(address)
    address = unicodedata.normalize("NFKC", address)
    _refuse_unseen(address)  # once more: some signs hold a space that only their decomposition shows
    if address.count("@") != 1:
        raise EmailRefused("an e-mail address has exactly one @")
    try:
        # Syntax alone. Which domains exist or are reserved is not for a library's next release to say.
        checked = validate_email(
            address,
            allow_smtputf8=True,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            allow_empty_local=False,
            check_deliverability=False,
            globally_deliverable=False,
            test_environment=True,
        )
        domain = idna.encode(checked.domain).decode("ascii").lower()
        local = unicodedata.normalize("NFKC", "".join(map(_without_case, checked.local_part)))
    except (EmailNotValidError, idna.IDNAError):
        domain = local = ""  # refused below, outside the handler: what was raised may quote the address
    if not domain:
        raise EmailRefused("an e-mail address is written like name@example.org")
    if len(local.encode()) > _LONGEST_LOCAL:
        raise EmailRefused("an e-mail address has at most 64 octets before the @")
    if len(local.encode()) + 1 + len(domain) > _LONGEST_ADDRESS:
        raise EmailRefused("an e-mail address has at most 254 octets")
    return local, domain


def _key_1(local: str, domain: str) -> str:
    top = domain.rpartition(".")[2]
    if top == domain or len(top) < 2 or not top[-1].isalpha() or top in _RESERVED:
        raise EmailRefused("an e-mail address has a domain of the public internet after the @")
    provider = _PROVIDERS.get(domain)
    if provider is None:
        return f"{local}@{domain}"
    if provider.drops_tags:
        mailbox = local.partition("+")[0]
        # What is left must be a local part itself.
        if mailbox and (provider.drops_dots or not mailbox.endswith(".")):
            local = mailbox
    if provider.drops_dots:
        local = local.replace(".", "")
    return f"{local}@{provider.domain}"


def _refuse_unseen(address: str) -> None:
    if IGNORABLE.search(address) or any(unicodedata.category(sign) in _UNSEEN_OR_UNASSIGNED for sign in address):
        raise EmailRefused("an e-mail address holds no spaces and no characters that cannot be seen")


def _without_case(letter: str) -> str:
    lower = letter.lower()
    return lower if lower.upper() == letter else letter


STANDARD_1: Final = EmailPolicy("standard", 1, _standard_1)

_POLICIES: Final = MappingProxyType({(policy.name, policy.version): policy for policy in (STANDARD_1,)})
