"""What people and cameras wrote about an image: when, where, how good, of what.

Read from EXIF, XMP and IPTC inside a file, and from XMP files beside it; written to the latter
only. An XMP file that is there keeps every word that it has: what it lacks is added.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from xml.etree import ElementTree as ET

from PIL import IptcImagePlugin

from dedup.images.header import DECODER_FAILURES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from PIL import Image

MAX_XMP_BYTES: Final = 1 << 20
"""Longer packets are not read: the largest that programs write hold masks, of some 100 kB."""

_EXIF, _GPS, _TAKEN, _RATING, _KEYWORDS = 0x8769, 0x8825, 0x9003, 0x4746, (2, 25)
_MAKE, _MODEL, _SUBSECOND = 0x010F, 0x0110, 0x9291
_EXPOSURE = (0x829A, 0x829D, 0x8827)  # time, f-number, sensitivity
_BEST = 5
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_OF_EXIF = "{http://ns.adobe.com/exif/1.0/}"
_DATES = (
    f"{_OF_EXIF}DateTimeOriginal",
    "{http://ns.adobe.com/photoshop/1.0/}DateCreated",
    f"{_XMP}CreateDate",
)
_PREFIXES = {"rdf": _RDF, "dc": _DC, "xmp": _XMP, "exif": _OF_EXIF, "x": "{adobe:ns:meta/}"}
_EMPTY = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    'syntax-ns#"><rdf:Description rdf:about=""/></rdf:RDF></x:xmpmeta>\n'
)
_PLACES: Final = {"Latitude": "NS", "Longitude": "EW"}
_RATINGS: Final = frozenset("12345")
_DATE = re.compile(r"(\d{4})[-:](\d\d)[-:](\d\d)[T ](\d\d):(\d\d)(?::(\d\d))?")
_DEGREES = re.compile(r"(\d+),(\d+(?:\.\d+)?)(?:,(\d+(?:\.\d+)?))?([NSEW])")


class Metadata(NamedTuple):
    """What is written about an image.

    Parameters
    ----------
    taken : when, as EXIF has it (2019:07:01 12:00:00); "" where that is not known
    place : degrees north and east
    rating : 1 to 5; 0 for none
    keywords : sorted
    """

    taken: str = ""
    place: tuple[float, float] | None = None
    rating: int = 0
    keywords: tuple[str, ...] = ()

    def beyond(self, other: Metadata) -> Metadata:
        """Give what the other one lacks."""
        return Metadata(
            "" if other.taken else self.taken,
            None if other.place else self.place,
            0 if other.rating else self.rating,
            tuple(word for word in self.keywords if word not in other.keywords),
        )


def joined(several: Iterable[Metadata]) -> Metadata:
    """Put together what is written about one image; of what is told twice the first counts."""
    found = Metadata()
    for one in several:
        words = sorted({*found.keywords, *one.keywords})
        found = Metadata(
            found.taken or one.taken, found.place or one.place, found.rating or one.rating,
            tuple(words),
        )  # fmt: skip
    return found


def embedded(image: Image.Image, tags: dict[int, Any]) -> Metadata:
    """Read what an image file holds itself.

    Parameters
    ----------
    tags : of EXIF, as `exif_tags` gives them
    """
    rating = tags.get(_RATING)
    exif = Metadata(
        taken=_date(str(tags.get(_TAKEN) or "")),
        place=_exif_place(tags.get(_GPS) or {}),
        rating=rating if isinstance(rating, int) and 0 < rating <= _BEST else 0,
    )
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    try:
        xmp = read_xmp(packet.encode() if isinstance(packet, str) else bytes(packet))
    except (ValueError, TypeError):
        xmp = Metadata()
    return joined((xmp, exif, Metadata(keywords=_iptc_keywords(image))))


def exif_tags(image: Image.Image) -> dict[int, Any]:
    """Read the tags of EXIF; those of the place are a dict of their own under its number."""
    try:
        exif = image.getexif()
        tags = dict(exif) | dict(exif.get_ifd(_EXIF))
        tags[_GPS] = dict(exif.get_ifd(_GPS))
    except DECODER_FAILURES:
        return {}
    return tags


def _date(text: str) -> str:
    found = _DATE.match(text.strip(" \0"))
    if found is None or found[1] == "0000":
        return ""
    year, month, day, hour, minute, second = found.groups()
    return f"{year}:{month}:{day} {hour}:{minute}:{second or '00'}"


def _exif_place(tags: dict[int, Any]) -> tuple[float, float] | None:
    try:
        north, east = (
            sum(float(part) / 60**at for at, part in enumerate(tags[number])) for number in (2, 4)
        )
        return _on_earth(
            -north if str(tags[1]).startswith("S") else north,
            -east if str(tags[3]).startswith("W") else east,
        )
    except (*DECODER_FAILURES, KeyError):
        return None


def is_place(*degrees: Any) -> bool:
    """Say whether values are degrees north and east; 0, 0 stands for a place that is not known."""
    if len(degrees) != 2 or not all(type(one) in (int, float) for one in degrees):  # noqa: PLR2004
        return False
    north, east = degrees
    return abs(north) <= 90 and abs(east) <= 180 and bool(north or east)  # noqa: PLR2004 - degrees


def _on_earth(north: float, east: float) -> tuple[float, float] | None:
    return (round(north, 6), round(east, 6)) if is_place(north, east) else None


def _iptc_keywords(image: Any) -> tuple[str, ...]:
    try:
        found = (IptcImagePlugin.getiptcinfo(image) or {}).get(_KEYWORDS) or []
    except DECODER_FAILURES:
        return ()
    words = found if isinstance(found, list) else [found]
    texts = {word.decode("utf-8", "replace").strip() for word in words}
    return tuple(sorted(text for text in texts if text and text.isprintable()))


# -- XMP -------------------------------------------------------------------------------------------


def read_xmp(packet: bytes) -> Metadata:
    """Read a packet or a file of XMP; empty when it says nothing.

    Raises
    ------
    ValueError : it is none.
    """
    return _told(_parsed(packet)[1]) if packet.strip(b"\0 \r\n") else Metadata()


def merged_xmp(packet: bytes, more: Metadata) -> bytes:
    """Add to a file of XMP what it lacks; the same bytes when it lacks nothing.

    Parameters
    ----------
    packet : b"" for a new file

    Raises
    ------
    ValueError : it is no XMP.
    """
    head, root, tail = _parsed(packet or _EMPTY.encode())
    new = more.beyond(_told(root))
    if new == Metadata():
        return packet
    described = root.find(f".//{_RDF}Description")
    if described is None:
        raise ValueError("nothing is described in it")
    if new.taken:
        date, time = new.taken.split(" ")
        described.set(f"{_OF_EXIF}DateTimeOriginal", f"{date.replace(':', '-')}T{time}")
    if new.place:
        for (name, signs), degrees in zip(_PLACES.items(), new.place, strict=True):
            whole, part = divmod(abs(degrees) * 60, 60)
            text = f"{whole:.0f},{part:.5f}{signs[degrees < 0]}"
            described.set(f"{_OF_EXIF}GPS{name}", text)
    if new.rating:
        described.set(f"{_XMP}Rating", str(new.rating))
    _add_keywords(root, described, new.keywords)
    return f"{head}{ET.tostring(root, 'unicode')}{tail}".encode()


def _add_keywords(root: ET.Element, described: ET.Element, words: tuple[str, ...]) -> None:
    if not words:
        return
    subject = root.find(f".//{_DC}subject")
    if subject is None:
        subject = ET.SubElement(described, f"{_DC}subject")
    bag = subject.find("*")
    if bag is None:
        bag = ET.SubElement(subject, f"{_RDF}Bag")
    for word in words:
        ET.SubElement(bag, f"{_RDF}li").text = word


def _parsed(packet: bytes) -> tuple[str, ET.Element, str]:
    """Give what is before the root of XMP, the root, and what is after it."""
    if len(packet) > MAX_XMP_BYTES:
        raise ValueError("it is too long")
    text = packet.strip(b"\0").decode("utf-8-sig")
    if "<!DOCTYPE" in text:  # XMP has none, and with one a few bytes can become gigabytes
        raise ValueError("it is no XMP")
    start, end = re.search(r"<(?![?!])", text), text.rfind("<?xpacket end")
    at, to = start.start() if start else 0, end if end >= 0 else len(text)
    keeps_comments = ET.TreeBuilder(insert_comments=True, insert_pis=True)
    try:
        root = ET.fromstring(text[at:to], ET.XMLParser(target=keeps_comments))  # noqa: S314 - see above
    except ET.ParseError as error:
        raise ValueError(f"it is no XMP ({error})") from error
    if root.find(f".//{_RDF}RDF") is None and root.tag != f"{_RDF}RDF":
        raise ValueError("it is no XMP")
    for prefix, space in {**_PREFIXES, **_prefixes(text[at:to])}.items():
        with suppress(ValueError):  # one of those that are numbered anew
            ET.register_namespace(prefix, space.strip("{}"))
    return text[:at], root, text[to:]


def _prefixes(text: str) -> dict[str, str]:
    parser: ET.XMLPullParser[Any] = ET.XMLPullParser(("start-ns",))
    parser.feed(text)
    events: Iterator[Any] = parser.read_events()
    return dict(value for _, value in events)


def _told(root: ET.Element) -> Metadata:
    """Read what the descriptions in XMP say, as attributes or as elements."""
    found: dict[str, str] = {}
    for described in root.iter(f"{_RDF}Description"):
        found |= described.attrib | {
            one.tag: (one.text or "").strip() for one in described if isinstance(one.tag, str)
        }
    rating = found.get(f"{_XMP}Rating", "")
    words = {
        (item.text or "").strip()
        for subject in root.iter(f"{_DC}subject")
        for item in subject.iter(f"{_RDF}li")
    }
    north, east = (_degrees(found.get(f"{_OF_EXIF}GPS{name}", "")) for name in _PLACES)
    return Metadata(
        taken=next(filter(None, (_date(found.get(name, "")) for name in _DATES)), ""),
        place=None if north is None or east is None else _on_earth(north, east),
        rating=int(rating) if rating in _RATINGS else 0,
        keywords=tuple(sorted(word for word in words if word and word.isprintable())),
    )


def _degrees(text: str) -> float | None:
    """Read a coordinate of XMP: degrees,minutes or degrees,minutes,seconds, and the direction."""
    found = _DEGREES.fullmatch(text.strip())
    if found is None:
        return None
    degrees, minutes, seconds, sign = found.groups()
    size = int(degrees) + float(minutes) / 60 + float(seconds or 0) / 3600
    return -size if sign in "SW" else size


def exposure_of(image: Image.Image) -> tuple[float, ...] | None:
    """Give exposure time in seconds, f-number and sensitivity, as the camera wrote them.

    Returns
    -------
    None where the exposure time is not known; 0 for what else is not.
    """
    tags = exif_tags(image)
    with suppress(TypeError, ValueError, ZeroDivisionError, OverflowError):
        values = [tags.get(tag, 0) for tag in _EXPOSURE]
        first = [value[0] if isinstance(value, tuple) and value else value for value in values]
        numbers = tuple(round(float(value), 6) for value in first)
        return numbers if numbers[0] > 0 else None
    return None


class Moment(NamedTuple):
    """When a camera took a photograph.

    Parameters
    ----------
    camera : its maker and model
    seconds : by its clock, since 1970
    fraction : of a second, as it wrote it; "" where it did not
    """

    camera: str
    seconds: float
    fraction: str


def moment_of(image: Image.Image) -> Moment | None:
    """Read which camera took a photograph when; None unless it wrote both."""
    tags = exif_tags(image)
    camera = " ".join(str(tags.get(tag, "")).strip(" \0") for tag in (_MAKE, _MODEL)).strip()
    date = _date(str(tags.get(_TAKEN, "")))
    if not camera or not date:
        return None
    try:
        taken = datetime.strptime(date, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return Moment(camera, taken.timestamp(), str(tags.get(_SUBSECOND, "")).strip(" \0").rstrip("0"))
