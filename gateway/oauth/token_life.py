"""When a token ends, by what its answer says: a life in seconds, a moment, the token itself, or nothing at all.

Vendors write lives as 3600, "3600", "3599.5", 0 or 1e30, and moments as ISO 8601 or as seconds or milliseconds since
1970. A life that makes no sense counts as none given: it is no reason to lose a token. No life is believed to be
shorter than 30 seconds or longer than 90 days.

Pure: no I/O. Above: token_answer, client.
"""

from __future__ import annotations

import math
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.oauth.http import at_path, json_object
from gateway.providers.provider import Provider
from gateway.secret import Secret

SHORTEST_LIFE = timedelta(seconds=30)
LONGEST_LIFE = timedelta(days=90)
LONGEST_GRANT = timedelta(days=20 * 365)

_MILLISECONDS = 1e11  # as seconds, this is the year 5138


def named_expiry(provider: Provider, answer: Mapping[str, Any], token: Secret, sent_at: datetime) -> datetime | None:
    """When the answer says that the access token ends, or None. Lives are counted from `sent_at`, by our own clock."""
    shape = provider.token_response
    life = seconds(at_path(answer, shape.expires_in))
    if life is not None:
        return bounded(sent_at + timedelta(seconds=min(life, LONGEST_LIFE.total_seconds())), sent_at)
    ends = moment(at_path(answer, shape.expires_at)) if shape.expires_at else None
    if ends is None and shape.expires_in_jwt:
        ends = moment(_jwt_claim(token, "exp"))
    return bounded(ends, sent_at) if ends else None


def assumed_expiry(provider: Provider, sent_at: datetime) -> datetime | None:
    """When a token of this provider ends whose answer does not say so. None: no known end."""
    life = provider.expires_in_default
    return bounded(sent_at + timedelta(seconds=life), sent_at) if life else None


def grant_end(provider: Provider, answer: Mapping[str, Any], sent_at: datetime) -> datetime | None:
    """When the grant itself ends, however often it is refreshed, where the answer says so."""
    life = seconds(at_path(answer, provider.token_response.refresh_expires_in))
    return sent_at + min(timedelta(seconds=min(life, LONGEST_GRANT.total_seconds())), LONGEST_GRANT) if life else None


def bounded(ends: datetime, sent_at: datetime) -> datetime:
    return min(max(ends, sent_at + SHORTEST_LIFE), sent_at + LONGEST_LIFE)


def seconds(value: Any) -> float | None:
    """A life in seconds. None for what makes no sense: 0, negative, not a number, endless."""
    try:
        found = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and found > 0 else None


def moment(value: Any) -> datetime | None:
    """A moment from ISO 8601 (without a zone: UTC), or from seconds or milliseconds since 1970."""
    try:
        if (number := seconds(value)) is not None:
            return datetime.fromtimestamp(number / 1000 if number >= _MILLISECONDS else number, UTC)
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _jwt_claim(token: Secret, claim: str) -> Any:
    """A claim of an access token that is a JWT, unverified: it is believed about nothing but its own end."""
    parts = token.reveal().split(".")
    if len(parts) != 3:  # header, claims, signature
        return None
    try:
        raw = urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except ValueError:
        return None
    return (json_object(raw) or {}).get(claim)
