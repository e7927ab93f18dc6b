"""The routes: from a request to a question to the desk, and from its answer to JSON.

Names of files go out only as JSON in ASCII, and never come in: files are numbers here.
"""

from __future__ import annotations

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import resources
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dedup.errors import DISTRIBUTION, DedupError
from dedup.results import Tier
from dedup.review.board import UnknownError
from dedup.review.desk import UNDO_WORD
from dedup.review.facts import compared
from dedup.review.jobs import BusyError
from dedup.review.listing import ORDERS, Filter, missing
from dedup.review.views import SIDES, CrowdedError, Order, Views

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.requests import Request

    from dedup.review.board import File
    from dedup.review.desk import Desk
    from dedup.review.guard import Secrets

    Handler = Callable[[Request], Awaitable[Response]]

THREADS: Final = 4
MOST_STREAMS: Final = 16
_LOOKED_EVERY: Final = 0.2  # seconds
_ALIVE_EVERY: Final = 75  # looks
_TYPES: Final = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
_STATES: Final = ("", "open", "going", "apart")
_MOST_WORDS: Final = 20
_PAGE: Final = "review.html"
_SHARED: Final = ("group.js", "rules.js", "style.css", "summary.js", "text.js")
_MOST_DIGITS: Final = 18


class BadRequestError(DedupError):
    """A request that makes no sense."""


class Routes:
    """Answers requests.

    Parameters
    ----------
    known : the token that changes have to carry, and where the page is, both told to the page
    """

    def __init__(self, desk: Desk, known: Secrets) -> None:
        self._desk = desk
        self._known = known
        self._views = Views()
        self._files = page_files()
        self._files[_PAGE] = self._files[_PAGE].replace(b'"/', b'"/%s/' % known.base.encode())
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="dedup-desk")
        self._streams = 0
        self._ends = False

    def app(self) -> Starlette:
        """Give the app, without the guard before it."""
        gets: dict[str, Handler] = {
            "/": self._static,
            "/page/{name}": self._static,
            "/api/start": self._start,
            "/api/groups": self._groups,
            "/api/facts/{first}/{second}": self._facts,
            "/api/runs": self._runs,
            "/api/events": self._events,
            "/image/{kind}/{first}": self._image,
            "/image/{kind}/{first}/{second}": self._image,
        }
        posts = {
            "choose": self._choose, "shown": self._choose_shown, "folder": self._choose_folder,
            "apart": self._keep_apart, "keeper": self._keep_instead, "clear": self._clear,
            "plan": self._plan, "apply": self._apply, "undo": self._undo, "index": self._index,
        }  # fmt: skip
        routes = [
            Route(path, _answered(handler), methods=["GET"]) for path, handler in gets.items()
        ]
        routes += [
            Route(f"/api/{name}", _answered(partial(self._post, ask)), methods=["POST"])
            for name, ask in posts.items()
        ]
        app = Starlette(routes=routes)
        app.router.redirect_slashes = False
        return app

    def end_streams(self) -> None:
        """Let pages no longer listen."""
        self._ends = True

    def close(self) -> None:
        """Answer no more."""
        self._views.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _ask(self, question: Callable[..., Any], *values: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, question, *values)

    # -- reading ---------------------------------------------------------------------------------

    async def _static(self, request: Request) -> Response:
        name = request.path_params.get("name", _PAGE)
        content = self._files.get(name)
        if content is None:
            return _failed(404, "there is no such page")
        return Response(content, media_type=_TYPES[name.rpartition(".")[2]])

    async def _start(self, _: Request) -> Response:
        desk = self._desk
        first = await self._ask(desk.page, Filter(), 0)
        sums = await self._ask(lambda: {**desk.sums, **desk.state(), "first": first})
        return _json({
            **sums,
            "version": version(DISTRIBUTION),
            "csrf": self._known.page,
            "undo_word": UNDO_WORD,
        })  # fmt: skip

    async def _groups(self, request: Request) -> Response:
        query = request.query_params
        wanted = await self._ask(self._filter, query)
        number = _number(query.get("page", "0"))
        return _json(await self._ask(self._desk.page, wanted, number))

    def _filter(self, values: Mapping[str, Any]) -> Filter:
        """Read what is to be shown."""
        order, state = str(values.get("order") or "bytes"), str(values.get("state") or "")
        tiers = str(values.get("tiers", "all"))
        names = None if tiers == "all" else frozenset(filter(None, tiers.split(",")))
        if order not in ORDERS or state not in _STATES or not (names or set()) <= set(Tier):
            raise BadRequestError("there is no such filter")
        folder = str(values.get("folder") or "")
        words = str(values.get("words") or "").lower().split()[:_MOST_WORDS]
        path = self._desk.folder(_number(folder)) if folder else None
        return Filter(tuple(words), names, path, state, order)

    async def _facts(self, request: Request) -> Response:
        pair = await self._ask(self._desk.pair, *_ids(request))
        return _json({"rows": await self._ask(compared, *pair)})

    async def _runs(self, _: Request) -> Response:
        return _json({"runs": await self._ask(self._desk.runs)})

    async def _image(self, request: Request) -> Response:
        kind, numbers = request.path_params["kind"], _ids(request)
        if kind not in SIDES or (kind in ("laid", "heat")) != (len(numbers) > 1):
            raise UnknownError("there is no such view")
        files = await self._ask(self._files_of, *numbers)
        tag = '"{}"'.format("-".join(file.known.digest.hex()[:32] for file in files))
        headers = {"etag": tag, "cache-control": "private, no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        order = Order(kind, tuple((os.fsencode(one.path), one.known.digest) for one in files))
        view = await self._views.get(order)
        if view.reason:
            return _failed(422, view.reason)
        return Response(view.content, media_type=view.type, headers=headers)

    def _files_of(self, *numbers: int) -> list[File]:
        desk = self._desk
        files = [*desk.pair(*numbers)] if len(numbers) > 1 else [desk.file(numbers[0])]
        for file in files:
            if reason := missing(file.path, file.known):
                raise UnknownError(reason)
        return files

    async def _events(self, _: Request) -> Response:
        if self._streams >= MOST_STREAMS:
            return _failed(503, "too many pages are open")
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[bytes]:
        """Say what was chosen and what runs, whenever that changes."""
        self._streams += 1
        said, quiet = "", 0
        try:
            while not self._ends:
                state = json.dumps(await self._ask(self._desk.state))
                quiet += 1
                if state != said:
                    yield f"data: {state}\n\n".encode()
                    said, quiet = state, 0
                elif quiet >= _ALIVE_EVERY:
                    yield b":\n\n"
                    quiet = 0
                await asyncio.sleep(_LOOKED_EVERY)
        finally:
            self._streams -= 1

    # -- changing --------------------------------------------------------------------------------

    async def _post(
        self, ask: Callable[[dict[str, Any]], dict[str, Any]], request: Request
    ) -> Response:
        try:
            body = json.loads(await request.body())
        except (ValueError, RecursionError):
            raise BadRequestError("not JSON") from None
        if not isinstance(body, dict):
            raise BadRequestError("not an object")
        answer = await self._ask(ask, body)
        return _json({**answer, **await self._ask(self._desk.state)})

    def _choose(self, body: dict[str, Any]) -> dict[str, Any]:
        files = body.get("files")
        if not isinstance(files, list):
            raise BadRequestError("files is a list of ids")
        goes = _flag(body, "goes")
        return {"refused": self._desk.choose(map(_id, files), goes=goes)}

    def _choose_shown(self, body: dict[str, Any]) -> dict[str, Any]:
        wanted = self._filter(body)
        return {"refused_files": self._desk.choose_shown(wanted, goes=_flag(body, "goes"))}

    def _choose_folder(self, body: dict[str, Any]) -> dict[str, Any]:
        file, goes = _id(body.get("file")), _flag(body, "goes")
        return {"refused_files": self._desk.choose_folder(file, goes=goes)}

    def _keep_apart(self, body: dict[str, Any]) -> dict[str, Any]:
        self._desk.keep_apart(_id(body.get("file")), apart=_flag(body, "apart"))
        return {}

    def _keep_instead(self, body: dict[str, Any]) -> dict[str, Any]:
        self._desk.keep_instead(_id(body.get("file")))
        return {}

    def _clear(self, _: dict[str, Any]) -> dict[str, Any]:
        self._desk.clear()
        return {}

    def _plan(self, _: dict[str, Any]) -> dict[str, Any]:
        return self._desk.look_at_plan()

    def _apply(self, body: dict[str, Any]) -> dict[str, Any]:
        self._desk.apply(str(body.get("confirm", "")))
        return {}

    def _undo(self, body: dict[str, Any]) -> dict[str, Any]:
        self._desk.undo(str(body.get("run", "")), str(body.get("confirm", "")))
        return {}

    def _index(self, _: dict[str, Any]) -> dict[str, Any]:
        self._desk.refresh(indexes=True)
        return {}


def page_files() -> dict[str, bytes]:
    """Read the files of the page: this app's own, and those that it shares with a report."""
    shared, own = (
        resources.files(f"dedup.{name}").joinpath("page") for name in ("report", "review")
    )
    files = {name: shared.joinpath(name).read_bytes() for name in _SHARED}
    return files | {file.name: file.read_bytes() for file in own.iterdir() if file.is_file()}


def _answered(handler: Handler) -> Handler:
    """Turn errors into answers."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except UnknownError as error:
            return _failed(404, str(error))
        except BadRequestError as error:
            return _failed(400, str(error))
        except CrowdedError as error:
            return _failed(503, str(error))
        except BusyError as error:
            return _failed(409, str(error))
        except DedupError as error:
            return _failed(422, str(error))

    return answer


def _ids(request: Request) -> list[int]:
    values = request.path_params
    return [_number(values[name]) for name in ("first", "second") if name in values]


def _id(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise BadRequestError("not an id")
    return value


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > _MOST_DIGITS:
        raise BadRequestError("not a number")
    return int(text)


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name)
    if not isinstance(value, bool):
        raise BadRequestError(f"{name} is true or false")
    return value


def _json(value: dict[str, Any]) -> Response:
    return Response(json.dumps(value), media_type="application/json")


def _failed(status: int, reason: str) -> Response:
    return Response(
        json.dumps({"error": reason}), status_code=status, media_type="application/json"
    )
