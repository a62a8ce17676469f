"""Which client sends a request for tokens, and whether it is that client. In one way at a time:

- by Basic: its id and secret, form-encoded within (RFC 6749 section 2.3.1); some clients leave the encoding out, and
  theirs is tried too;
- by `client_id` and `client_secret` in the body, or by `client_id` alone for a client that need not prove itself;
- by an assertion that it signs with its key (`client_assertion`).

Which of the first two a client said it would use does not matter, only that its secret is the secret. Every refusal is
`invalid_client` with 401: clients then register anew. Below: clients, client_assertion. Above: the surface.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import replace
from urllib.parse import unquote_plus

from gateway.authorization.client_assertion import TYPE, Assertions
from gateway.authorization.clients import Clients
from gateway.authorization.digests import is_secret
from gateway.authorization.parameters import Parameters
from gateway.authorization_types import KEY, RegisteredClient
from gateway.errors import AuthorizationError


class ClientProof:
    def __init__(self, clients: Clients, assertions: Assertions) -> None:
        self._clients = clients
        self._assertions = assertions

    async def client(self, authorization: str | None, parameters: Parameters) -> RegisteredClient:
        """The client that sent these parameters with this Authorization header. AuthorizationError.

        One that proved itself by its key has `auth_method` KEY, whatever else it might have done.
        """
        by_key = "client_assertion" in parameters or "client_assertion_type" in parameters
        if (authorization is not None) + ("client_secret" in parameters) + by_key > 1:
            raise AuthorizationError("invalid_request", "The client proves itself in two ways at once: choose one.")
        if by_key:
            return await self._by_key(parameters)
        if authorization is not None:
            shown = _basic(authorization)
        else:
            shown = [(parameters.get("client_id", ""), parameters.get("client_secret", ""))]
        for client_id, secret in dict.fromkeys(shown):
            if parameters.get("client_id", client_id) == client_id and (client := await self._find(client_id, secret)):
                return client
        raise _refused("The client is not known here, or its secret is wrong.")

    async def _find(self, client_id: str, secret: str) -> RegisteredClient | None:
        client = await self._clients.find_at_token(client_id) if client_id else None
        if client is None:
            return None
        if client.auth_method == KEY:
            raise _refused("This client proves itself by its key: send a client_assertion.")
        fits = is_secret(secret, client.secret_digest) if client.secret_digest is not None else not secret
        return client if fits else None

    async def _by_key(self, parameters: Parameters) -> RegisteredClient:
        text = parameters.get("client_assertion", "")
        if parameters.get("client_assertion_type") != TYPE:
            raise AuthorizationError("invalid_request", f"client_assertion_type has to be {TYPE}.")
        client_id = self._assertions.subject(text)
        if parameters.get("client_id", client_id) != client_id:
            raise _refused("client_id and client_assertion are of two clients.")
        client = await self._clients.find(client_id)
        if client is None or client.keys is None:
            raise _refused("The client is not known here, or has no keys.")
        await self._assertions.check(text, client)
        return replace(client, auth_method=KEY)


def _basic(authorization: str) -> list[tuple[str, str]]:
    """Id and secret, read in either way."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise _refused("The client proves itself by Basic, or in the body.")
    try:
        pair = b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise _refused("The Authorization header cannot be read.") from None
    client_id, colon, secret = pair.partition(":")
    if not colon:
        raise _refused("The Authorization header cannot be read.")
    return [(unquote_plus(client_id), unquote_plus(secret)), (client_id, secret)]


def _refused(why: str) -> AuthorizationError:
    return AuthorizationError("invalid_client", why, 401)
