"""Our registration at each provider: the catalogue's description joined with the operator's settings.

A provider may be described by the catalogue, or in the settings alone: by its `issuer`, or by `authorization_url` and
`token_url`. Errors name the exact setting and environment variable to fill in.

Below: providers, discovery. Above: client, flows, broker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gateway.errors import ProviderNotConfiguredError, ProviderUnavailableError, SettingsError, UnknownProviderError
from gateway.providers.catalogue import Catalogue
from gateway.providers.provider import ClientAuth, Provider, check_url
from gateway.providers.reader import read_provider
from gateway.secret import Secret

if TYPE_CHECKING:  # the settings are read from here on every start, and need no HTTP client
    from gateway.oauth.discovery import Discovery


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One `[providers.NAME]` table. `variables` are the catalogue's own, such as Salesforce's `login_host`."""

    client_id: str | None = None
    client_secret: Secret | None = None
    scopes: frozenset[str] = frozenset()
    optional_scopes: frozenset[str] = frozenset()
    name: str | None = None
    issuer: str | None = None
    authorization_url: str | None = None
    token_url: str | None = None
    token_auth_method: ClientAuth | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProviderApp:
    """A provider and our registration there. Every consent asks for `scopes`, whatever the tool needs beside them."""

    provider: Provider
    client_id: str
    client_secret: Secret | None
    scopes: frozenset[str]
    optional_scopes: frozenset[str] = frozenset()

    @property
    def auth_method(self) -> ClientAuth:
        """How we prove who we are. Without a secret there is nothing to prove it with: a public client."""
        return self.provider.token_auth_method if self.client_secret else "none"


class Apps:
    """Finds our registration at a provider. `discovery` is needed for those that are configured by issuer."""

    def __init__(
        self, catalogue: Catalogue, configured: Mapping[str, ProviderSettings], discovery: Discovery | None = None
    ) -> None:
        self._catalogue = catalogue
        self._configured = configured
        self._discovery = discovery
        self._described: dict[str, Provider] = {}

    def display_name(self, provider_id: str) -> str:
        """The provider's name as a person knows it; for one that nobody described, its id."""
        settings = self._configured.get(provider_id)
        if settings and settings.name:
            return settings.name
        known = self._catalogue.find(provider_id)
        return known.name if known else provider_id

    def find(self, provider_id: str) -> Provider | None:
        """The description without asking the issuer for anything, or None. SettingsError where it is broken."""
        if provider_id not in self._described:
            settings = self._configured.get(provider_id, ProviderSettings())
            described = _described(provider_id, self._catalogue.find(provider_id), settings)
            if described is None:
                return None
            self._described[provider_id] = described
        return self._described[provider_id]

    async def get(
        self, provider_id: str, *, tenant: str = "default", variables: Mapping[str, str] | None = None
    ) -> ProviderApp:
        """A tenant's registration there. `variables` are the parts of its addresses that one person filled in.

        UnknownProviderError, ProviderNotConfiguredError, SettingsError for a variable, or what discovery raises.
        """
        provider = self.find(provider_id)
        if provider is None:
            raise UnknownProviderError(
                f"No provider is called {provider_id}. Known are {', '.join(self._catalogue.names())}. To add one, "
                f"set issuer, or authorization_url and token_url, under [providers.{provider_id}] in gateway.toml."
            )
        settings = self._configured.get(provider_id, ProviderSettings())
        if not settings.client_id:
            raise _not_configured(provider, "client_id")
        if provider.needs_client_secret and not settings.client_secret:
            raise _not_configured(provider, "client_secret")
        if provider.needs_discovery:
            provider = await self._discovered(provider)
        return ProviderApp(
            provider,
            settings.client_id,
            settings.client_secret,
            settings.scopes | set(provider.scopes.default),
            settings.optional_scopes,
        )

    async def _discovered(self, provider: Provider) -> Provider:
        if self._discovery is None:
            raise ProviderUnavailableError(f"{provider.name}'s endpoints cannot be looked up from here.")
        return await self._discovery.complete(provider)


def _described(provider_id: str, known: Provider | None, settings: ProviderSettings) -> Provider | None:
    """Catalogue and settings as one description.

    Another `issuer` or `token_url` than the catalogue's is another authorization server: what the catalogue says about
    revocation, introspection and identity would send its tokens to the wrong one, and is left out.
    """
    moved = _given(issuer=settings.issuer, token_url=settings.token_url)
    given = _given(authorization_url=settings.authorization_url, token_auth_method=settings.token_auth_method, **moved)
    if known is not None and not moved:
        if settings.authorization_url:
            check_url(settings.authorization_url, f"[providers.{provider_id}] authorization_url")
        return replace(known, **given).at(settings.variables)
    if not moved and not settings.authorization_url:
        return None
    if settings.variables:
        raise SettingsError(f"[providers.{provider_id}] has no setting {min(settings.variables)!r}. Remove it.")
    name = settings.name or (known.name if known else provider_id)
    described = read_provider(provider_id, {"name": name, **given}, f"[providers.{provider_id}]")
    return replace(described, scopes=known.scopes) if known else described


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _not_configured(provider: Provider, key: str) -> ProviderNotConfiguredError:
    variable = f"ATP_GATEWAY_PROVIDERS__{provider.id.upper().replace('-', '_')}__{key.upper()}"
    register = f" Register an app first: {provider.docs}" if provider.docs else ""
    return ProviderNotConfiguredError(
        f"{provider.name} is not set up on this gateway. Set {key} under [providers.{provider.id}] in gateway.toml, "
        f"or the environment variable {variable}.{register}"
    )
