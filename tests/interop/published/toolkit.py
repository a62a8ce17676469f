"""A toolkit as its author writes it, with the published SDK: `python toolkit.py`."""

import os

import requests
from atp_sdk.clients import ToolKitClient

protocol = os.environ["PROTOCOL"]
client = ToolKitClient(
    api_key=os.environ["ATP_TOOLKIT_KEY"], app_name="", base_url=os.environ["ATP_URL"], protocol=protocol
)


@client.register_tool(
    function_name=f"add_{protocol}",
    params=["a", "b"],
    required_params=["a", "b"],
    description="Adds.",
    auth_provider=None,
    auth_type=None,
    auth_with=None,
)
def add(**kwargs):
    return {"sum": kwargs["a"] + kwargs["b"]}


@client.register_tool(
    function_name=f"contacts_{protocol}",
    params=[],
    required_params=[],
    description="Lists the contacts in HubSpot.",
    auth_provider="hubspot",
    auth_type="OAuth2",
    auth_with="access_token",
)
def contacts(auth_token):
    url = os.environ["HUBSPOT_URL"] + "/crm/v3/objects/contacts"
    return requests.get(url, headers={"Authorization": f"Bearer {auth_token}"}, timeout=20).json()


client._report_execution(f"add_{protocol}", {"sum": 0})
client.start()
