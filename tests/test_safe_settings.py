"""What the gateway refuses to start with, and the sentence that mends it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.exposure import exposed
from gateway.safe_settings import check
from gateway.settings import load_settings

SECRET = "n0t-a-sample/but+32-random-bytes"
ISSUER = '[access]\nissuer = "https://login.example.com"'
BUILTIN = "[access]\nbuiltin = true"
LOGIN = (
    '[access]\nbuiltin = true\nlogin_issuer = "https://login.example.com"\nlogin_client_id = "gateway"\n'
    f'login_client_secret = "{SECRET}"'
)
OPEN = f"""[server]
host = "0.0.0.0"
public_url = "https://gateway.example.com/"
[vault]
key = "{base64.b64encode(bytes(range(32))).decode()}"
"""


def settings(tmp_path, text):
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    path.chmod(0o600)
    return load_settings(path, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[server]\nhost = "0.0.0.0"', "Until access is configured it listens on 127.0.0.1 only"),
        ('[server]\nhost = "192.0.2.7"', "Until access is configured"),
        ('[server]\nhost = "gateway.internal"', "Until access is configured"),
        ('[server]\nhost = "0.0.0.0"\n[access]\nkeys = true', "set .server. public_url to the https address"),
        ('[server]\npublic_url = "http://gateway.example.com"\n[access]\nkeys = true', "without https"),
        ('[server]\npublic_url = "gateway.example.com"\n[access]\nkeys = true', "write it in full"),
        ('[server]\npublic_url = "https://[gateway"\n[access]\nkeys = true', "write it in full"),
        ('[server]\npublic_url = "https://example.com/gateway"\n[access]\nkeys = true', "without a path"),
        ('[server]\npublic_url = "https://example.com/?x=1"\n[access]\nkeys = true', "without a path"),
        ('[server]\nreplica_url = "10.0.0.3:8787"', "such as http://10.0.0.3:8787"),
        ('[server]\nreplica_url = "ftp://10.0.0.3"', "such as http://10.0.0.3:8787"),
        ('[server]\nreplica_url = "http://10.0.0.3:port"', "such as http://10.0.0.3:8787"),
        ('[server]\nreplica_url = "http://u:p@10.0.0.3"', "such as http://10.0.0.3:8787"),
        ('[server]\nreplica_url = "http://10.0.0.3:8787/gateway"', "without a path"),
        ('[server]\nreplica_url = "http://10.0.0.3:8787/?x=1"', "without a path"),
        ('[server]\nreplica_url = "http://0.0.0.0:8787"', "no address of one gateway"),
        ('[server]\nreplica_url = "http://[::]:8787"', "no address of one gateway"),
        ('[server]\nreplica_url = "http://203.0.114.7:8787"', "over the open internet"),
        ('[server]\nreplica_url = "http://[2600::1]:8787"', "over the open internet"),
        ('[server]\nreplica_url = "http://gateway-1.example.com"', "over the open internet"),
        ("[access]\nstep_up = true", "lets nobody in"),
        ('[access]\npreset = "okta"', "lets nobody in"),
        ('[access]\nkeys = true\naudience = "x"', "names no issuer"),
        ('[access]\nkeys = true\nclient_id = "x"', "names no issuer"),
        ('[access]\nissuer = "http://login.example.com"', "must begin with https"),
        ('[access]\nissuer = "login.example.com"', "plain https"),
        ('[access]\nissuer = "https://u:p@login.example.com"', "plain https"),
        ('[server]\npublic_url = "https://g.example"\n[access]\nissuer = "https://g.example/"', "this gateway itself"),
        (f'{ISSUER}\npreset = "oktta"', "Did you mean okta"),
        (f'{ISSUER}\npreset = "entra"', "any token of that issuer would be let in"),
        (f'{ISSUER}\npreset = "google"', "any token of that issuer would be let in"),
        (f'{ISSUER}\naudience = ["*"]', "write it out"),
        (f'{ISSUER}\naudience = ["https://*.example.com"]', "write it out"),
        (f'{ISSUER}\nclient_id = "gateway"', "belong together"),
        (f'{ISSUER}\nclient_secret = "{SECRET}"', "belong together"),
        (f'{ISSUER}\npreset = "google"\naudience = "x"\nclient_id = "x"\nclient_secret = "{SECRET}"', "has none"),
        (f'{ISSUER}\nclient_id = "x"\nclient_secret = "changeme"', "can be guessed"),
        (f'{ISSUER}\nclient_id = "x"\nclient_secret = "tooshort"', "can be guessed"),
        (f'{ISSUER}\nclient_id = "x"\nclient_secret = "{"ab" * 20}"', "can be guessed"),
        (f'{ISSUER}\nclient_id = "x"\nclient_secret = "{SECRET}"\n[vault]\nkey = "{SECRET}"', "Use one for each"),
        (f'{ISSUER}\n[atp]\napp_key = "{SECRET}"', "keys create app NAME"),
        (f'[server]\nhost = "0.0.0.0"\npublic_url = "https://g.example"\n{ISSUER}', "key is not set"),
        ("[access]\nregistration = false", "lets nobody in"),
        ('[access]\nkeys = true\ndocument_hosts = "claude.ai"', "Set builtin = true"),
        ("[access]\nkeys = true\n[access.clients.x]", "Set builtin = true"),
        ("[access]\nbuiltin = true\n[access.clients.x]", "needs redirect_uris"),
        (f'{BUILTIN}\n[access.clients.x]\nredirect_uris = "http://app.example/"', "cannot be used"),
        (f'{BUILTIN}\n[access.clients.x]\nredirect_uris = "https://app.example/#x"', "cannot be used"),
        (f'{BUILTIN}\n[access.clients.x]\nsecret = "0123456789abcdef0123456789a"', "less than 32 characters"),
        (f'{BUILTIN}\n[access.clients.x]\nsecret = "changeme"', "less than 32|can be guessed"),
        (f'{BUILTIN}\n[access.clients.x]\nsecret = "{SECRET}"\n[access.clients.y]\nsecret = "{SECRET}"', "for each"),
        (f'{BUILTIN}\ndocument_hosts = "https://claude.ai"', "is no host"),
        (f'{BUILTIN}\ndocument_hosts = "claude.ai"\nclient_documents = false', "Leave one of them out"),
        ("[access]\nlocal_accounts = true", "lets nobody in"),
        (LOGIN.replace("builtin", "#"), "lets nobody in"),
        ('[access]\nbuiltin = true\nlogin_issuer = "https://login.example.com"', "needs login_client_id"),
        ('[access]\nbuiltin = true\nlogin_client_id = "x"', "Set login_issuer"),
        ('[access]\nbuiltin = true\nlocal_accounts = true\nlogin_domains = "example.com"', "Set login_issuer"),
        (LOGIN.replace("https:", "http:"), "must begin with https"),
        (LOGIN.replace("https://login.example.com", "app:shop"), "plain https"),
        (LOGIN.replace("https://login.example.com", "local"), "plain https"),
        (f'[server]\npublic_url = "https://login.example.com/"\n{LOGIN}', "this gateway itself"),
        (LOGIN.replace(SECRET, "changeme"), "can be guessed"),
        (f'{LOGIN}\n[vault]\nkey = "{SECRET}"', "Use one for each"),
        (f"{ISSUER}\nlocal_accounts = true", "would be somebody else"),
        (LOGIN.replace("builtin = true", 'issuer = "https://other.example.com"'), "would be somebody else"),
        ('[server]\ntrusted_proxies = "0.0.0.0/0"', "is everybody"),
        ('[server]\ntrusted_proxies = "::/0"', "is everybody"),
        ('[server]\ntrusted_proxies = "proxy.internal"', "no address or network"),
    ],
)
def test_what_cannot_be_served_safely_is_not_served(tmp_path, text, says):
    with pytest.raises(SettingsError, match=says):
        check(settings(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[server]\nhost = "127.0.0.2"',
        '[server]\nhost = "::1"',
        "[access]\nkeys = true",
        '[server]\npublic_url = "http://127.0.0.1:9000"\n[access]\nkeys = true',
        f"{OPEN}\n[access]\nkeys = true\nstep_up = true",
        f"{OPEN}\n{ISSUER}",
        f'{OPEN}\n{ISSUER}\npreset = "entra"\naudience = "5e3c"',
        f'{OPEN}\n{ISSUER}\nkeys = true\nclient_id = "gateway"\nclient_secret = "{SECRET}"',
        '[access]\nissuer = "http://127.0.0.1:9000"',
        f"{BUILTIN}\nregistration = false\nclient_documents = false",
        f"{OPEN}\n{ISSUER}\nbuiltin = true\nkeys = true",
        f'{OPEN}\n{BUILTIN}\ndocument_hosts = ["claude.ai", "localhost:9000"]',
        f'{OPEN}\n{BUILTIN}\n[access.clients.intranet]\nname = "Intranet"\nredirect_uris = ["https://i.example/cb"]',
        f'{OPEN}\n{BUILTIN}\n[access.clients.robot]\nsecret = "{SECRET}"',
        LOGIN,
        f"{OPEN}\n{LOGIN}\nlocal_accounts = true\nlogin_domains = ['example.com']\ngroups_claim = 'roles'",
        "[access]\nbuiltin = true\nlocal_accounts = true",
        LOGIN.replace("builtin = true", 'issuer = "https://login.example.com"'),
        '[server]\ntrusted_proxies = ["10.0.0.7", "fd00::/8"]',
    ],
)
def test_what_can_be_served_safely_is_served(tmp_path, text):
    check(settings(tmp_path, text))


INLINE = f'{ISSUER}\nclient_id = "gateway"\nclient_secret = "{SECRET}"'


def test_settings_that_everybody_here_can_read_hold_no_secret(tmp_path):
    settings(tmp_path, INLINE)
    path = tmp_path / "gateway.toml"
    for mode, refused in ((0o600, False), (0o640, False), (0o644, True), (0o604, True)):
        path.chmod(mode)
        if refused:
            with pytest.raises(SettingsError, match=f"gateway.toml holds a secret.*{mode:04o}.*chmod 600.*change the"):
                check(load_settings(path, {}))
        else:
            check(load_settings(path, {}))


@pytest.mark.parametrize(
    "text",
    [
        '[access]\nkeys = true\n[vault]\nkey = "aws-kms:arn:aws:kms:eu-west-1:1:key/1"',
        "[access]\nkeys = true",
        '[access]\nkeys = true\n[providers.hubspot]\nclient_id = "x"',
    ],
)
def test_settings_without_a_secret_may_be_read_by_everybody(tmp_path, text):
    settings(tmp_path, text)
    (tmp_path / "gateway.toml").chmod(0o644)

    check(load_settings(tmp_path / "gateway.toml", {}))


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        (f'{ISSUER}\nclient_id = "gateway"\nclient_secret_file = "held"', {}),
        (f"{ISSUER}\n[providers.hubspot]\nclient_id = 'x'\nclient_secret_file = 'held'", {}),
        (f"{ISSUER}\n[tenants.acme.providers.hubspot]\nclient_id = 'x'\nclient_secret_file = 'held'", {}),
        ("[access]\nkeys = true", {"ATP_GATEWAY_VAULT_KEY_FILE": "held"}),
        ("[access]\nkeys = true\n[vault]\ntransit_token_file = 'held'", {}),
    ],
)
def test_a_file_with_a_secret_that_everybody_here_can_read_is_refused(tmp_path, text, environ):
    settings(tmp_path, "")
    (tmp_path / "gateway.toml").write_text(text)
    (tmp_path / "held").write_text(base64.b64encode(bytes(range(32))).decode())
    (tmp_path / "held").chmod(0o644)

    with pytest.raises(SettingsError, match="held holds a secret"):
        check(load_settings(tmp_path / "gateway.toml", environ))
    (tmp_path / "held").chmod(0o400)
    check(load_settings(tmp_path / "gateway.toml", environ))


def test_on_ones_own_laptop_it_is_a_warning(tmp_path, caplog):
    settings(tmp_path, f'[providers.hubspot]\nclient_id = "x"\nclient_secret = "{SECRET}"')
    (tmp_path / "gateway.toml").chmod(0o644)

    check(load_settings(tmp_path / "gateway.toml", {}))

    assert "gateway.toml holds a secret" in caplog.text
    assert SECRET not in caplog.text


def test_what_a_container_engine_mounts_is_its_business(tmp_path):
    assert exposed([Path("/run/secrets/vault-key"), tmp_path / "not there"]) == ()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8787",
        "http://10.0.0.3:8787/",
        "http://100.64.0.3:8787",
        "http://[fd00::3]:8787",
        "http://gateway-1:8787",
        "http://gateway-1.internal:8787",
        "http://gateway-0.gateway.default.svc.cluster.local:8787",
        "https://gateway-1.example.com",
    ],
)
def test_a_replica_is_reached_in_a_private_network_or_over_https(tmp_path: Path, url: str) -> None:
    check(settings(tmp_path, f'[server]\nreplica_url = "{url}"'))
