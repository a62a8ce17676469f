"""What is in the hall: people, the accounts that they have connected, and what was done in their names.

Below: hall. Above: the examination, and the pictures.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from gateway.access.totp import code_at, step_at
from gateway.types import AuditEvent, Connection, ConnectionStatus, CredentialKind, Principal, Requirement
from tests.pages.hall import DEVICE, NOW, SITE, Hall

PEOPLE = {
    "alice": "Alice Archer",
    "bob": "Bob Baker",
    "tess": "Tess Tanner",
    "leaving": "Lee Vance",
    "empty": "Emmy Noether",
    "gone": "Gary Olsen",
}
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
CRM = frozenset({"crm.objects.contacts.read", "crm.objects.contacts.write", "crm.objects.deals.read"})
MAIL = frozenset({f"https://www.googleapis.com/auth/{name}" for name in ("gmail.readonly", "calendar", "drive.file")})
GRAPH = frozenset({"Mail.Read", "Calendars.ReadWrite", "offline_access"})
CALLS = [
    # minutes ago, tool, provider, account, client, how it ended, milliseconds
    (2, "find_contacts", "hubspot", "alice@work.example", "Claude Desktop", "done", 184.0),
    (3, "send_mail", "google", "alice@studio.example", "Claude Desktop", "needs_connection", 12.0),
    (9, "list_events", "google", "alice@gmail.example", "Cursor", "done", 312.0),
    (25, "create_case", "salesforce", "alice@work.example", "Claude Desktop", "token_refused", 96.0),
    (26, "delete_contact", "hubspot", "alice@work.example", "Claude Desktop", "declined", 5210.0),
    (70, "transcribe", "openai", "API key", "nightly.py", "tool_timeout", 30000.0),
]
CHANGES = [
    # hours ago, what was done, how it ended, and about what
    (1, "connection.needs_reauth", "invalid_grant", {"provider": "salesforce", "account": "alice@work.example"}),
    (3, "connection.refreshed", "done", {"provider": "hubspot", "account": "alice@work.example"}),
    (20, "consent.given", "done", {"client": "Cursor"}),
    (26, "connection.created", "done", {"provider": "google", "account": "alice@gmail.example", "client": "Cursor"}),
    (27, "person.signed_in", "done", {}),
]


async def let_people_in(hall: Hall) -> None:
    """Everybody; Tess has a second factor."""
    for name, full_name in PEOPLE.items():
        await hall.join(name, full_name)
    assert hall.entry.sign_in
    assert hall.entry.sign_in.local
    await hall.entry.sign_in.local.add_totp(hall.people["tess"], SECRET, code_at(SECRET, step_at(NOW)))


async def furnish(hall: Hall) -> None:
    await let_people_in(hall)
    alice = hall.principal("alice")
    for each in connections(alice):
        await hall.keep(each)
    for name in ("alice", "leaving"):
        await hall.consent(name, await hall.flow(hall.principal(name), Requirement("acme")), "alice")
    await hall.let_in("alice", await hall.authorize("Inspector", DEVICE))
    await hall.let_in("alice", hall.authorize_as(hall.described, SITE, scope="tools offline_access"))
    await hall.let_in("alice", hall.authorize_as("intranet", SITE))
    for event in past(alice):
        hall.gateway.audit.note(event)
    await hall.gateway.audit.flush()


def connection(person: Principal, provider: str, account: str, **more: Any) -> Connection:
    """One that works, and was made a while ago."""
    made = Connection(
        id=f"{provider}-{account}".replace("@", "-at-").replace(" ", "-"),
        principal=person,
        provider=provider,
        kind=CredentialKind.OAUTH2,
        account_id=account,
        account_label=account,
        scopes=frozenset(),
        status=ConnectionStatus.ACTIVE,
        sealed=b"sealed",
        created_at=NOW - timedelta(days=40),
        updated_at=NOW - timedelta(hours=3),
    )
    return replace(made, **({"requested": more.get("scopes", frozenset())} | more))


def connections(person: Principal) -> list[Connection]:
    """One of each kind that there is to see."""
    work, soon = "alice@work.example", NOW + timedelta(days=3)
    return [
        connection(person, "hubspot", work, scopes=CRM),
        connection(person, "google", "alice@gmail.example", scopes=MAIL),
        connection(person, "google", "alice@studio.example", scopes=frozenset(sorted(MAIL)[:1]), requested=MAIL),
        connection(
            person, "salesforce", work, status=ConnectionStatus.NEEDS_REAUTH, scopes=frozenset({"api"}),
            status_reason="Salesforce does not accept the access any more.",
        ),
        connection(person, "microsoft", work, scopes=GRAPH, ends_at=soon, warned_at=NOW),
        connection(person, "openai", "sk-…4242", kind=CredentialKind.API_KEY, account_label=None),
    ]  # fmt: skip


def past(person: Principal) -> list[AuditEvent]:
    """What was done: some of each, and then the same call for weeks."""
    done = []
    for number, (minutes, tool, provider, account, client, outcome, took) in enumerate(CALLS):
        about = {"tool": tool, "provider": provider, "account": account, "client": client, "duration_ms": took}
        done.append(
            AuditEvent(f"call-{number}", NOW - timedelta(minutes=minutes), person, "tool.called", outcome, **about)
        )
    for number, (hours, action, outcome, about) in enumerate(CHANGES):
        done.append(AuditEvent(f"change-{number}", NOW - timedelta(hours=hours), person, action, outcome, **about))
    for day in range(1, 55):
        about = {"tool": "list_events", "provider": "google", "account": "alice@gmail.example", "client": "Cursor"}
        done.append(AuditEvent(f"day-{day:02}", NOW - timedelta(days=day), person, "tool.called", "done", **about))
    return done[::-1]
