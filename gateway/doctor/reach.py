"""Can it be reached? Address, name, port, certificate; whether what answers is a gateway; how its clock stands to ours.

Each look gives one finding; a broken one makes those after it pointless.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from gateway.doctor.finding import Finding, broken, doubtful, fine
from gateway.doctor.place import SECONDS, Place, ask, json_of

_SOON = 14  # days


async def address(place: Place) -> Finding:
    if place.is_local:
        return fine("Address", f"{place.origin}, on this machine: nobody else can reach it there")
    if place.scheme != "https":
        return broken(
            "Address",
            f"{place.origin} is not https",
            "Put a proxy with a certificate in front; write https:// in public_url.",
        )
    if place.port != 443:
        return doubtful(
            "Address",
            f"port {place.port}: connectors that run at their vendor, such as claude.ai's, reach 443 alone",
            "Serve it on port 443.",
        )
    return fine("Address", f"{place.origin}, on the port that every connector can reach")


async def name(place: Place) -> Finding:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except OSError:
        return broken("Name", f"{place.host} has no address", "Check the spelling, and the name's A and AAAA records.")
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    listed = ", ".join(addresses)
    private = [each for each in addresses if not ipaddress.ip_address(each.partition("%")[0]).is_global]
    if private and not place.is_local:
        return doubtful(
            "Name",
            f"{listed}: not an address of the internet",
            "Fine for programs in your network. Connectors that run at their vendor need a public one.",
        )
    return fine("Name", listed)


async def port(place: Place) -> Finding:
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(place.host, place.port)
    except TimeoutError:
        return broken(
            "Port",
            f"nothing answers on {place.port} within {SECONDS:.0f} s",
            f"Let TCP {place.port} through the firewall.",
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        return broken(
            "Port", f"{place.port}: {reason}", "Start the gateway, or the proxy in front of it, on this host and port."
        )
    writer.close()
    return fine("Port", f"{place.port} is open")


async def certificate(place: Place) -> Finding:
    if place.scheme != "https":
        return fine("Certificate", "none, and none is needed on this machine")
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(place.host, place.port, ssl=ssl.create_default_context())
    except ssl.SSLCertVerificationError as error:
        return broken(
            "Certificate",
            error.verify_message or "it cannot be verified",
            "Install one for this very name from a public authority, with its whole chain.",
        )
    except (OSError, TimeoutError) as error:
        said = getattr(error, "reason", None) or type(error).__name__
        return broken(
            "Certificate", f"no TLS on port {place.port}: {said}", "Make the proxy speak TLS 1.2 or newer there."
        )
    seen: dict[str, Any] = writer.get_extra_info("peercert") or {}
    writer.close()
    left = (datetime.fromtimestamp(ssl.cert_time_to_seconds(str(seen["notAfter"])), UTC) - datetime.now(UTC)).days
    if left < _SOON:
        return doubtful(
            "Certificate", f"good for {left} more days", "Renew it, and see why that does not happen by itself."
        )
    return fine("Certificate", f"good for {left} days, from {_authority(seen)}")


def _authority(seen: dict[str, Any]) -> str:
    names = {key: value for part in seen.get("issuer", ()) for key, value in part}
    return str(names.get("organizationName") or names.get("commonName") or "an unnamed authority")


async def gateway(place: Place) -> Finding:
    answer = await ask(f"{place.origin}/healthz")
    if answer is None:
        return broken("Gateway", "the connection ends without an answer", "See the log of whatever listens there.")
    if answer.status_code == 421:
        return broken(
            "Gateway",
            f"it does not answer to {place.host}",
            f'Set [server] public_url = "{place.origin}"; and have the proxy pass Host on as it came.',
        )
    if answer.is_redirect:
        return broken(
            "Gateway",
            f"/healthz leads on to {answer.headers.get('location', 'nowhere')}",
            "Use the address that it leads to, or have the proxy pass requests on instead of redirecting them.",
        )
    if answer.status_code in (502, 503, 504):
        return broken(
            "Gateway",
            f"the proxy answers {answer.status_code}",
            "Start the gateway, and point the proxy at its host and port.",
        )
    if not answer.is_success or "status" not in json_of(answer):
        return broken(
            "Gateway",
            f"something else answers at /healthz (HTTP {answer.status_code})",
            "Point the proxy at the gateway for every path, not for /mcp alone.",
        )
    return fine("Gateway", "it is one, and it is up")


async def clock(place: Place) -> Finding:
    answer = await ask(f"{place.origin}/healthz")
    try:
        theirs = parsedate_to_datetime(answer.headers.get_list("date")[-1] if answer else "").astimezone(UTC)
    except (IndexError, ValueError):
        return doubtful("Clock", "the answer has no date", "Let the proxy pass the Date header on.")
    ahead = (theirs - datetime.now(UTC)).total_seconds()
    if abs(ahead) <= 30:
        return fine("Clock", "within half a minute of this machine's")
    which = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    mend = "Set both by NTP. A token that is fresh on one counts as not good yet, or as ended, on the other."
    return broken("Clock", which, mend) if abs(ahead) > 300 else doubtful("Clock", which, mend)
