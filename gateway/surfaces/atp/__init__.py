"""The ATP protocol: what the published ATP SDK speaks, served over HTTP and WebSockets.

`app_routes` is the app's half: `consents` (begin a consent, see a connection), `tasks` (the tools of a toolkit, and
calls to them), which messages reach through `process` (HTTP) and `app_socket`, `toolkits` (what there is), and
`webhooks` (what an app wants to be told). `endpoint` asks for the app's key. `users` says who an app's users are to us.
`shapes` is the wire's JSON, `requests` reads it, `return_urls` is where people may be sent back to.

Below: executor, oauth, access. Beside it, and never imported: the other surfaces. `gateway.app` puts it together.
"""
