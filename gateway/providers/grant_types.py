"""Grant types: the ways to tokens that a provider offers, and how long each of them lasts.

Each class is a table of a catalogue file. The authorization code grant needs none: it is what a provider has.

Not here: making the requests (`gateway.oauth.client`), deciding when (`gateway.oauth.refresher`).
"""
# ruff: noqa: S105 - token is a word of the subject here, and no value is a secret

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.providers.shapes import Variable


@dataclass(frozen=True, slots=True)
class Refresh:
    """How access tokens are renewed, and how long that goes on.

    `url` is the token endpoint unless set; `send_scope` repeats the scopes, and `{redirect_uri}` in `params` is the
    address that the consent came back to. `grant`: "refresh_token"; "exchange" for
    providers that have no refresh token and swap the living access token for a new one, by `params` and in
    `token_param`; "none" for those whose access ends with the access token.

    `rotates`: whether the answer holds a new refresh token, after which the old one is dead. `grace` is for how many
    seconds after that the old one still does, as the provider documents; `grace_until_used`: until the new one has
    been used. `idle` and `absolute`, in seconds: after how long without a refresh, or with any number of them, the
    grant ends; `testing` the same as `absolute` for an app that the provider has not published yet.
    """

    url: str | None = None
    send_scope: bool = False
    params: Mapping[str, str] = field(default_factory=dict)
    grant: Literal["refresh_token", "exchange", "none"] = "refresh_token"
    method: Literal["POST", "GET"] = "POST"
    token_param: str = "refresh_token"
    rotates: Literal["no", "yes", "optional"] = "optional"
    grace: int = 0
    grace_until_used: bool = False
    idle: int | None = None
    absolute: int | None = None
    testing: int | None = None


@dataclass(frozen=True, slots=True)
class Swap:
    """A second exchange, at once after the first: a short-lived access token for one that lasts and can be renewed."""

    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    method: Literal["POST", "GET"] = "GET"
    token_param: str = "access_token"


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """RFC 6749 section 4.4: access in the name of our own registration. `url` is the token endpoint unless set.

    `scopes` are asked for where a tool names none. `variables` are parts of the request that only this grant has; the
    operator fills them in.
    """

    url: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()
    variables: Mapping[str, Variable] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """RFC 7523: access in the name of a service account, by an assertion that its own key signs.

    `audience` is what the assertion names, the token endpoint unless set; `scopes_in_assertion`: the scopes go into the
    assertion, as Google has it, and not into the request.
    """

    url: str | None = None
    audience: str | None = None
    scopes_in_assertion: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """RFC 8628: consent on another device, where there is no browser. `url` is the device authorization endpoint."""

    url: str
    params: Mapping[str, str] = field(default_factory=dict)
