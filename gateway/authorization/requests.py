"""What a client asks at /authorize, and whether it may be asked like that.

In two steps, for there are two ways to say no. Until client and redirect URI are known to belong together, the person
is told, and nobody is sent anywhere (RFC 9700 section 4.11). From then on the client is told, at its redirect URI.

What is not known here is ignored, as OAuth wants it; so is what else OpenID Connect has, such as `max_age`: there is no
ID token that could tell when somebody signed in, and nothing says that there is.

Below: clients, redirect_uris. Above: the surface. Source: RFC 6749 section 4.1.1, RFC 7636 (S256 only), RFC 8707,
RFC 9207; OpenID Connect Core 1.0 section 3.1.2.1 (`prompt`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from gateway.authorization.clients import Clients
from gateway.authorization.parameters import Parameters
from gateway.authorization.redirect_uris import matches
from gateway.authorization_types import RegisteredClient
from gateway.errors import AuthorizationError

OFFLINE = "offline_access"
PROMPTS = ("none", "login", "consent")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Addressee:
    """The client that asks, and where it has its answer sent. `redirect_uri_sent`: it said so itself."""

    client: RegisteredClient
    redirect_uri: str
    redirect_uri_sent: bool
    state: str | None


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that a person may be asked about. `prompts` are those of PROMPTS that it wants."""

    addressee: Addressee
    scopes: frozenset[str]
    resource: str
    challenge: str
    prompts: frozenset[str]

    @property
    def client(self) -> RegisteredClient:
        return self.addressee.client


@dataclass(frozen=True, slots=True)
class Offer:
    """What the server is: its `issuer`, the `resource` that its tokens are for with the other ways to name it, and the
    scopes there are. Who names none gets `default_scopes`."""

    issuer: str
    resource: str
    resource_names: frozenset[str]
    scopes: tuple[str, ...]
    default_scopes: frozenset[str]

    def audience(self, asked: str | None) -> str:
        """The resource that a token will be for. AuthorizationError where it would be somebody else's."""
        if asked is not None and asked not in self.resource_names:
            raise AuthorizationError("invalid_target", f"This server gives out tokens for {self.resource} alone.")
        return self.resource

    def granted(self, asked: str | None, within: Collection[str] | None = None) -> frozenset[str]:
        """The scopes to grant. Unknown ones are left out (RFC 6749 section 3.3); AuthorizationError if none remains."""
        if asked is None:
            return self.default_scopes if within is None else frozenset(within)
        wanted = frozenset(asked.split())
        known = wanted & frozenset(self.scopes)
        if not known - {OFFLINE}:
            if wanted == {OFFLINE}:
                return known | self.default_scopes if within is None else frozenset(within)
            raise AuthorizationError("invalid_scope", f"The scopes here are {' '.join(self.scopes)}.")
        if within is not None and not known <= frozenset(within):
            raise AuthorizationError("invalid_scope", "More is asked than the person granted.")
        return known


class Requests:
    def __init__(self, clients: Clients, offer: Offer) -> None:
        self._clients = clients
        self._offer = offer

    def needs_document(self, parameters: Parameters) -> bool:
        """Whether another machine would be asked about the client. AuthorizationError as for `addressee`."""
        return self._clients.needs_document(parameters.get("client_id", ""))

    async def addressee(self, parameters: Parameters) -> Addressee:
        """Who asks. AuthorizationError for the person to read: nothing is to be sent anywhere."""
        if parameters.repeated & {"client_id", "redirect_uri"}:
            raise AuthorizationError("invalid_request", "The program named itself, or its address, twice.")
        client_id = parameters.get("client_id")
        client = await self._clients.find(client_id) if client_id else None
        if client is None:
            raise AuthorizationError(
                "invalid_client",
                "The gateway does not know the program that sent you here. Remove its connection to the gateway and "
                "add it again: it will introduce itself anew.",
            )
        sent = parameters.get("redirect_uri")
        if sent is None and len(client.redirect_uris) != 1:
            raise AuthorizationError("invalid_request", "The program did not say where to send you afterwards.")
        if sent is not None and not matches(client.redirect_uris, sent):
            raise AuthorizationError(
                "invalid_request",
                "The program wants you sent to an address that it has not registered, so nobody is sent there.",
            )
        return Addressee(client, sent or client.redirect_uris[0], sent is not None, parameters.get("state"))

    def read(self, parameters: Parameters, addressee: Addressee) -> AuthorizationRequest:
        """The request. AuthorizationError for the client to read, at its redirect URI."""
        parameters.require_each_once()
        for name in ("request", "request_uri"):
            if name in parameters:
                raise AuthorizationError(f"{name}_not_supported", "Send the parameters themselves.")
        if parameters.get("response_type") != "code":
            error = "unsupported_response_type" if "response_type" in parameters else "invalid_request"
            raise AuthorizationError(error, "response_type has to be code.")
        if parameters.get("response_mode", "query") != "query":
            raise AuthorizationError("invalid_request", "response_mode can only be query.")
        if "authorization_code" not in addressee.client.grant_types:
            raise AuthorizationError("unauthorized_client", "This client is not registered for people's access.")
        challenge = parameters.get("code_challenge", "")
        if parameters.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
            raise AuthorizationError("invalid_request", "PKCE is needed: a code_challenge by the method S256.")
        return AuthorizationRequest(
            addressee,
            self._offer.granted(parameters.get("scope")),
            self._offer.audience(parameters.get("resource")),
            challenge,
            _prompts(parameters),
        )


def answer_url(addressee: Addressee, issuer: str, answer: Mapping[str, str]) -> str:
    """The redirect URI with an answer, `state` as it was sent, and `iss` (RFC 9207). Its own query stays as it is."""
    told = dict(answer)
    if addressee.state is not None:
        told["state"] = addressee.state
    told["iss"] = issuer
    uri = addressee.redirect_uri
    separator = "?" if "?" not in uri else "" if uri.endswith(("?", "&")) else "&"
    return f"{uri}{separator}{urlencode(told)}"


def _prompts(parameters: Parameters) -> frozenset[str]:
    asked = frozenset(parameters.get("prompt", "").split())
    if "none" in asked and len(asked) > 1:
        raise AuthorizationError("invalid_request", "prompt is none, or something else, but not both.")
    return asked & frozenset(PROMPTS)
