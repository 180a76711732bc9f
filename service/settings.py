"""Settings: what a deployment may choose, read from the environment once, when a command starts.

This module must never hold a secret itself: keys come from files, whose paths are settings.
"""

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting, with its environment variable and its default."""

    model_config = SettingsConfigDict(frozen=True, populate_by_name=True, extra="ignore")

    database_url: str | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_URL"),
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
        description="The vault's root key, 32 bytes. Default: keys/vault.key under LEDGER_HOME, made at first use.",
    )
    postgres_bin: Path | None = Field(
        None,
        validation_alias=AliasChoices("LEDGER_POSTGRES_BIN"),
        description="A directory with `postgres` and `initdb` for the embedded mode, instead of those found.",
    )
