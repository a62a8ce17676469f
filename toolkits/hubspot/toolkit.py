"""HubSpot for agents: read contacts, create companies, with the account of the person who asks.

Needs `pip install requests`, and in gateway.toml under [providers.hubspot] the client id, the client secret and the
scopes of your HubSpot app: crm.objects.contacts.read and crm.objects.companies.write.

Source: developers.hubspot.com, CRM objects API, 2026-03.
"""

import os

import requests
from atp_sdk.clients import ToolKitClient

API = os.environ.get("HUBSPOT_API_URL", "https://api.hubapi.com")
SECONDS = 20

client = ToolKitClient(api_key=os.environ.get("ATP_TOOLKIT_API_KEY", ""), app_name="hubspot")


@client.register_tool(
    function_name="get_contacts",
    params=[],
    required_params=[],
    description="Fetches contacts from HubSpot.",
    auth_provider="hubspot",
    auth_type="OAuth2",
    auth_with="access_token",
)
def get_contacts(**kwargs):
    access_token = kwargs.get("auth_token")
    url = f"{API}/crm/objects/2026-03/contacts"
    headers = {"Authorization": f"Bearer {access_token}"}
    response = requests.get(url, headers=headers, timeout=SECONDS)
    return response.json()


@client.register_tool(
    function_name="create_company",
    params=["name", "domain", "industry"],
    required_params=["name", "domain", "industry"],
    description="Creates a company in HubSpot. `industry` is one of HubSpot's own, such as COMPUTER_SOFTWARE.",
    auth_provider="hubspot",
    auth_type="OAuth2",
    auth_with="access_token",
)
def create_company(**kwargs):
    access_token = kwargs.get("auth_token")
    url = f"{API}/crm/objects/2026-03/companies"
    headers = {"Authorization": f"Bearer {access_token}"}
    data = {
        "properties": {
            "name": kwargs.get("name"),
            "domain": kwargs.get("domain"),
            "industry": kwargs.get("industry"),
        }
    }
    response = requests.post(url, json=data, headers=headers, timeout=SECONDS)
    return response.json()


client.start()
