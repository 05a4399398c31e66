"""An exported graph in half precision, as far as its meaning allows.

Nodes are recognised by the module that they come from, which torch's exporter notes in their metadata:
``encoders.N`` or ``heads.N`` of `network.ExportNetwork`. Heads are fp32 throughout, and so are normalisation
and softmax everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

SMALLEST = 4096  # numbers; tensors with fewer stay as they are
_PRODUCTS = ("Conv", "MatMul", "Gemm")
_LARGEST_HALF = 65504.0


def encoder_in_half(model: Any) -> Any:
    """Matrix products and convolutions of the encoders in fp16, with sums and everything else in fp32."""
    from onnx import TensorProto

    casts: dict[str, str] = {}
    nodes = []
    for node in model.graph.node:
        if node.op_type not in _PRODUCTS or not _of_encoder(node):
            nodes.append(node)
            continue
        for index, name in enumerate(node.input):
            if name and name not in casts:
                casts[name] = f"{name}.fp16"
                nodes.append(_cast(name, casts[name], TensorProto.FLOAT16))
            node.input[index] = casts.get(name, name)
        (result,) = node.output
        node.output[0] = f"{result}.product"
        nodes += [node, _cast(node.output[0], result, TensorProto.FLOAT)]
    _replace(model, nodes)
    return weights_in_half(model)


def weights_in_half(model: Any) -> Any:
    """The encoders' large tensors stored as fp16, and cast to fp32 where the graph begins.

    Where a product casts them to fp16 again, nothing is lost by it, and runtimes fold both casts away.
    """
    import numpy as np
    from onnx import TensorProto, numpy_helper

    encoder = {name for node in model.graph.node if _of_encoder(node) for name in node.input}
    heads = {name for node in model.graph.node if "heads." in _scope(node) for name in node.input}
    casts = []
    for tensor in model.graph.initializer:
        name = tensor.name
        of_encoder = name.startswith("encoders.") or name in encoder or f"{name}.fp16" in encoder
        if tensor.data_type != TensorProto.FLOAT or name in heads or not of_encoder:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size >= SMALLEST and np.abs(values).max() <= _LARGEST_HALF:
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.stored"))
            casts.append(_cast(f"{name}.stored", name, TensorProto.FLOAT))
    _replace(model, [*casts, *model.graph.node])
    return model


def _of_encoder(node: Any) -> bool:
    return "encoders." in _scope(node)


def _scope(node: Any) -> str:
    """The modules a node comes from; empty for those that only prepare weights."""
    return next((entry.value for entry in node.metadata_props if entry.key == "namespace"), "")


def _cast(name: str, result: str, kind: int) -> Any:
    from onnx import helper

    return helper.make_node("Cast", [name], [result], to=kind)


def _replace(model: Any, nodes: Iterable[Any]) -> None:
    replacement = list(nodes)  # before the old ones are deleted
    del model.graph.node[:]
    model.graph.node.extend(replacement)
