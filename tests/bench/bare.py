"""The yardstick of single posts: a bare Starlette route that reads the body and answers. Started by single_posts."""

from __future__ import annotations

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def _post(request: Request) -> Response:
    await request.body()
    return Response(b'{"accepted":1,"rejected":[]}', 202, media_type="application/json")


if __name__ == "__main__":
    app = Starlette(routes=[Route("/v1/events", _post, methods=["POST"])])
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)
