"""The configuration, read once: a TOML file, then the environment over it.

Each setting is one field with a sentence. Nothing below this layer reads a file or the environment; values travel by
constructor. A setting `[section] name` is `ATP_GATEWAY_SECTION_NAME` in the environment; a provider's is
`ATP_GATEWAY_PROVIDERS__HUBSPOT__CLIENT_ID`, a tenant's own `ATP_GATEWAY_TENANTS__ACME__PROVIDERS__HUBSPOT__CLIENT_ID`.
A secret may stand in a file of its own: `client_secret_file`.

Above: app, cli. An unknown name, a wrong type or an unreadable file is a SettingsError that says where.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, cast, get_type_hints

from gateway.access.rates import CallsPerMinute
from gateway.access.rules import Rule
from gateway.errors import SettingsError
from gateway.exposure import exposed, holds_secrets, secret_files
from gateway.oauth.apps import ProviderSettings
from gateway.secret import Secret

PREFIX = "ATP_GATEWAY_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
"""Where the file is. Not a setting itself."""


def setting(default: Any, sentence: str) -> Any:
    """A field with the sentence that documents it."""
    if callable(default):
        return field(default_factory=default, metadata={"about": sentence})
    return field(default=default, metadata={"about": sentence})


@dataclass(frozen=True, slots=True)
class Server:
    host: str = setting("127.0.0.1", "The address to listen on. Only a loopback address until access is configured.")
    port: int = setting(8787, "The port to listen on; 0 takes a free one.")
    trusted_proxies: tuple[str, ...] = setting(
        tuple, "Addresses or networks of your own proxies: from them alone X-Forwarded-For tells who is calling."
    )
    public_url: str | None = setting(None, "The URL people and hosts reach the gateway at, when a proxy is in front.")
    replica_url: str | None = setting(
        None, "With several gateways on one database: the URL at which the others reach this one."
    )
    device_flow: bool = setting(
        False, "Allow `connect --device`: a code for another device. A code can be passed on to deceive somebody."
    )


@dataclass(frozen=True, slots=True)
class Database:
    url: str | None = setting(
        None, "sqlite:////path/to/file.db or postgresql://…; by default a file in your data folder."
    )
    upgrade: bool = setting(
        True, "Bring an older database to this version at start. false: only by `atp-gateway db upgrade`."
    )


@dataclass(frozen=True, slots=True)
class VaultKey:
    key: Secret | None = setting(None, "The vault's key: 32 random bytes in base64, or who keeps it. Or key_file.")
    previous_keys: tuple[Secret, ...] = setting(tuple, "Former keys, which still open what they sealed.")
    use_os_keyring: bool = setting(
        True, "Without a key: keep one in the operating system's keyring, else in a 0600 file."
    )
    transit_token_file: str | None = setting(None, "The file with HashiCorp Vault's token, for a key that Vault keeps.")


@dataclass(frozen=True, slots=True)
class Toolkits:
    load: tuple[str, ...] = setting(tuple, "Toolkits to load: .py files, folders, dotted modules.")
    strict: bool = setting(False, "Refuse to start when a toolkit is broken, instead of going on without it.")
    review: bool | None = setting(
        None,
        "Keep what a toolkit from afar says anew of its tools waiting, until `atp-gateway toolkits approve`. Unless "
        "said: for a team yes, on one's own laptop no.",
    )
    isolation: tuple[str, ...] = setting(
        lambda: ("inline",),
        "inline; process: each toolkit runs in processes of its own; or the names of those that do.",
    )
    workers: int = setting(2, "How many worker processes each isolated toolkit has: calls that it runs at a time.")
    worker_memory: int = setting(1024, "The most address space of one worker process, in MiB.")
    environment: tuple[str, ...] = setting(
        tuple, "Environment variables that isolated toolkits see, beside PATH, LANG and TZ."
    )


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """A program that the operator registers: `[access.clients.<its id>]`."""

    name: str = setting("", "What people read when they are asked about it; by default its id.")
    redirect_uris: tuple[str, ...] = setting(tuple, "Where people are sent back to; none: it acts in its own name.")
    secret: Secret | None = setting(None, "What it proves itself with; none: it is public. Or secret_file.")


@dataclass(frozen=True, slots=True)
class AccessSettings:
    keys: bool = setting(False, "Let programs in by a person's API key: atp-gateway keys create person NAME.")
    issuer: str | None = setting(
        None, "The authorization server whose access tokens are accepted, exactly as its tokens name it in `iss`."
    )
    preset: str = setting("rfc9068", "What its tokens are like: rfc9068, keycloak, entra, okta, auth0, google.")
    audience: tuple[str, ...] = setting(
        tuple, "What its tokens must name in `aud`; by default <public_url>/mcp. Some presets need it said."
    )
    client_id: str | None = setting(None, "With client_secret: our registration there, to introspect opaque tokens.")
    client_secret: Secret | None = setting(None, "See client_id. Or client_secret_file.")
    login_issuer: str | None = setting(
        None, "The OpenID provider that people sign in with at the browser, exactly as its metadata names itself."
    )
    login_client_id: str | None = setting(None, "Our registration there, with <public_url>/login/callback.")
    login_client_secret: Secret | None = setting(None, "See login_client_id. Or login_client_secret_file.")
    login_domains: tuple[str, ...] = setting(
        tuple, "Only people with a verified e-mail address of these domains may sign in there; none: everybody may."
    )
    local_accounts: bool = setting(
        False, "Let people sign in with accounts that the gateway keeps: atp-gateway people invite EMAIL."
    )
    groups_claim: str | None = setting(None, "The claim that lists a person's groups, where it is not the preset's.")
    tenant_claim: str | None = setting(None, "The claim that names a person's tenant; none: everybody is in `default`.")
    step_up: bool = setting(False, "Ask for the scope tools:destructive before a tool that is annotated destructive.")
    builtin: bool = setting(False, "Be an authorization server: let people sign in here, and let their programs in.")
    registration: bool = setting(True, "With builtin: programs may register themselves. People are asked about each.")
    client_documents: bool = setting(True, "With builtin: a program's id may be the https address that describes it.")
    document_hosts: tuple[str, ...] = setting(
        tuple, "The only hosts whose programs that goes for, private ones and http too; none: every public one."
    )
    clients: Mapping[str, ClientSettings] = setting(
        dict, "With builtin: programs that you register yourself, a table each: [access.clients.<id>]."
    )
    calls_per_minute: CallsPerMinute = setting(
        CallsPerMinute, "How many calls each person may make, each of one tool, and all of a tenant; 0: no limit."
    )
    rules: tuple[Rule, ...] = setting(
        tuple, "Who may see and call what, a table each: [[access.rules]]. None: everybody may call everything."
    )


@dataclass(frozen=True, slots=True)
class Atp:
    app_key: Secret | None = setting(
        None, "The API key of an ATP app of your own, whose users are all you. Or: keys create."
    )
    return_urls: tuple[str, ...] = setting(tuple, "Where that app may have you sent after a consent, ending in /.")
    webhook_hosts: tuple[str, ...] = setting(
        tuple, "Hosts, or host:port, that webhooks may lead to besides public https: also over http, also private."
    )
    hand_out_tokens: bool = setting(False, "Let that app read your raw tokens, as the ATP SDK's get_user_tokens does.")


@dataclass(frozen=True, slots=True)
class Audit:
    keep_days: int | None = setting(None, "For how many days what was done is kept on record; without it, for ever.")
    strict: bool | None = setting(
        None, "Give out no token before the call is on record. Unless said: for a team yes, on one's own laptop no."
    )


@dataclass(frozen=True, slots=True)
class OwnCatalogue:
    folder: Path | None = setting(
        None, "A folder of provider files of your own, beside the shipped ones; one of the same name wins."
    )


@dataclass(frozen=True, slots=True)
class Log:
    level: str = setting("INFO", "DEBUG, INFO, WARNING or ERROR.")
    requests: bool = setting(False, "Write a line for each HTTP request: method, route, status, milliseconds.")


@dataclass(frozen=True, slots=True)
class Settings:
    server: Server = field(default_factory=Server)
    database: Database = field(default_factory=Database)
    vault: VaultKey = field(default_factory=VaultKey)
    toolkits: Toolkits = field(default_factory=Toolkits)
    access: AccessSettings = field(default_factory=AccessSettings)
    atp: Atp = field(default_factory=Atp)
    audit: Audit = field(default_factory=Audit)
    log: Log = field(default_factory=Log)
    catalogue: OwnCatalogue = field(default_factory=OwnCatalogue)
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    tenants: Mapping[str, Mapping[str, ProviderSettings]] = field(default_factory=dict)
    """Tenant to provider to what differs for it: `[tenants.acme.providers.hubspot]`."""
    exposed: tuple[str, ...] = ()
    """Not a section: a sentence for each file with a secret, this one among them, that others can read."""


def load_settings(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the file (if any), overridden by the environment. SettingsError names what is wrong, and where."""
    environ = os.environ if environ is None else environ
    tables: dict[str, dict[str, Any]] = _from_file(config) if config else {}
    folder = config.parent if config else Path()
    with_secrets = [config] if config and holds_secrets(tables) else []
    for name, text in environ.items():
        if name.startswith(PREFIX) and name != CONFIG_VARIABLE:
            _put_variable(tables, name, text)
    hints: dict[str, type[Any]] = get_type_hints(Settings)
    sections = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    if unknown := tables.keys() - sections.keys() - set(_BY_NAME):
        raise SettingsError(f"unknown section [{min(unknown)}]; there are {', '.join([*sections, *_BY_NAME])}")
    built: dict[str, Any] = {
        name: _build(kind, tables.get(name, {}), f"[{name}]", folder) for name, kind in sections.items()
    }
    built["providers"] = _providers(tables.get("providers", {}), "providers", folder)
    built["tenants"] = {
        tenant: _providers(_only(table, "providers", f"tenants.{tenant}"), f"tenants.{tenant}.providers", folder)
        for tenant, table in _named(tables.get("tenants", {}), "tenants").items()
    }
    return Settings(**built, exposed=exposed([*with_secrets, *secret_files(tables, folder)]))


def forget_variables() -> None:
    """Take the settings out of the environment, once they are read: any may be a secret, and children inherit them."""
    sections = tuple(f"{PREFIX}{section.upper()}_" for section in get_type_hints(Settings))
    for name in [name for name in os.environ if name.startswith(sections)]:
        del os.environ[name]


_BY_NAME = ("providers", "tenants")
"""The sections whose tables are named by whoever writes them."""


def _providers(tables: Any, where: str, folder: Path) -> dict[str, ProviderSettings]:
    return {
        name: _build(ProviderSettings, table, f"[{where}.{name}]", folder)
        for name, table in _named(tables, where).items()
    }


def _named(tables: Any, where: str) -> dict[str, Any]:
    if not isinstance(tables, dict):
        raise SettingsError(f"[{where}] must be a table")
    return tables


def _only(table: Any, key: str, where: str) -> Any:
    if unknown := _named(table, where).keys() - {key}:
        raise SettingsError(f"[{where}] has no setting {min(unknown)!r}; it has {key}")
    return table.get(key, {})


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None


def _put_variable(tables: dict[str, dict[str, Any]], name: str, text: str) -> None:
    """Put ATP_GATEWAY_SECTION_NAME, or ATP_GATEWAY_PROVIDERS__ID__NAME, where the file would have it."""
    path = name.removeprefix(PREFIX).lower()
    if not path.startswith(tuple(f"{section}__" for section in _BY_NAME)):
        section, _, key = path.partition("_")
        tables.setdefault(section, {})[key] = text
        return
    parts = path.split("__")
    match [part or None for part in parts]:
        case ["providers", str(), str()] | ["providers", str(), "variables", str()]:
            pass
        case ["tenants", str(), "providers", str(), str()] | ["tenants", str(), "providers", str(), "variables", str()]:
            pass
        case _:
            tenant = "TENANTS__<TENANT>__" if parts[0] == "tenants" else ""
            raise SettingsError(f"{name}: write {PREFIX}{tenant}PROVIDERS__<PROVIDER>__<SETTING>")
    table: dict[str, Any] = tables
    for part in parts[:-1]:
        table = table.setdefault(_spelled_in(table, part), {})
    table[parts[-1]] = text


def _spelled_in(table: Mapping[str, Any], part: str) -> str:
    """A name as the file has it: in a variable's name a dash is an underscore."""
    return next((name for name in table if name.replace("-", "_").lower() == part), part.replace("_", "-"))


def _build(kind: type[Any], table: Any, where: str, folder: Path) -> Any:
    """One section's dataclass from its table; strings from the environment are read as the field's type."""
    if not isinstance(table, dict) or not is_dataclass(kind):
        raise SettingsError(f"{where} must be a table")
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, given in table.items():
        name = key.removesuffix("_file")
        if key.endswith("_file") and key not in hints and Secret in _options(hints.get(name)):
            values[name] = _secret_from_file(folder / str(given), f"{where} {key}")
        elif key in hints:
            values[key] = _convert(given, hints[key], f"{where} {key}", folder)
        else:
            raise SettingsError(f"{where} has no setting {key!r}; it has {', '.join(hints)}")
    return kind(**values)


def _options(hint: Any) -> tuple[Any, ...]:
    return (hint, *getattr(hint, "__args__", ()))


def _secret_from_file(path: Path, where: str) -> Secret:
    try:
        return Secret(path.read_text().strip())
    except OSError as error:
        raise SettingsError(f"{where}: cannot read {path}: {error.strerror}") from None


_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _convert(given: Any, hint: Any, where: str, folder: Path = Path()) -> Any:  # noqa: PLR0911 - one line a type
    options = _options(hint)
    if is_dataclass(hint) or "Mapping" in str(hint) or _row_of(hint):
        return _tables(given, hint, where, folder)
    if isinstance(given, (list, tuple)) or (isinstance(given, str) and _is_many(hint)):
        items = given.split(",") if isinstance(given, str) else given
        wrap = Secret if Secret in options else str
        texts = [str(item).strip() for item in items]
        container = frozenset if "frozenset" in str(hint) else tuple
        return container(wrap(text) for text in texts if text)
    if Secret in options and isinstance(given, str):
        return Secret(given)
    if Path in options and isinstance(given, str):
        return folder / given
    if bool in options and isinstance(given, str) and given.lower() in (*_TRUE, *_FALSE):
        return given.lower() in _TRUE
    if int in options and isinstance(given, str) and given.isdecimal():
        return int(given)
    if isinstance(given, bool) == (bool in options) and any(
        isinstance(given, o) for o in options if isinstance(o, type)
    ):
        return given
    wanted = "true or false" if bool in options else "a whole number" if int in options else "text"
    raise SettingsError(f"{where} must be {wanted}")


def _tables(given: Any, hint: Any, where: str, folder: Path) -> Any:
    """A table, tables by name, or a list of tables."""
    name = where[1:].replace("] ", ".")
    if (row := _row_of(hint)) is not None:
        if not isinstance(given, list):
            raise SettingsError(f"{where} must be tables, each begun by [[{name}]]")
        return tuple(_build(row, table, f"{where} {number}", folder) for number, table in enumerate(given, 1))
    if not isinstance(given, dict):
        raise SettingsError(f"{where} must be a table: [{name}]")
    if is_dataclass(hint):
        return _build(cast("type[Any]", hint), given, f"[{name}]", folder)
    kind: type[Any] = hint.__args__[1]
    if is_dataclass(kind):
        return {key: _build(kind, table, f"{where}.{key}", folder) for key, table in given.items()}
    return {key: _convert(value, str, f"{where}.{key}") for key, value in given.items()}


def _row_of(hint: Any) -> type[Any] | None:
    """What a list of tables consists of; None for any other type."""
    return next(
        (kind for kind in _options(hint)[1:] if _is_many(hint) and is_dataclass(kind) and isinstance(kind, type)), None
    )


def _is_many(hint: Any) -> bool:
    return "tuple" in str(hint) or "frozenset" in str(hint)
