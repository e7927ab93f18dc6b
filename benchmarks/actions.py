"""Acting on duplicates: what kills and races lose, whether undo restores all, and how fast it is.

A model is kept of every content that ever was: the originals, and what another program wrote. After
each trial each of them has to be somewhere: where it was, in the trash, or where it was moved to.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from machine import add_json_option, describe, record
from PIL import Image

from dedup import Collection, ModelSpec
from dedup.actions.moves import clone
from dedup.actions.plan_file import Plan, read_plan

ACTIONS = ("trash", "move", "delete", "hardlink", "reflink", "symlink")
SCENES, COPIES = 4, 8
TURN = 4000
COLUMNS = ("fault", "action", "made", "in the middle", "contents lost", "trees not restored")

SPEED = (
    "files", "kB each", "of which go", "planned in s", "MB", "applied, files/s",
    "bare calls, files/s", "share", "undone, files/s",
)  # fmt: skip
SPEED_NOTE = """Copies of the same bytes, from the page cache, to the trash. The bare calls hash
both files, rename one, hash it again, write its note and rename it again; they write no journal."""

CHILD = """
import sys
from dedup import Collection
with Collection.open(sys.argv[1]) as collection:
    print("ready", flush=True)
    collection.apply(sys.argv[3]) if sys.argv[2] == "apply" else collection.undo()
"""

WRITER = """
import hashlib, json, os, random, sys, time
dice, stop, keepers, paths = random.Random(int(sys.argv[1])), *sys.argv[2:4], sys.argv[4:]
keepers = json.loads(keepers)  # inode -> path
print("ready", flush=True)

def tell(path, content):
    print(json.dumps([path, content and hashlib.sha256(content).hexdigest()]), flush=True)

for number in range(100_000):
    if os.path.exists(stop):
        break
    time.sleep(dice.uniform(0, 0.004))
    path, text = dice.choice(paths), f"{number} {dice.random()}".encode()
    new = f"{path}.new-{number}"  # never one that is left: renaming a link to another does nothing
    try:
        match dice.randrange(6):
            case 0 | 1:
                with open(os.open(path, os.O_RDWR | os.O_NOFOLLOW), "r+b") as file:
                    # A link to a keeper: what is written through one is the keeper's. The count of
                    # its links tells nothing, as dedup may have taken this one away meanwhile.
                    if str(os.fstat(file.fileno()).st_ino) in keepers:
                        continue
                    file.write(text)
                    file.flush()
                    file.seek(0)
                    tell(path, file.read())
            case 2 | 3:
                with open(new, "wb") as file:
                    file.write(text)
                os.replace(new, path)
                tell(path, text)
            case 4:
                if dice.random() < 0.5:
                    os.rename(path, f"{path}.moved-{number}")
                    print(json.dumps([path, f"{path}.moved-{number}", "moved"]), flush=True)
                else:
                    os.unlink(path)
                    tell(path, None)
            case 5:
                keeper = dice.choice(list(keepers.values()))
                dice.choice((os.link, os.symlink))(keeper, new)
                os.replace(new, path)
                tell(path, None)
    except OSError:
        continue
"""


def must_be_somewhere(lab: Lab, told: str) -> set[str]:
    """Give the contents that no program but dedup can have taken away.

    The originals, since no writer touches a keeper's inode; and of each path what was written there
    last. That was at the path, or on its way back to it; nothing but the writer's own next step
    there may end it. Names of what was moved away are never written to.
    """
    last: dict[str, str | None] = {}
    for line in told.splitlines():
        path, what, *moved = json.loads(line)
        if moved:
            last[what] = last.pop(path, None)
        else:
            last[path] = what
    return {what for what, _ in lab.before.values()} | {what for what in last.values() if what}


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Describe the files below a folder: content or link, and time."""
    return {
        os.path.relpath(path, folder): (
            os.readlink(path)
            if path.is_symlink()
            else hashlib.sha256(path.read_bytes()).hexdigest(),
            path.lstat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


class Lab:
    """A collection of a few scenes, each with copies of the same bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images, self.store = folder / "images", folder / "store"
        self.home, self.away = folder / "home", folder / "away"
        self.plan = folder / "plan.json"
        os.environ["XDG_DATA_HOME"] = os.fspath(self.home)
        for each in (self.images, self.home, self.away):
            each.mkdir()
        rng = np.random.default_rng(0)
        for scene in range(SCENES):
            first = self.images / f"{scene}.png"
            Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(first)
            for copy in range(COPIES):
                (self.images / str(copy)).mkdir(exist_ok=True)
                shutil.copy2(first, self.images / str(copy) / f"{scene}.png")
        self.kept = folder / "kept"
        shutil.copytree(self.images, self.kept)
        spec = ModelSpec("mobilenetv3_small_050", untrained=True)
        with Collection.create(self.store, spec) as collection:
            collection.index(self.images)
        self.before = tree(self.images)

    def has_reflinks(self) -> bool:
        """Say whether the file system can share blocks of files."""
        (self.folder / "one").write_bytes(b"one")
        try:
            clone(os.fspath(self.folder / "one"), os.fspath(self.folder / "two"))
        except OSError:
            return False
        return True

    def there(self) -> set[str]:
        """Give every content that is anywhere."""
        return {
            what
            for place in (self.images, self.home, self.away)
            for what, _ in tree(place).values()
        }

    def reset(self) -> None:
        """Put everything back as it was, after a trial that changed it."""
        for each in (self.images, self.home, self.away):
            shutil.rmtree(each)
            each.mkdir()
        shutil.copytree(self.kept, self.images, dirs_exist_ok=True)
        shutil.rmtree(self.store / "runs", ignore_errors=True)

    def write_plan(self, collection: Collection, action: str) -> None:
        """Plan for the copies."""
        collection.index()
        target = f"move:{self.away}" if action == "move" else action
        plan = collection.plan(tier="exact", action=target)
        if len(plan) != SCENES * COPIES:
            raise SystemExit(f"the plan has {len(plan)} files")
        plan.write(self.plan)


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a child, and wait until it is ready."""
    child = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    if child.stdout is None or child.stdout.readline() != "ready\n":
        raise SystemExit("a child did not start")
    return child


def kills(lab: Lab, action: str, count: int, dice: random.Random) -> list[str | int]:
    """Kill `apply` and `undo` in turn, after a random while."""
    middle = lost = wrong = 0
    seconds = 0.5
    for number in range(count):
        what = ("apply", "undo")[number % 2]
        with Collection.open(lab.store) as collection:
            lab.write_plan(collection, action)
            if what == "undo":
                collection.apply(lab.plan)
        child = started(CHILD, lab.store, what, lab.plan)
        begun = time.perf_counter()
        try:
            child.wait(dice.uniform(0, seconds))
            seconds = 0.7 * seconds + 0.3 * (time.perf_counter() - begun) * 1.5
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
            middle += 1
        contents = {what for what, _ in lab.before.values()}
        lost += len(contents - lab.there())
        with Collection.open(lab.store) as collection:
            collection.recover()
            lost += len(contents - lab.there())
            if any(run.done for run in collection.runs()):
                collection.undo()
        if tree(lab.images) != lab.before:
            wrong += 1
            lab.reset()
        shutil.rmtree(lab.store / "runs", ignore_errors=True)
    return ["killed", action, count, middle, lost, wrong]


def races(lab: Lab, action: str, count: int, dice: random.Random) -> list[str | int]:
    """Save into files, and replace them, while they are acted upon."""
    middle = lost = 0
    stop = lab.folder / "stop"
    for _ in range(count):
        with Collection.open(lab.store) as collection:
            lab.write_plan(collection, action)
            entries = read_plan(lab.plan).entries
            keepers = {os.stat(str(one.keeper)).st_ino: one.keeper for one in entries}
            writer = started(
                WRITER,
                dice.randrange(1 << 30),
                stop,
                json.dumps(keepers),
                *(one.path for one in entries),
            )
            time.sleep(dice.uniform(0, 0.1))
            acted = collection.apply(lab.plan)
            stop.touch()
            told = writer.communicate()[0]
            stop.unlink()
        middle += acted.count("refused")
        lost += len(must_be_somewhere(lab, told) - lab.there())
        lab.reset()
    return ["saved meanwhile", action, count, middle, lost, 0]


def undone(lab: Lab, action: str, count: int, _: random.Random) -> list[str | int]:
    """Act and take it back, and compare the trees."""
    wrong = 0
    for _trial in range(count):
        with Collection.open(lab.store) as collection:
            lab.write_plan(collection, action)
            acted = collection.apply(lab.plan)
            if acted.count("done") != SCENES * COPIES:
                raise SystemExit("nothing was done")
            collection.undo()
        wrong += tree(lab.images) != lab.before
    return ["taken back", action, count, 0, 0, wrong]


def speed(folder: Path, files: int, side: int) -> list[str | int | float]:
    """Plan and apply on many files, and time the bare calls on the same ones."""
    images, copies = folder / f"many {side}", 5
    rng = np.random.default_rng(0)
    for number in range(files // copies):
        cells = max(6, side // 8)
        small = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
        first = images / "0" / str(number // 1000) / f"{number}.jpg"
        first.parent.mkdir(parents=True, exist_ok=True)
        small.resize((side, side), Image.Resampling.BICUBIC).save(first, quality=97)
        for copy in range(1, copies):
            other = images / str(copy) / str(number // 1000) / first.name
            other.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(first, other)
    store = folder / f"store {side}"
    with Collection.create(store, ModelSpec("mobilenetv3_small_050", untrained=True)) as collection:
        collection.index(images)
    done = subprocess.run(
        [sys.executable, "-c", PLANNER, store, folder / "many.json"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    seconds, megabytes = map(float, done.stdout.split())
    plan = read_plan(folder / "many.json")
    spent = np.zeros(3)  # seconds of the bare calls, of applying, of undoing: in turn
    for start in range(0, len(plan), TURN):
        part = replace(plan, entries=plan.entries[start : start + TURN])
        with Collection.open(store) as collection:
            spent[0] += bare(folder, part)
            begun = time.perf_counter()
            acted = collection.apply(part)
            spent[1] += time.perf_counter() - begun
            begun = time.perf_counter()
            back = collection.undo()
            spent[2] += time.perf_counter() - begun
        if not acted.count("done") == back.count("undone") == len(part):
            raise SystemExit("some were refused")
    rates = [round(len(plan) / one) for one in spent]
    return [
        files, round(plan.bytes / len(plan) / 1000), len(plan), round(seconds, 1),
        round(megabytes), rates[1], rates[0], f"{100 * spent[0] / spent[1]:.0f} %", rates[2],
    ]  # fmt: skip


PLANNER = """
import sys, time
from dedup import Collection
begun = time.perf_counter()
with Collection.open(sys.argv[1]) as collection:
    collection.plan(tier="exact").write(sys.argv[2])
seconds = time.perf_counter() - begun
with open("/proc/self/status") as file:  # getrusage counts the parent before the fork, too
    kilobytes = next(line.split()[1] for line in file if line.startswith("VmHWM"))
print(seconds, int(kilobytes) / 1000)
"""


def bare(folder: Path, plan: Plan) -> float:
    """Make the calls that throwing away takes, and nothing else; gives the seconds.

    Both files are hashed, one is renamed and hashed again, its note is written, and it is renamed
    again. Then all come back.
    """
    aside, trash = folder / "aside", folder / "trash"
    for each in (aside, trash):
        each.mkdir(exist_ok=True)

    def digest(path: str) -> str:
        with open(path, "rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    begun = time.perf_counter()
    for number, entry in enumerate(plan):
        digest(str(entry.keeper))
        digest(entry.path)
        os.rename(entry.path, f"{aside}/{number}")
        digest(f"{aside}/{number}")
        with open(f"{trash}/{number}.note", "xb") as file:
            file.write(entry.path.encode())
        os.rename(f"{aside}/{number}", f"{trash}/{number}")
    seconds = time.perf_counter() - begun
    for number, entry in enumerate(plan):
        os.rename(f"{trash}/{number}", entry.path)
        os.unlink(f"{trash}/{number}.note")
    return seconds


def main() -> None:
    """Run all, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="in all, over the actions")
    parser.add_argument("--races", type=int, default=400, help="in all, over the actions")
    parser.add_argument("--undo", type=int, default=50, help="in all, over the actions")
    parser.add_argument("--files", type=int, default=100_000, help="to be planned; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--folder",
        type=Path,
        help="where to work; on a file system with reflinks these are tried too",
    )
    add_json_option(parser)
    options = parser.parse_args()
    dice = random.Random(options.seed)  # noqa: S311 - moments are no secret
    rows = []
    print(describe())
    print(" | ".join(COLUMNS))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        lab = Lab(Path(folder).resolve())
        actions = [action for action in ACTIONS if action != "reflink" or lab.has_reflinks()]
        trials = ((kills, options.kills), (races, options.races), (undone, options.undo))
        for trial, count in trials:
            for at, action in enumerate(actions):
                share = count // len(actions) + (at < count % len(actions))
                if share:
                    row = trial(lab, action, share, dice)
                    rows.append(row)
                    print(" | ".join(map(str, row)), flush=True)
        # Tiny images, which cost calls only, and a fifth as many of the size of small photographs.
        sizes = ((options.files, 96), (options.files // 5, 640)) if options.files else ()
        fast = [speed(lab.folder, *size) for size in sizes]
    print(" | ".join(SPEED))
    for line in fast:
        print(" | ".join(map(str, line)))
    if options.json:
        if rows:
            record("actions", "faults", "Acting under kills and races", COLUMNS, rows)
        if fast:
            record("actions", "speed", "Plans of many files", SPEED, fast, note=SPEED_NOTE)


if __name__ == "__main__":
    main()
