"""What an administrator decides at the command line, a gateway that serves in another process does."""

from __future__ import annotations

import re
import threading
import time
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.access.conftest import Serve, TeamGateway

FIELD = re.compile(r'name="form_token" value="([0-9a-f]+)"')
PASSWORD = "four plain words in a row"


@pytest.fixture(scope="module")
def gateway(serve: Serve) -> TeamGateway:
    return serve("[access]\nbuiltin = true\nlocal_accounts = true\n")


def test_who_is_invited_comes_in_and_who_is_disabled_is_out_within_seconds(gateway: TeamGateway) -> None:
    link = gateway.run("people", "invite", "ada@example.com", "--name", "Ada").stdout.strip()
    path = urlsplit(link).path
    with httpx2.Client(base_url=gateway.url, trust_env=False, headers={"accept": "text/html"}, timeout=20) as browser:
        field = FIELD.search(browser.get(path).text)
        assert field, link
        assert browser.post(path, data={"form_token": field[1], "password": PASSWORD}).status_code == 303
        shown = browser.get("/connections")
        assert (shown.status_code, "Ada" in shown.text) == (200, True)
        listed = gateway.run("people", "list").stdout
        assert re.search(r"Ada +ada@example\.com +http://\S+ +active", listed), listed

        ended = gateway.run("people", "disable", "ada@example.com")

        assert ended.returncode == 0, ended.stderr
        deadline, pause = time.monotonic() + 5, threading.Event()
        while browser.get("/connections").status_code == 200 and time.monotonic() < deadline:
            pause.wait(0.2)
        assert browser.get("/connections").headers["location"].startswith("/login")
        field = FIELD.search(browser.get("/login").text)
        assert field
        form = {"form_token": field[1], "email": "ada@example.com", "password": PASSWORD}
        assert browser.post("/login", data=form).status_code == 403
    written = "".join(gateway.said)
    assert path.rpartition("/")[2] not in written
    assert PASSWORD not in written
