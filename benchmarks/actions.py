"""Kills and races while duplicates are acted upon: what is lost, and whether undo restores it all.

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
from pathlib import Path

import numpy as np
from machine import add_json_option, describe, record
from PIL import Image

from dedup import Collection, ModelSpec
from dedup.actions.plan_file import read_plan

ACTIONS = ("trash", "move", "delete", "hardlink", "symlink")
SCENES, COPIES = 4, 8
COLUMNS = ("fault", "action", "made", "in the middle", "contents lost", "trees not restored")

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


def main() -> None:
    """Run both, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="in all, over the actions")
    parser.add_argument("--races", type=int, default=400, help="in all, over the actions")
    parser.add_argument("--seed", type=int, default=0)
    add_json_option(parser)
    options = parser.parse_args()
    dice = random.Random(options.seed)  # noqa: S311 - moments are no secret
    rows = []
    print(describe())
    print(" | ".join(COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder).resolve())
        for trial, count in ((kills, options.kills), (races, options.races)):
            for action in ACTIONS:
                if count:
                    row = trial(lab, action, max(1, count // len(ACTIONS)), dice)
                    rows.append(row)
                    print(" | ".join(map(str, row)), flush=True)
    if options.json:
        record("actions", "actions", "Acting under kills and races", COLUMNS, rows)


if __name__ == "__main__":
    main()
