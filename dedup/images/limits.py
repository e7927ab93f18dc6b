"""How much a file may ask for before it is refused: one policy for all formats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What is decoded, as far as headers and structure tell.

    The defaults keep the worst of the hostile files that the tests write below a gigabyte and,
    on one core, below ten seconds, and leave every photograph and scan alone.

    Parameters
    ----------
    pixels : above the 200 megapixels of today's largest phone sensors, below what hurts
    side : longer than any panorama, shorter than the 65,500 that JPEG can claim
    decode_bytes : what one decode may need at its peak; a TIFF of 200 megapixels is estimated at
        2.2 GB, and takes 2.2 GB with its file where that is compressed by LZW
    empty_decode_bytes : the same for files with more than `pixels_per_byte`, which hold next to
        nothing: no photograph does, and a few hundred bytes can claim as much
    scans : passes over one JPEG. Encoders write about ten; each costs time that its few bytes do
        not show (libjpeg-turbo, "Two Issues with the JPEG Standard", advises such a limit)
    scan_pixels : passes times pixels of one JPEG; ten passes over 200 megapixels are 2e9
    segments : before the first pass of a JPEG; a photograph has about ten, one with a depth map a
        few hundred
    stray_bytes : between those segments
    chunks : of a PNG; 65,536 of the usual 8 kB are 512 MB
    strips : and tiles of a TIFF; 65,000 rows in three planes would be 195,000
    tags : of a TIFF's first page; Exif and TIFF together define some 500
    comment_bytes : of a GIF, which Pillow gathers in quadratic time
    comments : of a GIF
    run_pixels : of a run-length coded BMP, which a slow loop decodes
    text_pixels : of netpbm as text
    """

    pixels: int = 1 << 28
    side: int = 65_000
    decode_bytes: int = 5 << 29
    empty_decode_bytes: int = 640 << 20
    pixels_per_byte: int = 64
    scans: int = 256
    scan_pixels: int = 1 << 32
    segments: int = 4096
    stray_bytes: int = 1 << 16
    chunks: int = 1 << 16
    strips: int = 1 << 18
    tags: int = 4096
    comment_bytes: int = 1 << 20
    comments: int = 4096
    run_pixels: int = 1 << 26
    text_pixels: int = 1 << 22

    def most_decode_bytes(self, pixels: int, size: int) -> int:
        """Give what decoding may need at its peak.

        Parameters
        ----------
        pixels : that the file announces
        size : of the file, bytes
        """
        empty = pixels > self.pixels_per_byte * size
        return self.empty_decode_bytes if empty else self.decode_bytes


LIMITS = Limits()
"""What is read unless said otherwise."""
