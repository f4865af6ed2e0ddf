"""What a state dict does not hold: activations between layers, strides, paddings, upsamplings. The usual ones first."""

from __future__ import annotations

from spectral_doctor.arrays import Array
from spectral_doctor.generators.layers import Layer, Sort, hidden_between
from spectral_doctor.generators.steps import HIDDEN, Activation, Step, Transposed, Upsample

_HIDDEN: tuple[Step, ...] = (Activation(HIDDEN),)
_UP: tuple[Step, ...] = (Upsample(),)
# Stride, padding, output padding of transposed convolutions by the size of their kernel, as they are written.
_GEOMETRY: dict[int, tuple[tuple[int, int, int], ...]] = {
    1: ((1, 0, 0),),
    2: ((2, 0, 0),),
    3: ((2, 1, 1), (1, 1, 0), (2, 1, 0), (2, 0, 0)),
    4: ((2, 1, 0), (1, 0, 0)),
    5: ((2, 2, 1), (1, 2, 0)),
    6: ((2, 2, 0),),
    7: ((1, 3, 0), (2, 3, 1)),
    25: ((4, 11, 1),),
}


def transposed_ways(weight: Array, bias: Array | None, *, enters: bool) -> tuple[Transposed, ...]:
    """The geometries that a transposed convolution may have; one that a latent enters widens its side of 1."""
    size = weight.shape[2]
    if enters:
        return (Transposed(weight, bias, 1, 0, 0),)
    ways = _GEOMETRY.get(size, ((2, size // 2, 1),) if size % 2 else ((2, size // 2 - 1, 0),))
    return tuple(Transposed(weight, bias, *way) for way in ways)


def activated_between(before: Layer, after: Layer, *, upsampling: bool, last: bool) -> tuple[tuple[Step, ...], ...]:
    """The ways from one layer to the next: the activation, and an upsampling where the network may have one.

    Numbers in one list tell how many modules without tensors stand between: none leaves nothing, one an activation
    or an upsampling, two or more both (or a dropout, which does nothing in evaluation mode).
    """
    hidden = hidden_between(before, after)
    if Sort.SLOPE in (before.sort, after.sort):
        return ((), _UP) if upsampling and before.sort is Sort.SLOPE and hidden != 0 else ((),)
    if after.sort is Sort.NORM:
        return (_HIDDEN,) if hidden else ((),)
    if hidden == 0:
        return ((),)
    if not upsampling:
        return (_HIDDEN,)
    if hidden == 1:
        return (_HIDDEN, _UP)
    both = (*_UP, *_HIDDEN)
    return (_HIDDEN, both) if hidden is None and last else (both, _HIDDEN)
