"""What the gateway refuses to serve with: settings that cannot be safe, each with the sentence that mends it.

Looked at before anything is opened. Beside `gateway.entry`, which acts on the same settings; above: `gateway.app`.
Not here: what only the opened database can tell, such as a vault key that does not fit it.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import metadata
from urllib.parse import urlsplit

from gateway.access.presets import PRESETS
from gateway.access.rules import read_rules
from gateway.errors import SettingsError
from gateway.outward.public_addresses import is_public
from gateway.providers.addresses import check_url, is_loopback
from gateway.secret import Secret
from gateway.settings import AccessSettings, Server, Settings

log = logging.getLogger(__name__)

SHORTEST_SECRET = 16
_SAMPLES = {
    "changeme",
    "change-me",
    "change_me",
    "secret",
    "password",
    "example",
    "default",
    "test",
    "todo",
    "replaceme",
}
_FLOORS = {"mcp": "2.3", "starlette": "1.0.1", "authlib": "1.9.9", "python-multipart": "0.0.22", "joserfc": "1.6"}
"""Below these, a hole is known that a stranger could use."""


_OF_AN_ISSUERS_TOKENS = ("preset", "audience", "client_id", "client_secret")
_OF_AN_ISSUER = (*_OF_AN_ISSUERS_TOKENS, "groups_claim", "tenant_claim")
_OF_BUILTIN = ("registration", "client_documents", "document_hosts", "clients")


def is_open(access: AccessSettings) -> bool:
    """Whether anybody but the local person is meant to come in."""
    return access.keys or access.builtin or access.issuer is not None


def signs_in(access: AccessSettings) -> bool:
    """Whether people have a way to sign in at the browser."""
    return access.login_issuer is not None or access.local_accounts


def check(settings: Settings) -> None:
    """SettingsError for the first of these settings that cannot be served safely.

    On one's own laptop, a file with a secret that others can read is a warning in the log.
    """
    access, server = settings.access, settings.server
    _check_proxies(server)
    _check_replica_url(server.replica_url)
    if not is_open(access):
        _check_alone(access, server)
        for sentence in settings.exposed:
            log.warning("%s", sentence)
        return
    if settings.exposed:
        raise SettingsError(f"{settings.exposed[0]}. If somebody may have read it, change the secret as well.")
    _check_address(server)
    _check_issuer(access, (server.public_url or "").rstrip("/"))
    _check_builtin(access)
    _check_login(access, (server.public_url or "").rstrip("/"))
    read_rules(access.rules, access.issuer or access.login_issuer)
    access.calls_per_minute.check()
    _check_own_app(settings)
    _check_secrets(settings)
    if not is_loopback(server.host) and settings.vault.key is None:
        raise SettingsError(
            "[vault] key is not set, and a key that was made for this machine alone is lost with it, and with it "
            "everybody's connections. Set key_file, or who keeps the key: see docs/keys.md."
        )
    _check_versions()


def _check_alone(access: AccessSettings, server: Server) -> None:
    if access != AccessSettings():
        raise SettingsError(
            "[access] is set, but lets nobody in. Set issuer to the authorization server whose tokens are accepted, or "
            "builtin = true to be one, or keys = true."
        )
    if not is_loopback(server.host):
        raise SettingsError(
            f"[server] host is {server.host!r}, but everyone who can reach the gateway there would act with "
            "your accounts. Until access is configured it listens on 127.0.0.1 only."
        )


def _check_address(server: Server) -> None:
    url = server.public_url
    if url is None:
        if not is_loopback(server.host):
            raise SettingsError(
                f"[server] host is {server.host!r}, so people come from elsewhere: set [server] public_url to the "
                "https address they use, such as https://gateway.example.com."
            )
        return
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if not host:
        raise SettingsError(f"[server] public_url is {url!r}: write it in full, such as https://gateway.example.com.")
    if parts.scheme != "https" and not is_loopback(host):
        raise SettingsError(
            f"[server] public_url is {url}, without https: everybody on the way could read people's tokens. Put a "
            "proxy with a certificate in front, and write https://."
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingsError(
            f"[server] public_url is {url}: clients look for what they need at the root of a host. Give the gateway a "
            "host name of its own, and write it without a path."
        )


def _check_proxies(server: Server) -> None:
    for each in server.trusted_proxies:
        try:
            network = ipaddress.ip_network(each, strict=False)
        except ValueError:
            raise SettingsError(
                f"[server] trusted_proxies: {each!r} is no address or network. Write it as 10.0.0.7 or 10.0.0.0/24."
            ) from None
        if network.prefixlen == 0:
            raise SettingsError(
                f"[server] trusted_proxies: {each} is everybody, so anybody could say where they come from. Name the "
                "addresses of your own proxies."
            )


def _check_replica_url(url: str | None) -> None:
    """What goes there is sealed. Plain http is for networks in which nobody else can make calls fail."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if parts.scheme not in ("http", "https") or not host or parts.username is not None or re.search(r"\s", url):
        raise SettingsError(
            "[server] replica_url must be where the other gateways reach this one, such as http://10.0.0.3:8787."
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingsError(
            f"[server] replica_url is {url}: the other gateways call a path of their own there. Write it without a "
            "path."
        )
    if not _is_one_place(host):
        raise SettingsError(f"[server] replica_url is {url}, which is no address of one gateway. Name this one's own.")
    if parts.scheme == "http" and not _is_private(host):
        raise SettingsError(
            f"[server] replica_url is {url}, without https, and leads over the open internet. Use an address of a "
            "private network, or put a proxy with a certificate in front, and write https://."
        )


def _is_one_place(host: str) -> bool:
    address = _address(host)
    return address is None or not (address.is_unspecified or address.is_multicast)


def _is_private(host: str) -> bool:
    """An address that the internet does not route to; a name that is nobody's outside of its network."""
    if _address(host) is None:
        return "." not in host or host.endswith((".internal", ".local", ".localhost"))
    return not is_public(host)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _check_issuer(access: AccessSettings, public_url: str) -> None:
    if access.issuer is None:
        meant = _OF_AN_ISSUER if access.login_issuer is None else _OF_AN_ISSUERS_TOKENS
        if any(getattr(access, name) != getattr(AccessSettings(), name) for name in meant):
            raise SettingsError("[access] says what an issuer's tokens are like, and names no issuer. Set issuer.")
        return
    check_url(access.issuer, "[access] issuer")
    if public_url and access.issuer.rstrip("/") == public_url:
        raise SettingsError("[access] issuer is this gateway itself. Name the server that issues the tokens.")
    if access.preset not in PRESETS:
        near = get_close_matches(access.preset, PRESETS, 1)
        raise SettingsError(
            f"[access] preset is {access.preset!r}; there are {', '.join(PRESETS)}."
            + (f" Did you mean {near[0]}?" if near else "")
        )
    if any(not each.strip() or "*" in each for each in access.audience):
        raise SettingsError(
            "[access] audience holds an empty text or a *. Each is compared to the letter: write it out."
        )
    preset = PRESETS[access.preset]
    if not (preset.names_us or access.audience):
        raise SettingsError(
            f"[access] audience is not set, and tokens of {access.preset} do not name <public_url>/mcp. Without it any "
            "token of that issuer would be let in. Set it to what they name in `aud`: see docs/access.md."
        )
    if (access.client_id is None) != (access.client_secret is None):
        raise SettingsError("[access] client_id and client_secret belong together: set both, or neither.")
    if preset.tokeninfo and access.client_id is not None:
        raise SettingsError(f"[access] client_id is for introspection, and {access.preset} has none. Leave it out.")


def _check_builtin(access: AccessSettings) -> None:
    if not access.builtin:
        if any(getattr(access, name) != getattr(AccessSettings(), name) for name in _OF_BUILTIN):
            raise SettingsError("[access] says which programs may come, and lets none of them in. Set builtin = true.")
        return
    from gateway.authorization.document_fetch import DocumentFetch
    from gateway.authorization.server import configured_client

    if access.document_hosts and not access.client_documents:
        raise SettingsError("[access] document_hosts is set, and client_documents is off. Leave one of them out.")
    DocumentFetch(access.document_hosts)
    for client_id, client in access.clients.items():
        configured_client(client_id, client.name, client.redirect_uris, client.secret)


def _check_login(access: AccessSettings, public_url: str) -> None:
    """How people sign in at the browser."""
    parts = (access.login_client_id, access.login_client_secret)
    if access.login_issuer is None:
        if any(parts) or access.login_domains:
            raise SettingsError("[access] says how people sign in, and not where. Set login_issuer.")
    else:
        check_url(access.login_issuer, "[access] login_issuer")
        if public_url and access.login_issuer.rstrip("/") == public_url:
            raise SettingsError(
                "[access] login_issuer is this gateway itself. Name your identity provider, or set local_accounts."
            )
        if not all(parts):
            raise SettingsError(
                "[access] login_issuer needs login_client_id and login_client_secret: register the gateway there, with "
                f"the redirect URI {public_url or '<public_url>'}/login/callback."
            )
    elsewhere = signs_in(access) and access.login_issuer != access.issuer
    if access.issuer is not None and elsewhere and not access.builtin:
        raise SettingsError(
            "[access] issuer and login_issuer differ: who signs in at the browser would be somebody else than the same "
            "person's programs, and find none of their connections. Set login_issuer to the issuer."
        )


def _check_own_app(settings: Settings) -> None:
    if settings.atp.app_key:
        raise SettingsError(
            "[atp] app_key lets an app act as the person who runs the gateway, and now there are several people. Leave "
            "it out, and make the app a key of its own: atp-gateway keys create app NAME"
        )


def _check_secrets(settings: Settings) -> None:
    seen: dict[str, str] = {}
    for where, secret in _secrets(settings):
        text = secret.reveal()
        if text.strip().lower() in _SAMPLES or len(text) < SHORTEST_SECRET or len(set(text)) < SHORTEST_SECRET // 2:
            raise SettingsError(
                f"{where} can be guessed: it is a sample, or too short. Use at least {SHORTEST_SECRET} random "
                "characters, such as: openssl rand -base64 32"
            )
        if text in seen:
            raise SettingsError(f"{where} is the same as {seen[text]}: who learns one has both. Use one for each.")
        seen[text] = where


def _secrets(settings: Settings) -> Iterator[tuple[str, Secret]]:
    """Those that we were told and that a stranger could try; the vault's key judges itself."""
    if settings.access.client_secret is not None:
        yield "[access] client_secret", settings.access.client_secret
    if settings.access.login_client_secret is not None:
        yield "[access] login_client_secret", settings.access.login_client_secret
    for client_id, client in settings.access.clients.items():
        if client.secret is not None:
            yield f"[access.clients.{client_id}] secret", client.secret
    if settings.vault.key is not None and ":" not in settings.vault.key.reveal():
        yield "[vault] key", settings.vault.key


def _check_versions() -> None:
    for package, floor in _FLOORS.items():
        found = metadata.version(package)
        if _numbers(found) < _numbers(floor):
            raise SettingsError(
                f"{package} is {found}; below {floor} it has a known hole. Upgrade it: pip install -U {package}"
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
