"""Authoring: from a Python function to a Tool in the registry.

`client` is the decorator that toolkit files use, `schema` derives a JSON Schema from a signature, `registry` holds
the tools, `loader` imports toolkit files and makes `atp_sdk` importable for them, `pool` runs plain functions,
`content` and `result` shape what a tool returns, `context` lets a running tool talk to its host.

Below: the vocabulary. Not here: who may call a tool, and with whose account (`gateway.executor`).
"""
