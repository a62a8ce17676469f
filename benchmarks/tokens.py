"""An issuer of signed access tokens on loopback: its two documents, and tokens for a gateway, and for its tools."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey


class Issuer:
    """`url` is its name; it signs with RSA, as most do."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._key = RSAKey.generate_key(2048, {"kid": "benchmark"})

    def documents(self) -> dict[str, Any]:
        ends = {f"{end}_endpoint": f"{self.url}/{end}" for end in ("authorization", "token")}
        metadata = {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **ends}
        keys = {"keys": [self._key.as_dict(private=False)]}
        return {"/.well-known/oauth-authorization-server": metadata, "/keys": keys}

    def token(self, resource: str, person: str = "ada", *groups: str) -> str:
        """An access token for a gateway, good for an hour."""
        claims = {"iss": self.url, "sub": person, "aud": resource, "client_id": "load", "scope": "tools"}
        claims |= {"groups": groups}
        header = {"typ": "at+jwt", "alg": "RS256", "kid": "benchmark"}
        return jwt.encode(header, {**claims, "exp": int(time.time()) + 3600}, self._key)


@contextlib.contextmanager
def issuer() -> Iterator[Issuer]:
    """The issuer, answering in a thread until the block is left."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Documents) as server:
        made = Documents.issuer = Issuer(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


class Documents(BaseHTTPRequestHandler):
    """Answers with the issuer's documents."""

    issuer: Issuer

    def do_GET(self) -> None:
        self._answer(self.issuer.documents().get(self.path))

    def do_POST(self) -> None:
        """A token for whoever asks at the token endpoint: a tool's, which is used nowhere."""
        self.rfile.read(int(self.headers.get("content-length", "0")))
        given = {"access_token": "not-much-of-a-token", "token_type": "Bearer", "expires_in": 3600}
        self._answer(given if self.path == "/token" else None)

    def _answer(self, found: dict[str, Any] | None) -> None:
        body = json.dumps(found or {}).encode()
        self.send_response(200 if found else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
