"""The back end of an agent, with the published SDK: goes through every method of its client. `python app.py`

It prints what it got, one JSON object a line. "next" means that it waits for a line.
"""

import json
import os
import sys

from atp_sdk.clients import LLMClient

USER = "user@example.com"
NUMBERS = {"a": 2, "b": 3}
protocol, hook, back = sys.argv[1:]
client = LLMClient(api_key=os.environ["ATP_APP_KEY"], protocol=protocol, base_url=os.environ["ATP_URL"])


def say(**said):
    print(json.dumps(said), flush=True)  # noqa: T201 - the test reads it


def asked(provider, name, arguments):
    """A call as the model of that provider puts it."""
    return {
        "openai": {"type": "function_call", "call_id": "c1", "name": name, "arguments": json.dumps(arguments)},
        "anthropic": {"type": "tool_use", "id": "c1", "name": name, "input": arguments},
        "mistralai": {"id": "c1", "function": {"name": name, "arguments": json.dumps(arguments)}},
    }[provider]


def over_http_alone():
    begun = client.initiate_oauth_connection("hubspot", USER, back)
    say(begun=sorted(begun), open=begun["authorization_url"])
    account = client.wait_for_connection("hubspot", USER, timeout=60, poll_interval=0.2)
    tokens = client.get_user_tokens("hubspot", USER)
    say(account=[account["status"], account["external_user_id"]], tokens=[bool(tokens["access_token"])])

    registered = client.register_webhook(hook, ["connection_success", "connection_failed"])
    listed = client.list_webhooks()
    client.delete_webhook(registered["webhook_id"])
    say(webhooks=[len(listed), len(client.list_webhooks())])

    say(
        store=[each["toolkit_id"] for each in client.list_store_toolkits()["results"]],
        mine=[each["toolkit_id"] for each in client.list_my_toolkits()["results"]],
        details=[tool["name"] for tool in client.get_toolkit_details("direct")["tools"]],
        developer=client.get_developer_profile("default")["display_name"],
    )
    (context,) = client.get_toolkit_context_streaming("direct", "2 + 3", "openai")
    (result,) = client.call_tool_streaming("direct", [asked("openai", "add_ws", NUMBERS)])
    say(streamed=[len(context["payload"]["tools"]), result["result"]["tool"]["result"]])


def over_both(toolkit, suffix):
    for provider in ("openai", "anthropic", "mistralai"):
        context = client.get_toolkit_context(toolkit, "2 + 3", provider)
        calls = [asked(provider, f"add_{suffix}", {"a": number, "b": 1}) for number in range(3)]
        say(
            provider=provider,
            tools=len(context["tools"]),
            together=client.call_tool(toolkit, calls, provider),
            one_by_one=client.call_tool(toolkit, calls, provider, sequential=True),
        )
    contacts(toolkit, f"contacts_{suffix}")


def contacts(toolkit, name):
    (answer,) = client.call_tool(toolkit, [asked("openai", name, {})], user_prompt="who?")
    say(contacts=len(json.loads(answer["output"])["results"]))


if protocol == "http":
    over_http_alone()
say(next=True)
sys.stdin.readline()
over_both("direct", "ws")
say(next=True)
sys.stdin.readline()
# The token has died. Nobody can see from outside what the tool had done by then, so it is renewed for the next call.
client.call_tool("direct", [asked("openai", "contacts_ws", {})])
contacts("direct", "contacts_ws")
(answer,) = client.call_tool("polled", [asked("openai", "add_http", NUMBERS)])
say(polled=json.loads(answer["output"]))
