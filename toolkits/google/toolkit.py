"""Google for agents: read mail, read and make calendar events, with the account of the person who asks.

In gateway.toml under [providers.google]: the client id and secret of your Google Cloud project. Each tool says which
scopes it needs; people are asked for those, and may leave some unticked.

Sources: developers.google.com, Gmail API v1 and Calendar API v3.
"""

import os

import httpx2

from gateway import Credential, ToolError, ToolKitClient

SCOPE = "https://www.googleapis.com/auth/"
OTHER_HOST = os.environ.get("GOOGLE_API_URL")
GMAIL = OTHER_HOST or "https://gmail.googleapis.com"
CALENDAR = f"{OTHER_HOST or 'https://www.googleapis.com'}/calendar/v3/calendars/primary/events"
SECONDS = 20

client = ToolKitClient(api_key=os.environ.get("ATP_TOOLKIT_API_KEY", ""), app_name="google")


def ask(google: Credential, method: str, url: str, **request):
    """Google's answer as JSON. An error's text is what the model reads."""
    headers = {"Authorization": f"Bearer {google.token}"}
    response = httpx2.request(method, url, headers=headers, timeout=SECONDS, **request)
    if response.status_code in {401, 403}:
        response.raise_for_status()
    if response.is_error:
        raise ToolError(f"Google refused: {response.json()['error']['message']}")
    return response.json()


@client.tool(auth_provider="google", scopes=[f"{SCOPE}gmail.readonly"])
def list_messages(google: Credential, query: str = "") -> list[str]:
    """Lists the ids of your latest messages in Gmail, or of those that match a search."""
    found = ask(google, "GET", f"{GMAIL}/gmail/v1/users/me/messages", params={"q": query, "maxResults": 20})
    return [message["id"] for message in found.get("messages", [])]


@client.tool(auth_provider="google", scopes=[f"{SCOPE}calendar.events"])
def list_events(google: Credential) -> list[str]:
    """Lists what is in your calendar."""
    return [event.get("summary", "") for event in ask(google, "GET", CALENDAR)["items"]]


@client.tool(auth_provider="google", scopes=[f"{SCOPE}calendar.events"])
def create_event(summary: str, start: str, end: str, google: Credential) -> str:
    """Puts an event into your calendar. `start` and `end` are times with an offset, such as 2026-12-01T10:00:00Z."""
    event = {"summary": summary, "start": {"dateTime": start}, "end": {"dateTime": end}}
    return ask(google, "POST", CALENDAR, json=event)["id"]


client.start()
