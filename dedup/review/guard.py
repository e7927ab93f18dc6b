"""Who may ask: this browser, from this page, by this host's name; and how much, how long.

Before the app sees a request: the Host has to be the one that was printed; a page of another site,
also of another port of this host, is refused by what the browser says of it (Sec-Fetch-Site,
Origin); the cookie proves that the browser opened the printed URL, and a POST the token that the
page alone can read. Bodies are bounded in size and time, and answers in the time they may take.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_HEADER_BYTES: Final = 1 << 14
MOST_BODY_BYTES: Final = 1 << 20
SECONDS: Final = 10.0
"""In which a request has to have come."""
ANSWER_SECONDS: Final = 60.0
"""In which a piece of an answer has to be taken."""

_OPEN: Final = "/open/"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
    b"cache-control": b"no-store",
}
_STRANGER: Final = (
    "This review was opened by another browser, or has been started anew. Open the address that "
    "the terminal shows."
)


class Secrets:
    """What this run of the server knows a browser by.

    Attributes
    ----------
    base : begins the path of everything but what opens; cookies do not know ports, and so are not
        sent to other servers of this host
    token : in the URL that is printed
    once : in the URL that a browser is started with, which other users may see; good for one time
    session : in the cookie
    page : what the page has to send with each change
    """

    def __init__(self) -> None:
        self.base, self.token, self.once, self.session, self.page = (
            secrets.token_urlsafe(32) for _ in range(5)
        )

    def admits(self, token: str) -> bool:
        """Say whether a token opens the review, and use up what is good for one time."""
        if _same(token, self.once):
            self.once = secrets.token_urlsafe(32)
            return True
        return _same(token, self.token)


class RefusedError(Exception):
    """A request that is not answered.

    Parameters
    ----------
    status : of HTTP
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Guard:
    """Lets through to an app what may come.

    Parameters
    ----------
    port : that the server listens at
    """

    def __init__(self, app: App, port: int, known: Secrets) -> None:
        self._app = app
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._cookie = f"dedup-review-{port}"
        self._known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on; of ASGI."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers[name.decode("latin-1")] = value.decode("latin-1")
        answer = _bounded(send)
        try:
            self._check_site(scope, headers)
            if scope["path"].startswith(_OPEN):
                answer = self._opened(scope, answer)
                scope = {**scope, "path": "/", "raw_path": b"/", "query_string": b""}
            else:
                scope = self._inside(scope)
                self._check_session(headers)
            body = b""
            if scope["method"] == "POST":
                self._check_change(headers)
                body = await _body(receive)
        except RefusedError as error:
            await _say(answer, error.status, str(error).encode())
            return
        await self._app(scope, _after(body, receive), answer)

    def _check_site(self, scope: Scope, headers: dict[str, str]) -> None:
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size + len(scope["raw_path"]) + len(scope["query_string"]) > MOST_HEADER_BYTES:
            raise RefusedError(431, "Too long.")
        names = [name for name, _ in scope["headers"]]
        if names.count(b"host") != 1 or headers["host"].lower() not in self._hosts:
            raise RefusedError(421, "This address is not the one that the terminal shows.")
        if scope["method"] not in ("GET", "POST"):
            raise RefusedError(405, "Only GET and POST.")
        is_entry = scope["method"] == "GET" and scope["path"].startswith(_OPEN)
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin") and not is_entry:
            raise RefusedError(403, "A page of another site asked for this.")

    def _opened(self, scope: Scope, send: Send) -> Send:
        """Let a browser with the token in, by a cookie that goes with the answer."""
        if scope["method"] != "GET" or not self._known.admits(scope["path"].removeprefix(_OPEN)):
            raise RefusedError(403, _STRANGER)
        cookie = f"{self._cookie}={self._known.session}; Path=/{self._known.base}/"
        cookie += "; HttpOnly; SameSite=Strict"
        return _with_header(send, b"set-cookie", cookie.encode())

    def _inside(self, scope: Scope) -> Scope:
        """Take the part of the path away that only this browser is told of."""
        base = f"/{self._known.base}"
        if not scope["path"].startswith(f"{base}/"):
            raise RefusedError(403, _STRANGER)
        path = scope["path"].removeprefix(base)
        return {**scope, "path": path, "raw_path": scope["raw_path"].removeprefix(base.encode())}

    def _check_session(self, headers: dict[str, str]) -> None:
        pairs = (one.strip().partition("=") for one in headers.get("cookie", "").split(";"))
        given = [value for name, _, value in pairs if name == self._cookie]
        if len(given) != 1 or not _same(given[0], self._known.session):
            raise RefusedError(403, _STRANGER)

    def _check_change(self, headers: dict[str, str]) -> None:
        if headers.get("origin", "").lower() != f"http://{headers['host'].lower()}":
            raise RefusedError(403, "A page of another site asked for this.")
        if headers.get("content-type") != "application/json":
            raise RefusedError(415, "Only JSON.")
        if not _same(headers.get("x-csrf-token", ""), self._known.page):
            raise RefusedError(403, _STRANGER)


def _same(given: str, kept: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), kept.encode())


async def _body(receive: Receive) -> bytes:
    async def whole() -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RefusedError(400, "Cut short.")
            body += message.get("body", b"")
            if len(body) > MOST_BODY_BYTES:
                raise RefusedError(413, "Too long.")
            if not message.get("more_body", False):
                return bytes(body)

    try:
        return await asyncio.wait_for(whole(), SECONDS)
    except TimeoutError:
        raise RefusedError(408, "Too slow.") from None


def _after(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read, then what comes after it."""
    given = False

    async def receiving() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


def _bounded(send: Send) -> Send:
    """Add the headers that every answer has, and end an answer that nobody takes."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name.lower() for name, _ in message.get("headers", [])}
            more = [(name, value) for name, value in _HEADERS.items() if name not in own]
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await asyncio.wait_for(send(message), ANSWER_SECONDS)

    return sending


def _with_header(send: Send, name: bytes, value: bytes) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), (name, value)]}
        await send(message)

    return sending


async def _say(send: Send, status: int, content: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    headers.append((b"content-length", b"%d" % len(content)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
