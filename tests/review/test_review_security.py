"""Who is answered by a review: one browser, from its own page, in time, about files in groups."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from serving import Client, browsing, served

from dedup.review import guard, server

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from dedup.collection import Collection

GETS = ("/", "/page/main.js", "/api/start", "/api/groups", "/api/runs", "/api/events")
POSTS = (
    "choose", "shown", "folder", "apart", "keeper", "clear", "plan", "apply", "undo", "index",
)  # fmt: skip


def raw(client: Client, request: bytes) -> bytes:
    """Send bytes, and give what comes back until the other side closes."""
    with socket.create_connection((server.HOST, client.port), timeout=1) as connection:
        try:
            connection.sendall(request)
            answer = b""
            while part := connection.recv(1 << 16):
                answer += part
        except (ConnectionError, TimeoutError):
            return b""
    return answer


def request(
    client: Client, method: str, path: str, body: bytes = b"", **changes: str | None
) -> bytes:
    """Write a request as this client's browser would, with some headers changed or left out."""
    host = f"{server.HOST}:{client.port}"
    headers: dict[str, str | None] = {"Host": host, "Cookie": client.cookie}
    if method == "POST":
        headers |= {
            "Origin": f"http://{host}",
            "Content-Type": "application/json",
            "X-CSRF-Token": client.csrf,
            "Content-Length": str(len(body)),
        }
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    whole = path if path.startswith(("/open/", "http")) else client.base + path
    head = "\r\n".join([f"{method} {whole} HTTP/1.1", *lines, "Connection: close", "", ""])
    return head.encode("latin-1") + body


def strangers(client: Client) -> Iterator[bytes]:
    """Requests by other hosts' names, other sites, and browsers that did not open the URL."""
    port = client.port
    hosts = [
        "evil.example", "localhost", "127.0.0.1", "127.0.0.1:1", f"0.0.0.0:{port}",
        f"[::1]:{port}", f"127.0.0.1:{port}.evil.example", f"evil.example:{port}",
        f"127.0.0.2:{port}", f"127.1:{port}", f"2130706433:{port}", f"user@127.0.0.1:{port}",
        f"127.0.0.1:{port}@evil.example", f"localhost.evil.example:{port}", f"127.0.0.1:0{port}",
        "", None,
    ]  # fmt: skip
    for host in hosts:
        for path in (*GETS, "/open/" + client.url.rpartition("/")[2]):
            yield request(client, "GET", path, Host=host)
    name, _, session = client.cookie.partition("=")
    cookies = [
        None, "", f"{name}=", f"{name}={session[:-1]}", f"{name}={session}x",
        f"{name}={session.swapcase()}", f"{name}=\u00e9", f"{name}={client.csrf}",
        f"other={session}", f"{name}={session}; {name}=x",
        f"{name}={client.url.rpartition('/')[2]}",
    ]  # fmt: skip
    for cookie in cookies:
        for path in GETS:
            yield request(client, "GET", path, Cookie=cookie)
        yield request(client, "POST", "/api/clear", b"{}", Cookie=cookie)
    for site in ("cross-site", "same-site", "", "elsewhere"):
        for path in GETS:
            yield request(client, "GET", path, Sec_Fetch_Site=site)


def forged_changes(client: Client) -> Iterator[bytes]:
    """Changes that another site, or a page without the token, asks for."""
    port = client.port
    origins = [
        None, "", "null", "http://evil.example", f"https://127.0.0.1:{port}", "http://127.0.0.1",
        f"http://127.0.0.1:{port + 1}", f"http://localhost:{port}", f"http://127.0.0.1:{port}.evil.example",
    ]  # fmt: skip
    kinds = [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
    tokens = [None, "", client.csrf[:-1], client.csrf + "x", client.csrf.swapcase(), "\u00e9"]
    for name in POSTS:
        path = f"/api/{name}"
        for origin in origins:
            yield request(client, "POST", path, b"{}", Origin=origin)
        for kind in kinds:
            yield request(client, "POST", path, b"{}", Content_Type=kind)
        for token in tokens:
            yield request(client, "POST", path, b"{}", X_CSRF_Token=token)
        yield request(client, "POST", path, b"{}", Sec_Fetch_Site="cross-site")
        yield request(client, "GET", path)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND"):
        for path in ("/", "/api/start", "/api/clear"):
            yield request(client, method, path)


def wrong_tokens(client: Client) -> Iterator[bytes]:
    token = client.url.rpartition("/")[2]
    session = client.cookie.partition("=")[2]
    guesses = [
        "",
        "/",
        token[:-1],
        token + "x",
        token[::-1],
        token.swapcase(),
        f"{token}/",
        f"./{token}",
    ]
    guesses += [
        session,
        client.csrf,
        "%00",
        "..%2f",
        "A" * 43,
        "'%20OR%201",
        quote("\u00e9"),
        "null",
    ]
    for guess in guesses:
        yield request(client, "GET", f"/open/{guess}", Cookie=None)
    yield request(client, "POST", f"/open/{token}", b"{}", Cookie=None)


def paths(client: Client) -> Iterator[bytes]:
    """Paths where a number or a name of the page is due."""
    steps = ["..", "%2e%2e", "..%2f", "%2e%2e%2f", "..%5c", "....//", "%252e%252e", ".%00.", "\\.."]
    targets = ["etc/passwd", "review.py", "catalog.sqlite", "page/main.js", "app.py"]
    for step in steps:
        for target in targets:
            yield request(client, "GET", f"/page/{step}/{target}")
            yield request(client, "GET", f"/image/thumb/{step}/{target}")
    for start in ("/", "//etc/passwd", "/etc/passwd", "/page//etc/passwd", "/page/", "/image/"):
        yield request(client, "GET", start if start != "/" else "/%2e%2e/")
    yield request(client, "GET", "http://evil.example/etc/passwd")
    for path in GETS:  # outside of the part that no other server knows
        for base in ("", "/x", client.base[:-1], f"/{client.base}", f"{client.base}x", "/x/.."):
            yield request(client, "GET", path).replace(client.base.encode(), base.encode(), 1)


def guessed_ids(client: Client) -> Iterator[bytes]:
    """Ids of files that are in no group, that never were, and that are no ids."""
    shown = {
        file["id"] for group in client.groups() for file in (group["keeper"], *group["duplicates"])
    }
    ids = [str(one) for one in range(60) if one not in shown]
    ids += [
        "-1",
        "1e3",
        "1.0",
        "0x1",
        "\u0661",
        "9" * 30,
        "9" * 5000,
        "null",
        "true",
        "a",
        "%31%00",
    ]
    known = min(shown)
    for one in ids:
        for kind in ("thumb", "full"):
            yield request(client, "GET", f"/image/{kind}/{quote(one, '%')}")
        yield request(client, "GET", f"/image/laid/{known}/{quote(one, '%')}")
        yield request(client, "GET", f"/api/facts/{quote(one, '%')}/{known}")
    for kind in ("raw", "../thumb", "laid", "THUMB", ""):
        yield request(client, "GET", f"/image/{kind}/{known}")
    values: tuple[Any, ...] = (-1, 1.5, True, None, "1", "/etc/passwd", [known], {}, 1 << 70, 59)
    for value in values:
        for name, body in (
            ("choose", {"files": [value], "goes": True}),
            ("apart", {"file": value, "apart": True}),
            ("keeper", {"file": value}),
            ("folder", {"file": value, "goes": True}),
            ("undo", {"run": value, "confirm": "undo"}),
        ):
            yield request(client, "POST", f"/api/{name}", json.dumps(body).encode())


def too_much(client: Client) -> Iterator[bytes]:
    yield request(client, "GET", "/", X_Long="a" * 20_000)
    yield request(client, "GET", "/" + "a" * 20_000)
    many: dict[str, Any] = {f"X_{number}": "a" * 200 for number in range(100)}
    yield request(client, "GET", "/", **many)
    yield b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000
    yield request(client, "POST", "/api/clear", b"[" * 100_000)
    yield request(client, "POST", "/api/clear", b'"' + b"a" * (1 << 20) + b'"')
    for body in (b"", b"[]", b"1", b"null", b"{", b"\xff", b"{}" * 2, b'{"a":', b"NaN"):
        yield request(client, "POST", "/api/clear", body)
    yield from (b"GET /\r\n\r\n", b"\0\1\2\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n")
    host = f"Host: {server.HOST}:{client.port}\r\n"
    yield f"GET / HTTP/1.1\r\n{host}{host}Cookie: {client.cookie}\r\n\r\n".encode()
    yield f"GET / HTTP/1.0\r\nCookie: {client.cookie}\r\n\r\n".encode()


def test_hostile_requests_are_refused(reviewed: Client) -> None:
    before = reviewed.get("/api/groups")
    kinds = (strangers, forged_changes, wrong_tokens, paths, guessed_ids, too_much)
    tries = [(kind.__name__, one) for kind in kinds for one in kind(reviewed)]
    assert len(tries) >= 500
    passed, unanswered = [], 0
    for kind, one in tries:
        answer = raw(reviewed, one)
        unanswered += not answer
        head, _, body = answer.partition(b"\r\n\r\n")
        refused = not answer or head.split(b" ")[1][:1] == b"4"
        if not refused or b"set-cookie" in head.lower() or reviewed.csrf.encode() in body:
            passed.append((kind, one[:200], answer[:100]))
    assert passed == []
    assert unanswered <= 6  # cut off while they sent too much, or still waited for
    assert reviewed.get("/api/groups") == before
    assert reviewed.get("/api/start")["csrf"] == reviewed.csrf


def test_a_request_of_the_page_itself_passes(reviewed: Client) -> None:
    for path in GETS[:-1]:
        answer = raw(reviewed, request(reviewed, "GET", path, Sec_Fetch_Site="same-origin"))
        assert answer.startswith(b"HTTP/1.1 200"), path
    answer = raw(reviewed, request(reviewed, "POST", "/api/clear", b"{}"))
    assert answer.startswith(b"HTTP/1.1 200")


def test_the_cookie_is_for_this_site_and_no_script(reviewed: Client) -> None:
    answer = reviewed.ask("GET", "/open/" + reviewed.url.rpartition("/")[2], Cookie="")
    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert name.startswith(f"dedup-review-{reviewed.port}=")
    assert set(attributes) == {f"Path={reviewed.base}/", "HttpOnly", "SameSite=Strict"}
    assert len(reviewed.base) > 40  # told to nobody but this browser
    assert answer.body == reviewed.ask("GET", "/").body


def test_every_answer_has_the_policy(reviewed: Client) -> None:
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    for path in ("/", "/page/main.js", "/api/groups", "/nothing", "/image/thumb/999"):
        headers = reviewed.ask("GET", path).headers
        rules = dict(
            one.strip().split(" ", 1) for one in headers["content-security-policy"].split(";")
        )
        assert rules == policy, path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
    assert b"<script type=" in reviewed.ask("GET", "/").body
    assert b"style=" not in reviewed.ask("GET", "/").body


def test_the_url_that_a_browser_is_started_with_is_good_for_one_time(own: Collection) -> None:
    with served(own) as review:
        assert Client(review.once).open().get("/api/start")
        path = "/open/" + review.once.rpartition("/")[2]
        assert Client(review.once).ask("GET", path).status == 403
        assert Client(review.url).open().get("/api/start")
        assert Client(review.url).open().get("/api/start")


def test_slow_clients_are_left(own: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS", 0.15)
    monkeypatch.setattr(server, "SECONDS", 0.15)
    with browsing(own) as client:
        whole = request(client, "POST", "/api/clear", b"{}")
        for cut in (0, len(whole) // 2, len(whole) - 1):
            with socket.create_connection((server.HOST, client.port), timeout=10) as connection:
                connection.sendall(whole[:cut])
                begun = time.monotonic()
                answer = connection.recv(1000)
                assert answer == b"" or answer.startswith(b"HTTP/1.1 408"), (cut, answer)
                assert time.monotonic() - begun < 5
        assert client.get("/api/start")


def test_more_connections_than_there_is_room_for_are_refused(reviewed: Client) -> None:
    held = [
        socket.create_connection((server.HOST, reviewed.port), timeout=10)
        for _ in range(server.MOST_CONNECTIONS)
    ]
    try:
        assert reviewed.ask("GET", "/api/start").status == 503
    finally:
        for one in held:
            one.close()
    time.sleep(0.05)
    assert reviewed.get("/api/start")
