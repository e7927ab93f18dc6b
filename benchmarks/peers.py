"""What other tools find and cost: peers rates FOLDER | pairs TOOL FOLDER | features TOOL BATCHES.

Needs nothing of dedup, but for its features, so that it also runs in an environment of its own:
other tools ask for versions that dedup does not work with. What is not installed is left out of
rates, with a line.
Pairs and features are what `sidebyside` asks for; every tool has its default limits there, unless
its name says otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Pairs = set[tuple[str, str]]
    Taking = Callable[[Any], dict[str, Any]]

ROUNDS = 5


def imagehash(folder: Path) -> None:
    """64-bit pHash of each image, one thread."""
    hashes = importlib.import_module("imagehash")
    pillow = importlib.import_module("PIL.Image")
    for path in sorted(folder.iterdir()):
        with pillow.open(path) as image:
            hashes.phash(image)


def imagededup(folder: Path) -> None:
    """64-bit pHash of each image, in as many processes as it chooses."""
    importlib.import_module("imagededup.methods").PHash(verbose=False).encode_images(
        os.fspath(folder)
    )


def fastdup(folder: Path) -> None:
    """Features of each image with its bundled model; no neighbours."""
    with tempfile.TemporaryDirectory() as work:
        importlib.import_module("fastdup").run(os.fspath(folder), work_dir=work, run_mode=1)


PEERS: dict[str, Callable[[Path], None]] = {
    "imagehash": imagehash,
    "imagededup": imagededup,
    "fastdup": fastdup,
}


def rates(folder: Path, rounds: int) -> None:
    """Measure and print one line a tool: name, tab, images a second."""
    count = sum(1 for _ in folder.iterdir())
    for name, run in PEERS.items():
        if importlib.util.find_spec(name) is None:
            print(f"{name}\tnot installed")
            continue
        seen = []
        for _ in range(rounds + 1):  # the first one loads what it needs
            started = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                run(folder)
            seen.append(count / (time.perf_counter() - started))
        print(f"{name}\t{statistics.median(seen[1:]):.0f}/s", flush=True)


def sorted_pairs(pairs: Iterable[tuple[str, str]]) -> Pairs:
    """Name each pair once, by base names."""
    named = (sorted((os.path.basename(one), os.path.basename(two))) for one, two in pairs)
    return {(one, two) for one, two in named if one != two}


def all_pairs(groups: Iterable[Iterable[str]]) -> Pairs:
    """Pair all members of each group."""
    return sorted_pairs(pair for group in groups for pair in combinations(group, 2))


def hash_pairs(kind: str, distance: int, folder: Path, _: Path | None) -> Pairs:
    """Pairs of imagededup's hashes of 64 bits that differ in so many at most; 10 by default."""
    tool = getattr(importlib.import_module("imagededup.methods"), kind)(verbose=False)
    found = tool.find_duplicates(os.fspath(folder), max_distance_threshold=distance)
    return sorted_pairs((one, two) for one, others in found.items() for two in others)


def cnn_pairs(folder: Path, weights: Path | None) -> Pairs:
    """Pairs of imagededup's CNN by the pooled layer of mobilenetv2_100, from a cosine of .9 on."""
    if weights is None:
        raise SystemExit("imagededup's CNN needs --weights")
    torch, methods = importlib.import_module("torch"), importlib.import_module("imagededup.methods")
    models = importlib.import_module("imagededup.utils.models")
    model, prepare = loaded(weights)

    class Pooled(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, batch: Any) -> Any:
            return self.inner.forward_head(self.inner.forward_features(batch), pre_logits=True)

    config = models.CustomModel(name="mobilenetv2_100", model=Pooled().eval(), transform=prepare)
    tool = methods.CNN(verbose=False, model_config=config)
    found = tool.find_duplicates(os.fspath(folder))
    return sorted_pairs((one, two) for one, others in found.items() for two in others)


def loaded(weights: Path) -> tuple[Any, Any]:
    """Give mobilenetv2_100 with these weights, and how timm prepares images for it."""
    timm = importlib.import_module("timm")
    files = importlib.import_module("safetensors.torch")
    model = timm.create_model("mobilenetv2_100").eval()
    model.load_state_dict(files.load_file(os.fspath(weights)), strict=True)
    return model, timm.data.create_transform(**timm.data.resolve_model_data_config(model))


def cleanvision_pairs(folder: Path, _: Path | None) -> Pairs:
    """Pairs within cleanvision's sets of exact and of near duplicates."""
    lab = importlib.import_module("cleanvision").Imagelab(data_path=os.fspath(folder))
    kinds = ("exact_duplicates", "near_duplicates")
    lab.find_issues({kind: {} for kind in kinds}, verbose=False)
    return all_pairs(group for kind in kinds for group in lab.info[kind]["sets"])


def fastdup_run(folder: Path, work: str) -> Any:
    """Run fastdup with the model in its wheel."""
    os.environ["SENTRY_OPT_OUT"] = "1"
    made = importlib.import_module("fastdup").create(work_dir=work, input_dir=os.fspath(folder))
    made.run(overwrite=True)
    return made


def fastdup_groups(folder: Path, _: Path | None) -> Pairs:
    """Pairs within fastdup's connected components, of a similarity of .96."""
    with tempfile.TemporaryDirectory() as work:
        table = fastdup_run(folder, work).connected_components()[0]
        return all_pairs(group["filename"] for _, group in table.groupby("component_id"))


def fastdup_pairs(folder: Path, _: Path | None) -> Pairs:
    """Fastdup's similar pairs: of the two nearest of each image, those from .9 on."""
    with tempfile.TemporaryDirectory() as work:
        table = fastdup_run(folder, work).similarity()
        return sorted_pairs(zip(table["filename_from"], table["filename_to"], strict=True))


def _hash(kind: str, distance: int) -> Callable[[Path, Path | None], Pairs]:
    return lambda folder, weights: hash_pairs(kind, distance, folder, weights)


FINDERS: dict[str, Callable[[Path, Path | None], Pairs]] = {
    "imagededup, dHash": _hash("DHash", 10),
    "imagededup, pHash": _hash("PHash", 10),
    "imagededup, pHash, distance 4": _hash("PHash", 4),
    "imagededup, CNN, mobilenetv2_100": cnn_pairs,
    "cleanvision": cleanvision_pairs,
    "fastdup, components": fastdup_groups,
    "fastdup, similar pairs": fastdup_pairs,
}


def bare(model: Any, _: list[str]) -> Taking:
    """Pass batches through the model, and keep predictions alone."""
    torch = importlib.import_module("torch")

    def take(batches: Any) -> dict[str, Any]:
        with torch.inference_mode():
            return {"prediction": torch.cat([model(batch) for batch in batches]).numpy()}

    return take


def dedup(model: Any, layers: list[str]) -> Taking:
    """Take features by this project's extractor, as they leave the layers."""
    extractor = importlib.import_module("dedup").Extractor(model, layers, reduce=False)

    def take(batches: Any) -> dict[str, Any]:
        found = extractor.run(batches)
        return {name: found[name] for name in layers}

    return take


def thingsvision(model: Any, layers: list[str]) -> Taking:
    """Take features by thingsvision's extractor from a model."""
    tool = importlib.import_module("thingsvision").get_extractor_from_model(
        model=model, device="cpu", backend="pt"
    )
    return lambda batches: tool.extract_features(batches, module_names=layers)


def torchvision(model: Any, layers: list[str]) -> Taking:
    """Take features by torchvision's create_feature_extractor, traced once."""
    torch = importlib.import_module("torch")
    tools = importlib.import_module("torchvision.models.feature_extraction")
    traced = tools.create_feature_extractor(model, return_nodes=layers)

    def take(batches: Any) -> dict[str, Any]:
        kept: dict[str, list[Any]] = {name: [] for name in layers}
        with torch.inference_mode():
            for batch in batches:
                for name, rows in traced(batch).items():
                    kept[name].append(rows)
        return {name: torch.cat(rows).numpy() for name, rows in kept.items()}

    return take


EXTRACTORS: dict[str, Callable[[Any, list[str]], Taking]] = {
    "bare": bare,
    "dedup": dedup,
    "thingsvision": thingsvision,
    "torchvision": torchvision,
}


def features(extract: Callable[..., Taking], file: Path, weights: Path, layers: list[str]) -> Any:
    """Take features of all batches, one round to warm up and then the measured ones.

    Parameters
    ----------
    file : .npy, (batches, images, 3, height, width)

    Returns
    -------
    By layer; and the processor seconds of a round, the middle one
    """
    torch = importlib.import_module("torch")
    numpy = importlib.import_module("numpy")
    torch.set_num_threads(1)
    batches = list(torch.from_numpy(numpy.load(file)))
    take = extract(loaded(weights)[0], layers)
    taken = [time.process_time()]
    for _ in range(ROUNDS + 1):
        found = take(batches)
        taken.append(time.process_time())
    return found, statistics.median(after - before for before, after in pairwise(taken[1:]))


def version_of(tool: str) -> str:
    """Give the installed version of what a tool's name begins with."""
    metadata = importlib.import_module("importlib.metadata")
    name = tool.partition(",")[0]
    return f"{name} {metadata.version({'dedup': 'dedup-vision'}.get(name, name))}"


def main() -> None:
    """Do what is asked; pairs and features answer in JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    asked = parser.add_subparsers(dest="asked", required=True)
    one = asked.add_parser("rates")
    one.add_argument("folder", type=Path)
    one.add_argument("--rounds", type=int, default=3)
    one = asked.add_parser("pairs")
    one.add_argument("tool", choices=FINDERS)
    one.add_argument("folder", type=Path)
    one.add_argument("--weights", type=Path)
    one = asked.add_parser("features")
    one.add_argument("tool", choices=EXTRACTORS)
    one.add_argument("batches", type=Path)
    one.add_argument("out", type=Path)
    one.add_argument("weights", type=Path)
    one.add_argument("layers", nargs="+")
    options = parser.parse_args()
    if options.asked == "rates":
        rates(options.folder, options.rounds)
        return
    warnings.simplefilter("ignore")
    # Some tools print, and some of them below Python: only the answer is to reach stdout.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with contextlib.redirect_stdout(sys.stderr):
        if options.asked == "pairs":
            pairs = FINDERS[options.tool](options.folder, options.weights)
            answer = {"pairs": sorted(pairs), "version": version_of(options.tool)}
        else:
            found, spent = features(
                EXTRACTORS[options.tool], options.batches, options.weights, options.layers
            )
            importlib.import_module("numpy").savez(options.out, **found)
            tool = "torch" if options.tool == "bare" else options.tool
            answer = {"seconds": spent, "version": version_of(tool)}
    with answers:
        json.dump(answer, answers)


if __name__ == "__main__":
    main()
