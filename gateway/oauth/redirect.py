"""What the redirect back to us carries beside `code` and `state`, and the checks that some providers ask for.

A browser brings it, so anybody may have written it: nothing is kept that does not match the pattern its provider's
description gives, and a signed redirect is believed only with its signature.

Below: apps, providers. Above: consent, flows.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from gateway.errors import FlowError
from gateway.oauth.apps import ProviderApp
from gateway.oauth.token_answer import granted_scopes, matching
from gateway.providers.provider import Provider

_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_signature(app: ProviderApp, query: Mapping[str, str]) -> None:
    """Raise FlowError where a redirect that has to be signed is not, or by somebody else.

    Source: https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/authorization-code-grant
    """
    if "shopify_hmac" in app.provider.redirect.checks and not _is_signed(app, query):
        raise FlowError(
            f"The answer is not signed by {app.provider.name}, so nothing was connected. Start again from the link; if "
            "it happens again, the operator has to check client_secret."
        )


def _is_signed(app: ProviderApp, query: Mapping[str, str]) -> bool:
    """HMAC-SHA256, keyed with our client secret, of all parameters but the signature, sorted, as they were decoded."""
    given = query.get("hmac", "")
    if app.client_secret is None or not _HEX_SHA256.fullmatch(given):
        return False
    message = "&".join(f"{name}={value}" for name, value in sorted(query.items()) if name != "hmac")
    key = app.client_secret.reveal().encode()
    expected = hmac.new(key, message.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, given)


def redirect_extras(provider: Provider, query: Mapping[str, str]) -> dict[str, str]:
    """The parameters that calls need, such as QuickBooks' `realmId`."""
    return matching(provider.redirect.extras, query)


def redirect_scopes(provider: Provider, query: Mapping[str, str]) -> frozenset[str] | None:
    """The scopes that the redirect says were granted. None where the provider does not say it there."""
    param = provider.redirect.scope
    return granted_scopes(query.get(param), provider.scopes.separator) if param else None


def redirect_variables(provider: Provider, query: Mapping[str, str]) -> dict[str, str]:
    """The parts of the provider's addresses that only the redirect names, such as the data centre of an account."""
    found: dict[str, str] = {}
    for name, source in provider.redirect.variables.items():
        matched = re.fullmatch(source.pattern, query.get(source.param, ""))
        if matched and matched[1]:
            found[name] = matched[1]
    return found
