"""What a review shows, keeps and does, asked as its page asks."""

from __future__ import annotations

import io
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hostile import HOSTILE
from PIL import Image
from serving import PROVEN, Client, browsing, served

from dedup.errors import DedupError, LockedError
from dedup.review.app import MOST_STREAMS, page_files
from dedup.review.choices import FILE, Choices
from dedup.review.jobs import BusyError, Done, Jobs
from dedup.review.server import HOST, open_browser

if TYPE_CHECKING:
    from collections.abc import Callable

    from outcome import Outcome

    from dedup.answer import Progress
    from dedup.collection import Collection

    Run = Callable[..., Outcome]

ROOT = Path(__file__).parent.parent.parent


def name(path: str) -> str:
    return path.rpartition("/")[2]


@pytest.fixture(autouse=True)
def _trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(tmp_path))


def test_the_page_shows_what_is_listed(reviewed: Client, collection: Collection) -> None:
    shown = reviewed.groups()
    listed = collection.duplicates(sort="bytes")
    assert [(name(one["keeper"]["path"]), one["why"]) for one in shown] == [
        (name(group.keeper), group.kept_because) for group in listed
    ]
    duplicates = reviewed.duplicates()
    assert sorted(duplicates) == [
        "0 again.jpg", "0 copy.jpg", "1.bmp", "1.png", "2 small.jpg", "blank.png",
    ]  # fmt: skip
    small = duplicates["2 small.jpg"]
    assert (small["width"], small["height"], small["format"]) == (160, 120, "JPEG")
    assert small["evidence"] == "the same image, 160×120 instead of 320×240"
    assert (small["line"], small["stays"], small["state"]) == (True, "", "open")
    start = reviewed.get("/api/start")
    assert start["groups"] == 4
    assert sum(count for _, count, _ in start["tiers"]) == 6


def test_filters_leave_what_they_say(reviewed: Client) -> None:
    assert list(reviewed.duplicates("words=small")) == ["2 small.jpg"]
    assert list(reviewed.duplicates("words=SMALL+160")) == ["2 small.jpg"]
    assert reviewed.groups("words=nothing+here") == []
    assert set(reviewed.duplicates("tiers=exact")) == {"0 copy.jpg", "0 again.jpg"}
    assert reviewed.groups("tiers=") == []
    assert len(reviewed.groups("order=path")) == 4
    folders = [row[0] for row in reviewed.get("/api/start")["folders"]]
    at = next(place for place, folder in enumerate(folders) if folder.endswith("/b"))
    assert "blank.png" not in reviewed.duplicates(f"folder={at}")
    assert reviewed.groups("state=going") == []
    for query in ("order=no", "state=no", "tiers=no", "folder=99", "page=-1", "page=x"):
        assert reviewed.ask("GET", f"/api/groups?{query}").status in (400, 404), query


def test_views_are_bounded_and_cached_by_content(reviewed: Client) -> None:
    small = reviewed.duplicates()["2 small.jpg"]
    sizes = {"thumb": (160, 120), "view": (160, 120), "full": (160, 120)}
    for kind, size in sizes.items():
        answer = reviewed.ask("GET", f"/image/{kind}/{small['id']}")
        assert answer.headers["content-type"] == ("image/webp" if kind == "thumb" else "image/jpeg")
        with Image.open(io.BytesIO(answer.body)) as image:
            assert image.size == size
        tag = answer.headers["etag"]
        again = reviewed.ask("GET", f"/image/{kind}/{small['id']}", If_None_Match=tag)
        assert (again.status, again.body) == (304, b"")
    pair = f"{small['keeper']['id']}/{small['id']}"
    for kind in ("laid", "heat"):
        answer = reviewed.ask("GET", f"/image/{kind}/{pair}")
        with Image.open(io.BytesIO(answer.body)) as image:
            assert image.size == (320, 240)  # on the raster of the keeper
            if kind == "heat":
                grey = np.asarray(image.convert("L"))[20:220, 20:300]
                assert int(grey.max()) < 140  # nowhere near to yellow


def test_what_two_files_say_is_compared(reviewed: Client) -> None:
    small = reviewed.duplicates()["2 small.jpg"]
    rows = reviewed.get(f"/api/facts/{small['keeper']['id']}/{small['id']}")["rows"]
    facts = {row["name"]: (row["values"], row["differs"]) for row in rows}
    assert facts["pixels"] == (["320×240", "160×120"], True)
    assert facts["format"] == (["JPEG", "JPEG"], False)
    assert facts["quality"][0] == ["92", "75"]
    assert facts["sha256"][1]
    others = {one["id"] for one in reviewed.duplicates("tiers=exact").values()}
    assert reviewed.ask("GET", f"/api/facts/{small['id']}/{others.pop()}").status == 404


def test_choose_look_apply_undo(browser: Client, own: Collection, images: Path) -> None:
    duplicates = browser.duplicates()
    copy, again = duplicates["0 copy.jpg"], duplicates["0 again.jpg"]
    state = browser.post("choose", files=[copy["id"], again["id"]], goes=True)
    assert state["chosen"] == {"files": 2, "bytes": 2 * copy["bytes"], "apart": 0}
    browser.post("choose", files=[again["id"]], goes=False)
    assert browser.try_post("choose", files=[copy["keeper"]["id"]], goes=True).json["refused"]
    assert browser.try_post("apply", confirm="1").status == 422  # not looked at
    plan = browser.post("plan")
    assert (plan["files"], plan["bytes"], plan["confirm"]) == (1, copy["bytes"], "1")
    assert [name(one["path"]) for one in plan["entries"]] == ["0 copy.jpg"]
    for word in ("", "2", "yes", "01"):
        assert browser.try_post("apply", confirm=word).status == 422
    browser.post("choose", files=[again["id"]], goes=True)  # in another tab
    refused = browser.try_post("apply", confirm="1")
    assert refused.status == 422
    assert "look at the plan again" in refused.json["error"]
    assert (images / "b/0 copy.jpg").exists()
    browser.post("choose", files=[again["id"]], goes=False)
    browser.post("plan")
    browser.post("apply", confirm="1")
    job = browser.wait()
    assert (job["error"], job["files"], job["bytes"]) == ("", 1, copy["bytes"])
    assert not (images / "b/0 copy.jpg").exists()
    assert (images / "b/0 again.jpg").exists()
    assert "0 copy.jpg" not in browser.duplicates()
    assert browser.get("/api/start")["chosen"]["files"] == 0
    (run,) = browser.get("/api/runs")["runs"]
    assert (run["files"], run["bytes"]) == (1, copy["bytes"])
    assert browser.try_post("undo", run=run["run"], confirm="").status == 422
    assert browser.try_post("undo", run="20200101T000000-abc", confirm="undo").status == 422
    browser.post("undo", run=run["run"], confirm="undo")
    assert browser.wait()["error"] == ""
    assert (images / "b/0 copy.jpg").read_bytes() == (images / "a/0.jpg").read_bytes()
    assert "0 copy.jpg" in browser.duplicates()
    assert [one.done for one in own.runs()] == [0, 0]


def test_pages_are_told_of_choices_and_of_what_runs(browser: Client) -> None:
    copy = browser.duplicates()["0 copy.jpg"]
    with browser.events() as told, browser.events() as other:
        first = next(told)
        assert first == next(other)
        browser.post("choose", files=[copy["id"]], goes=True)
        assert next(told)["chosen"]["files"] == next(other)["chosen"]["files"] == 1
        browser.post("index")
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["listed"] == first["listed"] or seen[-1]["job"]["runs"]:
            seen.append(next(told))
    jobs = [(one["job"]["kind"], one["job"]["runs"]) for one in seen]
    assert jobs[0] == ("index", True)
    assert jobs[-1] == ("index", False)
    with ExitStack() as held:
        for _ in range(MOST_STREAMS):
            next(held.enter_context(browser.events()))
        assert browser.ask("GET", "/api/events").status == 503


def test_copies_of_a_folder_and_new_images(browser: Client, images: Path) -> None:
    shown = browser.duplicates()
    browser.post("folder", file=shown["1.png"]["id"], goes=True)
    going = {one for one, row in browser.duplicates().items() if row["state"] == "going"}
    assert going == {one for one, row in shown.items() if row["path"].startswith(f"{images}/b/")}
    shutil.copy(images / "a/5.jpg", images / "b/5 new.jpg")
    browser.post("index")
    assert browser.try_post("index").status == 409
    assert browser.wait()["error"] == ""
    assert browser.duplicates()["5 new.jpg"]["state"] == "open"
    assert browser.duplicates()["1.png"]["state"] == "going"


def test_decisions_keepers_and_a_restart(own: Collection, images: Path) -> None:
    with browsing(own) as browser:
        small = browser.duplicates()["2 small.jpg"]
        browser.post("apart", file=small["id"], apart=True)
        assert [one.duplicate for one in own.decisions()] == [False]
        assert browser.duplicates()["2 small.jpg"]["state"] == "apart"
        browser.post("choose", files=[small["id"]], goes=True)  # takes that back
        assert list(own.decisions()) == []
        first = browser.duplicates()["1.png"]
        browser.post("keeper", file=first["id"])
        (group,) = (one for one in browser.groups() if name(one["keeper"]["path"]) == "1.png")
        assert group["changed"]
        assert group["why"] == "chosen"
        assert {name(one["path"]): one["tier"] for one in group["duplicates"]} == {
            "1.jpg": "pixels", "1.bmp": "pixels",
        }  # fmt: skip
        browser.post("choose", files=[small["id"]], goes=True)
        browser.post("keeper", file=small["id"])
        large = browser.duplicates()["2.jpg"]
        assert (large["line"], large["stays"]) == (False, "its keeper was made from it")
        jpg = browser.duplicates()["1.jpg"]
        browser.post("choose", files=[jpg["id"]], goes=True)
        assert browser.post("choose", files=[large["id"]], goes=True)["chosen"]["files"] == 2
    (images / "b/0 copy.jpg").unlink()
    with browsing(own) as browser:  # a new start
        shown = browser.duplicates()
        assert shown["1.jpg"]["state"] == "going"
        assert name(shown["1.jpg"]["keeper"]["path"]) == "1.png"
        assert name(shown["2.jpg"]["keeper"]["path"]) == "2 small.jpg"
        assert "0 copy.jpg" not in shown
        plan = browser.post("plan")
        entries = {name(one["path"]): name(one["keeper"]) for one in plan["entries"]}
        assert entries == {"1.jpg": "1.png"}
        assert [(name(one["path"]), one["reason"]) for one in plan["left"]] == [
            ("2.jpg", "its keeper was made from it")
        ]
        browser.post("keeper", file=shown["2.jpg"]["id"])  # as it was found
        assert not any(one["changed"] for one in browser.groups("words=small"))
        (images / "b/0 again.jpg").write_bytes(b"other")
        changed = browser.duplicates()["0 again.jpg"]
        assert changed["missing"] == "changed since it was indexed"
        assert "image" not in changed
        assert changed["stays"] == "it has changed since it was indexed"
        refused = browser.post("choose", files=[changed["id"]], goes=True)["refused"]
        assert refused == [f"{changed['path']}: changed since it was indexed"]
        assert browser.ask("GET", f"/image/thumb/{changed['id']}").status == 404
        assert browser.try_post("apart", file=changed["id"], apart=True).status == 422
        assert browser.post("shown", words="", goes=True)["refused_files"] == 1
        going = {one for one, row in browser.duplicates().items() if row["state"] == "going"}
        assert going == {"1.jpg", "1.bmp", "blank.png", "2 small.jpg"}


@pytest.mark.slow
def test_a_disk_that_cannot_be_written_is_said_and_recovered_from(
    browser: Client, store: Path, images: Path
) -> None:
    copy = browser.duplicates()["0 copy.jpg"]
    (store / FILE).symlink_to("/dev/full")
    refused = browser.try_post("choose", files=[copy["id"]], goes=True)
    assert refused.status == 422
    assert "No space left" in refused.json["error"]
    assert browser.get("/api/start")["chosen"]["files"] == 0
    (store / FILE).unlink()
    browser.post("choose", files=[copy["id"]], goes=True)
    browser.post("plan")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, hard))  # less than a journal takes
    try:
        browser.post("apply", confirm="1")
        assert "the journal cannot be written" in browser.wait()["error"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (images / "b/0 copy.jpg").exists()
    browser.post("plan")
    browser.post("apply", confirm="1")
    assert browser.wait()["error"] == ""
    assert not (images / "b/0 copy.jpg").exists()


@pytest.mark.slow
def test_names_come_and_go_as_they_are(own: Collection, images: Path) -> None:
    assert len(HOSTILE) >= 100
    names = [f"{one}.jpg" for one in HOSTILE]
    for one in names:
        shutil.copy(images / "a/7.jpg", images / "b" / one)
    own.index()
    with browsing(own, tier=("exact",)) as browser:
        answer = browser.ask("GET", "/api/groups?words=7.jpg")
        assert answer.body.isascii()
        assert answer.headers["content-type"] == "application/json"
        (group,) = answer.json["groups"]
        found = {one["path"] for one in (group["keeper"], *group["duplicates"])}
        assert found == {
            os.fspath(images / "a/7.jpg"),
            *(os.fspath(images / "b" / one) for one in names),
        }
        browser.post("choose", files=[one["id"] for one in group["duplicates"]], goes=True)
        plan = browser.post("plan")
        assert plan["files"] == len(names)
        browser.post("apply", confirm=plan["confirm"])
        assert browser.wait()["lines"] == []
        assert not any((images / "b" / one).exists() for one in names)


@pytest.mark.slow
def test_images_that_are_large_animated_or_of_other_formats_are_shown(
    own: Collection, images: Path
) -> None:
    wide = Image.effect_noise((20_000, 5_000), 40).convert("RGB")
    wide.save(images / "b/wide.png", compress_level=1)
    frames = [Image.new("RGB", (80, 60), (40 * at, 0, 0)) for at in range(1, 5)]
    for at, frame in enumerate(frames):
        frame.paste((0, 200, 90), (10 * at, 10, 10 * at + 20, 50))
    frames[0].save(images / "b/moves.gif", save_all=True, append_images=frames[1:])
    heif = pytest.importorskip("pillow_heif")
    with Image.open(images / "a/4.jpg") as four:
        heif.from_pillow(four).save(images / "b/four.heic")
    for one in ("wide.png", "moves.gif", "four.heic"):
        shutil.copy(images / "b" / one, images / "b" / f"copy of {one}")
    own.index()
    with browsing(own, tier=("exact",)) as browser:
        shown = browser.duplicates()
        sizes = {
            "copy of wide.png": (4096, 1024),
            "copy of moves.gif": (80, 60),
            "copy of four.heic": (320, 240),
        }
        keys = {key: one for key, one in shown.items() if key.endswith(("png", "gif", "heic"))}
        assert len(keys) == 3
        for key, row in keys.items():
            answer = browser.ask("GET", f"/image/full/{row['id']}")
            assert answer.headers["content-type"] == "image/jpeg"
            with Image.open(io.BytesIO(answer.body)) as image:
                assert image.size == sizes[f"copy of {key.removeprefix('copy of ')}"]
        (moves,) = (row for key, row in keys.items() if key.endswith("gif"))
        rows = browser.get(f"/api/facts/{moves['keeper']['id']}/{moves['id']}")["rows"]
        assert {row["name"]: row["values"] for row in rows}["remark"] == [
            "animated: first frame only",
            "animated: first frame only",
        ]


def test_choices_are_known_by_path_and_content(tmp_path: Path) -> None:
    path = tmp_path / FILE
    kept = Choices(path)
    kept.set_going({"/a": "11", "/b\udce4": "22"}, goes=True)
    kept.set_going({"/a": "11"}, goes=False)
    kept.set_keepers({"/c": "33"}, on=True)
    with path.open("ab") as file:
        file.write(b'{"kind": "goes", "path": "/cut", "sha2')
    with pytest.raises(LockedError, match="another `dedup review`"):
        Choices(path)
    kept.close()
    again = Choices(path)
    assert dict(again.going) == {"/b\udce4": "22"}
    assert dict(again.keepers) == {"/c": "33"}
    again.set_going({"/d": "44"}, goes=True)
    again.close()
    assert dict(Choices(path).going) == {"/b\udce4": "22", "/d": "44"}
    assert path.read_text().count("\n") == 3


def test_one_job_runs_at_a_time_and_says_how_it_failed() -> None:
    jobs = Jobs()
    with ExitStack() as stack:

        def fails(report: Progress) -> Done:
            report("Working", 1, 2)
            with pytest.raises(BusyError):
                jobs.start("index", lambda _: Done())
            raise DedupError("no luck")

        stack.callback(jobs.wait)
        jobs.start("list", fails)
    assert (jobs.now.kind, jobs.now.runs, jobs.now.error) == ("list", False, "no luck")
    assert (jobs.now.stage, jobs.now.done, jobs.now.total) == ("Working", 1, 2)
    jobs.start("index", lambda _: Done(lines=("said",)))
    jobs.wait()
    assert (jobs.now.lines, jobs.now.error, jobs.now.number) == (("said",), "", 2)


def test_a_port_that_is_taken_is_said_with_the_way_out(own: Collection) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = f"port {port} cannot be had .*--port 0"
        with pytest.raises(DedupError, match=words), served(own, tier=PROVEN, port=port):
            pass


def test_without_the_extra_the_command_says_so(
    store: Path, dedup: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [one for one in sys.modules if one.startswith("dedup.review")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = dedup("review", "-s", store)
    assert done.code == 1
    assert "pip install 'dedup-vision[review]'" in done.err


def test_no_browser_is_opened_where_there_are_no_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not open_browser("http://127.0.0.1:1/")


def test_modules_of_the_page_fit_each_other() -> None:
    files = page_files()
    named = r"^export (?:async )?(?:const|let|function) (\w+)"
    texts = {name: text.decode() for name, text in files.items() if name.endswith(".js")}
    preloaded = re.findall(r'modulepreload" href="/page/([\w.]+)"', files["review.html"].decode())
    assert set(preloaded) == set(texts)
    for file, text in texts.items():
        for wanted, other in re.findall(
            r'^import {([^}]*)} from "./([\w.]+)";', text, re.MULTILINE
        ):
            exported = re.findall(named, texts[other], re.MULTILINE)
            for word in re.findall(r"\w+", wanted):
                assert word in exported, (file, word)
                assert len(re.findall(rf"\b{word}\b", text)) > 1, (file, word)  # used


def test_all_words_of_the_page_are_in_one_file() -> None:
    files = {name: text.decode() for name, text in page_files().items()}
    known = set(re.findall(r"^  (\w+):", files["words.js"], re.MULTILINE))
    marked = re.findall(r'data-(?:text|title|label|placeholder)="(\w+)"', files["review.html"])
    assert set(marked) <= known
    used = {word for text in files.values() for word in re.findall(r"WORDS\.(\w+)", text)}
    assert used - {"pageOf", "allPages"} <= known  # of a report with several pages
    for name, text in files.items():
        if name.endswith(".js") and name != "words.js":
            code = re.sub(r"//.*|/\*\*.*?\*/", "", text)
            said = re.findall(r'"([^"\n]* [^"\n]*)"', code)
            assert [one for one in said if re.fullmatch(r"[A-Z][a-z]+( [a-z]+)+\.?", one)] == []


@pytest.mark.slow
@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_its_address_and_ends_when_told(store: Path, ends: int) -> None:
    command = [sys.executable, "-m", "dedup", "review", "-s", os.fspath(store), "--no-browser"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        client = Client(process.stdout.readline().strip()).open()
        client.wait()
        assert len(client.groups()) == 4
        process.send_signal(ends)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert err == "Reviewing. Ctrl-C stops it; choices are kept.\nStopped reviewing.\n"
