"""Sizes of screens, by which a screenshot is recognised when no camera says otherwise."""

from __future__ import annotations

from typing import Final

_PHONES_AND_TABLETS: Final = (
    "640x1136 720x1280 720x1440 720x1520 720x1560 720x1600 750x1334 828x1792 1080x1920 1080x2160 "
    "1080x2220 1080x2280 1080x2310 1080x2316 1080x2340 1080x2376 1080x2400 1080x2408 1080x2412 "
    "1080x2424 1080x2460 1125x2436 1170x2532 1179x2556 1206x2622 1220x2712 1242x2208 1242x2688 "
    "1284x2778 1290x2796 1320x2868 1260x2800 1344x2992 1440x2560 1440x2880 1440x2960 1440x3040 "
    "1440x3088 1440x3120 1440x3200 768x1024 1488x2266 1536x2048 1620x2160 1640x2360 1668x2224 "
    "1668x2388 2048x2732 1200x1920 1600x2560 1752x2800"
)
_DESKTOPS: Final = (
    "1280x720 1280x800 1366x768 1440x900 1536x864 1600x900 1680x1050 1920x1080 1920x1200 2560x1080 "
    "2560x1440 2560x1600 2880x1800 3024x1964 3440x1440 3456x2234 3840x2160 5120x1440 5120x2880"
)
_SIZES: Final = frozenset(
    tuple(sorted(map(int, size.split("x"))))
    for size in f"{_PHONES_AND_TABLETS} {_DESKTOPS}".split()
)


def is_screen(width: int, height: int) -> bool:
    """Tell whether a common device's screen has this size, however it is held."""
    return tuple(sorted((width, height))) in _SIZES
