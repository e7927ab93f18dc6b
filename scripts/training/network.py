"""Train a small network for copy detection: network PHOTOS --teacher FILE -o FOLDER.

A timm backbone learns to give every edited view of an image the embedding of its clean original.
Losses are added: each view comes close to what a teacher saw in the clean image, and finds that
among what it saw in all images; two views of one image find each other among all views of the
batch (InfoNCE); the nearest unrelated images in a batch are pushed apart (the entropy term of
SSCD, Pizzi et al. 2022, 3.3).

The learning rate is held until the run is ended: FOLDER/state.pt is written now and then and on
Ctrl-C, and the same command goes on from there to the same result as in one sitting. With
--cooldown N a copy of the state runs N more steps with the rate falling to zero, at the final
size, gets its linear head from `head.fit`, and is written as a weights file; the state itself
stays, for more steps later. FOLDER has a log (log.jsonl) and a plot of it (log.svg). --start goes
on from such a file instead of from chance, its views counted, where no state was kept.

On a GPU the images lie in its memory, views are drawn there (`device_views`), and the network
runs in bf16. Give it larger steps then, such as --images 512, and a larger --backbone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from dedup.report.charts import Axis, Line, line_chart
from training.device_views import DeviceViews
from training.head import fit_head, read_out
from training.inputs import MEAN, STD, normalised, prepared
from training.material import draw_images, list_images, read_images, teach
from training.views import clean, view

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Batch = tuple[npt.NDArray[np.int64], torch.Tensor]

DIMENSION = 256
_REGRESSION, _ENTROPY = 4.0, 0.2
_TAU, _TAU_ADDED, _TAU_STEPS = 0.07, 0.18, 1000.0
"""Temperature: it falls from their sum to the first. A sharp one from the start made both losses
rise above chance for hundreds of steps, as the network grew sure of what it had not learnt yet."""
_HELD_OUT = 384


def main() -> None:
    """Train, or go on training."""
    options = _options()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    run = Run(options)
    try:
        run.train(options.steps)
        if options.cooldown:
            run.finish(options.cooldown)
    except KeyboardInterrupt:
        run.save()
        raise SystemExit(f"stopped at step {run.step}; the same command goes on") from None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--teacher", type=Path, required=True, help="weights, .safetensors")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--backbone", default="regnetx_002")
    parser.add_argument("--size", type=int, default=64, help="of views, until the cooldown")
    parser.add_argument("--final-size", type=int, default=96, help="of views in the cooldown")
    parser.add_argument("--input-size", type=int, default=112, help="of the finished network")
    parser.add_argument("--images", type=int, default=128, help="per step, two views of each")
    parser.add_argument("--steps", type=int, default=100_000, help="at the held rate, in all")
    parser.add_argument("--cooldown", type=int, default=0, help="steps; 0: only train")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--start", type=Path, help="weights of an earlier run, .safetensors")
    parser.add_argument("--drawn", type=int, default=2000, help="images made by code")
    parser.add_argument("--every", type=int, default=1, help="take every n-th photograph")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop by then")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--views",
        choices=["host", "device"],
        help="where views are drawn; default: on the device where that is a GPU",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


class Run:
    """A training run: its data, its state, its log."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.began = time.monotonic()
        paths = list_images(options.photos, options.every)
        drawn = draw_images(options.drawn, options.seed)
        self.targets = torch.from_numpy(
            teach(options.teacher, paths, drawn, DIMENSION, options.output)
        )
        images = [*read_images(paths), *drawn]
        # Held out by name, so that another list of images keeps the same ones.
        names = [path.name for path in paths]
        rank = sorted(range(len(names)), key=lambda i: hashlib.sha256(names[i].encode()).digest())
        self.held_out = [images[i] for i in rank[:_HELD_OUT]]
        self.train_on = np.array(sorted({*range(len(images))} - {*rank[:_HELD_OUT]}))
        self.images = images
        self.device = torch.device(options.device)
        self.targets = self.targets.to(self.device)
        self.device_views = None
        if (options.views or ("device" if self.device.type == "cuda" else "host")) == "device":
            self.device_views = DeviceViews(images, self.device, options.seed)
        self.model: nn.Module = timm.create_model(options.backbone, num_classes=DIMENSION)
        width = int(self.model.num_features)  # type: ignore[arg-type]  # a number, in every timm model
        if width < DIMENSION:
            raise SystemExit(
                f"{options.backbone} hands over {width} values; {DIMENSION} are needed"
            )
        self.model.to(self.device).to(memory_format=torch.channels_last)
        # Pooled activations are all positive, so that a fresh head puts all images in one place
        # and the losses start above chance; normalised by the batch they start spread out.
        self.spread = nn.BatchNorm1d(DIMENSION, affine=False).to(self.device)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=options.rate, weight_decay=0.02, betas=(0.9, 0.98)
        )
        self.step = 0
        self.state = options.output / "state.pt"
        self.log = options.output / "log.jsonl"
        if self.state.exists():
            saved = torch.load(self.state, weights_only=True, map_location=self.device)
            self.model.load_state_dict(saved["model"])
            self.spread.load_state_dict(saved["spread"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.step = saved["step"]
        elif options.start is not None:
            self.step = self._begin_with(options.start)

    def _begin_with(self, file: Path) -> int:
        """Take a finished network's weights; gives the steps that its views would have taken.

        Its head was fitted for comparing. Here it is aimed at what the teacher saw, by least
        squares, so that the losses go on where they had come to.
        """
        with safe_open(file, "pt") as opened:
            views = int((opened.metadata() or {}).get("views", 0))
        tensors = {name: tensor.float() for name, tensor in load_file(file).items()}
        self.model.load_state_dict(self.model.state_dict() | tensors)  # a file counts no batches
        rows = read_out(
            self.model,
            [clean(self.images[i], self.options.size) for i in self.train_on],
            pooled=True,
        )
        table = np.column_stack([rows, np.ones(len(rows), np.float32)])
        targets = self.targets.cpu().numpy()[self.train_on]
        weights = torch.from_numpy(np.linalg.lstsq(table, targets, rcond=1e-4)[0].T)
        head: Any = self.model.get_classifier()  # type: ignore[operator]  # every timm model has it
        with torch.no_grad():
            head.weight.copy_(weights[:, :-1])
            head.bias.copy_(weights[:, -1])
        return views // (2 * int(self.options.images))

    def save(self) -> None:
        """Write the state in one step."""
        temporary = self.state.with_suffix(".tmp")
        torch.save(
            {
                "model": self.model.state_dict(),
                "spread": self.spread.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
            },
            temporary,
        )
        temporary.replace(self.state)

    def train(self, until: int) -> None:
        """Run steps at the held rate, after a warm-up."""
        size = self.options.size
        for number, batch in self._batches(self.step, until, size):
            warm = min(1.0, (number + 1) / 300)
            losses = self._learn(batch, self.options.rate * warm)
            self.step = number + 1
            if self.step % 50 == 0:
                self._tell(losses, size)
            if self.step % 500 == 0:
                self.save()
            if time.monotonic() - self.began > 60 * self.options.minutes:
                break
        self.save()

    def finish(self, steps: int) -> None:
        """Let the rate fall to zero, fit the head, and write the weights file."""
        size = self.options.final_size
        start = self.step
        for number, batch in self._batches(start, start + steps, size):
            left = 1 - (number - start + 1) / steps
            losses = self._learn(batch, self.options.rate * left)
            self.step = number + 1
            if self.step % 50 == 0:
                self._tell(losses, size)
        size = self.options.input_size
        rng = np.random.default_rng((self.options.seed, 1))
        chosen = rng.permutation(self.train_on)
        weight, bias = fit_head(
            self.model,
            [self.images[i] for i in chosen],
            size,
            DIMENSION,
            rng,
        )
        head: Any = self.model.get_classifier()  # type: ignore[operator]  # every timm model has it
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weight))
            head.bias.copy_(torch.from_numpy(bias))
        self._tell({}, size)
        metadata = {
            "architecture": self.options.backbone,
            "layer": "prediction",
            "input_size": f"{size}",
            "mean": json.dumps(MEAN),
            "std": json.dumps(STD),
            "views": f"{self.step * 2 * self.options.images}",
            "seed": f"{self.options.seed}",
        }
        tensors = {
            name: (tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous()
            for name, tensor in self.model.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }
        file = self.options.output / f"{self.options.backbone}-{self.step}.safetensors"
        save_file(tensors, file, metadata)
        print(file, hashlib.sha256(file.read_bytes()).hexdigest())

    def _batches(self, start: int, end: int, size: int) -> Iterator[tuple[int, Batch]]:
        """Draw batches in a thread, a few ahead; step n's depends on the seed and n alone."""
        if self.device_views is not None:
            for number in range(start, end):
                chosen, _ = self._choose(number)
                drawn = self.device_views.draw(chosen, size, number)
                yield number, (chosen, normalised(drawn, 1))
            return
        with ThreadPoolExecutor(1) as pool:
            ahead = 3
            waiting = {n: pool.submit(self._draw, n, size) for n in range(start, start + ahead)}
            for number in range(start, end):
                chosen, views = waiting.pop(number).result()
                waiting[number + ahead] = pool.submit(self._draw, number + ahead, size)
                yield number, (chosen, prepared(views, self.device))
            for future in waiting.values():
                future.cancel()

    def _choose(self, number: int) -> tuple[npt.NDArray[np.int64], np.random.Generator]:
        """Choose a step's images; whatever else chance decides comes after them."""
        rng = np.random.default_rng((self.options.seed, 2, number))
        return rng.choice(self.train_on, self.options.images, replace=False), rng

    def _draw(self, number: int, size: int) -> tuple[npt.NDArray[np.int64], Pixels]:
        chosen, rng = self._choose(number)
        views = np.empty((2 * len(chosen), size, size, 3), np.uint8)
        for place, index in enumerate(chosen):
            image = self.images[index]
            for half in (0, 1):
                other = self.images[int(rng.choice(self.train_on))]
                # A copy is looked for among originals, so that half of the pairs have one.
                plain = half == 0 and rng.random() < 0.5
                views[place + half * len(chosen)] = (
                    clean(image, size) if plain else view(image, other, size, rng)
                )
        return chosen, views

    def _learn(self, batch: Batch, rate: float) -> dict[str, float]:
        chosen, views = batch
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.model.train()
        on_gpu = self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=on_gpu):
            raw = self.model(views)
        rows = functional.normalize(self.spread(raw.float()))
        count = len(chosen)
        products = rows @ rows.T
        own = torch.eye(2 * count, dtype=torch.bool, device=self.device)
        places = torch.arange(2 * count, device=self.device)
        partner = places.roll(count)
        tau = _TAU + _TAU_ADDED * np.exp(-self.step / _TAU_STEPS)
        by_views = functional.cross_entropy((products / tau).masked_fill(own, -torch.inf), partner)
        labels = torch.from_numpy(np.concatenate([chosen, chosen])).to(self.device)
        to_teacher = rows @ self.targets.T
        by_teacher = functional.cross_entropy(to_teacher / tau, labels)
        agreement = to_teacher[places, labels].mean()
        strangers = products.masked_fill(own | own.roll(count, 0), -1).amax(1)
        entropy = -torch.log((2 - 2 * strangers).clamp_min(1e-6).sqrt()).mean()
        loss = by_views + by_teacher - _REGRESSION * agreement + _ENTROPY * entropy
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's has no annotations
        nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self.optimiser.step()
        return {
            "views": by_views.item(),
            "teacher": by_teacher.item(),
            "agreement": agreement.item(),
            "entropy": entropy.item(),
        }

    def _tell(self, losses: dict[str, float], size: int) -> None:
        """Add a line to the log; every 500 steps with the quality on held-out images."""
        line: dict[str, float] = {"step": self.step, "size": size, **losses}
        line["seconds"] = round(time.monotonic() - self.began)
        if self.step % 500 == 0 or not losses:
            line |= self._quality(size)
        text = json.dumps({name: round(value, 4) for name, value in line.items()})
        with self.log.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
        print(text, flush=True)
        self._plot()

    def _quality(self, size: int) -> dict[str, float]:
        """Find each held-out image by two views among the clean ones: recall@1 and µAP."""
        rng = np.random.default_rng((self.options.seed, 3))
        gallery = read_out(self.model, [clean(one, size) for one in self.held_out])
        mean = gallery.mean(axis=0)
        views = [
            view(one, self.held_out[number - 1], size, rng)
            for number, one in enumerate(self.held_out)
            for _ in range(2)
        ]
        products = unit(read_out(self.model, views) - mean) @ unit(gallery - mean).T
        owners = np.arange(len(views)) // 2
        first = float((products.argmax(1) == owners).mean())
        order = np.argsort(-products.ravel(), kind="stable")
        right = (order % len(gallery)) == owners[order // len(gallery)]
        precision = np.cumsum(right) / np.arange(1, len(right) + 1)
        return {"recall@1": first, "average_precision": float(precision[right].mean())}

    def _plot(self) -> None:
        rows = [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]
        losses = [row for row in rows if "views" in row]
        if len(losses) < 2:
            return
        most = max(row["views"] + row["teacher"] for row in losses)
        lines = [
            Line(
                "loss / highest", [(r["step"], (r["views"] + r["teacher"]) / most) for r in losses]
            )
        ]
        for name in ("recall@1", "average_precision"):
            points = [(row["step"], row[name]) for row in rows if name in row]
            if points:
                lines.append(Line(f"held out: {name}", points))
        chart = line_chart(
            f"{self.options.backbone}, {2 * self.options.images} views a step",
            Axis("step", 0, rows[-1]["step"]),
            Axis("share", 0, 1),
            lines,
        )
        (self.options.output / "log.svg").write_text(chart, "utf-8")


def unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scale rows to unit length."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


if __name__ == "__main__":
    main()
