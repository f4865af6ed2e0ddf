"""Writes the small ONNX file of this folder with the onnx library.

`pip install onnx==1.23.2`, then `python make_onnx.py` in this folder.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

kernel = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
tensors = [
    numpy_helper.from_array(kernel, "discriminator.conv.weight"),
    helper.make_tensor("discriminator.conv.bias", onnx.TensorProto.FLOAT, [2], [0.5, -1.5]),
    helper.make_tensor("discriminator.last.weight", onnx.TensorProto.BFLOAT16, [1, 4], [1.0, 2.0, -3.0, 0.5]),
    helper.make_tensor("shape", onnx.TensorProto.INT64, [2], [1, -1]),
]
node = helper.make_node("Conv", ["image", "discriminator.conv.weight", "discriminator.conv.bias"], ["answer"])
graph = helper.make_graph(
    [node],
    "discriminator",
    [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, 7, 7])],
    [helper.make_tensor_value_info("answer", onnx.TensorProto.FLOAT, None)],
    tensors,
)
onnx.save(helper.make_model(graph), "discriminator_20.onnx")
