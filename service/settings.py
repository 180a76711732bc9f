"""Settings: what a deployment may choose, read from the environment once, when a command starts.

This module must never hold a key itself: keys come from files, whose paths are settings. The one secret in it is the
database's URL, which may hold a password and may come from a file too; it is never shown.
"""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ledger.access import RATE
from ledger.tree_head import COSIGNATURE, NoteRefused, parse_vkey
from service.rates import per_second

LEAST_AUDIT_RATE: Final = 5.0
"""Audit reads a second that every network has. A bundle of 256 leaves and its tile are two, so that this follows a log
that grows by 640 events a second: twice what ten times the busiest hour of a large petition brings (330)."""

LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(BaseSettings):
    """Every setting, with its environment variable and its default. Times are in seconds."""

    model_config = SettingsConfigDict(
        frozen=True, populate_by_name=True, extra="ignore", env_prefix="LEDGER_", env_ignore_empty=True
    )

    # Before the URL, which is validated with it.
    database_url_file: Path | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_URL_FILE"),
        description="A file that holds DATABASE_URL, for secrets that are mounted. One of the two, not both.",
    )
    database_url: str | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_URL"),
        validate_default=True,
        repr=False,
        description="A PostgreSQL to use instead of the embedded one, by a login that may take the ledger's roles.",
    )
    home: Path = Field(
        Path(".ledger"),
        validation_alias=AliasChoices("LEDGER_HOME"),
        description="Where the embedded mode keeps its data and keys.",
    )
    origin: str | None = Field(
        None,
        validation_alias=AliasChoices("LEDGER_ORIGIN"),
        description="The log's name; fixed by the first event. Default: localhost/ledger.",
    )
    vault_key_file: Path | None = Field(
        None,
        validation_alias=AliasChoices("LEDGER_VAULT_KEY_FILE"),
        description="The vault's root key, 32 bytes; its epochs' keys lie beside it. Default: keys/vault.key under"
        " LEDGER_HOME, made at first use.",
    )
    seal_key_file: Path | None = Field(
        None, description="The key that seals, 32 bytes. Default: keys/seal.key under LEDGER_HOME, made at first use."
    )
    head_copy: Path | None = Field(
        None, description="The newest sealed head outside the database. Default: head/checkpoint under LEDGER_HOME."
    )
    erasure_journal: Path | None = Field(
        None,
        description="Which signatures were erased, outside the database and its backups. Default: erasures.journal"
        " under LEDGER_HOME.",
    )
    postgres_bin: Path | None = Field(
        None,
        validation_alias=AliasChoices("LEDGER_POSTGRES_BIN"),
        description="A directory with `postgres` and `initdb` for the embedded mode, instead of those found.",
    )

    regions_file: Path | None = Field(
        None, description='The regions\' names: a JSON object, code to {"name", "population"}. Default: codes alone.'
    )

    disposable_domains_file: Path | None = Field(
        None, description="Domains of throw-away e-mail addresses, one a line. Default: a short list of our own."
    )

    log_level: LogLevel = Field("info", description="What is logged of a service: debug, info, warning or error.")
    backlog: int = Field(1024, ge=1, le=65_535, description="Connections that may wait to be accepted, a worker.")
    connections: int = Field(4096, ge=1, le=1_000_000, description="Connections that a worker holds; then it is 503.")
    network_connections: int = Field(
        256, ge=1, le=1_000_000, description="Those of one address (of IPv6: one /64), a worker; then it is 429."
    )
    network_rate: str | None = Field(
        None,
        pattern=f"^(?:{RATE.pattern})$",
        description="What one address (of IPv6: one /64) may read, a worker, as 600/min; then it is 429. Default: all.",
    )
    network_audit_rate: str = Field(
        "20/s",
        pattern=f"^(?:{RATE.pattern})$",
        description="Where that is limited, how much of the log it may read besides. At least 5/s, to catch up.",
    )
    trusted_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        description="Networks, such as a proxy's, that are not counted and whose X-Forwarded-For is believed; separated"
        " by commas.",
    )
    hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="The names that the service answers to, separated by commas. Default: any."
    )
    idle_timeout: float = Field(10.0, gt=0, le=300, description="How long a connection waits for a request's head.")
    body_timeout: float = Field(10.0, gt=0, le=300, description="How long a request's body may take.")
    write_timeout: float = Field(10.0, gt=0, le=300, description="How long a client may take nothing of its answer.")
    public_pool: int = Field(8, ge=1, le=100, description="Database connections of public reads, a worker.")
    audit_pool: int = Field(4, ge=1, le=100, description="Database connections of audit reads, a worker.")
    desk_pool: int = Field(2, ge=1, le=100, description="Database connections of what admins read, a worker.")
    acquire_timeout: float = Field(1.0, gt=0, le=30, description="How long a read waits for one; then it is 503.")
    public_statement_timeout: float = Field(2.0, gt=0, le=60, description="The longest statement of a public read.")
    audit_statement_timeout: float = Field(30.0, gt=0, le=600, description="The longest statement of an audit read.")
    write_queue: int = Field(5_000, ge=1, le=100_000, description="What may wait to be written, a worker; then 503.")
    write_batch: int = Field(256, ge=1, le=5_000, description="What one commit may write.")
    write_patience: float = Field(8.0, gt=0, le=60, description="How long a request waits to be written; then 503.")
    projection_interval: float = Field(0.05, gt=0, le=5, description="How often the projector looks for new events.")
    polling_interval: float = Field(0.05, gt=0, le=5, description="How often a worker looks for what it serves.")
    documents_memory: int = Field(
        64, ge=1, le=4096, description="MiB of documents made on demand, kept a worker; as many again of claims."
    )
    clock_interval: float = Field(
        1.0, gt=0, le=60, description="How often petitions that are due are closed, and declarations looked for."
    )
    publish_interval: float = Field(
        86_400.0, gt=0, le=31_536_000, description="After how long a served count that changed is stated in the log."
    )
    seal_interval: float = Field(
        1.0, ge=0, le=3600, description="How often the log is sealed where it grew. 0: this service does not seal."
    )
    evidence_days: int = Field(90, ge=1, le=3650, description="Days for which addresses of signers are kept.")
    witness_url: str | None = Field(None, description="Where a witness takes heads to sign: a prefix. Default: none.")
    witness_monitor: str | None = Field(None, description="Where it shows what it signed. Default: the same prefix.")
    witness_vkey: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validate_default=True,  # a line that nobody verifies says nothing
        description="The witness's keys, by which its lines are verified; separated by spaces.",
    )
    witness_timeout: float = Field(2.0, gt=0, le=30, description="How long a head waits for the witness's line.")
    stop_grace: float = Field(8.0, gt=0, le=9, description="What a worker may take to finish when it is stopped.")

    @field_validator("trusted_networks", "hosts", mode="before")
    @classmethod
    def _separated_by_commas(cls, given: Any) -> Any:
        return [each.strip() for each in given.split(",") if each.strip()] if isinstance(given, str) else given

    @field_validator("network_audit_rate")
    @classmethod
    def _lets_auditors_catch_up(cls, given: str) -> str:
        if per_second(given) < LEAST_AUDIT_RATE:
            raise ValueError(f"nobody could follow the log at less than {LEAST_AUDIT_RATE:g}/s")
        return given

    @field_validator("witness_url", "witness_monitor")
    @classmethod
    def _is_a_prefix(cls, given: str | None) -> str | None:
        """An address to which a path is added. It may hold no secret: those stand in files."""
        if given is None:
            return None
        parts = urlsplit(given)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
            raise ValueError("it is no address of http or https, without a name, a password and a query")
        return given.rstrip("/")

    @field_validator("witness_vkey", mode="before")
    @classmethod
    def _separated_by_spaces(cls, given: Any) -> Any:
        return given.split() if isinstance(given, str) else given

    @field_validator("witness_vkey")
    @classmethod
    def _are_the_keys_of_the_witness(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("witness_url") is not None and not given:
            raise ValueError("a witness is known by its key")
        try:
            if all(parse_vkey(each).algorithm == COSIGNATURE for each in given):
                return given
        except NoteRefused:
            pass
        raise ValueError("it is no verifier key of a witness")

    @field_validator("database_url", mode="before")
    @classmethod
    def _or_from_its_file(cls, given: Any, info: ValidationInfo) -> Any:
        """Take the database's URL from its file, where one is named."""
        file: Path | None = info.data.get("database_url_file")
        if file is None:
            return given
        if given is not None:
            raise ValueError("DATABASE_URL and DATABASE_URL_FILE are both set")
        try:
            url = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise ValueError("the file of DATABASE_URL_FILE cannot be read") from None
        if not url:
            raise ValueError("the file of DATABASE_URL_FILE is empty")
        return url


def variables() -> list[tuple[str, str, str]]:
    """Every setting as its environment variable, its default in words, and its description; in order."""
    rows = []
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"LEDGER_{name.upper()}"
        default = field.default
        shown = "" if default in (None, ()) else f"{default:g}" if isinstance(default, float) else str(default)
        rows.append((variable, shown, field.description or ""))
    return rows
