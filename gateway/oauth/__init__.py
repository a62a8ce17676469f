"""Accounts at providers: consent, tokens, and keeping them alive.

    broker        answers "a live token for this person and this need"; above it is the executor
    flows         one consent in progress, from our link to a Connection
    connections   what a person has connected, and disconnecting
    refresher     one refresh at a time for each connection, whatever happens to the callers
    consent       the browser's leg of a flow
    grants        tokens in and out of Connection rows, through the vault
    apps          our registration at each provider
    client        requests to a provider: the only module that imports Authlib
    live_tokens discovery identity token_answer http detached     what those are made of

Below: providers, store, vault, audit. Not here: pages (`gateway.surfaces.web`), and who is signed in at them
(`gateway.access`).
"""
