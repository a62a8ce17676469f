"""A worker of a toolkit, with the published SDK: `python remote_worker.py`. Each run of its tool is on record.

The record is one line in a file that all workers append to, written before the work is done.
"""

import os
import threading

from atp_sdk.clients import ToolKitClient

client = ToolKitClient(api_key=os.environ["KEY"], app_name="", base_url=os.environ["BASE_URL"], protocol="ws")


@client.register_tool(
    function_name="work",
    params=["call_id", "seconds"],
    required_params=["call_id", "seconds"],
    description="Takes so long, and says for which call.",
    auth_provider=None,
    auth_type=None,
    auth_with=None,
)
def work(call_id, seconds):
    record = os.open(os.environ["RUNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(record, f"{call_id}\n".encode())
    os.close(record)
    threading.Event().wait(seconds)
    return {"call_id": call_id}


client.start()
