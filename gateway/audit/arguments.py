"""The keyed hash of a call's arguments: equal arguments have equal hashes, and nobody without the key learns more.

It is HMAC-SHA-256 over the tenant and the SHA-256 of the arguments as canonical JSON: keys sorted, without blanks. The
key is the vault's to derive. Because calls come before the vault is opened, what waits in memory is the inner digest;
the key is put to it when the event is written.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

PURPOSE = "audit-arguments"
"""What the vault derives the key for."""


def digest_of(arguments: Mapping[str, Any]) -> bytes | None:
    """The inner digest; None of what is no JSON, or nested too deeply to be looked at.

    It is not to be stored: whoever has it can try out what the arguments might be.
    """
    try:
        text = json.dumps(arguments, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def keyed(digest: bytes, tenant: str, key: bytes) -> str:
    """What stands in the record, in hex. Equal arguments of two tenants have different ones."""
    return hmac.digest(key, tenant.encode("utf-8", "surrogatepass") + b"\0" + digest, "sha256").hex()
