"""JPEGs that workers leave to a device, which here is the processor: it takes the same calls."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from blocks import BlockMeans, TrialFirst, index
from pictures import scene

from dedup.images.device import Side
from dedup.indexing import batch_size, device_decoding, device_trial, forward, readahead
from dedup.indexing.device_trial import Rates
from dedup.runtimes.device_jpegs import device_jpegs
from dedup.search.similarity import unit_rows
from dedup.store.catalog import Catalog
from dedup.store.gallery import read_ids, read_images, read_vectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from dedup.fingerprint import Fingerprint
    from dedup.preparation import JpegDecoder
    from dedup.results import IndexSummary
    from dedup.runtimes.device_jpegs import Sides

COUNT = 150
SIZES = [(44, 40), (60, 40), (41, 57)]  # JPEGs of no more bytes than 32 × 32 pixels take


class OnDevice(BlockMeans):
    """What a device decodes, the processor does in torch."""

    def jpegs(self, sides: Sides) -> JpegDecoder | None:
        return device_jpegs(torch.device("cpu"), sides)


class Failing(OnDevice):
    """A device that gives up after some parts."""

    def __init__(self, good: int) -> None:
        super().__init__()
        self._good = good

    def jpegs(self, sides: Sides) -> JpegDecoder | None:
        decoder = super().jpegs(sides)
        assert decoder is not None
        inner = decoder.decode

        def decode(
            files: Sequence[tuple[bytes, tuple[int, int]]], out: npt.NDArray[np.uint8]
        ) -> npt.NDArray[np.bool_]:
            self._good -= 1
            if self._good < 0:
                raise RuntimeError("CUDA error: the device is gone\nand more")
            return inner(files, out)

        decoder.decode = decode  # type: ignore[method-assign]  # a device that fails
        return decoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    for seed in range(COUNT):
        scene(seed, SIZES[seed % 3]).save(made / f"{seed:03}.jpg", quality=75)
    scene(200, (64, 48)).save(made / "140 other.png")
    shutil.copy(made / "100.jpg", made / "141 again.jpg")
    whole = (made / "120.jpg").read_bytes()
    (made / "142 cut.jpg").write_bytes(whole[:-300])
    return made


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decide after a few files, and for the device."""
    monkeypatch.setattr(device_decoding, "ThreadPoolExecutor", TrialFirst)
    monkeypatch.setattr(readahead, "_AHEAD", 8)
    monkeypatch.setattr(device_decoding, "_TOGETHER", 16)
    monkeypatch.setattr(device_decoding, "_WAITING", 40)
    monkeypatch.setattr(device_decoding, "_SAMPLE", 10)
    monkeypatch.setattr(device_decoding, "_FIRST", 20)
    monkeypatch.setattr(batch_size, "_WINDOW", 20)
    monkeypatch.setattr(batch_size, "_KEPT", 0.0)
    monkeypatch.setattr(device_decoding, "_WORTH", 0.0)
    monkeypatch.setattr(device_trial, "_PROMISING", 0.0)


def indexed(
    store: Path, fingerprint: Fingerprint, embedder: BlockMeans, folder: Path
) -> tuple[IndexSummary, list[bytes], npt.NDArray[np.float32]]:
    catalog = Catalog.create(store, fingerprint)
    summary = index(catalog, embedder, folder)
    count = len(read_ids(catalog))
    rows = read_vectors(catalog, "blocks", count)
    digests = list(read_images(catalog).digest)
    catalog.close()
    return summary, digests, rows


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("places", [0, 30, 4096])
def test_what_a_device_decodes_is_indexed_as_what_the_host_decodes(
    catalog: Catalog, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, places: int
) -> None:
    host = indexed(tmp_path / "host", catalog.fingerprint, BlockMeans(), folder)
    if places:  # processes, whose shelf is soon full in one case
        monkeypatch.setattr(readahead, "_WORTH_FOR_CONTENT", 1)
        monkeypatch.setattr(readahead, "_THREADS_SUFFICE", 0)
        monkeypatch.setattr(readahead, "_WAITING", places)
    device = indexed(tmp_path / "device", catalog.fingerprint, OnDevice(), folder)
    summary, other = device[0], host[0]
    assert summary.stages is not None
    assert summary.stages.choice.startswith("beside the run torch")
    assert 50 < summary.stages.device_jpegs < COUNT
    assert (summary.indexed, summary.reused) == (other.indexed, other.reused) == (COUNT + 1, 1)
    assert summary.new_skips == other.new_skips
    assert len(summary.new_skips) == 1
    assert device[1] == host[1]
    cosines = (unit_rows(device[2]) * unit_rows(host[2])).sum(axis=1)
    assert cosines.min() > 0.9995


@pytest.mark.usefixtures("_soon")
def test_a_device_that_fails_in_mid_run_is_not_asked_again(
    catalog: Catalog, tmp_path: Path, folder: Path
) -> None:
    host = indexed(tmp_path / "host", catalog.fingerprint, BlockMeans(), folder)
    # Four times for the trial, and once for a part.
    failing = indexed(tmp_path / "failing", catalog.fingerprint, Failing(5), folder)
    stages = failing[0].stages
    assert stages is not None
    assert stages.choice == "it failed in mid-run (CUDA error: the device is gone)"
    assert 1 <= stages.device_jpegs <= 16
    assert failing[0].indexed == host[0].indexed
    assert failing[0].new_skips == host[0].new_skips
    assert failing[1] == host[1]
    np.testing.assert_allclose(failing[2], host[2], atol=0.02 * np.abs(host[2]).max())


@pytest.mark.usefixtures("_soon")
def test_a_device_that_fails_at_its_trial_is_left_out(catalog: Catalog, folder: Path) -> None:
    summary = index(catalog, Failing(0), folder)
    assert summary.indexed == COUNT + 1
    assert summary.stages is not None
    assert summary.stages.device_jpegs == 0
    assert summary.stages.choice == "it failed (CUDA error: the device is gone)"


@pytest.mark.usefixtures("_soon")
def test_a_device_whose_pictures_are_others_is_left_out(catalog: Catalog, folder: Path) -> None:
    class Turned(Side):
        def weights(self) -> npt.NDArray[np.float32]:
            return super().weights()[::-1].copy()

    class Upside(OnDevice):
        def jpegs(self, sides: Sides) -> JpegDecoder | None:
            def upside(size: tuple[int, int]) -> tuple[Side, Side]:
                down, across = sides(size)
                assert isinstance(down, Side)
                assert isinstance(across, Side)
                return Turned(*down), across

            return device_jpegs(torch.device("cpu"), upside)

    summary = index(catalog, Upside(), folder)
    assert summary.stages is not None
    assert summary.stages.device_jpegs == 0
    assert summary.stages.choice.startswith("embeddings agree to no more than 0.")


@pytest.mark.usefixtures("_soon")
def test_a_device_after_which_embeddings_are_not_finite_is_left_out(
    catalog: Catalog, folder: Path
) -> None:
    class Overflowing(OnDevice):
        def embed(self, batch: npt.NDArray[np.uint8]) -> Mapping[str, npt.NDArray[np.float32]]:
            values = dict(super().embed(batch))
            if self.batches.count(10) == 2:  # of the trial's sample, what the device decoded
                values["blocks"] = values["blocks"] * np.float32(np.nan)
            return values

    summary = index(catalog, Overflowing(), folder)
    assert summary.stages is not None
    assert summary.stages.device_jpegs == 0
    assert summary.stages.choice == "embeddings agree to no more than 0.0000"


@pytest.mark.usefixtures("_soon")
def test_a_slower_device_is_left_out(
    catalog: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_trial, "_PROMISING", 1e9)
    summary = index(catalog, OnDevice(), folder)
    assert summary.stages is not None
    assert summary.stages.device_jpegs == 0
    assert "the host's cores" in summary.stages.choice


@pytest.mark.usefixtures("_soon")
def test_where_few_jpegs_suit_the_host_goes_on(catalog: Catalog, tmp_path: Path) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    for seed in range(80):
        scene(seed).save(folder / f"{seed}.jpg", quality=90)  # more bytes than pixels
    summary = index(catalog, OnDevice(), folder)
    assert summary.stages is not None
    assert summary.stages.choice == "it suits 0 of 10 JPEGs"


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("gains", [True, False])
def test_a_device_is_kept_where_the_run_gains_by_it(
    catalog: Catalog, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *, gains: bool
) -> None:
    host = indexed(tmp_path / "host", catalog.fingerprint, BlockMeans(), folder)
    monkeypatch.setattr(batch_size, "_KEPT", 0.0 if gains else 1e9)
    monkeypatch.setattr(device_decoding, "MOST_AHEAD", 0)
    monkeypatch.setattr(device_decoding, "_WAITING", 20)
    device = indexed(tmp_path / "device", catalog.fingerprint, OnDevice(), folder)
    stages = device[0].stages
    assert stages is not None
    assert ("; no gain: " in stages.choice) is not gains
    assert stages.choice.endswith(" with it")
    assert (stages.device_jpegs > 50) is gains
    assert device[0].indexed == host[0].indexed
    assert device[1] == host[1]


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("ready", [True, False])
def test_a_trial_waits_until_passes_have_settled(
    catalog: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch, *, ready: bool
) -> None:
    class GettingReady(OnDevice):
        def get_ready(self, pictures: int) -> bool:
            assert pictures == 12
            return ready

    monkeypatch.setattr(forward, "BATCH", 8)
    embedder = GettingReady((12,))
    summary = index(catalog, embedder, folder)
    assert summary.stages is not None
    assert bool(summary.stages.choice) is ready
    assert (12 in embedder.batches) is ready


def test_short_runs_do_not_try(catalog: Catalog, folder: Path) -> None:
    summary = index(catalog, OnDevice(), folder)
    assert summary.stages is not None
    assert (summary.stages.choice, summary.stages.device_jpegs) == ("", 0)


@pytest.mark.parametrize(
    ("rates", "promising"),
    [
        (Rates(host=1000, device=4000, afterwards=25000), True),
        (Rates(host=5800, device=3000, afterwards=25000), True),  # beside a run that takes all
        (Rates(host=5800, device=2800, afterwards=25000), False),
        (Rates(host=9000, device=30000, afterwards=4000), False),
    ],
)
def test_a_device_is_tried_where_each_half_of_its_work_may_keep_up(
    rates: Rates, *, promising: bool
) -> None:
    assert rates.promising is promising
