"""From a TOML table to a Provider, and back: strict, and in sentences.

A key that a description does not have is refused with the nearest one that exists, so that a slip of the pen cannot
silently switch something off. The dataclasses in `gateway.providers.provider` are the schema; there is no second one.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gateway.errors import SettingsError
from gateway.providers.addresses import check_url, fill, names_in
from gateway.providers.provider import Provider

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def read_provider(provider_id: str, table: Mapping[str, Any], where: str) -> Provider:
    """Read one description. `where` names the file or table in errors. Raises SettingsError."""
    if not _ID.fullmatch(provider_id):
        raise SettingsError(f"{where}: a provider's name is lower-case letters, digits, - and _; got {provider_id!r}.")
    if "id" in table:
        raise SettingsError(f"{where}: remove the key id: a provider is named by its file or table.")
    provider: Provider = _read(Provider, {"id": provider_id, "name": provider_id, **table}, where, "")
    _check(provider, where)
    return provider


def written(provider: Provider) -> dict[str, Any]:
    """The description as a catalogue file would have it: only what differs from the defaults, and without the id."""
    table: dict[str, Any] = _written(provider)
    del table["id"]
    return table


def _written(value: Any) -> Any:
    if is_dataclass(value):
        given = {each: getattr(value, each.name) for each in fields(value)}
        return {each.name: _written(found) for each, found in given.items() if found != _default(each)}
    if isinstance(value, Mapping):
        return {name: _written(item) for name, item in value.items()}
    return [_written(item) for item in value] if isinstance(value, tuple) else value


def _default(each: Field[Any]) -> Any:
    return each.default if each.default_factory is MISSING else each.default_factory()


def _read(shape: Any, table: Any, where: str, path: str) -> Any:
    if not isinstance(table, Mapping):
        raise SettingsError(f"{where}: {path.rstrip('.')} must be a table.")
    hints = get_type_hints(shape)
    for key in table.keys() - hints.keys():
        near = difflib.get_close_matches(str(key), hints, n=1)
        raise SettingsError(f"{where}: unknown key {path}{key}." + (f" Did you mean {near[0]}?" if near else ""))
    for each in fields(shape):
        if each.default is MISSING and each.default_factory is MISSING and each.name not in table:
            raise SettingsError(f"{where}: the key {path}{each.name} is missing.")
    return shape(**{key: _value(hints[key], value, where, f"{path}{key}") for key, value in table.items()})


def _value(kind: Any, value: Any, where: str, key: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _value(next(a for a in arguments if a is not type(None)), value, where, key)
    if is_dataclass(kind):
        return _read(kind, value, where, f"{key}.")
    if origin is Literal:
        if value in arguments:
            return value
        raise SettingsError(f"{where}: {key} must be one of {', '.join(arguments)}.")
    if origin is tuple:
        return _items(arguments[0], _plain(list, value, where, key), where, key)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        table = _plain(dict, value, where, key, "a table")
        return {str(name): _value(arguments[1], item, where, f"{key}.{name}") for name, item in table.items()}
    return _plain(kind, value, where, key)


def _items(kind: Any, items: list[Any], where: str, key: str) -> tuple[Any, ...]:
    if is_dataclass(kind):
        return tuple(_read(kind, item, where, f"{key}[{index}].") for index, item in enumerate(items))
    if get_origin(kind) is Literal:
        return tuple(_value(kind, item, where, key) for item in items)
    return tuple(_plain(kind, item, where, key, "a list of texts") for item in items)


_WORDS = {str: "text", bool: "true or false", int: "a whole number", list: "a list", dict: "a table"}


def _plain(kind: type, value: Any, where: str, key: str, expected: str | None = None) -> Any:
    if type(value) is not kind:
        raise SettingsError(f"{where}: {key} must be {expected or _WORDS[kind]}.")
    return value


def _check(provider: Provider, where: str) -> None:
    """What the types cannot say: addresses are safe, patterns compile, there is a way to the endpoints."""
    for key, pattern in _patterns(provider).items():
        _check_pattern(pattern, where, key)
    if provider.needs_discovery and not provider.issuer:
        raise SettingsError(f"{where}: give issuer, or authorization_url and token_url.")
    for key, url in _addresses(provider).items():
        if unknown := names_in(url) - _names(provider):
            raise SettingsError(f"{where}: {key} holds {{{min(unknown)}}}, which is neither a variable nor an extra.")
        check_url(fill(url, _sample(provider, url)), f"{where}: {key}")
    source = provider.identity.source if provider.identity else None
    if source == "introspection" and not provider.introspection:
        raise SettingsError(f'{where}: identity.source = "introspection" needs introspection.url.')
    if source == "userinfo" and not provider.userinfo_url and not provider.needs_discovery:
        raise SettingsError(f'{where}: identity.source = "userinfo" needs userinfo_url.')
    if provider.identity and not provider.identity.account_id:
        raise SettingsError(f"{where}: identity.account_id must name at least one claim.")
    for name in provider.redirect.variables.keys() - provider.variables.keys():
        raise SettingsError(f"{where}: redirect.variables.{name} fills a variable that does not exist.")


def _patterns(provider: Provider) -> dict[str, str]:
    identity = provider.identity.extras if provider.identity else {}
    lookup = provider.lookup.extras if provider.lookup else {}
    own = provider.client_credentials.variables if provider.client_credentials else {}
    return {
        **{f"variables.{name}.pattern": about.pattern for name, about in provider.variables.items()},
        **{f"client_credentials.variables.{name}.pattern": about.pattern for name, about in own.items()},
        **{f"extras.{name}": pattern for name, pattern in provider.extras.items()},
        **{f"identity.extras.{name}": pattern for name, pattern in identity.items()},
        **{f"lookup.extras.{name}.pattern": extra.pattern for name, extra in lookup.items()},
        **{f"redirect.extras.{name}": pattern for name, pattern in provider.redirect.extras.items()},
        **{f"redirect.variables.{name}.pattern": found.pattern for name, found in provider.redirect.variables.items()},
    }


def _check_pattern(pattern: str, where: str, key: str) -> None:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise SettingsError(f"{where}: {key} is not a regular expression: {error}.") from None
    if key.startswith("redirect.variables.") and not compiled.groups:
        raise SettingsError(f"{where}: {key} needs a group, (…), around the variable's value.")


def extra_names(provider: Provider) -> set[str]:
    """The names under which a connection's extras are kept: the last word of each path."""
    identity = provider.identity.extras if provider.identity else {}
    lookup = provider.lookup.extras if provider.lookup else {}
    paths = [*provider.extras, *identity, *lookup, *provider.redirect.extras]
    return {path.rpartition(".")[2] for path in paths}


def _names(provider: Provider) -> set[str]:
    return {"client_id", "tid", *provider.variables, *extra_names(provider)}


def _sample(provider: Provider, url: str) -> dict[str, str]:
    """Something for each name, to look at an address before anybody chose anything."""
    values = {name: about.default or "x" for name, about in provider.variables.items()}
    extra = "https://x.example" if url.startswith("{") else "x"
    return {"client_id": "id", "tid": "tid"} | dict.fromkeys(extra_names(provider), extra) | values


def _addresses(provider: Provider) -> dict[str, str]:
    found = {
        "authorization_url": provider.authorization_url,
        "token_url": provider.token_url,
        "issuer": provider.issuer,
        "discovery_url": provider.discovery_url,
        "jwks_url": provider.jwks_url,
        "userinfo_url": provider.userinfo_url,
        "introspection.url": provider.introspection and provider.introspection.url,
        "revocation.url": provider.revocation and provider.revocation.url,
        "refresh.url": provider.refresh.url,
        "long_lived.url": provider.long_lived and provider.long_lived.url,
        "lookup.url": provider.lookup and provider.lookup.url,
        "device.url": provider.device and provider.device.url,
        "client_credentials.url": provider.client_credentials and provider.client_credentials.url,
        "service_account.url": provider.service_account and provider.service_account.url,
        "api.base_url": provider.api.base_url,
        # For people to read, where a fragment leads to the right place.
        "access_page": provider.access_page and provider.access_page.partition("#")[0],
        "docs": provider.docs and provider.docs.partition("#")[0],
    }
    return {key: url for key, url in found.items() if url}
