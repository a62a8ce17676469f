"""Checkup: whether a provider is ready to be used, and what is left to do. Asks nobody: only what is written counts.

Below: apps, assertion. Above: cli.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gateway.errors import SettingsError
from gateway.oauth.apps import Apps, ProviderSettings, place_of, variable_of
from gateway.oauth.assertion import read_key_file
from gateway.providers.in_words import duration
from gateway.providers.provider import Provider
from gateway.secret import Secret

SOON = 30 * 86400
"""A grant that ends within this, in seconds, without being used needs a gateway that keeps running."""


class Level(StrEnum):
    FINE = "fine"
    NOTE = "note"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Checkup:
    """What was found about one registration. `tenant` is None for the common one."""

    provider: str
    name: str
    tenant: str | None
    findings: tuple[Finding, ...]
    redirect_uris: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        return all(finding.level is not Level.WRONG for finding in self.findings)


def check_up(apps: Apps, provider_id: str, tenant: str | None, base_urls: tuple[str, ...]) -> Checkup:
    """One registration, looked through. `base_urls` are our own addresses, as browsers reach them."""
    name = apps.display_name(provider_id)
    uris = tuple(f"{base}/oauth/callback/{provider_id}" for base in base_urls)
    try:
        provider = apps.find(provider_id, tenant or "default")
    except SettingsError as error:
        return Checkup(provider_id, name, tenant, (Finding(Level.WRONG, str(error)),))
    if provider is None:
        return Checkup(provider_id, name, tenant, (Finding(Level.WRONG, _undescribed(provider_id)),))
    settings = apps.settings(provider_id, tenant or "default")
    place = place_of(provider_id, tenant)
    findings = [*_registration(provider, settings, place), *_addresses(apps, provider, settings, tenant)]
    findings += _ends(provider, settings)
    return Checkup(provider_id, name, tenant, tuple(findings), uris)


def _undescribed(provider_id: str) -> str:
    return (
        f"Nobody described {provider_id}. Set issuer, or authorization_url and token_url, under "
        f"[providers.{provider_id}], or correct the name."
    )


def _registration(provider: Provider, settings: ProviderSettings, place: str) -> Iterator[Finding]:
    if settings.client_id:
        yield Finding(Level.FINE, f"client_id is {settings.client_id}")
    elif not settings.service_account:
        yield _missing("client_id", place)
    if settings.client_secret:
        yield Finding(Level.FINE, "client_secret is set")
    elif settings.client_id and provider.needs_client_secret:
        yield _missing("client_secret", place)
    elif settings.client_id:
        yield Finding(Level.NOTE, "no client_secret: a public client, which PKCE protects")
    if settings.service_account:
        yield _service_account(settings.service_account)


def _missing(key: str, place: str) -> Finding:
    return Finding(Level.WRONG, f"{key} is missing: set it under [{place}], or {variable_of(place, key)}")


def _service_account(key: Secret) -> Finding:
    try:
        return Finding(Level.FINE, f"service_account is {read_key_file(key).issuer}")
    except SettingsError as error:
        return Finding(Level.WRONG, str(error))


def _addresses(apps: Apps, provider: Provider, settings: ProviderSettings, tenant: str | None) -> Iterator[Finding]:
    for name, about in apps.asks(provider.id, tenant or "default").items():
        yield Finding(Level.NOTE, f"each person fills in {name}: {about.prompt}")
    if settings.sandbox:
        yield Finding(Level.NOTE, "its test environment is used: accounts of the real one cannot connect")
    if provider.needs_discovery:
        yield Finding(Level.NOTE, f"its endpoints are looked up at {provider.issuer} when they are needed")
    if settings.allowed_hosts and not any(about.self_hosted for about in provider.variables.values()):
        yield Finding(Level.WARNING, f"allowed_hosts does nothing: {provider.name} has no hosts of one's own")


def _ends(provider: Provider, settings: ProviderSettings) -> Iterator[Finding]:
    """Whatever will end sooner than people expect."""
    testing, idle = provider.refresh.testing, provider.refresh.idle
    if testing and settings.testing:
        life = duration(testing)
        yield Finding(Level.WARNING, f"testing: every grant ends after {life}. Publish the app, then remove testing")
    elif testing:
        yield Finding(Level.NOTE, "if the app is not published there yet, set testing = true: people are then warned")
    elif settings.testing:
        yield Finding(Level.WARNING, f"testing does nothing: {provider.name} does not shorten unpublished apps' grants")
    if provider.refresh.absolute and provider.refresh.absolute < SOON:
        life = duration(provider.refresh.absolute)
        yield Finding(Level.WARNING, f"a grant ends after {life}, whatever anybody does: people connect again then")
    if idle and idle < SOON:
        yield Finding(Level.WARNING, f"a grant ends when it is unused for {duration(idle)}: keep the gateway running")
    if provider.preview:
        yield Finding(Level.WARNING, "a preview: connect one account and see before you rely on it")
    if provider.notes:
        yield Finding(Level.NOTE, provider.notes)
