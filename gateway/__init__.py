"""What a toolkit's author imports. Loads no SQL, web, MCP or OAuth code.

The decorator (`ToolKitClient`), the app's client (`LLMClient`, `AsyncLLMClient`), what a tool may be given
(`Credential`, `Context`) and may return (`Text`, `Image` …), and the error whose text reaches the model (`ToolError`).
`verify_webhook` is for an app that receives webhooks.
"""

from gateway.errors import CapabilityMissingError, GatewayError, ToolError, WebhookSignatureError
from gateway.toolkit.async_llm_client import AsyncLLMClient
from gateway.toolkit.client import ToolKitClient
from gateway.toolkit.content import Audio, EmbeddedResource, Image, ResourceLink, Text
from gateway.toolkit.context import Answer, Context, Form, Roots, Sample, Visit
from gateway.toolkit.llm_client import LLMClient
from gateway.types import Credential
from gateway.webhook_signature import verify_webhook

__all__ = [
    "Answer",
    "AsyncLLMClient",
    "Audio",
    "CapabilityMissingError",
    "Context",
    "Credential",
    "EmbeddedResource",
    "Form",
    "GatewayError",
    "Image",
    "LLMClient",
    "ResourceLink",
    "Roots",
    "Sample",
    "Text",
    "ToolError",
    "ToolKitClient",
    "Visit",
    "WebhookSignatureError",
    "verify_webhook",
]
