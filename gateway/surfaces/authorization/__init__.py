"""The built-in authorization server as programs and people meet it: its endpoints, and the page that asks for a yes.

    GET, POST /authorize                           the page; its answer goes to the client by way of the browser
    POST      /token, /revoke, /register           for programs
    GET       /jwks.json, /.well-known/…           what it is, and how to check its tokens

Only translates: what is allowed is decided in `gateway.authorization`. Above: the app, which puts `routes()` behind the
edge. Never imports store, vault or another surface.
"""
