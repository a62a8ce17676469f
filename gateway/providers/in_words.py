"""A description in words: how long access lasts, and what is particular about a provider, for people to read.

Each sentence is made of the very fields that the gateway acts on, so that the two cannot disagree. Above: cli.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.providers.provider import Provider

_UNITS = ((365 * 86400, "year"), (86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def duration(seconds: int) -> str:
    """`1800` is "30 minutes"; a second too few, as vendors like it, is the round figure."""
    for size, word in _UNITS:
        if seconds + 1 >= size and (seconds % size == 0 or (seconds + 1) % size == 0 or seconds >= 20 * size):
            count = round(seconds / size)
            return f"{count} {word}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"


def lasting(provider: Provider) -> Iterator[str]:
    """How long access lasts, and what the gateway does to keep it."""
    refresh, life = provider.refresh, provider.expires_in_default
    if life:
        yield f"An access token lives for {duration(life)}, unless its answer says otherwise."
    elif provider.token_response.expires_in_jwt:
        yield "An access token says itself when it ends."
    else:
        yield "An access token has no known end."
    if refresh.grant == "none":
        yield "There is no refresh token: when the access token ends, the person connects again."
        return
    if refresh.grant == "exchange":
        yield "There is no refresh token: the gateway swaps the access token for a new one while it lives."
    elif refresh.rotates == "yes":
        yield "Each refresh gives a new refresh token and ends the former one" + _grace(provider)
    if refresh.idle:
        yield f"Unused for {duration(refresh.idle)}, the grant ends: the gateway renews it in time, if it is running."
    if refresh.absolute:
        yield f"After {duration(refresh.absolute)} the grant ends whatever anybody does, and the person connects again."
    if refresh.testing:
        yield f"While the app is not published, every grant ends after {duration(refresh.testing)}."


def _grace(provider: Provider) -> str:
    if provider.refresh.grace_until_used:
        return ", once the new one has been used."
    return f", which is still good for {duration(provider.refresh.grace)}." if provider.refresh.grace else "."


def ending(provider: Provider) -> str:
    """What a disconnect does at the provider."""
    revocation = provider.revocation
    if revocation is None:
        where = f" at {provider.access_page}" if provider.access_page else " in their account there"
        return f"Nothing can be revoked from here: the person removes the access{where}."
    if revocation.ends_all:
        return "A disconnect ends everything that the person granted this app, with their last connection."
    return "A disconnect revokes the grant at the provider."


def particulars(provider: Provider) -> Iterator[str]:
    """What differs from a plain OAuth 2 server in a way that whoever sets it up may meet."""
    if provider.preview:
        yield "Preview: its addresses come from one source, and no live connection has proved them yet."
    yield from _proof(provider)
    yield from _calls(provider)
    for possible, sentence in (
        (provider.client_credentials, "Tools that act for nobody can use the client id and secret alone."),
        (provider.service_account, "Tools that act for nobody can use a service account: set service_account_file."),
        (provider.device, "People without a browser can consent on another device."),
        (provider.sandbox or None, "There is a test environment: set sandbox = true."),
    ):
        if possible is not None:
            yield sentence


def _proof(provider: Provider) -> Iterator[str]:
    """How we say who we are."""
    if not provider.pkce:
        yield "No PKCE is sent: the provider does not bear it."
    if provider.token_auth_method == "none":  # noqa: S105 - how a client proves itself, not a secret
        yield "A public client: there is no client secret."
    elif not provider.needs_client_secret:
        yield "Without a client secret it is used as a public client, with PKCE."
    if provider.client_id_param != "client_id":
        yield f"The client id is sent as {provider.client_id_param}."
    if provider.scopes.optional_param:
        yield f"Scopes that a person may lack go into {provider.scopes.optional_param}: set optional_scopes."


def _calls(provider: Provider) -> Iterator[str]:
    """How calls to the API look."""
    api = provider.api
    if not api.authorization.startswith("Bearer "):
        how = f"Authorization: {api.authorization.split()[0]} …" if api.authorization else ", ".join(api.headers)
        yield f"Calls to the API carry the token in {how}, not as a bearer."
    if others := [name for name, value in api.headers.items() if "{access_token}" not in value]:
        yield f"Calls to the API also carry {', '.join(others)}."
    if kept := [*provider.extras, *(provider.lookup.extras if provider.lookup else ()), *provider.redirect.extras]:
        yield f"Kept with each connection, for calls: {', '.join(dict.fromkeys(kept))}."
