"""All of it, in the order in which a client meets it. What cannot be looked at after something broken is left out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from gateway.doctor import entry, reach
from gateway.doctor.finding import Finding, State, broken, doubtful, fine
from gateway.doctor.place import Place

_REACH = (reach.address, reach.name, reach.port, reach.certificate, reach.gateway, reach.clock)


async def examine(
    url: str, public_url: str | None = None, exposed: tuple[str, ...] | None = None
) -> AsyncIterator[Finding]:
    """Each finding as soon as it is made.

    `public_url` is what the settings say, and `exposed` which files with secrets others can read, where that is known.
    """
    place = Place.of(url)
    if exposed is not None:
        yield _secrets(exposed)
    for look in _REACH:
        finding = await look(place)
        yield finding
        if finding.state is State.BROKEN and look is not reach.clock:
            return
    if public_url is not None:
        yield _as_set(place, Place.of(public_url))
    finding, told = await entry.challenge(place)
    yield finding
    if finding.state is State.BROKEN:
        return
    yield await entry.headers_and_methods(place, told)
    findings, issuers = await entry.documents(place, told)
    for each in findings:
        yield each
    found: Mapping[str, Any] = {}
    for issuer in issuers:
        findings, found = await entry.issuer(issuer, place)
        for each in findings:
            yield each
        if found:
            yield await entry.registration(found)
    yield await entry.other_sites(place, told, found)


def _secrets(exposed: tuple[str, ...]) -> Finding:
    if not exposed:
        return fine("Secrets", "nobody else here can read the files that hold them")
    mend = "Mend it: a team's gateway does not start like that. If somebody may have read it, change the secret too."
    return doubtful("Secrets", "; ".join(exposed), mend)


def _as_set(place: Place, public: Place) -> Finding:
    if place == public:
        return fine("public_url", f"is {public.origin}, as asked")
    mend = "Use the address that it is set to, or set it to the one that people use: every link is made from it."
    return broken("public_url", f"is {public.origin}, and {place.origin} was asked", mend)
