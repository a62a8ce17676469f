"""The fakes that we ship: real peers on loopback, so that tests need no mocks and a demo needs no accounts.

`authorization_server` is an OAuth 2.1 and OpenID Connect server with people, pages and faults to order; `crm` is an
API that its tokens open; `browser` is a person at a browser, without a browser; `serving` puts any ASGI app on a free
port. They are made for tests and for `atp-gateway demo`: anyone who types a name is that person.

Above: the demo, our tests, and the tests of toolkit authors. Below: the gateway's clock and its HTTP server's settings.
"""
