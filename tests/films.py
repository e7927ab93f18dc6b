"""Videos that the tests make themselves, of drawn scenes that a camera moves over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import numpy as np
from drawings import scene
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RATE = 10
SOUND_RATE = 16_000
QUICKLY = {
    "libx264": {"preset": "veryfast"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}


def pan(seed: int, seconds: float, size: tuple[int, int] = (240, 180)) -> list[Image.Image]:
    """Move over a scene from its upper left, 12 pixels a second."""
    whole = scene(seed, (size[0] * 2, size[1] * 2))
    count = round(seconds * RATE)
    corners = ((1.2 * number, 0.8 * number) for number in range(count))
    return [
        whole.transform(size, Image.Transform.AFFINE, (1, 0, x, 0, 1, y), Image.Resampling.BILINEAR)
        for x, y in corners
    ]


def smaller(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Resize frames to half."""
    half = (frames[0].width // 2, frames[0].height // 2)
    return [frame.resize(half, Image.Resampling.LANCZOS) for frame in frames]


def speech(seconds: float, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Make noise that is loud and soft in turns, (1, S)."""
    dice = np.random.default_rng(seed)
    loud = np.repeat(dice.uniform(0.001, 0.5, round(seconds * 5)), SOUND_RATE // 5)
    return (loud * dice.normal(0, 0.5, len(loud)))[None].clip(-1, 1).astype(np.float32)


def write_video(
    path: Path,
    frames: Sequence[Image.Image] = (),
    codec: str = "libx264",
    kilobits: int = 600,
    sound: np.ndarray[tuple[int, int], np.dtype[np.float32]] | None = None,
) -> Path:
    """Write a video; without frames one of sound alone."""
    with av.open(path, "w") as out:
        if frames:
            video: Any = out.add_stream(codec, rate=RATE, options=QUICKLY.get(codec))
            video.width, video.height = frames[0].size
            video.pix_fmt, video.bit_rate = "yuv420p", kilobits * 1000
        if sound is not None:
            audio = out.add_stream("aac", rate=SOUND_RATE)
            assert isinstance(audio, av.AudioStream)
            audio.layout = "mono"
        for frame in frames:
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.asarray(frame), "rgb24")))
        if frames:
            out.mux(video.encode(None))
        if sound is not None:
            whole = av.AudioFrame.from_ndarray(sound, "fltp", "mono")
            whole.sample_rate, whole.pts = SOUND_RATE, 0
            out.mux(audio.encode(whole))
            out.mux(audio.encode(None))
    return path
