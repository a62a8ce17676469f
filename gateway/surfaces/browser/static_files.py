"""The stylesheet, the script and the icon, read once and served from memory."""

from __future__ import annotations

import hashlib
from importlib import resources

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_MEDIA_TYPES = {
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class StaticFiles:
    """Only the files named above exist. `version` changes with their content and goes into each link to them."""

    def __init__(self) -> None:
        folder = resources.files(__package__) / "static"
        self._files = {name: (folder / name).read_bytes() for name in _MEDIA_TYPES}
        self.version = hashlib.sha256(b"".join(self._files.values())).hexdigest()[:10]

    def routes(self) -> list[Route]:
        return [Route("/static/{name}", self._file, methods=["GET"])]

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._files:
            raise HTTPException(404)
        age = "31536000, immutable" if request.query_params.get("v") == self.version else "300"
        headers = {"cache-control": f"public, max-age={age}"}
        return Response(self._files[name], media_type=_MEDIA_TYPES[name], headers=headers)
