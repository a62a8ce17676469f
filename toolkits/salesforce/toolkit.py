"""Salesforce for agents: find and create contacts, in the organisation of the person who asks.

In gateway.toml under [providers.salesforce]: the consumer key and secret of your External Client App. Every call goes
to the person's own host, which the gateway keeps with their token.

Source: developer.salesforce.com, REST API.
"""

import os

import httpx2

from gateway import Credential, ToolError, ToolKitClient

VERSION = "v62.0"
SECONDS = 20

client = ToolKitClient(api_key=os.environ.get("ATP_TOOLKIT_API_KEY", ""), app_name="salesforce")


def ask(salesforce: Credential, method: str, path: str, **request):
    """Salesforce's answer as JSON. An error's text is what the model reads."""
    url = f"{salesforce.extras['instance_url']}/services/data/{VERSION}{path}"
    headers = {"Authorization": f"Bearer {salesforce.token}"}
    response = httpx2.request(method, url, headers=headers, timeout=SECONDS, **request)
    if response.status_code in {401, 403}:
        response.raise_for_status()
    if response.is_error:
        raise ToolError(f"Salesforce refused: {response.json()[0]['message']}")
    return response.json()


@client.tool(auth_provider="salesforce", scopes=["api"])
def list_contacts(salesforce: Credential) -> list[str]:
    """Lists the e-mail addresses of the contacts in Salesforce."""
    found = ask(salesforce, "GET", "/query", params={"q": "SELECT Id, Email FROM Contact LIMIT 200"})
    return [record["Email"] for record in found["records"] if record["Email"]]


@client.tool(auth_provider="salesforce", scopes=["api"])
def create_contact(last_name: str, email: str, salesforce: Credential) -> str:
    """Creates a contact in Salesforce; gives its id."""
    contact = {"LastName": last_name, "Email": email}
    return ask(salesforce, "POST", "/sobjects/Contact/", json=contact)["id"]


client.start()
