"""What is written about an image is read from wherever programs write it, and added to XMP."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from dedup.images.metadata import MAX_XMP_BYTES, Metadata, joined, merged_xmp, read_xmp
from dedup.images.traits import metadata_of

ALL = Metadata("2019:07:01 12:30:05", (48.141667, -11.5), 4, ("Müller & Söhne", "beach"))

# As Adobe's programs write it: properties as elements, an envelope, somebody's own properties.
ADOBE = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 5.6">
 <!-- mine -->
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" crs:Exposure2012="+0.35">
   <xmp:Rating>2</xmp:Rating>
  </rdf:Description>
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
   <dc:subject><rdf:Bag><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


def test_a_new_file_holds_all_and_nothing_is_added_twice() -> None:
    packet = merged_xmp(b"", ALL)
    assert read_xmp(packet) == ALL
    assert merged_xmp(packet, ALL) == packet


def test_what_is_there_stays_and_what_is_missing_is_added() -> None:
    packet = merged_xmp(ADOBE.encode(), ALL)
    assert read_xmp(packet) == Metadata(ALL.taken, ALL.place, 2, ("Müller & Söhne", "beach", "sea"))
    text = packet.decode()
    for kept in ("<!-- mine -->", 'crs:Exposure2012="+0.35"', "XMP Core 5.6", "<xmp:Rating>2<"):
        assert kept in text
    assert text.startswith("<?xpacket begin=")
    assert text.endswith('<?xpacket end="w"?>')
    assert text.count("<dc:subject>") == 1


@pytest.mark.parametrize(
    "packet",
    [
        b"rating 5",
        b"\xff\xfe<\x00",
        b"<a/>",
        ADOBE[:300].encode(),
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + ADOBE.encode(),
        b" " * MAX_XMP_BYTES + ADOBE.encode(),
    ],
)
def test_what_is_no_xmp_is_refused(packet: bytes) -> None:
    with pytest.raises(ValueError, match=r"it is|decode"):
        read_xmp(packet)
    with pytest.raises(ValueError, match=r"it is|decode"):
        merged_xmp(packet, ALL)


@pytest.mark.parametrize(
    ("latitude", "longitude", "place"),
    [
        ("48,8.5N", "11,30,36E", (48.141667, 11.51)),
        ("0,0N", "0,0E", None),
        ("95,0N", "0,1E", None),
        ("48.1", "11.5", None),
    ],
)
def test_places_are_read_as_xmp_writes_them(
    latitude: str, longitude: str, place: tuple[float, float] | None
) -> None:
    text = merged_xmp(b"", ALL).decode()
    text = text.replace("48,8.50002N", latitude).replace("11,30.00000W", longitude)
    assert read_xmp(text.encode()).place == place


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_inside_of_images_is_read(kind: str) -> None:
    buffer = io.BytesIO()
    packet = merged_xmp(b"", ALL)
    options: dict[str, object] = {"xmp": packet}
    if kind == "TIFF":
        options = {"tiffinfo": {700: packet}}
    elif kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        options = {"pnginfo": info}
    Image.new("RGB", (32, 32)).save(buffer, kind, **options)
    assert metadata_of(buffer.getvalue()) == ALL


def test_keywords_of_iptc_are_read() -> None:
    words = b"".join(
        b"\x1c\x02\x19" + len(word).to_bytes(2, "big") + word for word in (b"sea", b"dog\0")
    )
    resource = (
        b"8BIM\x04\x04\0\0" + len(words).to_bytes(4, "big") + words + b"\0" * (len(words) % 2)
    )
    body = b"Photoshop 3.0\0" + resource
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, "JPEG")
    data = buffer.getvalue()
    data = data[:2] + b"\xff\xed" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]
    assert metadata_of(data).keywords == ("sea",)


def test_of_what_is_told_twice_the_first_counts() -> None:
    first, second = Metadata("a", None, 3, ("x",)), Metadata("b", (1.0, 2.0), 5, ("y", "x"))
    assert joined((first, second)) == Metadata("a", (1.0, 2.0), 3, ("x", "y"))
    assert second.beyond(first) == Metadata("", (1.0, 2.0), 0, ("y",))


def test_prefixes_of_others_survive() -> None:
    packet = ADOBE.replace("crs:", "own:").replace("xmlns:crs", "xmlns:own").encode()
    assert b"own:Exposure2012" in merged_xmp(packet, ALL)
    assert read_xmp(merged_xmp(packet, ALL)).taken == ALL.taken
