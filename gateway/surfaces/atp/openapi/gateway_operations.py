"""The gateway's own operations: whether it is well, and this document."""

from __future__ import annotations

from gateway.surfaces.atp.openapi.operation import Operation, answer, in_query, ref

DOCUMENT_PATH = "/openapi.json"

GATEWAY_OPERATIONS = (
    Operation(
        "GET", "/healthz", "isAlive", "Whether the process answers", tag="gateway",
        answers={200: answer("It does.", ref("Alive"))},
        parameters=(in_query("challenge", "Proves to another process of the gateway that it is one.", "3b1f"),),
    ),
    Operation(
        "GET", "/readyz", "isReady", "Whether calls can be served now", tag="gateway",
        answers={200: answer("They can.", ref("Ready")), 503: answer("They cannot.", ref("Ready"))},
    ),
    Operation(
        "GET", DOCUMENT_PATH, "getDescription", "This document", tag="gateway",
        answers={200: answer("OpenAPI 3.1.", {"type": "object"})}, keys=("anyKey", "nobody"), refusals=(401,),
    ),
)  # fmt: skip
