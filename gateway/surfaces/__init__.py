"""The ways in: each surface turns wire messages into a Call or a Flow, and back. They only translate.

    mcp    hosts (stdio, streamable HTTP, SSE)
    atp    toolkits and apps (REST, WebSocket)
    web    the person's browser (connect page, my connections)

Surfaces never import each other. What stands in front of all that is HTTP lives beside them: `edge` (who may enter),
`listener` and `server` (how it is served). Above: the app that composes them. Below: the executor, oauth, access.
"""
