"""The types of numbers that files hold, by PyTorch's names, and what NumPy makes of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]

# Entries within this of the largest are as large.
TIED = 1 - 1e-6


@dataclass(frozen=True)
class ElementType:
    """The type of an array's elements: its name as PyTorch spells it, and the NumPy type of its bytes.

    `decode` turns bytes of that type into exact values of a wider NumPy type, where NumPy has none of its own
    (bfloat16, the 8-bit floats); None where the bytes are the values.
    """

    name: str
    raw: np.dtype[Any]
    decode: Callable[[Values], Values] | None = None
    encode: Callable[[Values], Values] | None = None

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return self.raw.itemsize

    @property
    def is_float(self) -> bool:
        """Whether its values are real numbers with a fraction."""
        return self.decode is not None or self.raw.kind == "f"

    @property
    def is_complex(self) -> bool:
        """Whether its values are complex numbers."""
        return self.raw.kind == "c"

    def values(self, raw: Values) -> Values:
        """The exact values of an array of raw elements, in NumPy's native byte order."""
        if self.decode is not None:
            return self.decode(raw)
        return raw if raw.dtype.isnative else raw.astype(raw.dtype.newbyteorder("="))

    def elements(self, values: Values) -> Values:
        """Values rounded to this type, as raw elements; to nearest, ties to even, as IEEE 754 has it."""
        return values.astype(self.raw) if self.encode is None else self.encode(values)


def tied_at_bound(values: Values) -> float:
    """The share of entries of a matrix of real numbers that are as large as the largest, apart from that one."""
    if values.dtype.kind != "f":
        return 0.0
    # Only rows that reach the bound are looked through: where nothing was clipped they are one or two.
    rows = values if values.shape[0] <= values.shape[1] else values.T
    highest, lowest = rows.max(axis=1), rows.min(axis=1)
    largest = max(float(highest.max()), -float(lowest.min()))
    if not 0.0 < largest < math.inf:
        return 0.0
    limit = largest * TIED
    reaching = np.flatnonzero((highest >= limit) | (lowest <= -limit))
    ties = sum(int(np.count_nonzero((rows[row] >= limit) | (rows[row] <= -limit))) for row in reaching)
    return (ties - 1) / values.size


def _from_bfloat16(raw: Values) -> Values:
    wide: Values = (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return wide


def _to_bfloat16(values: Values) -> Values:
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded: Values = ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)


def _float8(name: str, exponent_bits: int, bias: int, special: str) -> ElementType:
    table = _float8_table(exponent_bits, bias, special)

    def decode(raw: Values) -> Values:
        wide: Values = table[raw]
        return wide

    def encode(values: Values) -> Values:
        return _nearest(table, values)

    return ElementType(name, np.dtype(np.uint8), decode, encode)


def _float8_table(exponent_bits: int, bias: int, special: str) -> NDArray[np.float32]:
    """The values of all 256 codes of an 8-bit float (Micikevicius et al. 2022; "fnuz" as ONNX and PyTorch have it)."""
    mantissa_bits = 7 - exponent_bits
    table = np.empty(256, dtype=np.float32)
    for code in range(256):
        exponent, mantissa = (code >> mantissa_bits) & (2**exponent_bits - 1), code & (2**mantissa_bits - 1)
        fraction = mantissa / 2**mantissa_bits
        size = math.ldexp(1 + fraction, exponent - bias) if exponent else math.ldexp(fraction, 1 - bias)
        if special == "ieee" and exponent == 2**exponent_bits - 1:
            size = math.nan if mantissa else math.inf
        elif special == "fn" and code & 0x7F == 0x7F:
            size = math.nan
        table[code] = -size if code & 0x80 else size
    if special == "fnuz":
        table[0x80] = math.nan
    return table


def _nearest(table: NDArray[np.float32], values: Values) -> Values:
    """The codes of the representable values nearest to the given ones; what is too large becomes the largest."""
    codes = np.flatnonzero(np.isfinite(table) & ~np.signbit(table)).astype(np.uint8)
    codes = codes[np.argsort(table[codes], kind="stable")]
    ladder = table[codes].astype(np.float64)
    size = np.abs(values.astype(np.float64))
    above = np.clip(np.searchsorted(ladder, size), 1, len(ladder) - 1)
    low, high = ladder[above - 1], ladder[above]
    middle = (low + high) / 2
    up = (size > middle) | ((size == middle) & (codes[above] % 2 == 0))
    chosen: Values = np.where(up, codes[above], codes[above - 1]).astype(np.uint8)
    negative = np.signbit(values) & (chosen != 0)
    nan = np.flatnonzero(np.isnan(table))[0]
    return np.where(np.isnan(values), np.uint8(nan), np.where(negative, chosen | np.uint8(0x80), chosen))


def _plain(name: str, code: str) -> ElementType:
    return ElementType(name, np.dtype(code))


FLOAT32 = _plain("float32", "<f4")
FLOAT64 = _plain("float64", "<f8")
UINT8 = _plain("uint8", "|u1")
ELEMENT_TYPES: dict[str, ElementType] = {
    item.name: item
    for item in (
        FLOAT64,
        FLOAT32,
        _plain("float16", "<f2"),
        ElementType("bfloat16", np.dtype("<u2"), _from_bfloat16, _to_bfloat16),
        _float8("float8_e4m3fn", 4, 7, "fn"),
        _float8("float8_e5m2", 5, 15, "ieee"),
        _float8("float8_e4m3fnuz", 4, 8, "fnuz"),
        _float8("float8_e5m2fnuz", 5, 16, "fnuz"),
        _plain("complex128", "<c16"),
        _plain("complex64", "<c8"),
        _plain("int64", "<i8"),
        _plain("int32", "<i4"),
        _plain("int16", "<i2"),
        _plain("int8", "|i1"),
        UINT8,
        _plain("uint16", "<u2"),
        _plain("uint32", "<u4"),
        _plain("uint64", "<u8"),
        _plain("bool", "|b1"),
    )
}


def element_type(dtype: np.dtype[Any]) -> ElementType | None:
    """The element type of a NumPy array of numbers, in its own byte order; None for text, objects and dates."""
    if dtype.kind not in "biufc" or dtype.itemsize > 16 or dtype.name in ("float128", "complex256"):
        return None
    return ElementType(dtype.name, dtype)
