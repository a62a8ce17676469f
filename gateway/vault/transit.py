"""A vault key that HashiCorp Vault's Transit engine keeps: `vault-transit:https://<host>/v1/transit/keys/<name>`.

The address is the one that Vault's API has for the key. The token comes from the file `[vault] transit_token_file`,
which is read at each request: Vault's agent keeps a fresh one there. Without such a file none is sent, as an agent on
this machine may add it. The token's policy needs `update` on the key's `encrypt` and `decrypt` paths. What a data key
is for travels as `associated_data`, and as the `context` that a derived key asks for.

Over our own HTTP client: two requests need no SDK. Source: https://developer.hashicorp.com/vault/api-docs/secret/transit.
Below: `gateway.vault.keyring`. Above: `gateway.vault.key_sources`.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import KeyUnavailableError, SettingsError, VaultError
from gateway.vault.keyring import Context, encode_context

if TYPE_CHECKING:
    from gateway.vault.key_sources import Place

_ADDRESS = re.compile(r"(?P<mount>https?://[^/?#]+/v1/[^?#]+)/keys/(?P<name>[\w.-]+)")
_SECONDS = 5.0
_SEALED = 503  # Vault's own way to say that it is sealed, or a standby
_PASSING = {408, 412, 429, 472, 473}


class TransitKey:
    is_remote = True

    def __init__(self, mount: str, name: str, token_file: Path | None) -> None:
        self.name = f"vault-transit:{mount}/keys/{name}"
        self._mount = mount
        self._key = name
        self._token_file = token_file

    async def wrap(self, key: bytes, context: Context) -> bytes:
        wrapped = await self._ask("encrypt", context, plaintext=base64.b64encode(key).decode())
        return wrapped.encode()

    async def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        return base64.b64decode(await self._ask("decrypt", context, ciphertext=wrapped.decode()))

    async def _ask(self, operation: str, context: Context, **content: str) -> str:
        import httpx2

        bound = base64.b64encode(encode_context(context)).decode()
        body = content | {"context": bound, "associated_data": bound}
        headers = {"X-Vault-Request": "true"} | self._token()
        try:
            async with httpx2.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
                url = f"{self._mount}/{operation}/{self._key}"
                answer = await client.post(url, json=body, headers=headers)
            if answer.status_code >= 500 or answer.status_code in _PASSING:
                raise self._unavailable(
                    "it is sealed" if answer.status_code == _SEALED else f"HTTP {answer.status_code}"
                )
            if answer.is_error:
                raise VaultError(
                    f"HashiCorp Vault does not {operation} with {self.name} (HTTP {answer.status_code}). Check that "
                    "the key exists, and that the token in [vault] transit_token_file is valid and may use it."
                )
            text: str = answer.json()["data"]["ciphertext" if operation == "encrypt" else "plaintext"]
        except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            raise self._unavailable(type(error).__name__) from None
        return text

    def _token(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        try:
            return {"X-Vault-Token": self._token_file.read_text().strip()}
        except OSError as error:
            raise VaultError(
                f"HashiCorp Vault's token cannot be read from {self._token_file}: {error.strerror}."
            ) from None

    def _unavailable(self, what: str) -> KeyUnavailableError:
        return KeyUnavailableError(
            f"HashiCorp Vault, which keeps the vault's key, does not answer ({what}). It is asked again; check that it "
            "is running, unsealed and reachable."
        )


def transit_key(place: Place) -> TransitKey:
    """The key at this address. SettingsError for what is none."""
    found = _ADDRESS.fullmatch(place.address)
    if found is None:
        raise SettingsError("A key in HashiCorp Vault is written vault-transit:https://<host>/v1/transit/keys/<name>.")
    return TransitKey(found["mount"], found["name"], place.token_file)
