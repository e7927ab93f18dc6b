"""What cleanlab and cleanvision find: cleanpeers labels FILE.npz | images FOLDER.

Needs nothing of dedup, so that it runs in an environment of its own. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np


def labels(file: Path) -> dict[str, Any]:
    """Find label issues by predictions out of sample, as cleanlab's guides do.

    Parameters
    ----------
    file : rows, labels of each set
    """
    linear = importlib.import_module("sklearn.linear_model")
    neighbours = importlib.import_module("sklearn.neighbors")
    selection = importlib.import_module("sklearn.model_selection")
    filters = importlib.import_module("cleanlab.filter")
    found: dict[str, Any] = {}
    with np.load(file) as sets:
        for name in sorted({key.rpartition(" ")[0] for key in sets.files}):
            rows, given = sets[f"{name} rows"], sets[f"{name} labels"]
            scaled = (rows - rows.mean(axis=0)) / rows.std()
            for model, what in (
                (linear.LogisticRegression(max_iter=300), "logistic regression"),
                (neighbours.KNeighborsClassifier(10, weights="distance"), "10 neighbours"),
            ):
                started = time.process_time()
                folds = selection.StratifiedKFold(5, shuffle=True, random_state=0)
                shares = selection.cross_val_predict(
                    model, scaled, given, method="predict_proba", cv=folds
                )
                for how in ("prune_by_noise_rate", "both"):
                    flagged = filters.find_label_issues(given, shares, filter_by=how)
                    spent = time.process_time() - started
                    found[f"{name}|{what}, {how}"] = [np.flatnonzero(flagged).tolist(), spent]
    return found


def images(folder: Path) -> dict[str, Any]:
    """Find image issues with cleanvision's own limits."""
    lab = importlib.import_module("cleanvision").Imagelab(data_path=str(folder))
    started = time.process_time()
    wanted = ("blurry", "dark", "light", "low_information", "odd_size", "odd_aspect_ratio")
    lab.find_issues({name: {} for name in wanted}, n_jobs=1, verbose=False)
    spent = time.process_time() - started
    table = lab.issues
    return {
        name: [sorted(Path(path).name for path in table.index[table[f"is_{name}_issue"]]), spent]
        for name in wanted
    }


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("labels", "images"))
    parser.add_argument("path", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        found = {"labels": labels, "images": images}[options.what](options.path)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
