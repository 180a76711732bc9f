"""The e-mail policy `standard`, version 1: spellings of one mailbox meet, mailboxes of two people do not."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger import email_policy as policies
from ledger.email_policy import STANDARD_1, EmailRefused, UnknownPolicy, email_policy

key = STANDARD_1.mailbox_key

ATOM = st.text("abcXYZ019!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=20)
LOCALS = st.lists(ATOM, min_size=1, max_size=3).map(".".join).filter(lambda local: len(local) <= 64)
LABELS = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,10}[a-zA-Z0-9])?", fullmatch=True)
DOMAINS = st.tuples(LABELS, st.sampled_from(["com", "ORG", "co.uk", "example", "test"])).map(".".join)
KNOWN = st.sampled_from(["gmail.com", "GoogleMail.com", "outlook.com", "icloud.com", "yahoo.com"])
WORLD = st.text(st.characters(categories=["L", "M", "N", "S", "P"]), min_size=1, max_size=12)


def key_or_none(text: str) -> str | None:
    try:
        return key(text)
    except EmailRefused:
        return None


@pytest.mark.parametrize(
    "spellings",
    [
        ("a@b.co", "A@B.CO", " a@b.co ", "\ta@b.co\r\n", "ａ@ｂ．ｃｏ", "Ａ＠Ｂ.co"),
        ("a@ex.com", "a@ex。com", "a@ex｡com", "a@EX.com"),
        ("fi@ex.com", "ﬁ@ex.com", "FI@ex.com"),
        ("1@ex.com", "①@ex.com"),
        ("å@ex.com", "a\u030a@ex.com", "\u212b@ex.com", "Å@ex.com"),
        ("\u1e96@ex.com", "H\u0331@ex.com", "h\u0331@ex.com"),
        ("a@exämple.com", "a@xn--exmple-cua.com", "a@EXÄMPLE.com", "A@XN--EXMPLE-CUA.COM", "a@exa\u0308mple.com"),
        ("иван@почта.рф", "ИВАН@ПОЧТА.РФ", "иван@xn--80a1acny.xn--p1ai"),
        ("ab@gmail.com", "a.b@gmail.com", "a.b+petition@googlemail.com", "A.B+x+y@GMAIL.com", "ａｂ＋ｘ@gmail.com"),
        ("ab@outlook.com", "ab+1@outlook.com"),
        ("ab@proton.me", "ab+1@proton.me"),
        ("ab@icloud.com", "AB+1.2@icloud.com"),
        ("ab@fastmail.com", "ab+1@fastmail.com"),
    ],
)
def test_spellings_of_one_mailbox_have_one_key(spellings: tuple[str, ...]) -> None:
    """If two texts are the same mailbox to its provider and to Unicode, then they have the same key."""
    assert {key(spelling) for spelling in spellings} == {key(spellings[0])}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("admin@ex.com", "аdmin@ex.com"),
        ("a@google.com", "a@ɡoogle.com"),
        ("a@strasse.com", "a@straße.com"),
        ("strasse@ex.com", "straße@ex.com"),
        ("i@ex.com", "ı@ex.com"),
        ("I@ex.com", "İ@ex.com"),
        ("σ@ex.com", "ς@ex.com"),
        ("a.b@ex.com", "ab@ex.com"),
        ("a+1@ex.com", "a@ex.com"),
        ("a.b@outlook.com", "ab@outlook.com"),
        ("a-1@yahoo.com", "a@yahoo.com"),
        ("a+1@yahoo.com", "a@yahoo.com"),
        ("a@hotmail.com", "a@outlook.com"),
        ("a@me.fastmail.com", "me@fastmail.com"),
        ("a@mail.gmail.com", "a@gmail.com"),
        ("a-b@gmail.com", "ab@gmail.com"),
    ],
)
def test_mailboxes_that_may_be_two_peoples_stay_apart(one: str, other: str) -> None:
    """If nothing proves that two addresses are one mailbox, then they have two keys."""
    assert key(one) != key(other)


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("=cmd@ex.com", "=cmd@ex.com"),
        ("O'Brien@ex.com", "o'brien@ex.com"),
        ("a@a--b.com", "a@a--b.com"),
        ("+tag@gmail.com", "+tag@gmail.com"),
        ("a@1.example", "a@1.example"),
        ("a@mail.test", "a@mail.test"),
        ("a" * 64 + "@ex.com", "a" * 64 + "@ex.com"),
        ("ä" * 32 + "@ex.com", "ä" * 32 + "@ex.com"),
        ("a@" + "b" * 63 + ".com", "a@" + "b" * 63 + ".com"),
        ("a@" + ".".join(["b" * 61] * 4) + ".com", "a@" + ".".join(["b" * 61] * 4) + ".com"),
    ],
)
def test_unusual_addresses_are_taken(text: str, mailbox: str) -> None:
    """If an address is odd but right, up to every limit, then it is taken."""
    assert key(text) == mailbox


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "@", "a", "a@", "@ex.com", "a@b@ex.com", "a@b＠ex.com", "a@ex", "a@ex.com.", "a@.com", "a@ex..com"),
        *("Name <a@ex.com>", "<a@ex.com>", '"a"@ex.com', '"a b"@ex.com', "a(comment)@ex.com", "a@ex.com, b@ex.com"),
        *("a@ex.com\nBcc: b@ex.com", "a\n@ex.com", "a@\tex.com", "a b@ex.com", "a\0@ex.com", "a@ex.com\0"),
        *("a@[127.0.0.1]", "a@[IPv6:::1]", "a@127.0.0.1", "a@localhost", "a@ex.localhost", "a@ex.invalid"),
        *("a@x.onion", "a@1.0.127.in-addr.arpa", "a@ex.internal", "a@ex.alt", "a@EX.Invalid", "a@ｅｘ.ｉｎｖａｌｉｄ"),
        *(".a@ex.com", "a.@ex.com", "a..b@ex.com", "a,b@ex.com", "a;b@ex.com", "a:b@ex.com", "a\\b@ex.com"),
        *("a@-ex.com", "a@ex-.com", "a@ex_x.com", "a@ab--c.com", "a@xn--.com", "a@xn--a.com", "a@xn--zzzzzzzz.com"),
        *("a@ex.c", "a@ex.1", "a@ex.c0", "a@💩.com", "a@\u0301ex.com", "\u0301a@ex.com", "a@1.א.com", "a\x7f@ex.com"),
        *("a\u200b@ex.com", "a@ex\u200d.com", "\ufeffa@ex.com", "a\u00ad@ex.com", "a\ufe0f@ex.com"),
        *("\u202ea@ex.com", "a\u2066@ex.com", "a\u200f@ex.com", "a\u061c@ex.com", "\u3164@ex.com", "\u2800@ex.com"),
        *("a\U000e0041@ex.com", "mailto:a@ex.com", "a@ex.local"),
        *("a\u00a0@ex.com", "\u3000a@ex.com", "a\u2028@ex.com", "a\u0085@ex.com", "\u00a8@ex.com", "a\ufdfa@ex.com"),
        *("a\ud800@ex.com", "a\ue000@ex.com", "a\u0378@ex.com", "a\uffff@ex.com"),
        *("a" * 65 + "@ex.com", "ä" * 33 + "@ex.com", "a@" + "b" * 64 + ".com", "a@" + "é" * 63 + ".com"),
        *("a@" + ".".join(["b" * 62] * 4) + ".com", "a" * 100_000 + "@ex.com", "ﷺ" * 300 + "@ex.com", "@" * 200),
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(text: str) -> None:
    """If a text is no address on the public internet, or hides something, then it is refused and not repeated."""
    with pytest.raises(EmailRefused) as refusal:
        key(text)
    assert len(text.strip()) < 5 or text not in str(refusal.value)
    assert refusal.value.__context__ is None


@given(LOCALS, DOMAINS | KNOWN)
@example("a.b+c", "gmail.com")
@example("A", "ab--c.com")
def test_the_short_way_agrees_with_the_long_way(local: str, domain: str) -> None:
    """If the exact pattern settles an address, then the long way through the libraries gives the same key."""
    address = f"{local}@{domain}"
    try:
        long = policies._key_1(*policies._parts_1(address))
    except EmailRefused:
        assert key_or_none(address) is None
    else:
        assert key(address) == long


@given(WORLD | LOCALS, DOMAINS | KNOWN | WORLD.map(lambda label: f"{label}.com"))
def test_a_key_is_its_own_key_in_any_normal_form(local: str, domain: str) -> None:
    """If an address has a key, then the key, and every Unicode normal form of the address, has that key too."""
    address = f"{local}@{domain}"
    mailbox = key_or_none(address)
    if mailbox is None:
        return
    assert key(mailbox) == mailbox
    assert mailbox == unicodedata.normalize("NFKC", mailbox)
    assert mailbox.rpartition("@")[2].isascii()
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert key(unicodedata.normalize(form, address)) == mailbox


def test_a_tag_is_not_dropped_where_no_local_part_is_left() -> None:
    """If a provider drops tags and nothing or a trailing dot would be left, then the address stands as it is."""
    assert key("0.+@outlook.com") == "0.+@outlook.com"
    assert key("+a@outlook.com") == "+a@outlook.com"
    assert key("0.+a@gmail.com") == "0@gmail.com"


@given(st.text(max_size=40) | st.text('a@.+-<>" \u200b＠。ä', max_size=12))
def test_any_text_is_a_key_or_a_refusal(text: str) -> None:
    """If any text at all is given, then the answer is a key with one @ and both sides filled, or EmailRefused."""
    mailbox = key_or_none(text)
    if mailbox is not None:
        local, _, domain = mailbox.partition("@")
        assert local
        assert domain
        assert "@" not in domain


def test_a_policy_is_found_by_what_a_petition_names() -> None:
    """If an event names a policy and version that exist, then it is that one; if not, nothing stands in for it."""
    assert email_policy("standard", 1) is STANDARD_1
    for name, version in (("standard", 2), ("standard", 0), ("other", 1)):
        with pytest.raises(UnknownPolicy):
            email_policy(name, version)
