"""Requests to addresses that somebody outside chose: an app's webhook, later a client's metadata document.

Whoever may name a URL that we then ask could have us ask the cloud's metadata service, or a database's admin page on
our own network. So `destinations` reads such a URL strictly, `public_addresses` says which addresses are anybody's,
and `guarded` connects to no other: to an address that was looked at, after the name's last look-up. Redirects, cookies
and the environment's proxies do not exist here.

Not for providers, whose addresses the operator chose (`gateway.oauth.http`). Below: httpcore2. Above: webhooks.
"""
