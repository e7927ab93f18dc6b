"""What object storage answers, in words with a next step."""

from __future__ import annotations

import os
import re
from http import HTTPStatus
from typing import Final

from dedup.distributed.objects import ChangedObjectError, MissingObjectError, StorageError

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_NO_BUCKET: Final = {"NoSuchBucket", "ContainerNotFound"}
_REFUSED: Final = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "AuthenticationFailed",
    "TokenRefreshRequired",
}
_FINAL: Final = range(300, 500)
_BUSY: Final = {408, 409, 425, 429}  # of these
_ROLES: Final = ("169.254.169.254", "metadata.google.internal")  # who is asked for credentials last
_CREDENTIALS: Final = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_ODD: Final = re.compile(r"invalid path|Could not parse path")  # as obstore words it
_MAY: Final = {
    "list": "s3:ListBucket",
    "read": "s3:GetObject",
    "write": "s3:PutObject",
    "delete": "s3:DeleteObject",
    "ask": "s3:GetBucketVersioning",
    "tag": "s3:PutObjectTagging",
}


def worded(name: str, verb: str, text: str) -> StorageError:
    """Say what went wrong with an object, by what the storage or obstore said.

    Parameters
    ----------
    verb : one of open, list, read, write, delete, ask
    """
    short = " ".join(text.partition("\n\nDebug source")[0].split())
    status = int(found[1]) if (found := _STATUS.search(short)) else 0
    code = found[1] if (found := _CODE.search(text)) else ""
    told = code or str(status)
    if code in _NO_BUCKET:
        bucket = "/".join(name.split("/")[:3])
        words = f"{bucket}: there is no such bucket; create it, or mend its name"
    elif verb == "open":
        words = f"{name}: cannot be opened ({short[:200]}); set {_credentials(name)}"
    elif any(host in text for host in _ROLES):
        words = f"{name}: no credentials; set {_credentials(name)}, or run where a role gives them"
    elif _ODD.search(short):
        words = (
            f"{name}: keys with an empty part, a part . or .., or a control character cannot be "
            f"used here; copy such objects to other keys ({short[:300]})"
        )
    elif status == HTTPStatus.UNAUTHORIZED or code in _REFUSED:
        words = f"{name}: the credentials are not accepted ({told}); set {_credentials(name)}"
    elif status == HTTPStatus.FORBIDDEN:
        words = f"{name}: no permission to {verb} ({told}); have {_MAY[verb]} or its like allowed"
    elif status == HTTPStatus.PRECONDITION_FAILED:
        return ChangedObjectError(f"{name}: it was changed")
    elif status == HTTPStatus.NOT_FOUND or (not status and "not found" in short):
        return MissingObjectError(f"{name}: there is no such object")
    elif status == HTTPStatus.NOT_IMPLEMENTED or (status in _FINAL and status not in _BUSY):
        words = f"{name}: the storage refuses to {verb} ({short[-200:]})"
    else:
        return unreachable(name, short)
    return StorageError(words)


def _credentials(name: str) -> str:
    return _CREDENTIALS[name[:2]] + " in the environment"


def unreachable(name: str, words: str) -> StorageError:
    """Say that no answer came."""
    where = f" of {endpoint()}" if endpoint() and name.startswith("s3") else ""
    return StorageError(
        f"{name}: no answer{where} ({words[:200]}); look at the network and try again",
        transient=True,
    )


def cut(name: str) -> StorageError:
    """Say that an answer was not whole."""
    return StorageError(f"{name}: the transfer broke off; try again", transient=True)


def endpoint() -> str:
    """Give where S3 is, where the environment says so."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
