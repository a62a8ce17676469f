"""The built-in OAuth 2.1 authorization server: lets a person let a program use the gateway in their name.

    clients        who may ask: from the settings, registered by themselves, or described by the document at their id
    requests       what is asked at /authorize, and whether it may be asked like that
    consents       whether this person has said yes to just this before
    grants         code -> tokens -> fresh tokens; revocation, and what a replay ends
    access_tokens  the signed token: made here, read by whoever guards the tools
    signing_keys   sealed by the vault, exchanged every 30 days

It is no OpenID provider: who sits at the browser is somebody else's business, and there are no id tokens.

Written on the RFCs, with joserfc for the signatures. Authlib's grants were looked at: they are synchronous, so each of
our queries would have to be made beforehand or in a thread of its own; `client_id` and `redirect_uri` are compared in
them by what a client model says, as here; and what is most of the work is in none of them: families of refresh tokens
with a grace, codes whose replay ends what they issued, resource indicators, loopback ports, metadata documents.

Beside: access, oauth. Below: vault, audit, store. Above: `gateway.surfaces.authorization`, the app.
Source: OAuth 2.1 (draft-ietf-oauth-v2-1), RFC 6749, 6750, 7009, 7591, 7636, 8252, 8414, 8707, 9068, 9207, 9700; MCP
2026-07-28, Authorization.
"""
