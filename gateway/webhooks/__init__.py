"""Webhooks: an app is told what happened to its users' connections and calls.

`registrations` is what an app may ask for: a webhook, what was delivered to it, a replay. `events` says which facts of
the audit are events, and what an app reads of them. `outbox` puts deliveries in as the facts are written; `courier`
takes them out and posts them, `schedule` says when again.

Below: store, vault, audit, outward. Above: the ATP surface, and the composition, which starts the courier.
"""
