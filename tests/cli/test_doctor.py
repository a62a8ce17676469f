"""The doctor: what it finds in gateways that are ill in one way each, and what it says of a healthy one."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.doctor.entry import challenge
from gateway.doctor.examine import examine
from gateway.doctor.finding import Finding, State
from gateway.doctor.place import Place
from gateway.errors import SettingsError
from gateway.testing.serving import serving
from tests.warm import atp_gateway

METADATA = "/.well-known/oauth-protected-resource"
Answer = Callable[[Request], Response]


@dataclass
class Patient:
    """A gateway, and the issuer that it believes, as a doctor sees them. Healthy, but for what a test changes.

    `answers` by method and path, or by path; `issuer` is what changes in the issuer's metadata.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    issuer: dict[str, Any] = field(default_factory=dict)
    named: str = ""
    allows_other_sites: bool = True
    url: str = ""

    def app(self) -> Starlette:
        methods = ["GET", "POST", "DELETE", "OPTIONS"]
        return Starlette(routes=[Route("/{path:path}", self.answer, methods=methods)])

    async def answer(self, request: Request) -> Response:
        path = request.url.path
        chosen = self.answers.get(f"{request.method} {path}") or self.answers.get(path)
        answer = chosen(request) if chosen else self.usual(request, path)
        if self.allows_other_sites and path not in ("/mcp", "/healthz"):
            answer.headers["access-control-allow-origin"] = "*"
        return answer

    def usual(self, request: Request, path: str) -> Response:
        here = self.named or self.url
        if path.startswith(METADATA):
            resource = here + (path.removeprefix(METADATA) or "/mcp")
            return JSONResponse({"resource": resource, "authorization_servers": [self.url]})
        match path:
            case "/healthz":
                return JSONResponse({"status": "ok"})
            case "/mcp":
                wrong = 'error="invalid_token", ' if "authorization" in request.headers else ""
                told = f'Bearer resource_metadata="{here}{METADATA}/mcp", {wrong}scope="tools"'
                return JSONResponse({"error": "x"}, 401, {"www-authenticate": told})
            case "/.well-known/oauth-authorization-server":
                return JSONResponse({**self.describes_itself(), **self.issuer})
            case "/register" | "/token":
                return JSONResponse({"error": "invalid_redirect_uri"}, 400)
        return PlainTextResponse("Not Found", 404)

    def describes_itself(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "code_challenge_methods_supported": ["S256"],
        }


@asynccontextmanager
async def lying_down(patient: Patient) -> AsyncIterator[str]:
    async with serving(patient.app()) as url:
        patient.url = url
        yield url


async def examined(patient: Patient, public_url: str | None = None) -> list[Finding]:
    async with lying_down(patient) as url:
        return [finding async for finding in examine(url, public_url)]


def status(code: int, **headers: str) -> Answer:
    return lambda _: PlainTextResponse("", code, headers)


ILLNESSES: dict[str, tuple[Patient, str, State, str, str]] = {
    "unknown host": (Patient({"/healthz": status(421)}), "Gateway", State.BROKEN, "does not answer to", "public_url"),
    "proxy alone": (Patient({"/healthz": status(502)}), "Gateway", State.BROKEN, "the proxy answers 502", "Start the"),
    "redirect": (
        Patient({"/healthz": lambda _: RedirectResponse("https://x.example/")}),
        "Gateway", State.BROKEN, "leads on to https://x.example/", "instead of redirecting",
    ),
    "not a gateway": (Patient({"/healthz": status(200)}), "Gateway", State.BROKEN, "something else", "for every path"),
    "challenge without headers": (
        Patient({"POST /mcp": status(401)}), "Challenge", State.BROKEN, "without a WWW-Authenticate", "headers on",
    ),
    "mcp elsewhere": (Patient({"POST /mcp": status(404)}), "Challenge", State.BROKEN, "answers 404", "every path"),
    "keys alone": (
        Patient({"/mcp": lambda _: PlainTextResponse("", 401, {"www-authenticate": 'Bearer error="x", scope="t"'})}),
        "Challenge", State.DOUBTFUL, "only keys open", "set [access] issuer",
    ),
    "delete blocked": (Patient({"DELETE /mcp": status(405)}), "Requests", State.BROKEN, "DELETE /mcp", "let GET, POST"),
    "get blocked": (Patient({"GET /mcp": status(405)}), "Requests", State.BROKEN, "GET /mcp", "let GET, POST"),
    "documents missing": (
        Patient({f"{METADATA}/sse": status(404)}), "Metadata", State.BROKEN, f"none at {METADATA}/sse", "/.well-known/",
    ),
    "another public_url": (
        Patient(named="https://gateway.example.com"), "Metadata", State.BROKEN, "https://gateway.exam", "public_url",
    ),
    "issuer gone": (
        Patient({"/.well-known/oauth-authorization-server": status(500)}),
        "Issuer", State.BROKEN, "serves no metadata", "Check [access] issuer",
    ),
    "issuer by another name": (
        Patient(issuer={"issuer": "https://login.example.com/"}),
        "Issuer", State.BROKEN, "calls itself https://login.example.com/", "to the last slash",
    ),
    "no pkce": (
        Patient(issuer={"code_challenge_methods_supported": ["plain"]}), "Issuer", State.BROKEN, "PKCE", "Switch PKCE",
    ),
    "no registration": (
        Patient(issuer={"registration_endpoint": None}), "Registration", State.DOUBTFUL, "cannot register", "by hand",
    ),
    "registration by invitation": (
        Patient({"/register": status(401)}), "Registration", State.DOUBTFUL, "a token first", "initial access token",
    ),
    "registration broken": (Patient({"/register": status(404)}), "Registration", State.BROKEN, "answers 404", "Mend"),
    "no browsers": (Patient(allows_other_sites=False), "Browsers", State.DOUBTFUL, "metadata", "CORS"),
}  # fmt: skip


@pytest.mark.parametrize("illness", ILLNESSES)
async def test_each_illness_is_found_and_has_its_remedy(illness: str) -> None:
    patient, topic, state, text, mend = ILLNESSES[illness]
    findings = await examined(patient)
    found = [each for each in findings if each.state in (State.BROKEN, State.DOUBTFUL)]
    assert [(each.topic, each.state) for each in found] == [(topic, state)]
    assert text in found[0].text
    assert mend in found[0].mend


async def test_a_healthy_gateway_is_told_so() -> None:
    findings = await examined(Patient())
    assert {each.state for each in findings} == {State.FINE}
    assert [each.topic for each in findings] == [
        "Address", "Name", "Port", "Certificate", "Gateway", "Clock", "Challenge", "Requests", "Metadata", "Issuer",
        "Registration", "Browsers",
    ]  # fmt: skip


async def test_a_proxy_that_swallows_the_authorization_header_is_found() -> None:
    patient = Patient()
    usual = Patient.usual

    def without(request: Request) -> Response:
        request.scope["headers"] = [each for each in request.scope["headers"] if each[0] != b"authorization"]
        return usual(patient, Request(request.scope), "/mcp")

    patient.answers["/mcp"] = without
    [found] = [each for each in await examined(patient) if each.state is State.BROKEN]
    assert found.text == "the Authorization header does not arrive"


@pytest.mark.parametrize(("seconds", "state"), [(10, State.FINE), (-60, State.DOUBTFUL), (3600, State.BROKEN)])
async def test_a_clock_that_is_wrong_is_found(seconds: int, state: State) -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    date = {"date": then}
    patient = Patient({"/healthz": lambda _: JSONResponse({"status": "ok"}, headers=date)})
    [found] = [each for each in await examined(patient) if each.topic == "Clock"]
    assert found.state is state


async def test_what_the_settings_say_is_held_against_what_was_asked() -> None:
    [found] = [each for each in await examined(Patient(), "https://gateway.example.com") if each.topic == "public_url"]
    assert (found.state, "https://gateway.example.com" in found.text) == (State.BROKEN, True)


async def test_a_gateway_that_lets_everybody_in_is_one_persons_or_an_accident() -> None:
    open_to_all = Patient({"POST /mcp": status(200)})
    assert [each.state for each in await examined(open_to_all) if each.topic == "Challenge"] == [State.FINE]
    async with lying_down(open_to_all) as url:
        there = Place.of(url)
        found, _ = await challenge(_Abroad(there.scheme, there.host, there.port))
    assert (found.state, "everybody" in found.text) == (State.BROKEN, True)


class _Abroad(Place):
    """The same place, as if it were not on this machine."""

    __slots__ = ()
    is_local = False  # type: ignore[assignment]


async def test_a_port_that_is_closed_ends_the_examination() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        findings = [each async for each in examine(f"http://127.0.0.1:{closed.getsockname()[1]}")]
    assert [each.topic for each in findings] == ["Address", "Name", "Port"]
    assert "refused" in findings[-1].text


async def test_a_certificate_that_nobody_vouches_for_is_found(tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    async def shake_hands(stream: anyio.abc.ByteStream) -> None:
        await stream.aclose()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    secure = anyio.streams.tls.TLSListener(listener, context, standard_compatible=False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_serving_despite_refusals, secure, shake_hands)
        findings = [each async for each in examine(f"https://127.0.0.1:{port}")]
        tasks.cancel_scope.cancel()
    await secure.aclose()
    assert (findings[-1].topic, findings[-1].state) == ("Certificate", State.BROKEN)
    assert "public authority" in findings[-1].mend


async def _serving_despite_refusals(
    listener: anyio.streams.tls.TLSListener, serve: Callable[[anyio.abc.ByteStream], Awaitable[None]]
) -> None:
    await listener.serve(serve)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("gateway.example.com", "https://gateway.example.com"),
        ("https://gateway.example.com/mcp", "https://gateway.example.com"),
        ("https://gateway.example.com:443", "https://gateway.example.com"),
        ("http://127.0.0.1:8787/", "http://127.0.0.1:8787"),
        ("http://[::1]:8787", "http://[::1]:8787"),
    ],
)
def test_an_address_is_read_as_people_write_it(url: str, origin: str) -> None:
    assert Place.of(url).origin == origin


@pytest.mark.parametrize("url", ["", "ftp://x", "https://", "https://[x", "file:///etc/passwd"])
def test_what_is_no_address_is_a_sentence(url: str) -> None:
    with pytest.raises(SettingsError, match="no address of a gateway"):
        Place.of(url)


def test_a_script_gets_json_and_an_exit_code() -> None:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("ATP_GATEWAY_")}
    environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        command = atp_gateway("doctor", url)
        people, scripts = (
            subprocess.run([*command, *more], env=environ, capture_output=True, text=True, timeout=60, check=False)
            for more in ([], ["--json"])
        )
    said = json.loads(scripts.stdout)
    assert (people.returncode, scripts.returncode, said["healthy"]) == (1, 1, False)
    assert (said["findings"][-1]["topic"], said["findings"][-1]["state"]) == ("Port", "broken")
    assert said["findings"][-1]["mend"] in " ".join(people.stdout.split())
    assert "One thing keeps clients out" in people.stdout
