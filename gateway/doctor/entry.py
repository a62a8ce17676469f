"""Can a client get in? What it is told without a token, and whether what it is told leads somewhere.

Source: RFC 9728; RFC 8414; OpenID Connect Discovery 1.0; MCP 2026-07-28, Authorization; Fetch, "CORS protocol".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx2

from gateway.access.issuer import places
from gateway.doctor.finding import Finding, broken, doubtful, fine, skipped
from gateway.doctor.place import Place, ask, json_of
from gateway.surfaces.protected_resource import WELL_KNOWN

_HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "atp-gateway doctor", "version": "1"},
    },
}
_ACCEPT = {"accept": "application/json, text/event-stream"}
_ELSEWHERE = {"origin": "https://inspector.example"}
_HEADERS = "Have the proxy pass the answer's headers on, WWW-Authenticate among them."
_EVERY_PATH = "Have the proxy pass every path on to the gateway, /.well-known/ among them."


async def challenge(place: Place) -> tuple[Finding, dict[str, str]]:
    """What a client hears that sends no token; and the challenge's parameters."""
    answer = await ask(f"{place.origin}/mcp", "POST", _ACCEPT, _HELLO)
    if answer is None:
        return broken("Challenge", "/mcp ends the connection", "See the gateway's log."), {}
    if answer.is_success:
        return _everybody(place), {}
    if answer.status_code != 401:
        text = f"/mcp answers {answer.status_code} to a client without a token, not 401"
        return broken("Challenge", text, f"{_said(answer)}{_EVERY_PATH}"), {}
    header = answer.headers.get("www-authenticate", "")
    if not header.lower().startswith("bearer"):
        return broken("Challenge", "401 without a WWW-Authenticate: Bearer", _HEADERS), {}
    told = dict(re.findall(r'(\w+)="([^"]*)"', header))
    if "resource_metadata" not in told:
        text = "401, and no word on who gives out tokens: only keys open this gateway"
        mend = (
            "For clients that log people in, set [access] issuer: see docs/access.md. Scripts come in with their keys."
        )
        return doubtful("Challenge", text, mend), told
    return fine("Challenge", f"401, ask for the scope {told.get('scope', '(none)')}"), told


def _everybody(place: Place) -> Finding:
    if place.is_local:
        return fine("Challenge", "none: this gateway is one person's, on their own machine")
    mend = "Close it now, and set up [access]: see docs/access.md."
    return broken("Challenge", "it lets everybody in who can reach it", mend)


def _said(answer: httpx2.Response) -> str:
    try:
        message = answer.json().get("message")
    except (ValueError, AttributeError):
        return ""
    return f"It says: {message} " if isinstance(message, str) else ""


async def headers_and_methods(place: Place, told: Mapping[str, str]) -> Finding:
    """That what a client sends arrives: its Authorization header, and other methods than POST."""
    if not told:
        return skipped("Requests", "nothing to tell by: there was no challenge")
    bad = await ask(f"{place.origin}/mcp", "POST", {**_ACCEPT, "authorization": "Bearer from-the-doctor"}, _HELLO)
    if bad is None or 'error="' not in bad.headers.get("www-authenticate", ""):
        return broken("Requests", "the Authorization header does not arrive", "Have the proxy pass Authorization on.")
    for method in ("GET", "DELETE"):
        answer = await ask(f"{place.origin}/mcp", method, _ACCEPT)
        if answer is None or answer.status_code != 401:
            text = f"{method} /mcp does not arrive (HTTP {answer.status_code if answer else 'none'})"
            return broken("Requests", text, "Have the proxy let GET, POST, DELETE and OPTIONS through.")
    return fine("Requests", "GET, POST and DELETE arrive, and the Authorization header with them")


async def documents(place: Place, told: Mapping[str, str]) -> tuple[list[Finding], list[str]]:
    """The metadata at each place where clients look; and the issuers that it names."""
    named = told.get("resource_metadata")
    if named is None:
        return [skipped("Metadata", "the challenge names none")], []
    about, issuers = dict[str, str](), list[str]()
    for path in ("/mcp", "/sse", ""):
        found = json_of(await ask(f"{place.origin}{WELL_KNOWN}{path}"))
        about[path] = str(found.get("resource", ""))
        issuers += [each for each in found.get("authorization_servers", []) if isinstance(each, str)]
    return [_judged(place, named, about)], list(dict.fromkeys(issuers))


def _judged(place: Place, named: str, about: Mapping[str, str]) -> Finding:
    """What to say of the documents: `about` is the resource of each, empty where there is none."""
    if missing := [path for path, resource in about.items() if not resource]:
        return broken("Metadata", f"there is none at {WELL_KNOWN}{missing[0]}", _EVERY_PATH)
    if not named.startswith(f"{place.origin}/"):
        return broken("Metadata", f"the challenge points at {named}", _public_url(place))
    for path, resource in about.items():
        if resource != f"{place.origin}{path or '/mcp'}":
            return broken("Metadata", f"{WELL_KNOWN}{path} is about {resource}", _public_url(place))
    return fine("Metadata", f"at {WELL_KNOWN}, …/mcp and …/sse, each about this address")


def _public_url(place: Place) -> str:
    return f'Set [server] public_url = "{place.origin}", or use the address that it is set to.'


async def issuer(url: str, place: Place) -> tuple[list[Finding], Mapping[str, Any]]:
    """An authorization server's own metadata, as clients read it; and what it holds."""
    read = {where: json_of(await ask(where)) for where in places(url)}
    found = next((document for document in read.values() if document), {})
    if not found:
        mend = f"It has to serve one of: {', '.join(read)}. Check [access] issuer, and that the server is up."
        return [broken("Issuer", f"{url} serves no metadata", mend)], {}
    findings = []
    if found.get("issuer") != url:
        mend = "Set [access] issuer to exactly what it calls itself, to the last slash."
        findings.append(broken("Issuer", f"{url} calls itself {found.get('issuer')}", mend))
    for name in ("authorization_endpoint", "token_endpoint"):
        there = str(found.get(name, ""))
        if not there.startswith("https://") and not place.is_local:
            findings.append(
                broken("Issuer", f"its {name} is {there or 'missing'}", "It has to be an https:// address.")
            )
    if "S256" not in found.get("code_challenge_methods_supported", []):
        text = f"{url} does not say that it supports PKCE with S256"
        findings.append(broken("Issuer", text, "MCP clients refuse to log in there. Switch PKCE (S256) on."))
    if not findings:
        findings.append(fine("Issuer", f"{url}, by that name, with PKCE"))
    return findings, found


async def registration(found: Mapping[str, Any]) -> Finding:
    """How a client that nobody has registered gets an id."""
    if found.get("client_id_metadata_document_supported") is True:
        return fine(
            "Registration", "by client ID metadata documents" + (", or at its endpoint" if _endpoint(found) else "")
        )
    url = _endpoint(found)
    if url is None:
        text = "clients cannot register themselves"
        mend = "Register each program there by hand and give it its client id, or allow dynamic client registration."
        return doubtful("Registration", text, mend)
    answer = await ask(url, "POST", body={})  # refused, and nothing made, where all is well
    status = answer.status_code if answer else 0
    if status in (401, 403):
        mend = "Allow it without an initial access token, or register each program there by hand."
        return doubtful("Registration", f"its endpoint wants a token first (HTTP {status})", mend)
    if status not in (200, 201, 400, 422):
        mend = "Clients fail here. Mend the endpoint, or take it out of the server's metadata."
        return broken("Registration", f"its endpoint answers {status or 'nothing'}", mend)
    return fine("Registration", "clients can register themselves")


def _endpoint(found: Mapping[str, Any]) -> str | None:
    url = found.get("registration_endpoint")
    return url if isinstance(url, str) else None


async def other_sites(place: Place, told: Mapping[str, str], found: Mapping[str, Any]) -> Finding:
    """Whether a client that runs in a browser may read what it needs."""
    if "resource_metadata" not in told:
        return skipped("Browsers", "there is nothing that a client in a browser would read")
    wanted = {f"{place.origin}{WELL_KNOWN}/mcp": "the gateway's metadata"}
    if isinstance(found.get("token_endpoint"), str):
        wanted[found["token_endpoint"]] = "the issuer's token endpoint"
    for url, what in wanted.items():
        asked = {**_ELSEWHERE, "access-control-request-method": "POST" if "token" in what else "GET"}
        answer = await ask(url, "OPTIONS", asked)
        if answer is None or answer.headers.get("access-control-allow-origin") not in ("*", _ELSEWHERE["origin"]):
            mend = "Only for clients in a browser, such as a hosted Inspector: allow other origins (CORS) there."
            return doubtful("Browsers", f"pages of other sites may not use {what}", mend)
    return fine("Browsers", "clients in a browser can read what they need (CORS)")
