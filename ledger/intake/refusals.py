"""Why a row or a file is not taken, in a closed vocabulary; and the rules for one cell that every kind of row shares.

Source of the rules: `ledger import` in section 2 of the interface ("refused by reason"). A refusal names a rule and a
line; it must never hold, quote or shorten what stood there.
"""

from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from schemas.instants import InstantRefused, read_instant

LONGEST_LINE: Final = 65_536
"""Characters of a line, and of a record that spans several; longer ones are refused as a row."""


class FileRefused(ValueError):
    """The file as a whole can't be read; the message is a sentence for whoever imports it."""


class Because(StrEnum):
    """Why a row was refused: a closed vocabulary, by which refused rows are counted and reported."""

    line_too_long = "line-too-long"
    not_utf8 = "not-utf-8"
    unclosed_quote = "unclosed-quote"
    not_csv = "not-csv"
    number_of_cells = "number-of-cells"
    not_json = "not-json"
    duplicate_key = "duplicate-key"
    not_an_object = "not-an-object"
    cell_type = "cell-type"
    column_missing = "column-missing"
    at_missing_offset = "at-missing-offset"
    at_only_a_day = "at-only-a-day"
    at_invalid = "at-invalid"
    unknown_kind = "unknown-kind"
    signer_missing = "signer-missing"
    signer_invalid = "signer-invalid"
    source_id_invalid = "source-id-invalid"
    email_invalid = "email-invalid"
    reason_missing = "reason-missing"
    reason_unknown = "reason-unknown"
    country_invalid = "country-invalid"
    region_invalid = "region-invalid"
    channel_unknown = "channel-unknown"
    answers_invalid = "answers-invalid"
    organisation_invalid = "organisation-invalid"
    reference_invalid = "reference-invalid"
    count_missing = "count-missing"
    count_invalid = "count-invalid"
    count_contradicts_text = "count-contradicts-text"
    text_missing = "text-missing"
    text_invalid = "text-invalid"
    headline_too_long = "headline-too-long"
    effective_on_invalid = "effective-on-invalid"

    @property
    def sentence(self) -> str:
        """The reason in words, for a person."""
        return _SENTENCES[self]


_SENTENCES: Final[dict[Because, str]] = {
    Because.line_too_long: f"the line is longer than {LONGEST_LINE:,} characters",
    Because.not_utf8: "the line is not UTF-8",
    Because.unclosed_quote: "a quoted cell begins here and does not end",
    Because.not_csv: "the quotes of this row are not those of CSV (RFC 4180)",
    Because.number_of_cells: "the row has more or fewer cells than the header",
    Because.not_json: "the line is not JSON",
    Because.duplicate_key: "the JSON object has a key twice",
    Because.not_an_object: "the line is JSON, but not an object",
    Because.cell_type: "a value is a list or an object where a text or a number belongs",
    Because.column_missing: "the object lacks a member that every row needs",
    Because.at_missing_offset: "the time has no offset from UTC, and no --zone was given",
    Because.at_only_a_day: "the time is only a day; give the hour and its offset, or leave the cell empty",
    Because.at_invalid: "the time can't be read",
    Because.unknown_kind: "the kind is none of those that can be imported, and no --kind names it",
    Because.signer_missing: "the row has no signer",
    Because.signer_invalid: "the signer is longer than 255 characters or holds characters that can't be printed",
    Because.source_id_invalid: "the source_id is longer than 255 characters or holds characters that can't be printed",
    Because.email_invalid: "the e-mail address is longer than 320 characters, has no @, or can't be printed",
    Because.reason_missing: "an invalidation needs a reason",
    Because.reason_unknown: "the reason is not one of the closed vocabulary",
    Because.country_invalid: "a country is two letters, A to Z",
    Because.region_invalid: "a region is up to 40 letters, digits, dots, dashes or underscores",
    Because.channel_unknown: "a channel is site, paper or import",
    Because.answers_invalid: "answers are written key=choice;key=choice, or as an object, each key once",
    Because.organisation_invalid: "the name of an organisation is one line of at most 200 characters",
    Because.reference_invalid: "a reference is one line of at most 200 characters",
    Because.count_missing: "the row needs a count",
    Because.count_invalid: "a count is a whole number from 0, with or without commas between thousands",
    Because.count_contradicts_text: "the count and the text of the row name different numbers",
    Because.text_missing: "the entry has no text",
    Because.text_invalid: "the text holds characters that can't be printed",
    Because.headline_too_long: "the headline of an update is at most 200 characters",
    Because.effective_on_invalid: "effective_on is a day, YYYY-MM-DD",
}


class Refused(NamedTuple):
    """A row that was not taken: its line, from 1, and why. Never what it held."""

    line: int
    reason: Because


_FORMAT_CHARACTERS_OF_TEXT: Final = str.maketrans("", "", "\u00a0\u202f\u200c\u200d")


def is_one_line(text: str, longest: int) -> bool:
    """Whether this is 1 to `longest` printable characters: no controls, no bidirectional marks, no lone surrogates.

    Spaces that do not break and joiners may stand in it: French and Persian, and emoji, are written with them.
    """
    return 0 < len(text) <= longest and (text.isprintable() or text.translate(_FORMAT_CHARACTERS_OF_TEXT).isprintable())


def read_at(text: str, zone: ZoneInfo | None) -> datetime | Because | None:
    """The instant, in UTC, of a cell `at`; None for an empty cell, an undated row; else why it is refused."""
    if not text:
        return None
    return _read_at(text, zone) if len(text) <= 64 else Because.at_invalid


@lru_cache(maxsize=4096)  # of short texts only: rows of one time stand together
def _read_at(text: str, zone: ZoneInfo | None) -> datetime | Because:
    instant = _instant(text, zone)
    if instant is not None:
        return instant
    if is_day(text):
        return Because.at_only_a_day
    if zone is None and _instant(text + "Z", None) is not None:
        return Because.at_missing_offset
    return Because.at_invalid


def _instant(text: str, zone: ZoneInfo | None) -> datetime | None:
    try:
        return read_instant(text, zone)
    except InstantRefused:
        return None


def is_day(text: str) -> bool:
    """Whether this is a day of the calendar, written YYYY-MM-DD."""
    try:
        return len(text) == 10 and text[4] == text[7] == "-" and text.isascii() and bool(date.fromisoformat(text))
    except ValueError:
        return False
