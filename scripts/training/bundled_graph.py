"""Exports a network that the package ships to the ONNX file that runs it without torch.

Weights are stored as fp16 wherever that loses nothing, as in the weights file. Whether embeddings
in bf16 agree is measured here and kept in the file, which takes a CPU that computes in bf16.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from dedup.models.loading import load_model
from dedup.models.registry import BUNDLED, DEFAULT_MODEL, WEIGHTS
from dedup.parallel.hardware import has_bf16
from dedup.runtimes.cache import graph_file
from dedup.runtimes.export import export


def main() -> None:
    """Write the file beside the network's weights and print its digest for the registry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", default=DEFAULT_MODEL, choices=BUNDLED)
    name = parser.parse_args().name
    if not has_bf16():
        parser.error("this CPU does not compute in bf16 (AMX, AVX-512 BF16)")
    loaded = load_model(name)
    graph = export(loaded, (loaded.layer,), "openvino")
    if graph.facts.failure:
        parser.error(graph.facts.failure)
    content = graph_file(replace(graph, content=halved(graph.content)))
    path = WEIGHTS / BUNDLED[name].graph
    path.write_bytes(content)
    print(f"{path}: {len(content):,} bytes, bf16 {graph.facts.bf16}")
    print(f"SHA-256 {hashlib.sha256(content).hexdigest()}")


def halved(content: bytes) -> bytes:
    """Store an ONNX model's fp32 weights as fp16 followed by a cast, where that loses nothing."""
    model = onnx.load_model_from_string(content)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
            casts.append(
                helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
            )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    smaller: bytes = model.SerializeToString()
    return smaller


if __name__ == "__main__":
    main()
