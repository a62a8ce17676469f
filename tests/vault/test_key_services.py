"""Keys that a service keeps: one suite for all of them, over the wire, and what is special about each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.clock import MovableClock
from gateway.errors import KeyUnavailableError, SettingsError, VaultError
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.types import Principal
from gateway.vault.google_kms import crc32c
from gateway.vault.key_sources import SOURCES, new_key, open_ring
from gateway.vault.keyring import WrappingKey
from gateway.vault.rotation import Rotation
from gateway.vault.vault import Binding
from tests.vault.conftest import MakeVault
from tests.vault.key_services import ARN, GOOGLE_NAME, AwsKms, GoogleKms, KeyService, Transit, running
from tests.vault.sealed_world import World

KEY = bytes(range(32))
CONTEXT = {"application": "atp-gateway", "purpose": "data-key", "tenant": "Müller & Söhne", "key": "00ff"}
SERVICES = {"aws-kms": AwsKms, "gcp-kms": GoogleKms, "vault-transit": Transit}
TOKEN_FILE = "vault-token"


@dataclass
class Kept:
    """A service, and how the settings name its key."""

    service: KeyService
    reference: Secret
    token_file: Path

    def key(self) -> WrappingKey:
        """The key as a process that has just started has it."""
        return open_ring([self.reference], self.token_file).first


@pytest.fixture(params=SERVICES)
def kept(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    with running(SERVICES[request.param]()) as service:
        address = {
            "aws-kms": ARN,
            "gcp-kms": f"{service.url}/v1/{GOOGLE_NAME}",
            "vault-transit": f"{service.url}/v1/transit/keys/gateway",
        }
        account = {"type": "service_account", "client_email": "gateway@p.example", "private_key": private_key()}
        (tmp_path / "account.json").write_text(json.dumps(account | {"token_uri": f"{service.url}/token"}))
        (tmp_path / TOKEN_FILE).write_text("hvs.first\n")
        for name, value in {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "canary-secret",
            "AWS_ENDPOINT_URL_KMS": service.url,
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
            "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "account.json"),
            "NO_PROXY": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        yield Kept(service, Secret(f"{request.param}:{address[request.param]}"), tmp_path / TOKEN_FILE)


@cache
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pkcs8 = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, pkcs8, serialization.NoEncryption()).decode()


async def test_a_key_comes_back_from_the_service_in_another_process_too(kept: Kept) -> None:
    wrapped = await kept.key().wrap(KEY, CONTEXT)

    assert KEY not in wrapped
    assert await kept.key().unwrap(wrapped, CONTEXT) == KEY
    assert len(kept.service.contexts) == 2
    assert all("data-key" in str(context) for context in kept.service.contexts), "the service is told what it is for"


@pytest.mark.parametrize("part", CONTEXT)
async def test_a_key_wrapped_for_another_tenant_or_row_is_not_given(kept: Kept, part: str) -> None:
    key = kept.key()
    wrapped = await key.wrap(KEY, CONTEXT)

    with pytest.raises(VaultError, match="does not decrypt"):
        await key.unwrap(wrapped, CONTEXT | {part: "another"})


async def test_an_altered_wrapped_key_is_not_given(kept: Kept) -> None:
    key = kept.key()
    wrapped = bytearray(await key.wrap(KEY, CONTEXT))
    wrapped[-3] ^= 1

    with pytest.raises(VaultError):
        await key.unwrap(bytes(wrapped), CONTEXT)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_service_in_trouble_is_a_passing_error_that_says_what_to_check(kept: Kept, status: int) -> None:
    key = kept.key()
    wrapped = await key.wrap(KEY, CONTEXT)
    kept.service.trouble = status

    with pytest.raises(KeyUnavailableError, match=r"does not answer.*check"):
        await key.unwrap(wrapped, CONTEXT)
    kept.service.trouble = None
    assert await key.unwrap(wrapped, CONTEXT) == KEY


@pytest.mark.parametrize("status", [400, 404])
async def test_a_refusal_is_one_that_lasts_and_says_what_to_check(kept: Kept, status: int) -> None:
    key = kept.key()
    kept.service.trouble = status

    with pytest.raises(VaultError, match=r"does not encrypt with .*Check that") as raised:
        await key.wrap(KEY, CONTEXT)
    assert not isinstance(raised.value, KeyUnavailableError)
    assert "canary" not in str(raised.value)


async def test_a_service_that_nobody_runs_is_a_passing_error(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    key = kept.key()
    await key.wrap(KEY, CONTEXT)
    nowhere = "http://127.0.0.1:1"
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", nowhere)
    elsewhere = Secret(kept.reference.reveal().replace(kept.service.url, nowhere))

    with pytest.raises(KeyUnavailableError, match="does not answer"):
        await open_ring([elsewhere], kept.token_file).first.wrap(KEY, CONTEXT)


async def test_a_gateway_starts_with_the_service_works_without_it_and_moves_to_it_and_away(
    kept: Kept, store: Store, vault_of: MakeVault, clock: MovableClock
) -> None:
    local, place = new_key(), Binding("connections", "c1", Principal("i", "anna", "acme"), "p", "tokens", 1)
    vault = vault_of(local)
    await vault.check(store.marks)
    await World(store, vault).fill(4)

    for ring in ([kept.key(), local], [local, kept.key()]):
        turning = vault_of(*ring)
        await turning.check(store.marks)
        rotation = Rotation(store.sealed, store.data_keys, turning, clock)
        rotation._settle = 0
        assert (await rotation.run()).broken == []
        alone = vault_of(ring[0])
        await alone.check(store.marks)
        assert alone.derive("request-state") == turning.derive("request-state")[:1]
        sealed = await alone.seal(b"value", place)
        kept.service.trouble = 503
        assert await alone.open(sealed, place) == b"value"
        kept.service.trouble = None


async def test_googles_answer_that_was_damaged_on_the_way_is_not_taken(kept: Kept) -> None:
    if not isinstance(kept.service, GoogleKms):
        return
    key = kept.key()
    wrapped = await key.wrap(KEY, CONTEXT)
    kept.service.damage = True

    for asking in (key.unwrap(wrapped, CONTEXT), key.wrap(KEY, CONTEXT)):
        with pytest.raises(KeyUnavailableError, match="damaged"):
            await asking


async def test_vaults_token_is_read_anew_each_time(kept: Kept) -> None:
    if not isinstance(kept.service, Transit):
        return
    key = kept.key()
    wrapped = await key.wrap(KEY, CONTEXT)
    kept.service.token = "hvs.second"
    with pytest.raises(VaultError, match=r"HTTP 403.*transit_token_file"):
        await key.unwrap(wrapped, CONTEXT)
    kept.token_file.write_text("hvs.second")

    assert await key.unwrap(wrapped, CONTEXT) == KEY
    kept.token_file.unlink()
    with pytest.raises(VaultError, match="token cannot be read"):
        await key.unwrap(wrapped, CONTEXT)


def test_the_checksum_is_the_one_that_is_standardised() -> None:
    """RFC 3720, appendix B.4, and the usual check value."""
    assert (crc32c(bytes(32)), crc32c(b"\xff" * 32), crc32c(b"123456789")) == (0x8A9136AA, 0x62A8AB43, 0xE3069283)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("aws-kms:alias/mine", "aws-kms:arn:aws:kms:"),
        ("gcp-kms:mine", "gcp-kms:projects/"),
        ("vault-transit:https://vault.example/gateway", "/v1/transit/keys/"),
        ("azure:mine", "There are: file, os-keyring, aws-kms"),
    ],
)
def test_an_address_that_is_none_is_answered_with_how_to_write_it(reference: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        open_ring([Secret(reference)])


def test_every_source_can_be_imported_and_none_is_until_it_is_named() -> None:
    assert set(SOURCES) == {"file", "os-keyring", *SERVICES}


def test_a_file_named_as_source_makes_its_key(tmp_path: Path) -> None:
    reference = Secret(f"file:{tmp_path}/keys/vault.key")

    assert open_ring([reference]).first.name == open_ring([reference]).first.name
