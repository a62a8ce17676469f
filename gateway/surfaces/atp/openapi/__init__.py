"""The OpenAPI document of every REST route that a program may use: the two halves of ATP, and the gateway's own.

`app_operations`, `toolkit_operations` and `gateway_operations` say what each route takes and answers, `schemas` what
bodies look like; each is written once, as data. `document` puts them together, `reading` serves the result. A test
holds the operations against the routes, both ways, and another the answers against the schemas.

Not in it: MCP and OAuth, which have specifications of their own, the pages for people, and the WebSockets, for which
OpenAPI has no words. The document knows nothing of one installation: no tool, account, address or key is in it.

Source: OpenAPI Specification 3.1.1.
"""
