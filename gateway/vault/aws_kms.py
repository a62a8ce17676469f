"""A vault key that AWS KMS keeps: `aws-kms:arn:aws:kms:eu-central-1:111122223333:key/…`, or an alias's ARN.

Credentials come to the SDK in AWS's own ways (environment, profile, role); `AWS_ENDPOINT_URL_KMS` leads it elsewhere.
The key's policy has to allow kms:Encrypt and kms:Decrypt. What a data key is for travels as the encryption context: it
is bound to the wrapped key, and AWS writes it to CloudTrail.

botocore is what boto3 is made of; the client is the same, without S3's transfers. It blocks, so it runs in a thread.
Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html and …/API_Decrypt.html.
Below: `gateway.vault.keyring`. Above: `gateway.vault.key_sources`.
"""

from __future__ import annotations

import asyncio
import re
import threading
from typing import TYPE_CHECKING, Any

from gateway.errors import KeyUnavailableError, SettingsError, VaultError
from gateway.vault.keyring import Context

if TYPE_CHECKING:
    from gateway.vault.key_sources import Place

_ARN = re.compile(r"arn:[\w-]+:kms:(?P<region>[\w-]+):\d{12}:(key|alias)/[\w/-]+")
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 2, 5, 2
_REFUSALS = {
    "AccessDeniedException",
    "DisabledException",
    "IncorrectKeyException",
    "InvalidCiphertextException",
    "InvalidKeyUsageException",
    "KMSInvalidStateException",
    "NotFoundException",
    "UnrecognizedClientException",
    "InvalidSignatureException",
}
"""What does not pass by itself. Any other error may: throttling, a time-out, an error of KMS's own."""


class AwsKmsKey:
    is_remote = True

    def __init__(self, arn: str, region: str) -> None:
        self.name = f"aws-kms:{arn}"
        self._arn = arn
        self._region = region
        self._client: Any = None
        self._making = threading.Lock()

    async def wrap(self, key: bytes, context: Context) -> bytes:
        answer = await asyncio.to_thread(self._ask, "encrypt", Plaintext=key, EncryptionContext=dict(context))
        wrapped: bytes = answer["CiphertextBlob"]
        return wrapped

    async def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        answer = await asyncio.to_thread(self._ask, "decrypt", CiphertextBlob=wrapped, EncryptionContext=dict(context))
        key: bytes = answer["Plaintext"]
        return key

    def _ask(self, operation: str, **parameters: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._connected(), operation)(KeyId=self._arn, **parameters)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            if code in _REFUSALS:
                raise VaultError(
                    f"AWS KMS does not {operation} with {self._arn} ({code}). Check that the key is enabled, and "
                    "that its policy lets the gateway's role use kms:Encrypt and kms:Decrypt."
                ) from None
            raise self._unavailable(code) from None
        except BotoCoreError as error:
            raise self._unavailable(type(error).__name__) from None

    def _connected(self) -> Any:
        import botocore.session
        from botocore.config import Config

        with self._making:  # making a client is not safe in two threads; using one is
            if self._client is None:
                config = Config(
                    connect_timeout=_CONNECT_SECONDS,
                    read_timeout=_READ_SECONDS,
                    retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
                )
                session = botocore.session.get_session()
                self._client = session.create_client("kms", region_name=self._region, config=config)
            return self._client

    def _unavailable(self, what: str) -> KeyUnavailableError:
        return KeyUnavailableError(
            f"AWS KMS in {self._region}, which keeps the vault's key, does not answer ({what}). It is asked again; "
            "check the network and the gateway's AWS credentials."
        )


def aws_kms_key(place: Place) -> AwsKmsKey:
    """The key with this ARN. SettingsError for what is no ARN, and where botocore is not installed."""
    found = _ARN.fullmatch(place.address)
    if found is None:
        raise SettingsError("A key in AWS KMS is written aws-kms:arn:aws:kms:<region>:<account>:key/<id>.")
    try:
        import botocore  # noqa: F401 - whether it is there; it is loaded on first use
    except ModuleNotFoundError:
        raise SettingsError("AWS KMS needs one more package: pip install 'atp-gateway[aws]'") from None
    return AwsKmsKey(place.address, found["region"])
