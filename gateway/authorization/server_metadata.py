"""What the server says about itself (RFC 8414): everything that it does, and nothing that it does not.

Pure. Above: the surface.
"""

from __future__ import annotations

from typing import Any

from gateway.authorization.registration import AUTH_METHODS
from gateway.authorization.requests import PROMPTS, Offer
from gateway.jose.signature import ALGORITHMS


def server_metadata(offer: Offer, *, registration: bool, documents: bool) -> dict[str, Any]:
    """The document. `registration`: clients may register; `documents`: their ids may be addresses."""
    issuer = offer.issuer
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "revocation_endpoint": f"{issuer}/revoke",
        "jwks_uri": f"{issuer}/jwks.json",
        **({"registration_endpoint": f"{issuer}/register"} if registration else {}),
        "scopes_supported": list(offer.scopes),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": documents,
        "prompt_values_supported": list(PROMPTS),
    }
