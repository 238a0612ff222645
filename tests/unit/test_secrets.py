"""Secrets from files, and addresses of databases that are shown without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from citybrain.errors import SettingsError
from citybrain.settings import Settings, read_settings
from citybrain.store.pool import DatabaseUnavailable, address, connect

KEY = "admin-key-admin-key-admin-key-0"
URL = "postgresql://city:very-secret@db:5432/city"


def settings(tmp_path: Path, **values: str) -> Settings:
    return read_settings({f"CITYBRAIN_{name}": value for name, value in values.items()}, tmp_path / "none.env")


def test_secrets_are_read_from_files_without_the_newline_at_their_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "url").write_text(f"{URL}\r\n")
    found = settings(tmp_path, ADMIN_KEY_FILE=str(tmp_path / "key"), DATABASE_URL_FILE=str(tmp_path / "url"))
    assert (found.admin_key, found.database_url) == (KEY, URL)


@pytest.mark.parametrize(("name", "value"), [("ADMIN_KEY", KEY), ("DATABASE_URL", URL), ("KAFKA_PASSWORD", "very-secret")])
def test_a_secret_that_is_given_twice_or_cannot_be_read_is_refused_in_one_line(name: str, value: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(value)
    with pytest.raises(SettingsError, match=f"^set CITYBRAIN_{name} or CITYBRAIN_{name}_FILE, not both$"):
        settings(tmp_path, **{name: value, f"{name}_FILE": str(file)})
    with pytest.raises(SettingsError, match=f"^CITYBRAIN_{name}_FILE: there is no file .*missing$"):
        settings(tmp_path, **{f"{name}_FILE": str(tmp_path / "missing")})
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=f"^CITYBRAIN_{name}_FILE: .* cannot be read$"):
        settings(tmp_path, **{f"{name}_FILE": str(file)})


def test_what_a_file_holds_is_checked_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "short").write_text("too-short")
    with pytest.raises(SettingsError, match="at least 24") as refused:
        settings(tmp_path, ADMIN_KEY_FILE=str(tmp_path / "short"))
    assert "too-short" not in str(refused.value)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        (URL, "db:5432/city"),
        ("postgres://db/city?password=very-secret", "db/city"),
        ("postgresql://city:p@ss@db,db2:5433/city?sslmode=require", "db,db2:5433/city"),
        ("postgresql://city:p/ss@[::1]:5432/city", "[::1]:5432/city"),
        ("postgresql:///city?host=/run/postgresql", "/city"),
        ("postgresql://db/city?password=very@secret", "an address that is not shown"),
        ("postgresql://city:12?3@db/city", "an address that is not shown"),
        ("postgresql://city:pass?word", "an address that is not shown"),
    ],
)
def test_an_address_is_shown_without_user_and_password(dsn: str, shown: str) -> None:
    assert address(dsn) == shown


async def test_a_password_that_breaks_the_address_is_not_shown() -> None:
    with pytest.raises(DatabaseUnavailable, match="must be written as %2F") as refused:
        await connect("postgresql://city:very/secret@db:5432/city")
    assert "very" not in str(refused.value)
