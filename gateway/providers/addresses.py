"""Addresses: which URLs are safe to send a secret to, and templates of them.

A template is a text with `{names}`. Not here: what the names stand for (`provider`, and above it oauth).
Source: RFC 9700 section 2.6; the server-side request forgeries of other gateways that a `{subdomain}` made possible.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from gateway.errors import SettingsError

T = TypeVar("T")

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}(:\d{1,5})?")


def check_url(url: str, where: str) -> None:
    """Raise SettingsError unless `url` is https, or http to this very machine. `where` opens the sentence."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or re.search(r"[\s\\\x00-\x20\x7f-\uffff]", url) or parts.username is not None or parts.fragment:
        raise SettingsError(f"{where} must be a plain https:// address.")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise SettingsError(f"{where} must begin with https:// (http:// is for 127.0.0.1 only).")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def same_site(url: str, issuer: str) -> bool:
    """Whether both are under one registered name: an address, a host, or what stands before the public suffix.

    Public suffixes are told by their looks (`com`, `co.uk`), which errs towards a refusal that the operator can lift.
    """
    first, second = (urlsplit(each).hostname or "" for each in (url, issuer))
    return first == second or (_site(first) == _site(second) and not re.search(r"\d$|:", first))


def _site(host: str) -> str:
    labels = host.rstrip(".").split(".")
    suffix = 2 if len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3 else 1
    return ".".join(labels[-suffix - 1 :])


def is_host(text: str) -> bool:
    """Whether this is a host name, with or without a port, and nothing else."""
    return _HOST.fullmatch(text) is not None and ".." not in text


def names_in(text: str) -> set[str]:
    """The `{names}` that a template holds."""
    return set(_PLACEHOLDER.findall(text))


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with each `{name}` that has a value replaced; others stay.

    A name that opens the template is a whole address and goes in as it is; every other one is percent-encoded, so
    that it cannot leave its place. A host must end, and begin, as its template does. Raises SettingsError.
    """

    opening = _PLACEHOLDER.match(template)
    if opening and opening[1] in values:
        return values[opening[1]] + _put(template[opening.end() :], values, "")
    scheme, slashes, rest = template.partition("://")
    if not slashes:
        return _put(template, values, "")
    host, slash, path = rest.partition("/")
    filled_host = _put(host, values, ":")
    if names_in(host) and not names_in(filled_host):
        before, after = host[: host.index("{")], host[host.rindex("}") + 1 :]
        if not (is_host(filled_host) and filled_host.startswith(before) and filled_host.endswith(after)):
            raise SettingsError(f"{template} would lead to another host. Check what was filled in.")
    return f"{scheme}{slashes}{filled_host}{slash}{_put(path, values, '')}"


def _put(text: str, values: Mapping[str, str], safe: str) -> str:
    return _PLACEHOLDER.sub(lambda found: quote(values[found[1]], safe=safe) if found[1] in values else found[0], text)


def each_text(part: T, change: Callable[[str], str], leave: frozenset[str] = frozenset()) -> T:
    """A copy of a description with every text in it changed, but for the fields named in `leave`."""
    return replace(  # type: ignore[type-var]
        part,
        **{
            each.name: _changed(getattr(part, each.name), change)
            for each in fields(part)  # type: ignore[arg-type]
            if each.name not in leave
        },
    )


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_changed(item, change) for item in value)
    if isinstance(value, Mapping):
        return {key: _changed(item, change) for key, item in value.items()}
    return each_text(value, change) if is_dataclass(value) else value
