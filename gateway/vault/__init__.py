"""Sealing what must not be read at rest: `vault` seals and opens, `keyring` holds the keys, `key_sources` finds them.

The only room that imports `cryptography`. It deals in bytes: where they are stored is the caller's business.
Below: the vocabulary. Above: oauth, and the surfaces' sealed cookies and request state through `Vault.derive`.
"""
