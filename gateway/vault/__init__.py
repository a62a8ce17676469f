"""Sealing what must not be read at rest.

`vault` seals and opens with `data_keys`, which the keys of the `keyring` wrap; `key_sources` finds those.

The only room that imports `cryptography`. It deals in bytes: where sealed values are stored is the caller's business.
Below: the vocabulary, and the store for its own keys. Above: oauth, and the surfaces' sealed cookies and request state
through `Vault.derive`.
"""
