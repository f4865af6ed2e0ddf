"""What the makers of tensors, arrays and numbers were told to make: the fixed table of names that are understood."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from spectral_doctor.arrays import Absent, Array, Computed
from spectral_doctor.checkpoints.pickle.descriptions import Described, MalformedPickle, Named
from spectral_doctor.checkpoints.pickle.storages import numpy_array, shape_of, strided
from spectral_doctor.elements import ELEMENT_TYPES, FLOAT32, ElementType, Values
from spectral_doctor.errors import WeightError

if TYPE_CHECKING:
    from spectral_doctor.checkpoints.pickle.objects import Reader

Leaf = Array | float | int | None
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")


def at_least(arguments: tuple[object, ...], count: int) -> tuple[object, ...]:
    """The arguments of a call; raises `MalformedPickle` where there are fewer than `count`."""
    if len(arguments) < count:
        raise MalformedPickle("a call without its arguments")
    return arguments


def is_named(maker: object, modules: tuple[str, ...], name: str) -> bool:
    """Say whether a maker is the importable of a name in one of some modules."""
    return isinstance(maker, Named) and maker.module in modules and maker.name == name


def plain_size(size: object) -> object:
    """A shape: a tuple, or the `torch.Size` that holds one."""
    if isinstance(size, Described) and is_named(size.maker, ("torch",), "Size") and size.arguments:
        return size.arguments[0]
    return size


def torch_dtype(named: object) -> ElementType | None:
    """The element type that a name such as `torch.float32` stands for."""
    return ELEMENT_TYPES.get(named.name) if isinstance(named, Named) and named.module == "torch" else None


def _tensor(reader: Reader, node: Described) -> Array | None:
    """A view of a storage: `_rebuild_tensor` and the versions after it."""
    storage, offset, size, stride, *rest = at_least(node.arguments, 4)
    flat = reader.storage(storage)
    if flat is None:
        return None
    version_3 = str(node.maker) == "torch._utils._rebuild_tensor_v3"
    dtype = torch_dtype(rest[2]) if version_3 and len(rest) > 2 else None
    if version_3 and (dtype is None or flat.element.name != "uint8"):
        return None
    array = strided(flat, offset, plain_size(size), plain_size(stride), dtype)
    return _turned(reader, array, rest[3 if version_3 else 2] if len(rest) > (3 if version_3 else 2) else None)


def _turned(reader: Reader, array: Array, metadata: object) -> Array:
    """A tensor saved with its conjugate or negative bit set, whose stored values are the unturned ones."""
    bits = reader.mapping(metadata) or {}
    if not (bits.get("conj") or bits.get("neg")):
        return array

    def values() -> Values:
        turned = array.read().conj() if bits.get("conj") else array.read()
        return -turned if bits.get("neg") else turned

    return Computed(values, array.element, array.shape, "conjugate or negative")


def _parameter(reader: Reader, node: Described) -> Array | None:
    """A parameter is its tensor."""
    return reader.array(at_least(node.arguments, 1)[0])


def _of_type(reader: Reader, node: Described) -> Leaf:
    """A tensor of a subclass: what its own maker was told to make (function, class, arguments, state)."""
    function, _, arguments = at_least(node.arguments, 3)[:3]
    build = LEAVES.get((function.module, function.name)) if isinstance(function, Named) else None
    if build is None or not isinstance(arguments, tuple):
        return None
    return build(reader, Described(function, arguments))


def _quantised(reader: Reader, node: Described) -> Array | None:
    """(q − zero point)·scale, for the whole tensor or along one axis, in float32 as PyTorch dequantises."""
    storage, offset, size, stride, parameters = at_least(node.arguments, 5)[:5]
    flat = reader.storage(storage)
    if flat is None or not isinstance(parameters, tuple) or len(parameters) < 3:
        return None
    stored = strided(flat, offset, plain_size(size), plain_size(stride))
    scale, zero = (reader.array(item) or item for item in parameters[1:3])
    axis = parameters[3] if len(parameters) > 3 else None
    shape = [1] * stored.ndim
    if isinstance(axis, int) and 0 <= axis < stored.ndim:
        shape[axis] = stored.shape[axis]

    def part(value: object) -> Values:
        if isinstance(value, Array):
            return value.read().astype(np.float64).reshape(shape)
        return np.asarray(value, dtype=np.float64)

    def values() -> Values:
        # PyTorch subtracts in integers and multiplies in float32.
        shifted = (stored.read().astype(np.float64) - part(zero)).astype(np.float32)
        scaled: Values = shifted * part(scale).astype(np.float32)
        return scaled

    return Computed(values, FLOAT32, stored.shape, "quantised")


def _sparse(reader: Reader, node: Described) -> Array | None:
    """A sparse tensor: coordinates and values (COO), or compressed rows or columns and values (CSR, CSC)."""
    layout, data = at_least(node.arguments, 2)[:2]
    if not isinstance(data, tuple) or len(data) < 3:
        return None
    coordinates = len(data) < 4 or reader.array(data[2]) is None
    parts = [reader.array(item) for item in data[: 2 if coordinates else 3]]
    sizes = shape_of(plain_size(data[2 if coordinates else 3]))
    values = parts[-1]
    if sizes is None or values is None or any(item is None for item in parts):
        return None
    indices = [item for item in parts[:-1] if item is not None]
    by_column = "csc" in str(_layout_name(layout))

    def dense() -> Values:
        if math.prod(sizes) == 0:
            return np.zeros(sizes, dtype=values.read().dtype)
        try:
            return _scattered(indices, values, sizes, by_column)
        except (IndexError, ValueError) as error:
            raise WeightError(f"a sparse tensor whose indices do not fit its shape {sizes}") from error

    return Computed(dense, values.element, sizes, "sparse")


def _scattered(indices: list[Array], values: Array, sizes: tuple[int, ...], by_column: bool) -> Values:
    full = np.zeros(sizes, dtype=values.read().dtype)
    if len(indices) == 1:
        where = indices[0].read()
        if where.size and (where.min() < 0 or len(where) > len(sizes)):
            raise IndexError
        np.add.at(full, tuple(where), values.read())
        return full
    ends, other = indices[0].read(), indices[1].read()
    lines = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    if other.size and other.min() < 0:
        raise IndexError
    np.add.at(full, (other, lines) if by_column else (lines, other), values.read())
    return full


def _layout_name(layout: object) -> object:
    return layout.arguments[0] if isinstance(layout, Described) and layout.arguments else layout


def _from_numpy(reader: Reader, node: Described) -> Array | None:
    """A tensor that was saved from a device as a NumPy array (XLA, HPU): the array, in the type that it is said."""
    return reader.array(at_least(node.arguments, 1)[0])


def _shape_only(reader: Reader, node: Described) -> Array | None:
    dtype, size = at_least(node.arguments, 2)[:2]
    element, sizes = torch_dtype(dtype), shape_of(plain_size(size))
    if element is None or sizes is None:
        return None
    return Absent(element, sizes, "a meta tensor: the file holds its shape and no values")


def _numpy_state(reader: Reader, node: Described) -> Array | None:
    """A NumPy array, from the state that was to be put into it."""
    if not (isinstance(node.state, tuple) and len(node.state) == 5):
        return None
    _, shape, dtype, fortran, raw = node.state
    return _numpy(reader, shape, dtype, bool(fortran), raw)


def _numpy_buffer(reader: Reader, node: Described) -> Array | None:
    """A NumPy array as protocol 5 writes it."""
    raw, dtype, shape, order = at_least(node.arguments, 4)[:4]
    return _numpy(reader, shape, dtype, order == "F", raw)


def _numpy(reader: Reader, shape: object, dtype: object, fortran: bool, raw: object) -> Array | None:
    content = reader.content(raw)
    if content is None:
        return None
    return numpy_array(shape, dtype, fortran, lambda: content.span(0, content.size), content.size, content.identity)


def _number(reader: Reader, node: Described) -> float | int | None:
    """A NumPy number as a plain one; None where it is another thing."""
    dtype, raw = at_least(node.arguments, 2)[:2]
    array = _numpy(reader, (), dtype, False, raw)
    if array is None or array.element.is_complex:
        return None
    number: float | int = array.read().item()
    return number


LEAVES: Mapping[tuple[str, str], Callable[[Reader, Described], Leaf]] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch._utils", "_rebuild_qtensor"): _quantised,
    ("torch._utils", "_rebuild_sparse_tensor"): _sparse,
    ("torch._utils", "_rebuild_device_tensor_from_numpy"): _from_numpy,
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): _from_numpy,
    ("torch._utils", "_rebuild_xla_tensor"): _from_numpy,
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): _shape_only,
    ("torch._tensor", "_rebuild_from_type_v2"): _of_type,
    **{(module, "_reconstruct"): _numpy_state for module in _NUMPY},
    **{(module, "scalar"): _number for module in _NUMPY},
    **{(module, "_frombuffer"): _numpy_buffer for module in _NUMPY},
}
