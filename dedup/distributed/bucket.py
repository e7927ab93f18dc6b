"""Objects in a bucket, through obstore: `s3://`, `gs://`, `az://`.

obstore takes credentials from the environment
(AWS_ACCESS_KEY_ID and the like, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME and
AZURE_STORAGE_ACCOUNT_KEY), or from the machine's role.

obstore refuses keys with empty segments and control characters, and one of them ends its listing.
On S3 such keys are listed and read by requests of our own, which obstore signs: what it takes for
the endpoint is the whole of the request's path and query.
"""

from __future__ import annotations

import functools
import http.client
import os
import re
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote, unquote_plus, urlencode
from xml.etree import ElementTree as ET

from dedup.distributed.objects import Entry, MissingObjectError, Object, StorageError
from dedup.distributed.wording import cut, endpoint, unreachable, worded
from dedup.errors import ExtraMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STALL_SECONDS: Final = 20.0
"""Without a byte of an answer, until a request is given up and made again."""

_WHOLE_SECONDS: Final = 600.0
"""Of a request, whatever comes."""

_LARGE: Final = 4 << 20
"""Bytes from which on an object may take longer than a stall to send, with no answer meanwhile."""

_SINGLE_PUT: Final = 1 << 30
"""Bytes up to which an object is put by one request; parts of a put that was killed stay, unseen
and paid for, until a rule of the bucket removes them."""

_PAGE: Final = 1000
_ODD: Final = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|[\x00-\x1f\x7f]")
_DOTS: Final = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")


class Bucket:
    """Objects of a bucket below a prefix.

    Parameters
    ----------
    url : "scheme://bucket/prefix"
    patience : seconds for which obstore itself tries again
    """

    def __init__(self, url: str, patience: float) -> None:
        self._url = url
        scheme, _, rest = url.partition("://")
        self._name, _, prefix = rest.partition("/")
        self._prefix = prefix + "/" if prefix else ""
        self._s3 = scheme in {"s3", "s3a"}
        self._stall = min(_STALL_SECONDS, max(1.0, patience / 3))
        self._endpoint = endpoint() if self._s3 else ""
        self._patience = patience
        self._root = f"{scheme}://{self._name}"
        self._store = self._opened(self._stall)

    def get(self, key: str, if_match: str, version: str = "") -> Object:
        """Read an object whole."""
        if not version and _ODD.search(self._prefix + key):
            return self._get_odd(key, if_match)
        import obstore
        from obstore.exceptions import GenericError

        # Asked for as a range, it comes with its length: a body that was cut on the way can
        # otherwise not be told from a short object.
        options: Any = {"range": {"offset": 0}}
        if if_match:
            options["if_match"] = if_match
        if version:
            options["version"] = version
        with self._translated(key, "read"):
            try:
                found = obstore.get(self._store, self._prefix + key, options=options)
            except GenericError as error:
                if "416 Range Not Satisfiable" not in str(error):  # as of an empty object
                    raise
                del options["range"]
                found = obstore.get(self._store, self._prefix + key, options=options)
            data = found.bytes().to_bytes()
            if len(data) != found.meta["size"]:
                raise cut(f"{self._url}/{key}")
            return Object(data, found.meta["e_tag"] or "")

    def get_ranges(self, key: str, starts: list[int], lengths: list[int]) -> list[bytes]:
        """Read stretches of an object."""
        import obstore

        with self._translated(key, "read"):
            parts = obstore.get_ranges(
                self._store, self._prefix + key, starts=starts, lengths=lengths
            )
            found = [part.to_bytes() for part in parts]
        if [len(part) for part in found] != lengths:
            raise cut(f"{self._url}/{key}")
        return found

    def head(self, key: str) -> Entry:
        """Look at an object; its version is known then."""
        import obstore

        with self._translated(key, "read"):
            return self._entry(obstore.head(self._store, self._prefix + key), key)

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Write an object, whatever was there."""
        import obstore

        with self._translated(key, "write"):
            obstore.put(
                self._sending if len(data) > _LARGE else self._store,
                self._prefix + key,
                data,
                use_multipart=len(data) > _SINGLE_PUT,
            )

    def put_new(self, key: str, data: bytes | memoryview) -> bool:
        """Write an object where there is none."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._translated(key, "write"):
            try:
                obstore.put(self._store, self._prefix + key, data, mode="create")
            except AlreadyExistsError:
                # By an earlier try of this very call, perhaps, of which the answer was lost.
                try:
                    return self.get(key, "").data == data
                except MissingObjectError as error:  # two puts at once, of which none counted
                    raise cut(f"{self._url}/{key}") from error
            return True

    def list(self, prefix: str, after: str) -> Iterator[Entry]:
        """List the objects below a folder; by rising key on S3."""
        inside = self._prefix + (prefix.rstrip("/") + "/" if prefix else "")
        behind = self._prefix + after if after else ""
        if self._s3:
            yield from self._list_s3(inside, behind)
            return
        import obstore

        with self._translated(prefix, "list"):
            pages = obstore.list(
                self._store, inside.rstrip("/") or None, offset=behind or None, chunk_size=_PAGE
            )
            for page in pages:
                yield from (self._entry(one, self._below(one["path"])) for one in page)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there count as deleted."""
        import obstore

        with self._translated(keys[0], "delete"):
            obstore.delete(self._store, [self._prefix + key for key in keys])

    def label(self, key: str, changes: dict[str, str | None]) -> None:
        """Change the labels of an object; the others stay."""
        if not self._s3:
            raise StorageError(f"{self._url}/{key}: objects are tagged on s3:// only; use move:URL")
        with self._translated(key, "tag"):
            body, _ = self._ask(self._prefix + key, {"tagging": ""})
            found = {
                one.findtext("{*}Key") or "": one.findtext("{*}Value") or ""
                for one in ET.fromstring(body).iter()  # noqa: S314 - of whom all else is trusted to
                if one.tag.endswith("Tag")
            }
            kept = {
                name: value for name, value in {**found, **changes}.items() if value is not None
            }
            if not kept:
                self._ask(self._prefix + key, {"tagging": ""}, verb="DELETE")
                return
            tags = ET.Element("Tagging")
            several = ET.SubElement(tags, "TagSet")
            for name, value in kept.items():
                tag = ET.SubElement(several, "Tag")
                ET.SubElement(tag, "Key").text = name
                ET.SubElement(tag, "Value").text = value
            self._ask(self._prefix + key, {"tagging": ""}, data=ET.tostring(tags), verb="PUT")

    def keeps_versions(self) -> bool:
        """Say whether a deleted object can be had again; False where that cannot be asked."""
        if not self._s3:
            return False
        with self._translated("", "ask"):
            answer, _ = self._ask("", {"versioning": ""})
        return b"<Status>Enabled</Status>" in answer

    @functools.cached_property
    def _sending(self) -> Any:
        return self._opened(_WHOLE_SECONDS)

    def _opened(self, stall: float) -> Any:
        try:
            import obstore.store
        except ImportError as error:
            raise ExtraMissingError("object storage", "cluster") from error
        retries: Any = {
            "max_retries": 3,
            "retry_timeout": timedelta(seconds=self._patience),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=5),
                "base": 2,
            },
        }
        client: dict[str, Any] = {
            "connect_timeout": timedelta(seconds=min(10.0, self._stall)),
            "read_timeout": timedelta(seconds=stall),
            "timeout": timedelta(seconds=_WHOLE_SECONDS),
        }
        named: dict[str, Any] = {}
        if self._endpoint:
            client["allow_http"] = self._endpoint.startswith("http://")
            named["config"] = {"endpoint": self._endpoint, "virtual_hosted_style_request": False}
        with self._translated("", "open"):
            from_url: Any = obstore.store.from_url  # its overloads want the scheme be known
            return from_url(self._root, retry_config=retries, client_options=client, **named)

    def _below(self, path: str) -> str:
        return path[len(self._prefix) :]

    def _entry(self, one: Any, key: str) -> Entry:
        moment = int(one["last_modified"].timestamp() * 1_000_000) * 1000
        return Entry(key, one["size"], moment, one["e_tag"] or "", one["version"] or "")

    def _list_s3(self, prefix: str, after: str) -> Iterator[Entry]:
        query = {
            "list-type": "2",
            "encoding-type": "url",
            "max-keys": str(_PAGE),
            "prefix": prefix,
        }
        if after:
            query["start-after"] = after
        with self._translated(self._below(prefix), "list"):
            while True:
                body, _ = self._ask("", query)
                page = ET.fromstring(body)  # noqa: S314 - of whom all else is trusted to
                for element in page:
                    if element.tag.endswith("Contents"):
                        yield self._listed(element)
                token = page.findtext("{*}NextContinuationToken")
                if not token:
                    return
                query["continuation-token"] = token

    def _listed(self, element: ET.Element) -> Entry:
        found = {part.tag.rpartition("}")[2]: part.text or "" for part in element}
        key = unquote_plus(found["Key"])
        moment = datetime.fromisoformat(found["LastModified"]).timestamp()
        return Entry(
            self._below(key),
            int(found["Size"]),
            int(moment * 1_000_000) * 1000,
            found.get("ETag", ""),
            "",
            "no request can name a key with a part . or ..; copy it to another key"
            if _DOTS.search(key)
            else "",
        )

    def _get_odd(self, key: str, if_match: str) -> Object:
        if not self._s3 or _DOTS.search(self._prefix + key):
            raise StorageError(
                f"{self._url}/{key}: such a key cannot be read; copy the object to another key"
            )
        with self._translated(key, "read"):
            data, headers = self._ask(
                self._prefix + key, {}, {"If-Match": if_match} if if_match else {}
            )
            return Object(data, headers.get("ETag") or "")

    def _ask(
        self,
        key: str,
        query: dict[str, str],
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
        verb: Literal["GET", "PUT", "DELETE"] = "GET",
    ) -> tuple[bytes, Any]:
        """Send a request that obstore signs, with any key and query."""
        import obstore
        from obstore.store import S3Store

        host = self._endpoint
        if not host:
            region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
            host = f"https://s3.{region or 'us-east-1'}.amazonaws.com"
        path = f"{self._name}/{quote(key)}" if key else self._name
        # Of a parameter that begins with x- S3 takes no notice; it takes up the name of an object,
        # without which obstore signs nothing.
        asked = urlencode({**query, "x-dedup": ""}, quote_via=quote, safe="")
        store = S3Store(
            self._name,
            config={"endpoint": f"{host}/{path}?{asked}", "virtual_hosted_style_request": True},
            client_options={"allow_http": host.startswith("http://")},
        )
        url = obstore.sign(store, verb, "-", timedelta(minutes=5))
        kind = {} if data is None else {"Content-Type": "application/xml"}
        request = urllib.request.Request(url, data, {**kind, **(headers or {})}, method=verb)  # noqa: S310
        with urllib.request.urlopen(request, timeout=self._stall) as answer:  # noqa: S310
            return answer.read(), answer.headers

    @contextmanager
    def _translated(self, key: str, verb: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        name = f"{self._url}/{key}" if key else self._url
        try:
            yield
        except urllib.error.HTTPError as error:
            with error:
                text = f"status code: {error.code} {error.read(4096).decode(errors='replace')}"
            raise worded(name, verb, text) from error
        except (BaseError, FileNotFoundError, ValueError) as error:
            raise worded(name, verb, str(error)) from error
        except (OSError, http.client.HTTPException, ET.ParseError) as error:
            raise unreachable(name, f"{type(error).__name__}: {error}") from error
        except BaseException as error:
            if (
                type(error).__name__ != "PanicException"
            ):  # what obstore makes of a stretch cut short
                raise
            raise cut(name) from error
