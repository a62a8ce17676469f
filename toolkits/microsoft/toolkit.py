"""Microsoft 365 for agents: who you are, and your mail in Outlook, with the account of the person who asks.

In gateway.toml under [providers.microsoft]: the client id and secret of your app registration in Entra.

Source: learn.microsoft.com, Microsoft Graph v1.0.
"""

import os

import httpx2

from gateway import Credential, ToolError, ToolKitClient

GRAPH = f"{os.environ.get('MICROSOFT_API_URL', 'https://graph.microsoft.com')}/v1.0"
SECONDS = 20

client = ToolKitClient(api_key=os.environ.get("ATP_TOOLKIT_API_KEY", ""), app_name="microsoft")


def ask(microsoft: Credential, method: str, path: str, **request):
    """Graph's answer. An error's text is what the model reads."""
    headers = {"Authorization": f"Bearer {microsoft.token}"}
    response = httpx2.request(method, f"{GRAPH}{path}", headers=headers, timeout=SECONDS, **request)
    if response.status_code in {401, 403}:
        response.raise_for_status()
    if response.is_error:
        raise ToolError(f"Microsoft Graph refused: {response.json()['error']['message']}")
    return response


@client.tool(auth_provider="microsoft", scopes=["User.Read"])
def who_am_i(microsoft: Credential) -> str:
    """Tells whose Microsoft account is being used."""
    return ask(microsoft, "GET", "/me").json()["displayName"]


@client.tool(auth_provider="microsoft", scopes=["Mail.Read"])
def list_messages(microsoft: Credential) -> list[str]:
    """Lists the subjects of your latest messages in Outlook."""
    found = ask(microsoft, "GET", "/me/messages", params={"$select": "subject", "$top": "20"}).json()
    return [message["subject"] for message in found["value"]]


@client.tool(auth_provider="microsoft", scopes=["Mail.Send"])
def send_message(to: str, subject: str, text: str, microsoft: Credential) -> str:
    """Sends a message from your Outlook account."""
    message = {
        "subject": subject,
        "body": {"contentType": "Text", "content": text},
        "toRecipients": [{"emailAddress": {"address": to}}],
    }
    ask(microsoft, "POST", "/me/sendMail", json={"message": message})
    return "Sent."


client.start()
