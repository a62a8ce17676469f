"""Every way we know of in which a provider goes wrong, each with a name for a script.

Some take the request's place; the others spoil the answer of a request that was carried out, which is how a rotated
token gets lost. Each is a row of `FAULTS`. Parameters in a script change a row: `status`, `headers`, `body`, `seconds`.

Sources: RFC 6749 section 5; RFC 9110 section 10.2.3 (Retry-After); what vendors were seen to answer.
Below: `exchange`. Above: `fault_layer`.
"""

# ruff: noqa: S106 - the fields of a token answer are the subject here, and no value is a secret

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from gateway.testing.exchange import Answer, Exchange
from gateway.testing.wire import http_bytes

MEGABYTE = 1 << 20
_HTML = "<!doctype html><title>Sorry</title><h1>We are making things better for you</h1>"

Play = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """`carried_out`: the request took effect before its answer went wrong."""

    about: str
    play: Play
    carried_out: bool = False


def instead(about: str, status: int, body: Any = None, **headers: str) -> Fault:
    """Another answer in place of the honest one: text as HTML, anything else as JSON."""

    async def play(exchange: Exchange) -> None:
        said = exchange.params.get("body", body)
        text = isinstance(said, str)
        kind = "text/html; charset=utf-8" if text else "application/json"
        given = {"content-type": kind, **{k.replace("_", "-"): v for k, v in headers.items()}}
        given |= {name.lower(): str(value) for name, value in exchange.params.get("headers", {}).items()}
        raw = said.encode() if text else b"" if said is None else json.dumps(said).encode()
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
        await exchange.give(exchange.params.get("status", status), pairs, raw)

    return Fault(about, play)


def altered(about: str, change: Callable[[dict[str, Any]], Any] | None = None, **fields: Any) -> Fault:
    """The honest JSON with fields replaced, or as `change` makes it. An error's answer stays what it is."""

    def spoil(body: bytes) -> bytes:
        found = json.loads(body)
        return json.dumps(change(found) if change else found | fields).encode()

    return rewritten(about, spoil)


def token_of(about: str, change: Callable[[str], str]) -> Fault:
    """The honest answer with another access token."""
    return altered(about, lambda found: found | {"access_token": change(found["access_token"])})


def without(*names: str) -> Fault:
    about = f"The answer has no {' and no '.join(names)}."
    return altered(about, lambda found: {name: value for name, value in found.items() if name not in names})


def rewritten(about: str, change: Callable[[bytes], bytes], **headers: str) -> Fault:
    """The honest body as other bytes, under other headers."""

    async def play(exchange: Exchange) -> None:
        honest = await exchange.carry_out()
        if honest.status >= 400:
            await exchange.give(honest.status, honest.headers, honest.body)
            return
        new = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        kept = [(name, value) for name, value in honest.headers if name not in new]
        await exchange.give(honest.status, [*kept, *new.items()], change(honest.body))

    return Fault(about, play, carried_out=True)


def redirected(about: str, **query: str | None) -> Fault:
    """The honest redirect with parameters replaced; None takes one away."""

    async def play(exchange: Exchange) -> None:
        honest = await exchange.carry_out()
        headers = [(k, _location(v, query) if k == b"location" else v) for k, v in honest.headers]
        await exchange.give(honest.status, headers, honest.body)

    return Fault(about, play, carried_out=True)


def _location(location: bytes, query: Mapping[str, str | None]) -> bytes:
    parts = urlsplit(location.decode())
    pairs = {**dict(parse_qsl(parts.query)), **query}
    return parts._replace(query=urlencode({k: v for k, v in pairs.items() if v is not None})).geturl().encode()


def on_the_wire(about: str, act: Callable[[Exchange, Answer], Awaitable[None]]) -> Fault:
    """Something that only a socket can do, with the honest answer in hand."""

    async def play(exchange: Exchange) -> None:
        await act(exchange, await exchange.carry_out())

    return Fault(about, play, carried_out=True)


async def _silence(exchange: Exchange, _: Answer | None = None) -> None:
    await exchange.wire.hold()


async def _reset(exchange: Exchange, _: Answer | None = None) -> None:
    await exchange.wire.reset()


async def _drip_all(exchange: Exchange, honest: Answer) -> None:
    whole = http_bytes(honest.status, honest.headers, honest.body)
    await exchange.wire.drip(whole, exchange.params.get("seconds", 0.2))


async def _drip_body(exchange: Exchange, honest: Answer) -> None:
    """The headers at once, as they hold a deadline for the body's start off, and then next to nothing."""
    head = http_bytes(honest.status, honest.headers, b"", len(honest.body))
    await exchange.wire.drip(honest.body, exchange.params.get("seconds", 0.2), at_once=head)


async def _cut(exchange: Exchange, honest: Answer) -> None:
    half = honest.body[: len(honest.body) // 2]
    await exchange.wire.write(http_bytes(honest.status, honest.headers, half, len(honest.body)))


async def _skewed(exchange: Exchange, honest: Answer) -> None:
    headers = [*honest.headers, (b"date", exchange.date(3600))]
    await exchange.wire.write(http_bytes(honest.status, headers, honest.body))


async def _nonsense(exchange: Exchange) -> None:
    await exchange.wire.write(b"SSH-2.0-OpenSSH_9.6\r\n")


async def _fifty_megabytes(exchange: Exchange) -> None:
    honest = await exchange.carry_out()
    padding = [b" " * MEGABYTE] * 50
    await exchange.give(honest.status, honest.headers, honest.body[:-1], *padding, honest.body[-1:])


async def _retry_after_date(exchange: Exchange) -> None:
    headers = [(b"retry-after", exchange.date(60)), (b"content-type", b"application/json")]
    await exchange.give(429, headers, b'{"error": "slow_down"}')


async def _error_after(exchange: Exchange) -> None:
    await exchange.carry_out()
    await INSTEAD["server_error"].play(exchange)


@cache
def _bomb() -> bytes:
    """Fifty megabytes in fifty kilobytes."""
    return gzip.compress(b'{"access_token": "' + b"A" * (50 * MEGABYTE) + b'"}')


def _twice(body: bytes) -> bytes:
    return b'{"access_token": "another", "expires_in": 1, ' + body.lstrip()[1:]


def _deep(body: bytes) -> bytes:
    return body.rstrip()[:-1] + b', "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


INSTEAD: dict[str, Fault] = {
    "error": instead("An answer to order: `status`, `headers`, `body`.", 503, {"error": "temporarily_unavailable"}),
    "bad_request": instead("400 invalid_request.", 400, {"error": "invalid_request"}),
    "invalid_grant": instead("400 invalid_grant: the grant is gone.", 400, {"error": "invalid_grant"}),
    "invalid_grant_401": instead("invalid_grant with 401.", 401, {"error": "invalid_grant"}),
    "invalid_client": instead("401 invalid_client: our registration is wrong.", 401, {"error": "invalid_client"}),
    "unauthorized_client": instead("400 unauthorized_client.", 400, {"error": "unauthorized_client"}),
    "invalid_scope": instead("400 invalid_scope.", 400, {"error": "invalid_scope"}),
    "unauthorized": instead("401 without a body that says why.", 401, {"message": "Unauthorized"}),
    "forbidden": instead("403 from something in front.", 403, _HTML),
    "error_nested": instead(
        "The error is an object, as Meta's are.", 400,
        {"error": {"message": "Expired", "type": "OAuthException", "code": 190}},
    ),
    "error_no_key": instead(
        "400 without an `error` key, as HubSpot's gateway.", 400,
        {"status": "error", "message": "internal", "category": "INTERNAL", "correlationId": "0"},
    ),
    "error_200": instead("An error with status 200, as GitHub's.", 200, {"error": "temporarily_unavailable"}),
    "ok_false": instead("`ok: false` with status 200, as Slack's.", 200, {"ok": False, "error": "ratelimited"}),
    "too_many": instead("429 that does not say for how long.", 429, {"error": "slow_down"}),
    "too_many_no_key": instead(
        "429 without an `error` key.", 429, {"status": "error", "errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY"}
    ),
    "retry_after": instead("429, Retry-After in seconds.", 429, {"error": "slow_down"}, retry_after="7"),
    "retry_after_date": Fault("429, Retry-After as a date.", _retry_after_date),
    "retry_after_negative": instead("429, Retry-After: -1.", 429, {"error": "slow_down"}, retry_after="-1"),
    "retry_after_nonsense": instead("429, Retry-After: soon.", 429, {"error": "slow_down"}, retry_after="soon"),
    "retry_after_huge": instead("429, for thirty years.", 429, {"error": "slow_down"}, retry_after="999999999"),
    "server_error": instead("500 with an OAuth error.", 500, {"error": "server_error"}),
    "server_error_invalid_grant": instead("500 that says invalid_grant.", 500, {"error": "invalid_grant"}),
    "bad_gateway": instead("502 with HTML.", 502, _HTML),
    "unavailable": instead("503.", 503, {"error": "temporarily_unavailable"}),
    "unavailable_retry_after": instead("503 with Retry-After.", 503, _HTML, retry_after="30"),
    "redirect": instead("302 to somewhere else.", 302, location="http://127.0.0.1:9/elsewhere"),
    "html": instead("A page with status 200, as a captive portal's.", 200, _HTML),
    "empty": instead("200 and no body.", 200),
    "no_content": instead("204.", 204),
    "json_array": instead("A JSON array.", 200, ["access_token"]),
    "json_null": instead("JSON null.", 200, "null", content_type="application/json"),
    "json_number": instead("A JSON number.", 200, 42),
    "json_empty": instead("An empty JSON object.", 200, {}),
    "timeout": Fault("Silence. The request was not carried out.", _silence),
    "reset": Fault("The connection is broken off. The request was not carried out.", _reset),
    "not_http": Fault("The answer is not HTTP.", _nonsense),
}  # fmt: skip
"""Faults that take the request's place."""

SPOILT: dict[str, Fault] = {
    "timeout_after": on_the_wire("Silence, after the token was rotated.", _silence),
    "reset_after": on_the_wire("The connection is broken off, after the token was rotated.", _reset),
    "server_error_after": Fault("500, after the token was rotated.", _error_after, carried_out=True),
    "slow_headers": on_the_wire("A byte each `seconds`, from the first on.", _drip_all),
    "slow_body": on_the_wire("The headers at once, then a byte of the body each `seconds`.", _drip_body),
    "cut_body": on_the_wire("Half of the body that Content-Length promises.", _cut),
    "clock_skew": on_the_wire("The `Date` header is `seconds` off, an hour unless given.", _skewed),
    "truncated_json": rewritten("Half of the JSON.", lambda body: body[: len(body) // 2]),
    "trailing_garbage": rewritten("JSON, and more after it.", lambda body: body + b"<!-- served by 10.0.0.1 -->"),
    "wrong_content_type": rewritten("JSON that calls itself HTML.", lambda body: body, content_type="text/html"),
    "wrong_charset": rewritten(
        "UTF-8 that calls itself UTF-7.", lambda body: body, content_type="application/json; charset=utf-7"
    ),
    "utf_16": rewritten("JSON in UTF-16.", lambda body: body.decode().encode("utf-16")),
    "byte_order_mark": rewritten("JSON after a byte order mark.", lambda body: b"\xef\xbb\xbf" + body),
    "form_encoded": rewritten(
        "A form in place of JSON, as GitHub's unless asked.",
        lambda body: urlencode(json.loads(body)).encode(), content_type="application/x-www-form-urlencoded",
    ),
    "gzip_bomb": rewritten("50 KB that inflate to 50 MB.", lambda _: _bomb(), content_encoding="gzip"),
    "gzip_not": rewritten("Plain JSON that calls itself gzip.", lambda body: body, content_encoding="gzip"),
    "fifty_megabytes": Fault("50 MB of blanks in the JSON.", _fifty_megabytes, carried_out=True),
    "duplicate_keys": rewritten("Each key twice, with different values.", _twice),
    "deep_json": rewritten("A hundred thousand brackets.", _deep),
    "expires_in_text": altered("`expires_in` is text.", expires_in="3600"),
    "expires_in_float_text": altered("`expires_in` is a fraction in text.", expires_in="3600.0"),
    "expires_in_words": altered("`expires_in` is words.", expires_in="an hour"),
    "expires_in_zero": altered("`expires_in` is 0, which means never.", expires_in=0),
    "expires_in_negative": altered("`expires_in` is -1.", expires_in=-1),
    "expires_in_nan": altered("`expires_in` is NaN.", expires_in=math.nan),
    "expires_in_infinity": altered("`expires_in` is Infinity.", expires_in=math.inf),
    "expires_in_huge": altered("`expires_in` is 1e30.", expires_in=1e30),
    "expires_in_tiny": altered("`expires_in` is 1 second.", expires_in=1),
    "expires_in_null": altered("`expires_in` is null.", expires_in=None),
    "expires_in_true": altered("`expires_in` is true.", expires_in=True),
    "expires_in_object": altered("`expires_in` is an object.", expires_in={"seconds": 3600}),
    "no_expires_in": without("expires_in"),
    "no_refresh_token": without("refresh_token"),
    "refresh_token_null": altered("`refresh_token` is null.", refresh_token=None),
    "refresh_token_empty": altered("`refresh_token` is empty.", refresh_token=""),
    "refresh_token_number": altered("`refresh_token` is a number.", refresh_token=7),
    "no_access_token": without("access_token"),
    "access_token_null": altered("`access_token` is null.", access_token=None),
    "access_token_empty": altered("`access_token` is empty.", access_token=""),
    "access_token_number": altered("`access_token` is a number.", access_token=7),
    "access_token_list": altered("`access_token` is a list.", access_token=["a"]),
    "access_token_crlf": token_of("A header hides in the token.", lambda token: f"{token}\r\nX-Evil: 1"),
    "access_token_blank": token_of("A blank stands in the token.", lambda token: f"a {token}"),
    "access_token_umlaut": token_of("The token is not ASCII.", lambda token: f"{token}ü"),
    "access_token_long": token_of("The token has 20,000 characters.", lambda _: "a" * 20_000),
    "token_type_mac": altered("`token_type` is MAC.", token_type="MAC"),
    "token_type_bot": altered("`token_type` is bot, as Slack's.", token_type="bot"),
    "token_type_null": altered("`token_type` is null.", token_type=None),
    "no_token_type": without("token_type"),
    "error_null": altered("A good answer with `error: null`.", error=None),
    "scope_array": altered("`scope` is an array.", lambda f: f | {"scope": str(f.get("scope", "")).split()}),
    "scope_number": altered("`scope` is a number.", scope=1),
    "no_scope": without("scope"),
    "id_token_garbage": altered("`id_token` is no JWT.", id_token="e30.e30.e30"),
    "wrong_iss": redirected("The redirect names another issuer (RFC 9207).", iss="https://evil.example"),
    "no_iss": redirected("The redirect names no issuer.", iss=None),
    "wrong_state": redirected("The redirect carries another state.", state="another"),
    "no_state": redirected("The redirect carries no state.", state=None),
    "error_redirect": redirected("The redirect carries an error beside the code.", error="server_error"),
}  # fmt: skip
"""Faults of the answer: the request was carried out, and a rotated token may be lost with it."""

FAULTS: dict[str, Fault] = INSTEAD | SPOILT
