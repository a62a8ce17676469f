"""What the gateway refuses to start with, and the sentence that mends it."""

from __future__ import annotations

import pytest

from gateway.entry import check
from gateway.errors import SettingsError
from gateway.settings import load_settings


def settings(tmp_path, text):
    path = tmp_path / "gateway.toml"
    path.write_text(text)
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
        '[server]\nhost = "0.0.0.0"\npublic_url = "https://gateway.example.com/"\n[access]\nkeys = true',
    ],
)
def test_what_can_be_served_safely_is_served(tmp_path, text):
    check(settings(tmp_path, text))
