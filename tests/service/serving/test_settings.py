"""Settings: from the environment, each within its bounds; a secret may come from a file."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from ledger.tree_head import COSIGNATURE, ED25519, VerifierKey
from service.database import Ledger
from service.serving.orders import Orders, Service
from service.settings import Settings, variables

_KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")  # RFC 8032 section 7.1, TEST 1
WITNESS = VerifierKey("witness.example", COSIGNATURE, _KEY).vkey
SEALING = VerifierKey("petitions.example/ledger", ED25519, _KEY).vkey


def test_a_database_url_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a file holds the database's URL, then it is taken as if it had been given, and never shown."""
    (tmp_path / "url").write_text("postgresql://somebody:secret@db/ledger\n")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    settings = Settings()
    assert settings.database_url == "postgresql://somebody:secret@db/ledger"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_file_without_a_url_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None) -> None:
    """If the file is missing or empty, then the settings are not valid: the embedded server is not used by mistake."""
    if content is not None:
        (tmp_path / "url").write_text(content)
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert refused.value.errors()[0]["loc"] == ("database_url",)


def test_a_url_given_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the URL and its file are both set, then neither is guessed to be meant."""
    (tmp_path / "url").write_text("postgresql://db/ledger")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("DATABASE_URL", "postgresql://other/ledger")
    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEDGER_PUBLIC_POOL", "0"),
        ("LEDGER_STOP_GRACE", "30"),
        ("LEDGER_WRITE_BATCH", "many"),
        ("LEDGER_LOG_LEVEL", "loud"),
        ("LEDGER_TRUSTED_NETWORKS", "10.0.0.0/8,elsewhere"),
    ],
)
def test_a_setting_outside_its_bounds_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a setting cannot be meant, then nothing starts with it."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()


def test_networks_and_names_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """If several are given, then each is read."""
    monkeypatch.setenv("LEDGER_TRUSTED_NETWORKS", "10.0.0.0/8, ::1/128")
    monkeypatch.setenv("LEDGER_HOSTS", "petitions.example,www.petitions.example")
    settings = Settings()
    assert [str(network) for network in settings.trusted_networks] == ["10.0.0.0/8", "::1/128"]
    assert settings.hosts == ("petitions.example", "www.petitions.example")


def test_every_variable_says_what_it_does() -> None:
    """If a setting exists, then it has a name of ours and a description, and no two have one name."""
    names = [name for name, _, _ in variables()]
    assert len(set(names)) == len(names) == len(Settings.model_fields)
    assert all(name.startswith(("LEDGER_", "DATABASE_URL")) for name in names)
    assert all(description for _, _, description in variables())


def test_a_child_hears_what_the_supervisor_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If orders go over the pipe, then the child has the same settings, whatever stands in its environment."""
    (tmp_path / "url").write_text("postgresql://db/ledger")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("LEDGER_TRUSTED_NETWORKS", "10.0.0.0/8")
    ledger = Ledger("postgresql://db/ledger", "petitions.example/ledger", tmp_path / "key")
    orders = Orders("worker", Service(ledger, Settings(), "public", "127.0.0.1", 8080, 2), tmp_path)
    monkeypatch.setenv("LEDGER_TRUSTED_NETWORKS", "192.168.0.0/16")
    read = Orders.read(orders.line())
    assert read.service.settings.model_dump(exclude={"database_url_file"}) == orders.service.settings.model_dump(
        exclude={"database_url_file"}
    )
    assert (read.work, read.figures, read.service.ledger, read.service.role) == ("worker", tmp_path, ledger, "public")


def test_a_witness_is_named_by_its_prefix_and_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a witness is named, then its keys are read, and the end of its prefix does not matter."""
    monkeypatch.setenv("LEDGER_WITNESS_URL", "https://witness.example/w/")
    monkeypatch.setenv("LEDGER_WITNESS_VKEY", f" {WITNESS}  {WITNESS}\n")
    settings = Settings()
    assert settings.witness_url == "https://witness.example/w"
    assert settings.witness_vkey == (WITNESS, WITNESS)


@pytest.mark.parametrize(
    ("url", "vkey"),
    [
        ("https://witness.example", ""),
        ("https://witness.example", "witness.example+00000000+AAAA"),
        ("https://witness.example", SEALING),
        ("ftp://witness.example", WITNESS),
        ("witness.example", WITNESS),
        ("https://somebody:secret@witness.example", WITNESS),
        ("https://witness.example/?token=secret", WITNESS),
    ],
)
def test_a_witness_that_cannot_be_verified_is_refused(url: str, vkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a witness has no key of a witness, or no address that may be shown, then nothing starts with it."""
    monkeypatch.setenv("LEDGER_WITNESS_URL", url)
    monkeypatch.setenv("LEDGER_WITNESS_VKEY", vkey)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert [part["loc"][:1] for part in refused.value.errors()] in ([("witness_url",)], [("witness_vkey",)])
