"""From a request to a command: who the signer is, what the log gets of it, and by what a repeat is known."""

import hmac
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.email_policy import STANDARD_1, EmailRefused
from ledger.identity import Email, Organisation, Ref, name_token, petition_key
from ledger.vault import RANDOM_BYTES, open_identity
from schemas.canonical import from_base64, parse
from schemas.commands import Evidence, RecordSignature
from schemas.requests import SignatureRequest
from service.signing import Fresh, Rules, answer_key, identity_of, opening_of, receipt_path, recording
from tests.vaults import EPOCH

RULES = Rules("keep-the-library", STANDARD_1, petition_key(bytes(32), "keep-the-library"))
FRESH = Fresh(UUID("01890a5d-ac96-774b-bcce-b302099a8057"), b"r" * 16, bytes(range(32)), bytes(range(RANDOM_BYTES)))
SITE, OTHER_SITE = "site:9c1e04", "site:7a01fe"
LETTERS = st.from_regex("[a-z]{1,8}", fullmatch=True)


def request(**said: Any) -> SignatureRequest:
    return SignatureRequest.model_validate_json(orjson.dumps(said), strict=True)


def command(site: str = SITE, **said: Any) -> RecordSignature:
    return recording(request(**said), RULES, EPOCH, site, FRESH)[0]


def test_everything_that_is_said_is_in_the_command() -> None:
    """If a site says all that it can, then the command carries each of it, and what is private apart from the rest."""
    made = command(
        signer={"email": "Jane@ex.org", "name": "Jane", "postcode": "N1 1AA"},
        confirmed=False,
        area={"country": "GB", "region": "W7"},
        signed_at="2020-12-31T18:30:00+01:00",
        channel="paper",
        text_version=2,
        answers={"ban": "yes"},
        comment="Because.",
        evidence={"ip": "2001:DB8::1"},
    )
    assert parse(open_identity(EPOCH, FRESH.signature, made.identity).pii) == {
        "email": "Jane@ex.org",
        "name": "Jane",
        "postcode": "N1 1AA",
    }
    assert (made.country, made.region, made.channel, made.kind) == ("GB", "W7", "paper", "person")
    assert (made.confirmed, made.text_version, made.answers, made.imported) == (False, 2, {"ban": "yes"}, False)
    assert made.at is not None
    assert made.at.isoformat() == "2020-12-31T17:30:00+00:00"
    name = name_token(RULES.key, "JANE")
    assert (made.comment, made.evidence) == ("Because.", Evidence("2001:db8::1", None, "ex.org", name))
    assert (made.name, made.reference, made.alias) == (None, None, None)


def test_an_organisation_signs_by_its_public_name() -> None:
    """If an organisation signs, then its name and reference are public, and so is its kind."""
    made = command(organisation={"name": "Trades Council", "reference": "Resolution 9"})
    assert (made.kind, made.name, made.reference) == ("organisation", "Trades Council", "Resolution 9")


def test_an_identity_is_one_of_three() -> None:
    """If a body names a signer, then it is by an address, by a reference of this site, or as an organisation."""
    assert identity_of(request(signer={"email": "a@ex.org", "name": "A"}), SITE) == Email("a@ex.org", "A")
    assert identity_of(request(signer={"ref": "17"}), SITE) == Ref("17", SITE)
    assert identity_of(request(organisation={"name": "Council"}), SITE) == Organisation("Council")


@given(LETTERS, LETTERS)
def test_one_mailbox_is_one_signer_whatever_stands_beside_it(one: str, other: str) -> None:
    """If two requests have spellings of one address, then they are one signer, on every site; else they are two."""
    first = command(signer={"email": f"{one}@ex.org", "name": one})
    again = command(OTHER_SITE, signer={"email": f" {one.upper()}@EX.ORG", "postcode": "N1"})
    another = command(signer={"email": f"{other}@ex.org"})
    assert first.token == again.token
    assert (first.token == another.token) is (one == other)


@given(LETTERS)
def test_a_reference_is_the_sites_own(ref: str) -> None:
    """If two sites use one reference, then these are two signers."""
    assert command(SITE, signer={"ref": ref}).token == command(SITE, signer={"ref": ref}).token
    assert command(SITE, signer={"ref": ref}).token != command(OTHER_SITE, signer={"ref": ref}).token


def test_an_opening_shows_what_a_commitment_is_to() -> None:
    """If nonce and identity are taken out of an opening, then the commitment can be computed by hand."""
    made, opened = recording(request(signer={"email": "jane@ex.org"}), RULES, EPOCH, SITE, FRESH)
    assert open_identity(EPOCH, made.signature, made.identity) == opened
    opening = opening_of(opened)
    nonce, identity = from_base64(opening["nonce"]), from_base64(opening["identity"])
    assert hmac.digest(nonce, b"petition-ledger/pii-commit/v1\x00" + identity, "sha256") == made.pii_commit


@pytest.mark.parametrize("email", ["Name <canary@ex.org>", "canary@localhost", "canary@ex.org.", "a@b@canary.org"])
def test_an_address_that_is_none_is_refused_unrepeated(email: str) -> None:
    """If the policy does not take an address, then no command is made of it, and the refusal does not say it."""
    with pytest.raises(EmailRefused) as refusal:
        command(signer={"email": email})
    assert "canary" not in str(refusal.value)


@given(st.tuples(*[LETTERS] * 4), st.tuples(*[LETTERS] * 4))
def test_a_repeat_is_known_by_credential_petition_and_key_and_told_by_route_and_body(
    one: tuple[str, str, str, str], other: tuple[str, str, str, str]
) -> None:
    """If credential and key are the same, then it is a repeat; and it is the same request if route and body are too."""

    def known(parts: tuple[str, str, str, str]) -> Any:
        credential, client_key, route, said = parts
        return answer_key(RULES.petition, RULES.key, credential, client_key, route, said.encode())

    assert ((known(one).credential, known(one).key) == (known(other).credential, known(other).key)) is (
        one[:2] == other[:2]
    )
    assert (known(one).fingerprint == known(other).fingerprint) is (one[2:] == other[2:])
    assert (len(known(one).key), len(known(one).fingerprint)) == (16, 16)


def test_what_the_client_sent_as_a_key_is_not_kept() -> None:
    """If a key is turned into an answer's key, then neither it nor the body is in it."""
    known = answer_key(RULES.petition, RULES.key, SITE, "canary", "POST /", b"canary")
    assert b"canary" not in known.key + known.fingerprint


def test_a_receipt_has_a_path() -> None:
    """If a signature is recorded, then its receipt will be at a path of its own."""
    assert receipt_path("a", "s") == "/petitions/a/signatures/s/receipt"


def test_a_command_shows_nothing_of_the_identity() -> None:
    """If a command is shown, or what was random in it, then neither identity nor nonce nor a key is in it."""
    made, opened = recording(request(signer={"email": "canary@ex.org", "name": "canary"}), RULES, EPOCH, SITE, FRESH)
    for shown in (repr(made), repr(opened), repr(made.identity), repr(FRESH), repr(EPOCH), repr(RULES)):
        assert "canary" not in shown
        assert repr(FRESH.nonce)[2:-1] not in shown
        assert repr(FRESH.sealing)[2:40] not in shown
    assert b"canary" not in made.identity.sealed + made.identity.wrapped_key


def test_what_reviewers_search_by_is_in_one_form_and_says_nothing_without_the_key() -> None:
    """If an address and a name come in other spellings, then their domain and the token of the name are the same; a
    reference has neither, and another petition's token of the name is another."""
    one = command(signer={"email": "Jane@GoogleMail.com", "name": "Ｊane  DOE"}).evidence
    two = command(signer={"email": "bob+tag@gmail.com", "name": "jane doe"}).evidence
    assert one == two == Evidence(None, None, "gmail.com", name_token(RULES.key, "Jane Doe"))
    assert name_token(petition_key(bytes(32), "another"), "Jane Doe") != name_token(RULES.key, "Jane Doe")
    assert command(signer={"ref": "17"}).evidence is None
    assert command(organisation={"name": "Trades Council"}).evidence == Evidence(
        None, None, None, name_token(RULES.key, "trades council")
    )
