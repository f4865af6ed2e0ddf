"""A generator that is one chain of layers: a perceptron, DCGAN, and convolutions between upsamplings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from spectral_doctor.arrays import Array
from spectral_doctor.generators.geometry import activated_between, transposed_ways
from spectral_doctor.generators.layers import WAY_OUT, Layer, Sort, layers_of, orders_of
from spectral_doctor.generators.records import NotRebuilt
from spectral_doctor.generators.steps import Activation, Choice, Convolution, Linear, Norm, Reshape, Step

# From so many outputs on, or with a map as its output, a generator ends in tanh as a rule.
LEAST_OUTPUTS_OF_TANH = 64
_MOST_LAYERS = 200
_WEIGHTS = (Sort.LINEAR, Sort.KERNEL)


# How many layers are left, how many channels come in, and whether as a map.
_Place = tuple[int, int, bool]


@dataclass(frozen=True, eq=False)
class _Passage:
    """A layer as it is passed: what is done to the shape before it, and how many channels it takes and gives."""

    layer: Layer
    inputs: int
    outputs: int
    transposed: bool = False
    reshape: Reshape | None = None
    on_map: bool = False


def chain(network: Mapping[str, Array]) -> tuple[tuple[int, ...], tuple[Step, ...]] | NotRebuilt:
    """One latent's shape and the steps of a generator whose layers form a chain, or why they do not."""
    layers = layers_of(network)
    if isinstance(layers, NotRebuilt):
        return layers
    weights = [layer for layer in layers if layer.sort in _WEIGHTS]
    if len(layers) > _MOST_LAYERS:
        return NotRebuilt(f"it has {len(layers)} layers, and chains of at most {_MOST_LAYERS} are read here; {WAY_OUT}")
    if len(weights) < 2:
        return NotRebuilt("fewer than two of its layers are known, so there is no generator to rebuild")
    axes = {len(layer.shape) - 2 for layer in weights} - {0}
    if len(axes) > 1:
        return NotRebuilt(f"its kernels have different numbers of axes; {WAY_OUT}")
    reader = _Reader(max(axes, default=0))
    stuck = 0
    for order in orders_of(layers):
        dead: set[_Place] = set()
        passages = reader.passages(order, None, dead)
        if passages is not None and _narrows(passages):
            return _latent_shape(passages[0], reader.axes), tuple(_steps(passages))
        stuck = stuck or (len(order) - min((place[0] for place in dead), default=0))
    return NotRebuilt(_broken(layers, stuck))


@dataclass(frozen=True)
class _Reader:
    """Reads layers as a chain, each taking what the one before it gives; kernels have so many `axes`."""

    axes: int

    def passages(self, layers: Sequence[Layer], before: _Passage | None, dead: set[_Place]) -> list[_Passage] | None:
        """The likeliest reading from a layer on; `dead` are the places from which there was none."""
        if not layers:
            return []
        place = (len(layers), before.outputs, before.on_map) if before else (len(layers), 0, False)
        if place in dead:
            return None
        for passage in self._readings(layers[0], before):
            rest = self.passages(layers[1:], passage, dead)
            if rest is not None:
                return [passage, *rest]
        dead.add(place)
        return None

    def _readings(self, layer: Layer, before: _Passage | None) -> Iterator[_Passage]:
        if layer.sort is Sort.LINEAR:
            outputs, inputs = layer.shape
            if before is None or (before.outputs == inputs and not before.on_map):
                yield _Passage(layer, inputs, outputs)
        elif layer.sort is Sort.KERNEL:
            yield from self._kernel(layer, before)
        elif before is not None and layer.sort is Sort.SLOPE:
            if layer.tensors["weight"].size in (1, before.outputs):
                yield _Passage(layer, before.outputs, before.outputs, on_map=before.on_map)
        elif before is not None:
            features = layer.shape[0]
            if features == before.outputs:
                yield _Passage(layer, features, features, on_map=before.on_map)
            elif not before.on_map:
                yield from self._reshaped(layer, before, features, features, False)

    def _kernel(self, layer: Layer, before: _Passage | None) -> Iterator[_Passage]:
        first, second = layer.shape[:2]
        if before is None:
            # A latent as a map of side 1 can only be widened.
            ways = [(first, second, True)]
        else:
            ways = [(second, first, False), (first, second, True)]
            # Kernels of even size are those of transposed convolutions as a rule.
            ways = ways[::-1] if layer.shape[2] % 2 == 0 else ways
        for inputs, outputs, transposed in ways:
            if layer.bias is not None and layer.bias.size != outputs:
                continue
            if before is None or (before.on_map and before.outputs == inputs):
                yield _Passage(layer, inputs, outputs, transposed, on_map=True)
            elif not before.on_map:
                yield from self._reshaped(layer, before, inputs, outputs, transposed)

    def _reshaped(
        self, layer: Layer, before: _Passage, inputs: int, outputs: int, transposed: bool
    ) -> Iterator[_Passage]:
        """A flat vector that becomes a map of equal sides before the layer."""
        if not self.axes or before.outputs % inputs:
            return
        side = round((before.outputs // inputs) ** (1 / self.axes))
        if inputs * side**self.axes == before.outputs:
            yield _Passage(layer, inputs, outputs, transposed, Reshape(inputs, (side,) * self.axes), on_map=True)


def _narrows(passages: Sequence[_Passage]) -> bool:
    """Whether of maps the last has the fewest channels, as a picture has."""
    maps = [item.outputs for item in passages if item.on_map]
    return not maps or maps[-1] == min(maps)


def _latent_shape(first: _Passage, axes: int) -> tuple[int, ...]:
    return (first.inputs, *(1,) * axes) if first.on_map else (first.inputs,)


def _steps(passages: Sequence[_Passage]) -> Iterator[Step]:
    kernels = [item for item in passages if item.layer.sort is Sort.KERNEL]
    by_upsampling = bool(kernels) and not any(item.transposed for item in kernels)
    last = [item for item in passages if item.layer.sort in _WEIGHTS][-1]
    yield _step(passages[0], enters=True)
    for before, item in pairwise(passages):
        may_upsample = by_upsampling and item.layer.sort is Sort.KERNEL
        ways = activated_between(before.layer, item.layer, upsampling=may_upsample, last=item is last)
        # What becomes a map is not upsampled before it is one.
        if item.reshape is not None:
            yield item.reshape
        yield from ways[0] if len(ways) == 1 else (Choice(ways),)
        yield _step(item)
    if last.on_map or last.outputs >= LEAST_OUTPUTS_OF_TANH:
        yield Activation("tanh")


def _step(item: _Passage, enters: bool = False) -> Step:
    tensors = item.layer.tensors
    if item.layer.sort is Sort.NORM:
        return Norm(tensors["running_mean"], tensors["running_var"], tensors.get("weight"), tensors.get("bias"))
    if item.layer.sort is Sort.SLOPE:
        return Activation("prelu", tensors["weight"])
    if item.layer.sort is Sort.LINEAR:
        return Linear(tensors["weight"], item.layer.bias)
    if not item.transposed:
        return Convolution(tensors["weight"], item.layer.bias)
    ways = transposed_ways(tensors["weight"], item.layer.bias, enters=enters)
    return ways[0] if len(ways) == 1 else Choice(tuple((way,) for way in ways))


def _broken(layers: Sequence[Layer], stuck: int) -> str:
    """Why there is no chain: the first layer that does not follow what stands before it, in their stored order."""
    first = layers[0]
    if first.sort is Sort.KERNEL and (first.bias is None or first.bias.size == first.shape[0]):
        return f"its first layer '{first.name}' is a convolution: it takes a picture or a signal, no latent; {WAY_OUT}"
    if not 0 < stuck < len(layers):
        return f"its layers form no chain; {WAY_OUT}"
    one, other = layers[stuck - 1], layers[stuck]
    return (
        f"its layers form no chain: '{other.name}' of shape {other.shape} does not follow '{one.name}' of shape "
        f"{one.shape}; {WAY_OUT}"
    )
