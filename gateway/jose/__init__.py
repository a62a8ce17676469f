"""JSON Web Tokens that others have signed, and the keys that they publish to check them by (RFC 7515, 7517, 7519).

Not here: what a token has to say, and whose keys are believed. Below: joserfc. Above: access, authorization.
"""
