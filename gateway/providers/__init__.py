"""The catalogue: authorization servers described as data.

`provider` is the shape of a description, `reader` turns a TOML table into one and refuses what it does not know,
`catalogue` finds the file for a name. A new provider is one file in `catalogue/`.

Below: the vocabulary. Not here: our registration at a provider (`gateway.oauth.apps`), and any HTTP.
"""
