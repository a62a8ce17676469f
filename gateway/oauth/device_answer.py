"""What a provider answers to a device authorization request: two codes, and where the person types one of them.

Read strictly, since the person is shown it: the address is https, the code short and printable. Pure: no I/O.
Above: client. Source: RFC 8628 section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.errors import SettingsError
from gateway.oauth.http import json_object
from gateway.oauth.token_answer import ErrorKind, TokenEndpointError, answer_error, token_at
from gateway.providers.provider import Provider, check_url
from gateway.secret import Secret

_LONGEST_CODE = 64
_INTERVAL = (1.0, 5.0, 60.0)  # seconds: the least, what the RFC says where the answer does not, the most
_LIFE = (30.0, 300.0, 1800.0)  # seconds


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """`user_code` is for the person, who types it at `verification_uri`; `device_code` is for polling, every
    `interval` until `expires_at`. `verification_uri_complete` holds the code already."""

    device_code: Secret
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_at: datetime
    interval: timedelta


def read_device_answer(
    provider: Provider, status: int, headers: Mapping[str, str], body: bytes, sent_at: datetime
) -> DeviceAnswer:
    """Raises TokenEndpointError for an error, and for an answer that a person cannot be shown."""
    found = json_object(body)
    if error := answer_error(provider, status, headers, found, sent_at):
        raise error
    answer = found or {}
    device_code, user_code = token_at(answer, "device_code"), _short(answer.get("user_code"))
    uri = _address(answer.get("verification_uri") or answer.get("verification_url"))  # Google's own spelling
    if device_code is None or uri is None or user_code is None:
        raise TokenEndpointError(ErrorKind.UNAVAILABLE, "no_device_code", status=status)
    return DeviceAnswer(
        device_code=device_code,
        user_code=user_code,
        verification_uri=uri,
        verification_uri_complete=_address(answer.get("verification_uri_complete")),
        expires_at=sent_at + _seconds(answer.get("expires_in"), *_LIFE),
        interval=_seconds(answer.get("interval"), *_INTERVAL),
    )


def _short(code: Any) -> str | None:
    return code if isinstance(code, str) and 0 < len(code) <= _LONGEST_CODE and code.isprintable() else None


def _address(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        check_url(value, "verification_uri")
    except SettingsError:
        return None
    return value


def _seconds(value: Any, least: float, usual: float, most: float) -> timedelta:
    try:
        seconds = usual if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = usual
    if not math.isfinite(seconds) or seconds <= 0:
        seconds = usual
    return timedelta(seconds=min(max(seconds, least), most))
