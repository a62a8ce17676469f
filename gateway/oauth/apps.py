"""Our registration at each provider: the catalogue's description joined with the operator's settings.

A provider may be described by the catalogue, or in the settings alone: by its `issuer`, or by `authorization_url` and
`token_url`. A tenant may have a registration of its own, and variables of a provider's addresses may be left to each
person. Errors name the exact setting and environment variable to fill in.

Below: providers, discovery. Above: client, flows, broker.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from gateway.errors import ProviderNotConfiguredError, ProviderUnavailableError, SettingsError, UnknownProviderError
from gateway.providers.addresses import check_url
from gateway.providers.catalogue import Catalogue
from gateway.providers.provider import Api, ClientAuth, Provider, Variable
from gateway.providers.reader import read_provider
from gateway.secret import Secret
from gateway.types import CredentialKind

if TYPE_CHECKING:  # the settings are read from here on every start, and need no HTTP client
    from gateway.oauth.discovery import Discovery


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One `[providers.NAME]` table. `variables` are the catalogue's own, such as Salesforce's `login_host`.

    `allowed_hosts` are the hosts, beside the vendor's, that a self-hosted product may be at. `testing`: the provider
    has not published our app yet, so that grants end early (Google: after 7 days). `sandbox` means the provider's test
    environment. `redirect_uri` is sent in place of our own address, where the provider has given it a name (eBay's
    RuName). `service_account` is the key, as the provider hands it out, for tools that act for nobody.
    """

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
    allowed_hosts: frozenset[str] = frozenset()
    testing: bool = False
    sandbox: bool = False
    service_account: Secret | None = None
    redirect_uri: str | None = None

    def over(self, common: ProviderSettings) -> ProviderSettings:
        """A tenant's table over the one for all: what it leaves out is the common one's.

        But for secrets, wherever it names a registration or a server of its own: the common ones belong to another.
        """
        alone = any((self.client_id, self.issuer, self.authorization_url, self.token_url))
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        belongs = {"client_id", "client_secret", "service_account", "testing", "sandbox", "redirect_uri"}
        own = belongs if alone else set()
        given = {name: value for name, value in given.items() if value or name in own}
        return replace(common, **given)


@dataclass(frozen=True, slots=True)
class ProviderApp:
    """A provider and our registration there. Every consent asks for `scopes`, whatever the tool needs beside them.

    `variables` are the parts of its addresses as they were filled in; `redirect_uri` goes in place of our own address.
    """

    provider: Provider
    client_id: str
    client_secret: Secret | None
    scopes: frozenset[str]
    optional_scopes: frozenset[str] = frozenset()
    testing: bool = False
    service_account: Secret | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    redirect_uri: str | None = None

    @property
    def auth_method(self) -> ClientAuth:
        """How we prove who we are. Without a secret there is nothing to prove it with: a public client."""
        return self.provider.token_auth_method if self.client_secret else "none"


_TYPED_IN = frozenset({CredentialKind.API_KEY, CredentialKind.BASIC})
Configured = Mapping[str, ProviderSettings]
"""Provider's name to its table."""


class Apps:
    """Finds our registration at a provider. `discovery` is needed for those that are configured by issuer."""

    def __init__(
        self,
        catalogue: Catalogue,
        configured: Configured,
        discovery: Discovery | None = None,
        tenants: Mapping[str, Configured] | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._configured = configured
        self._discovery = discovery
        self._tenants = tenants or {}
        self._described: dict[tuple[str, str], Provider] = {}

    def display_name(self, provider_id: str) -> str:
        """The provider's name as a person knows it; for one that nobody described, its id."""
        settings = self._configured.get(provider_id)
        if settings and settings.name:
            return settings.name
        known = self._catalogue.find(provider_id)
        return known.name if known else provider_id

    def find(self, provider_id: str, tenant: str = "default") -> Provider | None:
        """The description without asking the issuer for anything, or None. SettingsError where it is broken.

        Variables that are left to each person still stand in its addresses as `{name}`.
        """
        described = self._describe(provider_id, tenant)
        settings = self.settings(provider_id, tenant)
        return described and _filled(described, settings, {}, complete=False)

    def settings(self, provider_id: str, tenant: str = "default") -> ProviderSettings:
        """The operator's table for a provider, with the tenant's over it; an empty one where there is none."""
        common = self._configured.get(provider_id, ProviderSettings())
        own = self._tenants.get(tenant, {}).get(provider_id)
        return own.over(common) if own else common

    def configured(self, tenant: str = "default") -> list[str]:
        """The providers at which the operator, or the tenant, has a registration; by id."""
        return sorted({*self._configured, *self._tenants.get(tenant, {})})

    def lacks(
        self, provider_id: str, tenant: str = "default", kind: CredentialKind = CredentialKind.OAUTH2
    ) -> str | None:
        """The setting without which nobody can connect an account there, or None. What a person types in needs none."""
        if kind in _TYPED_IN:
            return None
        described = self._describe(provider_id, tenant)
        if described is None:
            return "issuer"
        return _missing(described, self.settings(provider_id, tenant), kind)

    def asks(self, provider_id: str, tenant: str = "default") -> Mapping[str, Variable]:
        """The variables that each person has to fill in, because neither the operator nor a default does."""
        described = self._describe(provider_id, tenant)
        if described is None:
            return {}
        settings = self.settings(provider_id, tenant)
        return {
            name: about
            for name, about in described.variables.items()
            if name not in settings.variables
            and (about.default is None or (about.self_hosted and settings.allowed_hosts))
        }

    async def get(
        self,
        provider_id: str,
        *,
        tenant: str = "default",
        variables: Mapping[str, str] | None = None,
        kind: CredentialKind = CredentialKind.OAUTH2,
    ) -> ProviderApp:
        """A tenant's registration there. `variables` are the parts of its addresses that one person filled in.

        The operator's own choice of a variable wins. With None, because nobody was asked yet, they stay open.
        UnknownProviderError, ProviderNotConfiguredError, SettingsError for a variable, or what discovery raises.
        """
        described = self._describe(provider_id, tenant)
        if described is None:
            raise self._unknown(provider_id)
        settings = self.settings(provider_id, tenant)
        if missing := _missing(described, settings, kind):
            raise self._not_configured(described, missing, tenant)
        provider = _filled(described, settings, variables or {}, complete=variables is not None)
        if provider.needs_discovery:
            provider = await self._discovered(provider)
        return ProviderApp(
            provider,
            settings.client_id or "",
            settings.client_secret,
            settings.scopes | set(provider.scopes.default),
            settings.optional_scopes,
            settings.testing,
            settings.service_account,
            _values(described, settings, variables or {}),
            settings.redirect_uri,
        )

    def _describe(self, provider_id: str, tenant: str) -> Provider | None:
        """Catalogue and settings as one description, its variables not yet filled in."""
        key = (tenant if provider_id in self._tenants.get(tenant, {}) else "", provider_id)
        if key not in self._described:
            settings = self.settings(provider_id, tenant)
            described = _described(provider_id, self._catalogue.find(provider_id), settings)
            if described is None:
                return None
            self._described[key] = described
        return self._described[key]

    async def _discovered(self, provider: Provider) -> Provider:
        if self._discovery is None:
            raise ProviderUnavailableError(f"{provider.name}'s endpoints cannot be looked up from here.")
        return await self._discovery.complete(provider)

    def _unknown(self, provider_id: str) -> UnknownProviderError:
        near = difflib.get_close_matches(provider_id, self._catalogue.names(), n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        return UnknownProviderError(
            f"No provider is called {provider_id}.{hint} `atp-gateway providers list` shows those that are known. To "
            f"add one, set issuer, or authorization_url and token_url, under [providers.{provider_id}] in gateway.toml."
        )

    def _not_configured(self, provider: Provider, key: str, tenant: str) -> ProviderNotConfiguredError:
        own = provider.id in self._tenants.get(tenant, {})
        place = place_of(provider.id, tenant if own else None)
        register = f" Register an app first: {provider.docs}" if provider.docs else ""
        return ProviderNotConfiguredError(
            f"{provider.name} is not set up on this gateway. Set {key} under [{place}] in gateway.toml, "
            f"or the environment variable {variable_of(place, key)}.{register}"
        )


def place_of(provider_id: str, tenant: str | None = None) -> str:
    """The table of the settings that a provider's registration stands in."""
    return f"tenants.{tenant}.providers.{provider_id}" if tenant else f"providers.{provider_id}"


def variable_of(place: str, key: str) -> str:
    """The environment variable of a key in such a table."""
    return "ATP_GATEWAY_" + "__".join([*place.split("."), key]).upper().replace("-", "_")


def _missing(provider: Provider, settings: ProviderSettings, kind: CredentialKind) -> str | None:
    """The setting without which this kind of credential cannot be had, or None."""
    if kind is CredentialKind.SERVICE_ACCOUNT:
        return None if settings.service_account else "service_account"
    if not settings.client_id:
        return "client_id"
    needs_secret = provider.needs_client_secret or kind is CredentialKind.CLIENT_CREDENTIALS
    return "client_secret" if needs_secret and not settings.client_secret else None


def _described(provider_id: str, known: Provider | None, settings: ProviderSettings) -> Provider | None:
    """Another `issuer` or `token_url` than the catalogue's is another authorization server: what the catalogue says
    about revocation, introspection and identity would send its tokens to the wrong one, and is left out.
    """
    moved = _given(issuer=settings.issuer, token_url=settings.token_url)
    given = _given(authorization_url=settings.authorization_url, token_auth_method=settings.token_auth_method, **moved)
    if known is not None and not moved:
        if settings.authorization_url:
            check_url(settings.authorization_url, f"[providers.{provider_id}] authorization_url")
        return replace(known.in_sandbox() if settings.sandbox else known, **given)
    if not moved and not settings.authorization_url:
        return None
    if settings.variables:
        raise SettingsError(f"[providers.{provider_id}] has no setting {min(settings.variables)!r}. Remove it.")
    name = settings.name or (known.name if known else provider_id)
    described = read_provider(provider_id, {"name": name, **given}, f"[providers.{provider_id}]")
    return replace(described, scopes=known.scopes, api=_shapes(known.api)) if known else described


def _shapes(api: Api) -> Api:
    """What the API's errors look like, without its addresses."""
    return Api(expired=api.expired, missing_scope=api.missing_scope, scopes=api.scopes)


def _values(provider: Provider, settings: ProviderSettings, theirs: Mapping[str, str]) -> dict[str, str]:
    """What stands in the addresses: the operator's choice, else the person's, else the default."""
    chosen = {name: settings.variables.get(name, theirs.get(name)) for name in provider.variables}
    return {name: value for name, about in provider.variables.items() if (value := chosen[name] or about.default)}


def _filled(provider: Provider, settings: ProviderSettings, theirs: Mapping[str, str], *, complete: bool) -> Provider:
    """The operator's own variables win, and what a person says of others than the provider's is not heard.

    A host that the operator chose is allowed by that.
    """
    heard = {name: value for name, value in theirs.items() if name in provider.variables}
    return provider.at(
        {**heard, **settings.variables},
        allowed_hosts=settings.allowed_hosts | set(settings.variables.values()),
        complete=complete,
    )


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
