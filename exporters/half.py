"""An exported graph in half precision, as far as its meaning allows."""

from __future__ import annotations

from typing import Any

# What is computed in fp32 in any case: normalisation and softmax (their sums need the range), the heads
# (their Linear layers are Gemm nodes, the encoder's are MatMul nodes), and what brings pixels to [0, 1].
KEPT = (
    *("LayerNormalization", "Softmax", "Gemm", "Relu", "Cast", "Div", "Sub", "ReduceSum", "ReduceMean"),
    *("Pow", "Sqrt", "Log", "Exp", "Gather", "ReduceMax", "Max", "Min", "Clip", "ScatterElements"),
)


def encoder_in_half(model: Any) -> Any:
    """CLIP's matrix products and convolution in fp16, as published code has them on CUDA; the rest fp32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(model, keep_io_types=True, op_block_list=list(KEPT))


def weights_in_half(model: Any, smallest: int = 4096) -> Any:
    """Weights stored as fp16 and computed with in fp32: half the file, for an encoder that measures finely.

    Args:
        smallest: tensors with fewer numbers stay as they are.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < smallest:
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
