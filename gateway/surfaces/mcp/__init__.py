"""The MCP surface: hosts speak the Model Context Protocol to us, over stdio, Streamable HTTP or HTTP+SSE.

`surface.McpSurface` is the way in. Everything here translates; what a call means is the executor's business.
This package is the only one that imports `mcp` and `mcp_types`. Importing it alone loads neither, so that
`stdout.claim_stdout` can run first of all.

Below: executor, toolkit, access. Above: app, cli.
"""
