"""Who is calling, and what they may do: a credential becomes a Principal; policy says yes or no.

Below: the vocabulary, store. Not here: accounts at providers (`gateway.oauth`).
"""
