"""Which client sends a request for tokens, and whether it is that client.

By Basic (its id and secret form-encoded within, RFC 6749 section 2.3.1; some clients leave the encoding out, and theirs
is tried too), by `client_id` and `client_secret` in the body, or by `client_id` alone for a client without a secret.
Which of the two ways a client said it would send its secret does not matter, only that it is the secret.

Below: clients. Above: the surface. Every refusal is `invalid_client` with 401: clients then register anew.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from urllib.parse import unquote_plus

from gateway.authorization.clients import Clients
from gateway.authorization.digests import is_secret
from gateway.authorization.parameters import Parameters
from gateway.authorization_types import RegisteredClient
from gateway.errors import AuthorizationError


async def prove_client(clients: Clients, authorization: str | None, parameters: Parameters) -> RegisteredClient:
    """The client that sent these parameters with this Authorization header. AuthorizationError."""
    shown = _basic(authorization) if authorization is not None else []
    if shown and "client_secret" in parameters:
        raise AuthorizationError("invalid_request", "The client's secret stands in the header and in the body.")
    if not shown:
        shown = [(parameters.get("client_id", ""), parameters.get("client_secret", ""))]
    for client_id, secret in dict.fromkeys(shown):
        client = await clients.find_at_token(client_id) if client_id else None
        if client is None or parameters.get("client_id", client_id) != client_id:
            continue
        if client.secret_digest is None:
            if not secret:
                return client
        elif is_secret(secret, client.secret_digest):
            return client
    raise _refused("The client is not known here, or its secret is wrong.")


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
