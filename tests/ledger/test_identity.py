"""Identity: tokens that recognise, commitments that bind, and labels that keep every derivation apart."""

import hashlib
import hmac
import json
import unicodedata
from collections.abc import Callable
from itertools import combinations

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.email_policy import STANDARD_1, EmailRefused
from ledger.identity import (
    Email,
    Identity,
    IdentityRefused,
    Imported,
    Organisation,
    Ref,
    canonical_pii,
    fingerprint,
    framed,
    idempotency_token,
    import_key,
    normalised,
    petition_key,
    pii_commit,
    signer_token,
)
from schemas.canonical import NotCanonical

ROOT = bytes(range(32))
KEY = petition_key(ROOT, "a-petition")
NONCE = bytes(range(32, 64))
SITE, OTHER_SITE = "site:9c1e04", "site:7a01fe"

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
MAYBE = st.none() | TEXTS
ADDRESSES = st.from_regex(r"[a-z]{1,4}(\+[a-z])?@(gmail\.com|ex\.org)", fullmatch=True)
IDENTITIES: st.SearchStrategy[Identity] = st.one_of(
    st.builds(Email, ADDRESSES, MAYBE, MAYBE),
    st.builds(Ref, TEXTS, st.sampled_from([SITE, OTHER_SITE])),
    st.builds(Organisation, st.from_regex("[a-c ]{0,3}[a-c]", fullmatch=True), MAYBE),
    st.builds(Imported, TEXTS, st.none() | ADDRESSES),
)


def token(identity: Identity) -> bytes:
    return signer_token(KEY, identity, STANDARD_1)


def hkdf_sha256(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 section 2 for one block of output and no salt."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def test_the_token_is_what_the_design_says() -> None:
    """If a token is computed by hand from the design's words, then it is ours."""
    key = hkdf_sha256(ROOT, b"petition-ledger/petition-key/v1\x00a-petition")
    message = b"petition-ledger/signer/v1\x00email\x00jane@gmail.com"
    assert key == KEY
    assert token(Email("J.ane+x@GoogleMail.com", "Jane")) == hmac.new(key, message, hashlib.sha256).digest()[:16]


def test_the_commitment_is_what_the_design_says() -> None:
    """If a commitment is computed by hand from nonce and canonical identity, then it is ours."""
    pii = canonical_pii(Email("Jane@ex.org", "Jane Ö", "N1 1AA"))
    assert pii == '{"email":"Jane@ex.org","name":"Jane Ö","postcode":"N1 1AA"}'.encode()
    expected = hmac.new(NONCE, b"petition-ledger/pii-commit/v1\x00" + pii, hashlib.sha256).digest()
    assert pii_commit(NONCE, pii) == expected


@pytest.mark.parametrize(
    ("identity", "pii"),
    [
        (Email("a@ex.org"), {"email": "a@ex.org"}),
        (Ref("17", SITE), {"ref": "17", "site": SITE}),
        (Organisation("GFTU", "Resolution 9"), {"organisation": {"name": "GFTU", "reference": "Resolution 9"}}),
        (Organisation("GFTU"), {"organisation": {"name": "GFTU"}}),
        (Imported("S00001"), {"signer": "S00001"}),
        (Imported("S00001", "a@ex.org"), {"signer": "S00001", "email": "a@ex.org"}),
    ],
)
def test_an_identity_is_committed_to_as_given(identity: Identity, pii: dict[str, object]) -> None:
    """If an identity is written for the vault, then it has the members of the signing body and no others."""
    assert json.loads(canonical_pii(identity)) == pii


@given(IDENTITIES, IDENTITIES)
def test_different_identities_have_different_canonical_bytes(one: Identity, other: Identity) -> None:
    """If two identities differ in anything, then so do their bytes, which are canonical by RFC 8785."""
    assert (canonical_pii(one) == canonical_pii(other)) is (one == other)
    assert rfc8785.dumps(json.loads(canonical_pii(one))) == canonical_pii(one)


@given(ADDRESSES, MAYBE, MAYBE, TEXTS)
def test_an_address_makes_one_token_live_and_imported(
    address: str, name: str | None, postcode: str | None, signer: str
) -> None:
    """If a row of a file has the address of a live signer, then both make the same token, whatever stands beside it."""
    assert token(Imported(signer, address)) == token(Email(address, name, postcode)) == token(Email(address.upper()))


@given(TEXTS)
def test_one_text_in_two_kinds_makes_two_tokens(text: str) -> None:
    """If the same text is a reference, a file's signer and an organisation, then these are three signers."""
    identities: list[Identity] = [
        *(Ref(text, SITE), Ref(f"signer\0{text}", SITE), Ref(f"ref\0{text}", SITE)),
        *(Ref(SITE, text), Imported(text), Imported(f"{SITE}{text}")),
    ]
    if normalised_or_none(Organisation(text)) is not None:
        identities.append(Organisation(text))
    assert len({token(identity) for identity in identities}) == len(identities)


def normalised_or_none(identity: Identity) -> bytes | None:
    try:
        return normalised(identity, STANDARD_1)
    except IdentityRefused:
        return None


@pytest.mark.parametrize(
    "name",
    [
        *("General Federation of Trade Unions", "general federation of trade unions"),
        *("GENERAL  FEDERATION\tOF TRADE UNIONS ", "Ｇeneral Federation of Trade Unions"),
        *("General\u3000Federation of Trade\nUnions", "General\u00a0Federation of Trade Unions"),
        "Gen\u200beral Federation of Trade Unions\ufeff",
    ],
)
def test_spellings_of_an_organisation_are_one_signer(name: str) -> None:
    """If a name differs in case, spaces, width or in what cannot be seen, then it is the same organisation."""
    assert normalised(Organisation(name, "x"), STANDARD_1) == b"organisation\x00general federation of trade unions"


@given(TEXTS)
def test_an_organisations_key_does_not_depend_on_how_its_name_is_encoded(name: str) -> None:
    """If a name arrives in any Unicode normal form, or as its own key, then it is the same organisation."""
    key = normalised_or_none(Organisation(name))
    spellings = [unicodedata.normalize("NFC", name), unicodedata.normalize("NFKD", name), f"  {name} "]
    if key is not None:
        spellings.append(key.removeprefix(b"organisation\x00").decode())
    assert {normalised_or_none(Organisation(spelling)) for spelling in spellings} == {key}


@given(TEXTS, TEXTS)
def test_a_reference_is_taken_letter_by_letter(one: str, other: str) -> None:
    """If two references differ in any way, case too, then they are two signers."""
    assert (token(Ref(one, SITE)) == token(Ref(other, SITE))) is (one == other)
    assert (token(Imported(one)) == token(Imported(other))) is (one == other)


@given(TEXTS)
def test_one_reference_of_two_sites_is_two_signers(ref: str) -> None:
    """If two sites both know somebody as 17, then these are two people, and their commitments differ too."""
    assert token(Ref(ref, SITE)) != token(Ref(ref, OTHER_SITE))
    assert canonical_pii(Ref(ref, SITE)) != canonical_pii(Ref(ref, OTHER_SITE))


@pytest.mark.parametrize(
    "identity",
    [
        *(Ref("", SITE), Ref("17", ""), Ref("\ud800", SITE), Imported("")),
        *(Organisation(""), Organisation(" \u200b\t"), Organisation("canary\ud800")),
    ],
)
def test_who_is_nobody_is_refused(identity: Identity) -> None:
    """If nothing that identifies is left of an identity, or it is not Unicode, then it is refused, unrepeated."""
    with pytest.raises(IdentityRefused) as refusal:
        token(identity)
    assert refusal.value.__context__ is None
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize("identity", [Email("Name <a@ex.org>"), Imported("S1", "a@localhost"), Imported("S1", "")])
def test_a_bad_address_is_refused_also_where_a_reference_stands_beside_it(identity: Identity) -> None:
    """If an address is given and is none, then the identity is refused: it never falls back to another kind."""
    with pytest.raises(EmailRefused):
        token(identity)


@pytest.mark.parametrize("identity", [Ref("a\0", SITE), Email("a@ex.org", "\ud800"), Organisation("x" * 20_000)])
def test_an_identity_that_has_no_canonical_bytes_is_refused(identity: Identity) -> None:
    """If an identity holds NUL or a surrogate, or is too long, then the vault is never given it."""
    with pytest.raises(NotCanonical):
        canonical_pii(identity)


def test_petitions_do_not_share_keys_or_tokens() -> None:
    """If one person signs two petitions, or two ledgers have two roots, then nothing links the tokens."""
    keys = [petition_key(ROOT, "a"), petition_key(ROOT, "b"), petition_key(bytes(32), "a")]
    assert {len(key) for key in keys} == {32}
    assert len({signer_token(key, Email("a@ex.org"), STANDARD_1) for key in keys}) == 3


def test_every_derivation_has_a_label_of_its_own() -> None:
    """If the same bytes under the same key are put to every use, then all results differ, also in their prefixes."""
    data = b"x"
    results = [
        token(Ref("x", SITE)),
        pii_commit(KEY, data),
        import_key(KEY, data),
        fingerprint(KEY, "x", data),
        idempotency_token(KEY, "x", "x"),
        petition_key(KEY, "x"),
    ]
    assert [len(result) for result in results] == [16, 32, 16, 32, 16, 32]
    assert len({result[:16] for result in results}) == len(results)


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_framed_parts_are_unambiguous(one: list[bytes], other: list[bytes]) -> None:
    """If two lists of parts differ, then they are framed into different bytes."""
    assert (framed(*one) == framed(*other)) is (one == other)


@pytest.mark.parametrize(
    "derive",
    [
        lambda left, right: fingerprint(KEY, left, right.encode()),
        lambda left, right: idempotency_token(KEY, left, right),
        lambda left, right: import_key(KEY, framed(left.encode(), right.encode())),
    ],
)
def test_moving_the_border_between_two_parts_changes_the_result(derive: Callable[[str, str], bytes]) -> None:
    """If the same letters are split between two parts in another place, then the result is another."""
    splits = [("", "abc"), ("a", "bc"), ("ab", "c"), ("abc", ""), ("a\0", "bc"), ("a", "\0bc")]
    for one, other in combinations(splits, 2):
        assert derive(*one) != derive(*other)
        assert derive(*one) == derive(*one)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_keys_and_nonces_have_32_bytes(length: int) -> None:
    """If a root key or a nonce has another length, then nothing is derived from it."""
    with pytest.raises(ValueError):
        petition_key(bytes(length), "a")
    with pytest.raises(ValueError):
        pii_commit(bytes(length), b"{}")
