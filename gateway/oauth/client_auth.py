"""How we prove who we are in a request, and how its fields are written: form, JSON or query.

One function for each request, made from the provider's description, which Authlib calls when the request is built.
Not here: which fields there are (`gateway.oauth.client`).

Source: RFC 6749 section 2.3.1; the vendors' own ways are named in the catalogue.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, MutableMapping
from typing import Literal, Protocol
from urllib.parse import parse_qsl, quote, urlencode

from gateway.oauth.apps import ProviderApp
from gateway.providers.provider import ClientAuth

Prepared = tuple[str, MutableMapping[str, str], str]
Format = Literal["form", "json"]


class OurClient(Protocol):
    """What Authlib hands over: our registration."""

    client_id: str
    client_secret: str | None


def proof(app: ProviderApp, method: ClientAuth, written_as: Format) -> Callable[..., Prepared]:
    """What proves our registration by this method. A request without a body carries its fields in the query."""

    def prepare(
        client: OurClient, verb: str, uri: str, headers: MutableMapping[str, str], body: bytes | str
    ) -> Prepared:
        form = body.decode() if isinstance(body, bytes) else body
        fields = dict(parse_qsl(form, keep_blank_values=True))
        secret = client.client_secret or ""
        match method:
            case "client_secret_basic":  # both halves form-encoded before they are joined
                headers["Authorization"] = _basic(quote(client.client_id, safe=""), quote(secret, safe=""))
            case "secret_key_basic":
                headers["Authorization"] = _basic(secret, "")
            case "client_secret_post":
                fields |= {app.provider.client_id_param: client.client_id, "client_secret": secret}
            case "none":
                fields[app.provider.client_id_param] = client.client_id
        if verb == "GET":
            return with_query(uri, fields), headers, ""
        if written_as == "json":
            headers["Content-Type"] = "application/json"
            return uri, headers, json.dumps(fields)
        return uri, headers, urlencode(fields)

    return prepare


def with_query(url: str, fields: MutableMapping[str, str]) -> str:
    """The address with these fields behind those that it has already."""
    if not fields:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}"


def _basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
