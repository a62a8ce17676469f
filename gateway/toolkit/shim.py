"""Makes `from atp_sdk.clients import ToolKitClient, LLMClient` give ours, the published SDK installed or not.

A toolkit written for the SDK then loads unchanged. Ours stay importable afterwards, because a function may import only
when it runs; a published SDK that the process had imported before is put back.

Above: `gateway.toolkit.loader`, and whatever runs a script as it is.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gateway.toolkit.client import ToolKitClient
from gateway.toolkit.llm_client import LLMClient
from gateway.toolkit.sink import find_sink

SDK = "atp_sdk"
SDK_VERSION = "0.2.5"
"""The release whose behaviour ours follows."""


@contextmanager
def sdk_importable() -> Iterator[None]:
    """Have `atp_sdk` mean ours from now on; afterwards too, unless another had been imported before."""
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == SDK}
    for name in before:
        del sys.modules[name]
    sys.modules.update(_MODULES)
    try:
        yield
    finally:
        if before:
            for name in _MODULES:
                sys.modules.pop(name, None)
            sys.modules.update(before)


class _AppClient(LLMClient):
    """Ours, for a toolkit's file that also has an app's lines in it: while the file loads there is nobody to connect.

    The gateway asks the person when a tool first needs the account, so such lines get an answer that says so.
    """

    def initiate_oauth_connection(
        self, platform_id: str, external_user_id: str, developer_redirect_url: str | None = None, **more: Any
    ) -> dict[str, Any]:
        if not _is_loading():
            return super().initiate_oauth_connection(platform_id, external_user_id, developer_redirect_url, **more)
        return _later(platform_id, external_user_id)

    def get_user_tokens(self, platform_id: str, external_user_id: str, **more: Any) -> dict[str, Any]:
        """What `wait_for_connection` polls, too."""
        if not _is_loading():
            return super().get_user_tokens(platform_id, external_user_id, **more)
        return _later(platform_id, external_user_id)


def _is_loading() -> bool:
    sink = find_sink()
    return sink is not None and sink.is_loading


def _later(platform_id: str, external_user_id: str) -> dict[str, Any]:
    """An answer with every field that published examples read, none of them a link or a token."""
    link = f"(no link yet: the gateway asks for the {platform_id} account when a tool first needs it)"
    unknown = dict.fromkeys(("integration_id", "access_token", "refresh_token", "expires_at", "scope"))
    about = {"external_user_id": external_user_id, "external_user_email": None, "provider_name": platform_id}
    return {"status": "pending", "authorization_url": link, "auth_url": link, **about, **unknown}


def _modules() -> dict[str, types.ModuleType]:
    package, clients = types.ModuleType(SDK), types.ModuleType(f"{SDK}.clients")
    for module in (package, clients):
        is_package = module is package
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None, is_package=is_package)
        module.__dict__.update(ToolKitClient=ToolKitClient, LLMClient=_AppClient)
    package.__path__ = []
    package.__dict__.update(clients=clients, __version__=SDK_VERSION)
    return {module.__name__: module for module in (package, clients)}


_AppClient.__name__ = _AppClient.__qualname__ = LLMClient.__name__
_MODULES = _modules()
