"""Three key management services on loopback, as much of each as the vault speaks: AWS KMS, Google Cloud KMS, Transit.

Each really seals, with a key of its own and the request's context as additional data, and asks for credentials as the
real one does. `trouble` makes it answer with an HTTP status instead; `damage` alters what it sends.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.vault.google_kms import crc32c

ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
GOOGLE_NAME = "projects/p/locations/europe/keyRings/r/cryptoKeys/k"
AWS_ERRORS = {400: "AccessDeniedException", 404: "NotFoundException", 429: "ThrottlingException"}


class RefusedError(Exception):
    """A request that the real service would turn down with this status."""


class KeyService:
    """What the three have in common: a key, and its troubles."""

    def __init__(self) -> None:
        self.cipher = AESGCM(AESGCM.generate_key(256))
        self.url = ""
        self.trouble: int | None = None
        self.damage = False
        self.contexts: list[Any] = []
        self.seen: list[Mapping[str, str]] = []

    def seal(self, plain: bytes, context: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self.cipher.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        try:
            return self.cipher.decrypt(sealed[:12], sealed[12:], context)
        except (InvalidTag, ValueError):
            raise RefusedError(400) from None

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        raise RefusedError(404)

    def answer_unless_in_trouble(self, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        if self.trouble and path != "/token":
            raise RefusedError(self.trouble)
        return self.answer(path, headers, body)

    def error(self, status: int) -> Any:
        return {"errors": [f"status {status}"]}


class AwsKms(KeyService):
    """AWS JSON 1.1, signed with Signature Version 4."""

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        signed = headers.get("authorization", "")
        if not signed.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") or "/kms/aws4_request" not in signed:
            raise RefusedError(400)
        request = json.loads(body)
        assert request["KeyId"] == ARN
        self.contexts.append(request["EncryptionContext"])
        context = json.dumps(request["EncryptionContext"], sort_keys=True).encode()
        match headers["x-amz-target"]:
            case "TrentService.Encrypt":
                sealed = self.seal(base64.b64decode(request["Plaintext"]), context)
                return {"CiphertextBlob": base64.b64encode(sealed).decode(), "KeyId": ARN}
            case "TrentService.Decrypt":
                plain = self.open(base64.b64decode(request["CiphertextBlob"]), context)
                return {"Plaintext": base64.b64encode(plain).decode(), "KeyId": ARN}
        raise RefusedError(400)

    def error(self, status: int) -> Any:
        return {"__type": AWS_ERRORS.get(status, "KMSInternalException"), "message": "as the service words it"}


class GoogleKms(KeyService):
    """The REST resource, and the token endpoint that a service account's key names."""

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        if path == "/token":
            assert parse_qs(body.decode())["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
            return {"access_token": "google-access", "expires_in": 3600, "token_type": "Bearer"}
        if headers.get("authorization") != "Bearer google-access":
            raise RefusedError(401)
        request = json.loads(body)
        name, _, operation = path.removeprefix("/v1/").partition(":")
        assert name == GOOGLE_NAME
        context = self._checked(request, "additionalAuthenticatedData")
        self.contexts.append(context)
        if operation == "encrypt":
            sealed = self.seal(self._checked(request, "plaintext"), context)
            return self._summed("ciphertext", sealed) | {"verifiedPlaintextCrc32c": True}
        return self._summed("plaintext", self.open(self._checked(request, "ciphertext"), context))

    def _checked(self, request: Any, name: str) -> bytes:
        value = base64.b64decode(request[name])
        assert int(request[f"{name}Crc32c"]) == crc32c(value)
        return value

    def _summed(self, name: str, value: bytes) -> dict[str, Any]:
        sent = value[:-1] + b"\0" if self.damage else value
        return {name: base64.b64encode(sent).decode(), f"{name}Crc32c": str(crc32c(value))}


class Transit(KeyService):
    """HashiCorp Vault's engine: a token in a header, ciphertexts as text with the key's version."""

    token = "hvs.first"

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        if headers.get("x-vault-token") != self.token:
            raise RefusedError(403)
        request = json.loads(body)
        context = base64.b64decode(request["associated_data"])
        assert request["context"] == request["associated_data"]
        self.contexts.append(context)
        match path:
            case "/v1/transit/encrypt/gateway":
                sealed = self.seal(base64.b64decode(request["plaintext"]), context)
                return {"data": {"ciphertext": f"vault:v1:{base64.b64encode(sealed).decode()}", "key_version": 1}}
            case "/v1/transit/decrypt/gateway":
                text = request["ciphertext"]
                if not text.startswith("vault:v1:"):
                    raise RefusedError(400)
                plain = self.open(base64.b64decode(text.removeprefix("vault:v1:")), context)
                return {"data": {"plaintext": base64.b64encode(plain).decode()}}
        raise RefusedError(404)


@contextmanager
def running(service: KeyService) -> Iterator[KeyService]:
    """The service on a port of its own, in a thread."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            service.seen.append(headers)
            try:
                status, content = 200, service.answer_unless_in_trouble(self.path, headers, body)
            except RefusedError as error:
                status, content = error.args[0], service.error(error.args[0])
            raw = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            """A test's output is not the place."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
