"""`dedup report`: one page, with nothing in it that a name could have put there."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from colour_profiles import P3, profile
from drawings import scene
from hostile import HOSTILE
from pages import Page, read_page
from PIL import Image

from dedup.collection import Collection
from dedup.errors import DedupError
from dedup.report import html
from dedup.report import map as map_page
from dedup.report.why import WHY
from dedup.results import Tier
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from outcome import Outcome

    Run = Callable[..., Outcome]


def made(collection: Collection, path: Path, **options: object) -> Page:
    answer = collection.report(path, **options)  # type: ignore[arg-type]
    assert answer.files == (os.fspath(path),)
    return read_page(path)


def test_the_page_holds_what_is_listed(collection: Collection, tmp_path: Path) -> None:
    listed = collection.duplicates(sort="bytes")
    page = made(collection, tmp_path / "report.html")
    shown = page.data["shown"]
    assert [group["keeper"]["path"] for group in shown] == [group.keeper for group in listed]
    for group, one in zip(listed, shown, strict=True):
        assert (one["tier"], one["why"]) == (group.tier, group.kept_because)
        assert one["freed"] == group.reclaimable_bytes
        assert [
            (dup["path"], dup["tier"], dup["evidence"], dup["bytes"]) for dup in one["duplicates"]
        ] == [(dup.path, dup.tier, dup.evidence, dup.bytes) for dup in group.duplicates]
    found = [dup for group in listed for dup in group.duplicates]
    assert page.data["tiers"] == [
        [tier, len(sizes), sum(sizes)]
        for tier in Tier
        if (sizes := [dup.bytes for dup in found if dup.tier is tier])
    ]
    assert sum(count for _, count, _ in page.data["folders"]) == len(found)


def test_a_limit_keeps_the_groups_that_free_most(collection: Collection, tmp_path: Path) -> None:
    sizes = sorted((group.reclaimable_bytes for group in collection.duplicates()), reverse=True)
    page = made(collection, tmp_path / "report.html", limit=2)
    assert [group["freed"] for group in page.data["shown"]] == sizes[:2]
    assert page.data["groups"] == len(sizes)


def test_copies_share_a_thumbnail(collection: Collection, tmp_path: Path) -> None:
    page = made(collection, tmp_path / "report.html", tier="exact")
    (group,) = page.data["shown"]
    assert {one["image"] for one in (group["keeper"], *group["duplicates"])} == {0}
    assert len(page.thumbnails) == 1


def test_the_policy_allows_this_script_and_style_and_nothing_else(
    collection: Collection, tmp_path: Path
) -> None:
    page = made(collection, tmp_path / "report.html")
    rules = dict(rule.strip().split(" ", 1) for rule in page.policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{digest(page.inside['style'])}'",
        "script-src": f"'sha256-{digest(page.inside['script'])}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not [tag for tag, attributes in page.tags if {"src", "href", "style"} & set(attributes)]
    script = page.inside["script"]
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", script)


def test_modules_of_the_page_fit_each_other() -> None:
    folder = Path(html.__file__).parent / "page"
    texts = {path.name: path.read_text("utf-8") for path in folder.glob("*.js")}
    kinds = (html.REPORT, map_page.MAP, WHY)
    assert {f"{name}.js" for kind in kinds for name in kind.modules} == set(texts)
    named = r"^(?:export )?(?:async )?(?:const|let|function) (\w+)"
    for kind in kinds:
        joined = "\n".join(texts[f"{name}.js"] for name in kind.modules)
        names = re.findall(named, joined, re.MULTILINE)
        assert len(names) == len(set(names))  # they share one scope
        assert set(re.findall(r'from "./(\w+).js"', joined)) <= set(kind.modules)
    for file, text in texts.items():
        for wanted, other in re.findall(
            r'^import {([^}]*)} from "./([\w.]+)";', text, re.MULTILINE
        ):
            exported = re.findall(
                named.replace("(?:export )?", "export "), texts[other], re.MULTILINE
            )
            for name in re.findall(r"\w+", wanted):
                assert name in exported, (file, name)
                assert len(re.findall(rf"\b{name}\b", text)) > 1, (file, name)  # used


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_no_name_leaves_the_block_of_data(tmp_path: Path, dedup: Run) -> None:
    assert len(HOSTILE) >= 100
    folder = tmp_path / "images"
    (folder / "<").mkdir(parents=True)
    keeper = folder / "keeper.png"
    scene(1, (64, 48)).save(keeper)
    names = [f"{name}.png" for name in HOSTILE]
    names.append("</script><script>alert(1)<img src=x>.png")  # in the folder "<"
    paths = [os.path.join(folder, name) for name in names]
    for path in paths:
        shutil.copy(keeper, path)
    store = tmp_path / "store"
    with Collection.create(store, ModelSpec(views="details")) as collection:
        collection.index([folder])
        page = made(collection, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_bytes()
    data = text[text.index(b'id="data">') :].partition(b">")[2].partition(b"</script>")[0]
    assert data.isascii()
    assert not set(b"<>&") & set(data)
    (group,) = page.data["shown"]
    shown = [group["keeper"], *group["duplicates"]]
    assert {os.fsencode(one["path"]) for one in shown} == set(
        map(os.fsencode, [*paths, os.fspath(keeper)])
    )
    scripts = [attributes.get("id") for tag, attributes in page.tags if tag == "script"]
    assert scripts == ["data", None, "i0"]
    plan = tmp_path / "plan.json"
    plan.write_text(page.plan(*page.duplicates), "utf-8")
    done = dedup("apply", "-s", store, plan, "--dry-run")
    assert done.code == 0, done.err
    assert f"{len(paths)} files" in done.err


def test_thumbnails_are_small_upright_and_in_srgb(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(3)
    noise = Image.fromarray(rng.integers(0, 256, (700, 900, 3), dtype=np.uint8))
    noise.save(folder / "noise.png")
    turned = scene(2, (320, 240))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned.save(folder / "turned.jpg", exif=exif, quality=95)
    wide = Image.new("RGB", (200, 200), (200, 60, 60))
    wide.paste(scene(4, (100, 200)), (0, 0))
    wide.save(folder / "wide.png", icc_profile=profile(P3, 2.2))
    for path in list(folder.iterdir()):
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    with Collection.create(tmp_path / "store", ModelSpec(views="details")) as made_of:
        made_of.index([folder])
        page = made(made_of, tmp_path / "report.html")
    files = {os.path.basename(one["keeper"]["path"]): one["keeper"] for one in page.data["shown"]}
    images = {}
    for name, file in files.items():
        webp = base64.b64decode(page.inside[f"i{file['image']}"])
        assert len(webp) <= 15_000
        with Image.open(io.BytesIO(webp)) as image:
            assert image.format == "WEBP"
            assert max(image.size) <= 360
            images[name.removeprefix("copy of ")] = image.convert("RGB")
    upright = np.asarray(turned.rotate(-90, expand=True), np.float64)
    assert images["turned.jpg"].size == (240, 320)
    assert np.abs(np.asarray(images["turned.jpg"], np.float64) - upright).mean() < 12
    red = images["wide.png"].getpixel((170, 100))
    assert isinstance(red, tuple)
    assert red[0] > 207  # 200 of Display P3 is more in sRGB


def test_what_is_gone_or_changed_since_the_listing_cannot_be_chosen(
    own: Collection, images: Path, tmp_path: Path
) -> None:
    def change(stage: str, *_: int) -> None:
        if stage == "Making thumbnails":
            (images / "b/0 copy.jpg").unlink(missing_ok=True)
            (images / "b/2 small.jpg").write_bytes(b"other")

    page = made(own, tmp_path / "report.html", progress=change)
    gone = page.duplicates[os.fspath(images / "b/0 copy.jpg")]
    assert (gone["line"], gone["stays"]) == (None, "it is gone")
    changed = page.duplicates[os.fspath(images / "b/2 small.jpg")]
    assert (changed["line"], changed["stays"]) == (None, "it has changed since it was indexed")
    assert page.duplicates[os.fspath(images / "b/0 again.jpg")]["line"]


def test_a_plan_from_the_page_is_applied_with_its_sidecars(
    own: Collection, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(tmp_path))  # where the trash is
    (images / "b/0 copy.xmp").write_text("rating 5")
    page = made(own, tmp_path / "report.html")
    path = os.fspath(images / "b/0 copy.jpg")
    (tmp_path / "plan.json").write_text(page.plan(path), "utf-8")
    acted = own.apply(tmp_path / "plan.json")
    assert sorted(one.path for one in acted) == [path, os.fspath(images / "b/0 copy.xmp")]
    assert not os.path.exists(path)
    own.undo()
    assert os.path.exists(path)


def test_many_images_take_several_pages_and_an_index(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "IMAGES_PER_FILE", 4)
    path = tmp_path / "über report.html"
    answer = collection.report(path)
    pages = [read_page(Path(file)) for file in answer.files]
    index, *parts = pages
    assert index.data["shown"] == []
    assert [row[0] for row in index.data["parts"]] == [
        f"./%C3%BCber%20report-{number}.html" for number in range(1, len(parts) + 1)
    ]
    numbers = [group["number"] for part in parts for group in part.data["shown"]]
    assert numbers == list(range(1, answer.groups + 1))
    assert all(
        sum(1 + len(group["duplicates"]) for group in part.data["shown"]) <= 4 for part in parts
    )
    assert answer.bytes == sum(os.path.getsize(file) for file in answer.files)


def test_no_duplicates_make_a_page_as_well(collection: Collection, tmp_path: Path) -> None:
    assert made(collection, tmp_path / "none.html", min_bytes=1 << 40).data["shown"] == []


@pytest.mark.parametrize(
    ("name", "reason"), [("report.pdf", "let the name end in .html"), ("no/a.html", "no folder")]
)
def test_where_a_report_cannot_go_is_said_before_any_work(
    collection: Collection, tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(DedupError, match=reason):
        collection.report(tmp_path / name, progress=lambda *_: pytest.fail("worked"))


def test_the_command_says_what_it_wrote(indexed: Path, dedup: Run) -> None:
    done = dedup("report", "-s", indexed, "--tier", "exact", "-o", "page.html")
    assert done.code == 0
    assert re.search(
        r"Wrote page.html: 1 group, 3 images, [\d.]+ kB. Open it in a browser.", done.err
    )
    assert dedup("report", "-s", indexed).code == 2
