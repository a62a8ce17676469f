"""Our ToolKitClient as a worker from afar: its process runs the tools, a gateway elsewhere has them called.

`work` is the worker's life: it says what tools there are (`registration`), serves calls over one of two lines
(`socket_line`, `inbox_line`), comes back when the line breaks, and stops without dropping what it has begun. `calls`
runs the functions, `place` is where the gateway is. Imported when `start()` is called, and not before.

Below: the rest of toolkit, `httpx2`, `websockets`. Not here: the gateway's side (`gateway.remote`,
`gateway.surfaces.atp`). Source: AgentToolProtocol 0.2.5, `ToolKitClient`; the rest is said where it stands.
"""
