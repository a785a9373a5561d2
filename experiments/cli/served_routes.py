"""The routes of the live page of `stowplan serve`."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stowplan.experiments.report.served import Pages
from stowplan.placement.errors import PlacementError
from stowplan.placement.wire.errors import WireError
from stowplan.realdriver.endpoint.admin import is_json

# The page runs its own script, draws by its own style, and asks nobody else.
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'self' 'unsafe-inline' data:; frame-ancestors 'none'",
}


class Note(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody does to a cluster."""

    what: str
    cluster: str = "default"


def routes(pages: Pages, guarded: Callable[[Request, bytes], None], *, front: bool) -> list[Route]:
    """The routes.

    Args:
        guarded: raises where a request may not be made.
        front: the page is at / as well.
    """

    async def html(request: Request) -> Response:
        return _answered(request, pages.html, "text/html; charset=utf-8")

    async def document(request: Request) -> Response:
        name = request.query_params.get("cluster", "default")
        return _answered(request, lambda: pages.document(name), "application/json")

    async def note(request: Request) -> Response:
        body = await request.body()
        try:
            guarded(request, body)
            if not is_json(request):
                return JSONResponse({"message": "the body must be application/json"}, 415)
            asked = msgspec.json.decode(body, type=Note)
            pages.note(asked.cluster, asked.what)
            return JSONResponse({})
        except (PlacementError, msgspec.DecodeError) as error:
            return JSONResponse({"message": str(error)}, 400)

    def _answered(request: Request, what: Callable[[], bytes], kind: str) -> Response:
        try:
            guarded(request, b"")
            return Response(what(), headers=_HEADERS, media_type=kind)
        except WireError as error:
            return JSONResponse(error.document(), error.status)
        except PlacementError as error:
            return JSONResponse({"message": str(error)}, 404)

    found = [
        Route("/_stowplan/page", html, methods=["GET"]),
        Route("/_stowplan/page.json", document, methods=["GET"]),
        Route("/_stowplan/note", note, methods=["POST"]),
    ]
    return [*found, Route("/", html, methods=["GET"])] if front else found
