"""A vault key that Google Cloud KMS keeps: `gcp-kms:projects/…/locations/…/keyRings/…/cryptoKeys/…`.

Behind a private endpoint the whole address is given: `gcp-kms:https://kms.example/v1/projects/…`. Credentials are
Google's application default ones. They need the role cloudkms.cryptoKeyEncrypterDecrypter. What a data key is for
travels as additional authenticated data, and everything in both directions with its CRC32C.

Over REST with google-auth: Google's own client for KMS would bring gRPC and protobuf for two requests. It blocks, so it
runs in a thread. Source: https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys.
Below: `gateway.vault.keyring`. Above: `gateway.vault.key_sources`.
"""

from __future__ import annotations

import asyncio
import base64
import re
import threading
from typing import TYPE_CHECKING, Any

from gateway.errors import KeyUnavailableError, SettingsError, VaultError
from gateway.vault.keyring import Context, encode_context

if TYPE_CHECKING:
    from gateway.vault.key_sources import Place

_NAME = re.compile(
    r"(?P<endpoint>https?://[^/]+/v1/)?(?P<name>projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+)"
)
_ENDPOINT = "https://cloudkms.googleapis.com/v1/"
_SCOPE = "https://www.googleapis.com/auth/cloudkms"
_SECONDS = 5
_REFUSED = range(400, 500)
_PASSING = {408, 429}


class GoogleKmsKey:
    is_remote = True

    def __init__(self, name: str, endpoint: str) -> None:
        self.name = f"gcp-kms:{name}"
        self._address = f"{endpoint}{name}"
        self._session: Any = None
        self._making = threading.Lock()

    async def wrap(self, key: bytes, context: Context) -> bytes:
        answer = await asyncio.to_thread(self._ask, "encrypt", plaintext=key, context=context)
        if answer.get("verifiedPlaintextCrc32c") is not True:
            raise self._unavailable("it received something else than was sent")
        return self._checked(answer, "ciphertext")

    async def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        answer = await asyncio.to_thread(self._ask, "decrypt", ciphertext=wrapped, context=context)
        return self._checked(answer, "plaintext")

    def _ask(self, operation: str, *, context: Context, **content: bytes) -> Any:
        from google.auth.exceptions import GoogleAuthError, TransportError
        from requests import RequestException

        body: dict[str, str] = {}
        for name, value in (*content.items(), ("additionalAuthenticatedData", encode_context(context))):
            body |= {name: base64.b64encode(value).decode(), f"{name}Crc32c": str(crc32c(value))}
        try:
            answer = self._connected().post(f"{self._address}:{operation}", json=body, timeout=_SECONDS)
            if answer.status_code in _REFUSED and answer.status_code not in _PASSING:
                raise VaultError(
                    f"Google Cloud KMS does not {operation} with {self.name} (HTTP {answer.status_code}). Check that "
                    "the key is enabled, and that our account has the role cloudkms.cryptoKeyEncrypterDecrypter."
                )
            if not answer.ok:
                raise self._unavailable(f"HTTP {answer.status_code}")
            return answer.json()
        except (TransportError, RequestException, ValueError) as error:
            raise self._unavailable(type(error).__name__) from None
        except GoogleAuthError as error:
            raise VaultError(
                f"The gateway has no credentials for Google Cloud KMS ({type(error).__name__}). Set "
                "GOOGLE_APPLICATION_CREDENTIALS, or run it under a service account."
            ) from None

    def _connected(self) -> Any:
        import google.auth
        from google.auth.transport.requests import AuthorizedSession

        with self._making:
            if self._session is None:
                credentials, _ = google.auth.default(scopes=[_SCOPE])
                session: Any = AuthorizedSession  # google-auth has no types here
                self._session = session(credentials, max_refresh_attempts=1, refresh_timeout=_SECONDS)
            return self._session

    def _checked(self, answer: Any, name: str) -> bytes:
        """The value, unless something on the way changed it."""
        try:
            value = base64.b64decode(answer[name], validate=True)
            intact = crc32c(value) == int(answer[f"{name}Crc32c"])
        except (KeyError, TypeError, ValueError):
            intact = False
        if not intact:
            raise self._unavailable("its answer was damaged on the way")
        return value

    def _unavailable(self, what: str) -> KeyUnavailableError:
        return KeyUnavailableError(
            f"Google Cloud KMS, which keeps the vault's key, does not answer ({what}). It is asked again; check the "
            "network and the gateway's Google credentials."
        )


def google_kms_key(place: Place) -> GoogleKmsKey:
    """The key of this name. SettingsError for what is no name, and where google-auth is not installed."""
    found = _NAME.fullmatch(place.address)
    if found is None:
        raise SettingsError(
            "A key in Google Cloud KMS is written gcp-kms:projects/<p>/locations/<l>/keyRings/<r>/cryptoKeys/<k>."
        )
    try:
        import google.auth.transport.requests  # noqa: F401 - whether it and requests are there
    except ImportError:
        raise SettingsError("Google Cloud KMS needs one more package: pip install 'atp-gateway[gcp]'") from None
    return GoogleKmsKey(found["name"], found["endpoint"] or _ENDPOINT)


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901 - the usual way to write it
        table.append(value)
    return table


_CRC = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), RFC 3720 appendix B.4. Keys are short: no need of a compiled one."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
