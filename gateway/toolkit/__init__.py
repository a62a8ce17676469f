"""Authoring: from a Python function to a Tool in the registry.

`client` is the decorator that toolkit files use. `declaration` makes a Tool of what it was told: `signature` and
`docstring` read the function, `schema` describes its arguments, `schema_rules` and `check` hold schemas and values to
what was promised, `function` calls it, in `pool`'s threads where it is a plain `def`. `registry` holds the tools.
`loader` imports toolkit files into it (`sources`, `imports`, `breakage`) and has `shim` make `atp_sdk` importable.
`content` and `result` shape what a tool returns, `context` lets a running tool talk to its host.

Below: the vocabulary. Not here: who may call a tool, and with whose account (`gateway.executor`).
"""
