"""`septum explore` as a local page: served on loopback alone, to requests that name it by that address and come from itself."""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from septum.lang.errors import SeptumError, UserError
from septum.page.exports import as_itf, as_perfetto, as_pytest
from septum.page.file import web
from septum.page.svg import svg
from septum.page.walk import Walk

LOOPBACK = "127.0.0.1"
ALLOWED = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
KINDS = {"page.css": "text/css", "page.js": "text/javascript", "explore.js": "text/javascript"}
LARGEST = 1 << 20
"""Bytes of a request."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>septum explore</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/page.css">
</head>
<body>
<noscript>This page needs scripts; `septum explain` prints the same.</noscript>
<script src="/page.js"></script>
<script src="/explore.js"></script>
</body>
</html>
"""

Answer = Callable[[Request], Awaitable[Response]]
Next = Callable[[Request], Awaitable[Response]]


def application(walk: Walk, port: int) -> Starlette:
    """The page of a walk, as it is served on a port. All runs in the thread of the server, which one person uses."""

    async def page(_: Request) -> Response:
        return Response(PAGE, media_type="text/html")

    async def file(request: Request) -> Response:
        name = request.url.path.removeprefix("/")
        return Response(web(name), media_type=KINDS[name])

    async def about(_: Request) -> Response:
        return JSONResponse(walk.about())

    async def look(request: Request) -> Response:
        return JSONResponse(walk.look(await _schedule(request)))

    async def options(request: Request) -> Response:
        return JSONResponse(walk.at(await _schedule(request)))

    async def way(request: Request) -> Response:
        return JSONResponse(walk.way_to(request.path_params["witness"]))

    async def export(request: Request) -> Response:
        schedule, kind = await _schedule(request), request.path_params["kind"]
        if kind == "token":
            return PlainTextResponse(walk.token(schedule))
        if kind == "itf":
            return JSONResponse(as_itf(walk.build, schedule))
        if kind == "pytest":
            return PlainTextResponse(as_pytest(walk.result(schedule), walk.build, schedule, walk.sizes))
        if kind == "svg":
            return PlainTextResponse(svg(walk.result(schedule)))
        walk.look(schedule)
        return JSONResponse(as_perfetto(walk.steps))

    routes = [
        Route("/", page), *(Route(f"/{name}", file) for name in KINDS), Route("/about", about),
        Route("/look", look, methods=["POST"]), Route("/options", options, methods=["POST"]),
        Route("/way/{witness}", way, methods=["POST"]), Route("/export/{kind}", export, methods=["POST"]),
    ]  # fmt: skip
    guards = [Middleware(BaseHTTPMiddleware, dispatch=_guard(port))]
    return Starlette(routes=routes, middleware=guards, exception_handlers={SeptumError: _refused})


def _guard(port: int) -> Callable[[Request, Next], Awaitable[Response]]:
    """Refuses whatever another page, or a name that was made to mean this address, may send; and caches nothing."""
    hosts = {f"{name}:{port}" for name in (LOOPBACK, "localhost")}

    async def guard(request: Request, follow: Next) -> Response:
        origin = request.headers.get("origin")
        if request.headers.get("host") not in hosts:
            return PlainTextResponse("this page is served to its own address alone", 403)
        if origin is not None and origin not in {f"http://{host}" for host in hosts}:
            return PlainTextResponse("this page answers to itself alone", 403)
        response = await follow(request)
        for name, value in {
            "Content-Security-Policy": ALLOWED, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
        }.items():  # fmt: skip
            response.headers[name] = value
        return response

    return guard


async def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


async def _schedule(request: Request) -> list[tuple[int, int]]:
    """The schedule in a request: `[[thread, choice], ...]`; UserError for anything else."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise UserError("the schedule is too long")
    try:
        given: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise UserError("no JSON") from None
    if not isinstance(given, list) or not all(_is_step(one) for one in given):
        raise UserError("no schedule: a list of pairs of a thread and a choice")
    return [(thread, choice) for thread, choice in given]


def _is_step(one: object) -> bool:
    return isinstance(one, list) and len(one) == 2 and all(type(number) is int and number >= 0 for number in one)


def serve(walk: Walk, port: int, tell: Callable[[str], object]) -> None:
    """Serves the page until Ctrl-C; `tell` is told its address. Port 0 is any that is free."""
    import uvicorn

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((LOOPBACK, port))
            listening.listen()
        except OSError as error:
            raise UserError(f"port {port}: {(error.strerror or str(error)).lower()}; --port 0 takes one that is free") from None
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            application(walk, port), log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        tell(f"http://{LOOPBACK}:{port}/")
        uvicorn.Server(config).run(sockets=[listening])
