"""The demo's toolkit: a CRM for agents, with the account of the person who asks.

The first three tools are written as the ATP guide writes them. The last one shows what a signature can say instead:
its types become the tool's schema, `crm` is filled in by the gateway, and `ctx` reports progress.

`atp-gateway demo` starts the CRM and says where it is in DEMO_CRM_URL.
"""

import os

import httpx2

from gateway import Context, Credential, ToolError, ToolKitClient

API = os.environ.get("DEMO_CRM_URL", "http://127.0.0.1:8790")

client = ToolKitClient(api_key="demo", app_name="demo")


def ask_crm(token, method, path, **request):
    """The CRM's answer as JSON. A ToolError's text is what the model reads."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        response = httpx2.request(method, f"{API}{path}", headers=headers, timeout=10, trust_env=False, **request)
    except httpx2.TransportError:
        raise ToolError("The demo CRM does not answer. Is `atp-gateway demo` still running?") from None
    if response.is_error:
        raise ToolError(f"The CRM refused: {response.json().get('message', response.status_code)}")
    return response.json()


@client.register_tool(
    function_name="who_am_i",
    params=[],
    required_params=[],
    description="Tells whose CRM account is being used.",
    auth_provider="demo-crm",
    auth_type="OAuth2",
    auth_with="access_token",
)
def who_am_i(**kwargs):
    person = ask_crm(kwargs.get("auth_token"), "GET", "/userinfo")
    return {"name": person["name"], "email": person["email"]}


@client.register_tool(
    function_name="list_contacts",
    params=[],
    required_params=[],
    description="Lists your contacts in the CRM.",
    auth_provider="demo-crm",
    auth_type="OAuth2",
    auth_with="access_token",
)
def list_contacts(**kwargs):
    found = ask_crm(kwargs.get("auth_token"), "GET", "/crm/objects/2026-03/contacts")
    return [
        {
            "name": f"{contact['properties']['firstname']} {contact['properties']['lastname']}",
            "email": contact["properties"]["email"],
        }
        for contact in found["results"]
    ]


@client.register_tool(
    function_name="create_company",
    params=["name", "domain", "industry"],
    required_params=["name", "domain"],
    description="Creates a company in your CRM.",
    auth_provider="demo-crm",
    auth_type="OAuth2",
    auth_with="access_token",
)
def create_company(**kwargs):
    properties = {key: kwargs[key] for key in ("name", "domain", "industry") if kwargs.get(key)}
    created = ask_crm(
        kwargs.get("auth_token"), "POST", "/crm/objects/2026-03/companies", json={"properties": properties}
    )
    return {"id": created["id"], "name": created["properties"]["name"]}


@client.tool(auth_provider="demo-crm")
def import_contacts(emails: list[str], crm: Credential, ctx: Context) -> dict[str, int]:
    """Adds people to your contacts, by their e-mail addresses."""
    for done, email in enumerate(emails):
        ctx.wait(ctx.progress(done, len(emails), f"Adding {email}"))
        first, _, last = email.partition("@")[0].partition(".")
        properties = {"firstname": first.title(), "lastname": last.title(), "email": email}
        ask_crm(crm.token, "POST", "/crm/objects/2026-03/contacts", json={"properties": properties})
    ctx.wait(ctx.progress(len(emails), len(emails), "All added"))
    return {"added": len(emails)}


client.start()
