"""Every weight form, against the weight that the module itself uses."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from spectral_doctor.arrays import Array, live_arrays
from spectral_doctor.elements import FLOAT32, Values
from spectral_doctor.records import Form, Kind, SkippedLayer, SkipReason
from spectral_doctor.spectrum import spectrum_of, weight_matrices
from spectral_doctor.state_dicts.matrices import LayerWeight, collect_layers
from spectral_doctor.state_dicts.weight_norm import lengths, normalised


def found(tensors: Mapping[str, Tensor], **options: Any) -> tuple[tuple[LayerWeight, ...], tuple[SkippedLayer, ...]]:
    """The layers among some live tensors, and what is skipped."""
    return collect_layers(live_arrays(tensors), **options)


def only(tensors: dict[str, Tensor]) -> LayerWeight:
    """The one layer that is found, with nothing skipped."""
    layers, skipped = found(tensors)
    assert skipped == ()
    (layer,) = layers
    return layer


def old_spectral_norm(module: nn.Module) -> nn.Module:
    """The deprecated hook form, still the most common one in strangers' files."""
    return nn.utils.spectral_norm(module)


def old_weight_norm(module: nn.Module) -> nn.Module:
    """The deprecated hook form of weight norm."""
    with pytest.warns(FutureWarning):
        return nn.utils.weight_norm(module)


LAYERS: list[Callable[[], nn.Module]] = [
    lambda: nn.Linear(9, 4),
    lambda: nn.Conv1d(3, 8, 5),
    lambda: nn.Conv2d(3, 8, 3),
    lambda: nn.Conv3d(2, 4, 3),
    lambda: nn.ConvTranspose2d(3, 8, 4),
]
FORMS: list[tuple[Callable[[nn.Module], nn.Module], Form]] = [
    (lambda module: module, Form.PLAIN),
    (parametrizations.spectral_norm, Form.SPECTRAL_NORM),
    (old_spectral_norm, Form.SPECTRAL_NORM),
    (parametrizations.weight_norm, Form.WEIGHT_NORM),
    (old_weight_norm, Form.WEIGHT_NORM),
]


@pytest.mark.parametrize("build", LAYERS)
@pytest.mark.parametrize(("wrap", "form"), FORMS)
def test_the_spectrum_is_that_of_the_weight_the_module_uses(
    build: Callable[[], nn.Module], wrap: Callable[[nn.Module], nn.Module], form: Form
) -> None:
    """Old and new norms, linear and convolutions: the relative spectrum equals that of `module.weight`."""
    torch.manual_seed(0)
    module = wrap(build())
    if form is Form.WEIGHT_NORM:
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name.endswith(("weight_g", "original0")):
                    parameter.mul_(torch.rand_like(parameter) + 0.5)
    if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d):
        module(torch.randn(2, *{2: (9,), 3: (3, 9), 4: (3, 9, 9), 5: (2, 9, 9, 9)}[module.weight.ndim]))
    layer = only({f"block.{name}": tensor for name, tensor in module.state_dict().items()})
    used = module.weight
    assert isinstance(used, Tensor)
    used = used.detach()
    axis = 1 if isinstance(module, nn.ConvTranspose2d) else 0
    (expected,) = weight_matrices(used, output_axis=axis)
    assert layer.form is form
    assert layer.layer == "block"
    assert layer.matrix_shape == expected.shape
    assert spectrum_of(layer.read()).relative == pytest.approx(spectrum_of(expected).relative, abs=1e-5)
    if form is Form.WEIGHT_NORM:
        torch.testing.assert_close(torch.from_numpy(layer.read()), torch.from_numpy(expected), check_dtype=False)


def test_weight_norm_without_its_magnitudes_would_be_wrong() -> None:
    """The negative: v alone has another spectrum than g·v/‖v‖."""
    torch.manual_seed(0)
    tensors = parametrizations.weight_norm(nn.Linear(9, 4)).state_dict()
    tensors["parametrizations.weight.original0"] *= torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    direction = tensors["parametrizations.weight.original1"]
    assert spectrum_of(only(tensors).read()).relative[1] != pytest.approx(spectrum_of(direction).relative[1], abs=1e-2)


W = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "tensors",
    [
        {"conv.weight": W, "conv.u0": torch.ones(1, 8), "conv.sv0": torch.ones(1)},
        {"conv.weight": W, "conv.sn_u": torch.ones(1, 8), "conv.sn_sigma": torch.ones(1)},
        {"conv.module.weight_bar": W, "conv.module.weight_u": torch.ones(8), "conv.module.weight_v": torch.ones(27)},
        {"conv.module.w_bar": W, "conv.module.u": torch.ones(8), "conv.module.v": torch.ones(27)},
        {"conv.W": W, "conv.b": torch.zeros(8), "conv.u": torch.ones(1, 8)},
    ],
    ids=["BigGAN", "mimicry", "weight_bar", "torchgan", "Chainer"],
)
def test_other_projects_own_spectral_norms_are_recognised(tensors: dict[str, Tensor]) -> None:
    """The raw weight is taken, its companions are not, and the wrapper's name falls away."""
    layer = only(tensors)
    assert (layer.layer, layer.form, layer.matrix_shape) == ("conv", Form.SPECTRAL_NORM, (8, 27))


def test_weight_v_is_told_by_its_siblings() -> None:
    """In one dict `weight_v` is a singular vector in one layer and the whole direction in another."""
    tensors = {
        "a.weight_orig": W,
        "a.weight_u": torch.ones(8),
        "a.weight_v": torch.ones(27),
        "b.weight_g": torch.ones(8, 1, 1, 1),
        "b.weight_v": W,
    }
    layers, skipped = found(tensors)
    assert skipped == ()
    assert [(layer.layer, layer.form) for layer in layers] == [("a", Form.SPECTRAL_NORM), ("b", Form.WEIGHT_NORM)]


def test_a_pruned_weight_is_masked() -> None:
    """Pruning also stores `weight_orig`; the mask, not a singular vector, stands beside it."""
    module = nn.Linear(9, 4)
    prune.l1_unstructured(module, "weight", amount=0.5)  # type: ignore[no-untyped-call]
    layer = only({f"fc.{name}": tensor for name, tensor in module.state_dict().items()})
    assert layer.form is Form.PLAIN
    torch.testing.assert_close(torch.from_numpy(layer.read()), module.weight.detach())


def test_a_normalisation_of_any_shape_is_no_matrix() -> None:
    """A LayerNorm over [C, H, W] looks like a matrix; its bias of the same shape gives it away."""
    norm = nn.LayerNorm([4, 8, 8])
    layers, skipped = found({f"norm.{name}": tensor for name, tensor in norm.state_dict().items()})
    assert layers == ()
    assert [(item.name, item.sentence) for item in skipped] == [
        ("norm.weight", "a normalisation's scale: its bias has the same shape")
    ]


def test_attention_is_split_into_query_key_and_value() -> None:
    """One stored tensor, three matrices."""
    attention = nn.MultiheadAttention(8, 2)
    layers, _ = found({f"attn.{name}": tensor for name, tensor in attention.state_dict().items()})
    assert [layer.name for layer in layers] == ["attn[query]", "attn[key]", "attn[value]", "attn.out_proj"]
    torch.testing.assert_close(torch.from_numpy(layers[1].read()), attention.in_proj_weight.detach()[8:16])


@pytest.mark.parametrize(("cell", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_recurrent_weights_are_split_into_gates(cell: type[nn.RNN | nn.GRU | nn.LSTM], gates: int) -> None:
    """Each gate is its own matrix, input and hidden alike."""
    module = cell(5, 7)
    layers, skipped = found({f"rnn.{name}": tensor for name, tensor in module.state_dict().items()})
    assert skipped == ()
    assert len(layers) == 2 * gates
    assert {layer.matrix_shape for layer in layers} == {(7, 5), (7, 7)}
    assert all(layer.kind is Kind.RECURRENT for layer in layers)


def test_grouped_convolutions_are_told_by_the_layer_before() -> None:
    """HiFi-GAN's multi-scale discriminator: each group is one matrix."""
    torch.manual_seed(0)
    chain = {
        "convs.0.weight": torch.randn(16, 1, 15),
        "convs.1.weight": torch.randn(16, 4, 41),
        "convs.2.weight": torch.randn(32, 1, 41),
        "convs.3.weight": torch.randn(32, 32, 5),
    }
    layers, _ = found(chain)
    counts = {
        name: sum(layer.layer == name for layer in layers) for name in ("convs.0", "convs.1", "convs.2", "convs.3")
    }
    assert counts == {"convs.0": 1, "convs.1": 4, "convs.2": 16, "convs.3": 1}
    assert [layer.part for layer in layers if layer.layer == "convs.1"][:2] == ["group 1/4", "group 2/4"]
    torch.testing.assert_close(torch.from_numpy(layers[2].read()), chain["convs.1.weight"][4:8].flatten(1))


def test_resolutions_are_no_chain() -> None:
    """StyleGAN2's skips are numbered by their side, largest first: 64 gives 512 channels, 128 takes 256 of its own."""
    shapes = {"b256.skip": (256, 128), "b128.skip": (512, 256), "b64.skip": (512, 512), "b32.skip": (512, 512)}
    tensors = {f"{name}.weight": torch.zeros(*shape, 1, 1) for name, shape in shapes.items()}
    layers, _ = collect_layers(live_arrays(tensors))
    assert {layer.name: layer.matrix_shape for layer in layers} == shapes
    # The negative: the same shapes under numbers that follow each other are a chain, and grouped.
    chain = {
        f"convs.{number}.weight": torch.zeros(*shape, 1, 1) for number, shape in enumerate(((512, 512), (512, 256)))
    }
    assert [layer.part for layer in collect_layers(live_arrays(chain))[0]] == ["", "group 1/2", "group 2/2"]


def test_parallel_branches_are_not_taken_for_groups() -> None:
    """The nearest case where it must not fire: siblings of one shape are no chain."""
    branches = {f"heads.{index}.weight": torch.randn(64, 32, 3, 3) for index in range(3)}
    assert len(found(branches)[0]) == 3


def test_a_transposed_convolution_is_told_by_bias_vector_or_name() -> None:
    """The output axis is dim 1: by the bias's length, by the singular vector's, or by the layer's name."""
    weight = torch.randn(3, 8, 4, 4)
    by_bias = only({"a.weight": weight, "a.bias": torch.zeros(8)})
    by_vector = only({"a.weight_orig": weight, "a.weight_u": torch.ones(8), "a.weight_v": torch.ones(48)})
    by_name = only({"deconv1.weight": weight})
    assert {layer.kind for layer in (by_bias, by_vector, by_name)} == {Kind.TRANSPOSED}
    assert only({"a.weight": weight, "a.bias": torch.zeros(3)}).kind is Kind.CONVOLUTION


def test_an_embedding_is_told_by_its_name() -> None:
    """Class projections under spectral norm keep one row a class."""
    layer = only(
        {
            "l_y.embed.weight_orig": torch.randn(10, 64),
            "l_y.embed.weight_u": torch.ones(10),
            "l_y.embed.weight_v": torch.ones(64),
        }
    )
    assert (layer.kind, layer.matrix_shape) == (Kind.EMBEDDING, (10, 64))


def test_a_weight_shared_by_two_names_counts_once() -> None:
    """The second name is skipped, and says of which it is the same."""
    weight = torch.randn(8, 16)
    layers, skipped = found({"a.weight": weight, "b.weight": weight, "c.weight": weight.clone()})
    assert [layer.layer for layer in layers] == ["a", "c"]
    assert [(item.name, item.sentence) for item in skipped] == [("b", "the same weight as a, counted once")]


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"a.weight": torch.ones(3, 4, dtype=torch.int32)}, "int32 values are not a weight"),
        ({"a.weight": torch.ones(1).expand(1000, 1000)}, "a view that claims 4000000 bytes where the file holds 4"),
        ({"a.weight": torch.empty(3, 0)}, "shape (3, 0) is empty"),
        ({"a.const": torch.ones(3, 4)}, "a parameter of shape (3, 4) that is not the weight of a known layer"),
        (
            {
                "a.parametrizations.weight.original": torch.ones(3, 4),
                "a.parametrizations.weight.0.base": torch.ones(3, 4),
            },
            "an orthogonal parametrisation: its weight cannot be rebuilt from the file",
        ),
        (
            {
                "a.parametrizations.weight.original": torch.ones(3, 4),
                "a.parametrizations.weight.0.scale": torch.ones(3),
            },
            "a parametrisation that is not known here: its weight cannot be rebuilt from the file",
        ),
    ],
)
def test_what_is_not_examined_says_why(tensors: dict[str, Tensor], reason: str) -> None:
    """No tensor of two axes vanishes without a word."""
    layers, skipped = found(tensors)
    assert layers == ()
    assert [item.sentence for item in skipped] == [reason]


def test_exclude_takes_globs_over_layer_names() -> None:
    """Excluded layers are named as such."""
    tensors = {"block1.c1.weight": torch.ones(4, 4), "head.weight": torch.ones(1, 4)}
    layers, skipped = found(tensors, exclude=["block*"])
    assert [layer.layer for layer in layers] == ["head"]
    assert [(item.name, item.sentence) for item in skipped] == [("block1.c1", "excluded by --exclude")]


class Watched(Array):
    """An array that counts how often it is read."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.element, self.shape = FLOAT32, shape
        self.reads = 0

    def read(self) -> Values:
        """Ones."""
        self.reads += 1
        return np.ones(self.shape, np.float32)


def test_nothing_is_read_before_a_layer_is() -> None:
    """Names, kinds and shapes come from the headers alone, in every form."""
    arrays: dict[str, Array] = {
        "plain.weight": Watched((8, 3, 3, 3)),
        "old.weight_g": Watched((8, 1)),
        "old.weight_v": Watched((8, 5)),
        "new.parametrizations.weight.original0": Watched((6, 1)),
        "new.parametrizations.weight.original1": Watched((6, 4)),
        "cut.weight_orig": Watched((4, 4)),
        "cut.weight_mask": Watched((4, 4)),
        "raised.parametrizations.weight.original": Watched((4, 3)),
        "raised.parametrizations.weight.0.envelope": Watched((3,)),
    }
    layers, skipped = collect_layers(arrays)
    assert skipped == ()
    shapes = {layer.layer: layer.matrix_shape for layer in layers}
    assert shapes == {"plain": (8, 27), "old": (8, 5), "new": (6, 4), "cut": (4, 4), "raised": (4, 3)}
    assert [array.reads for array in arrays.values() if isinstance(array, Watched)] == [0] * len(arrays)
    for layer in layers:
        assert layer.read().shape == layer.matrix_shape
    assert all(array.reads for array in arrays.values() if isinstance(array, Watched))


def test_old_and_new_weight_norms_stand_side_by_side() -> None:
    """A run that was resumed under another version of torch, or half converted: both halves are examined."""
    with pytest.warns(FutureWarning):
        old = nn.utils.weight_norm(nn.Conv1d(3, 8, 5))
    new = parametrizations.weight_norm(nn.Conv1d(8, 16, 5))
    tensors = {f"convs.0.{name}": tensor for name, tensor in old.state_dict().items()}
    tensors |= {f"convs.1.{name}": tensor for name, tensor in new.state_dict().items()}
    layers, skipped = found(tensors)
    assert skipped == ()
    assert [(layer.layer, layer.form) for layer in layers] == [
        ("convs.0", Form.WEIGHT_NORM),
        ("convs.1", Form.WEIGHT_NORM),
    ]


def test_a_matrix_whose_name_ends_in_v_is_no_singular_vector() -> None:
    """Beside `weight` a vector `weight_v` serves it; a whole matrix of that name is a parameter of its own."""
    layers, skipped = found({"a.weight": torch.ones(4, 6), "a.weight_v": torch.ones(6, 6), "a.weight_u": torch.ones(4)})
    assert [layer.key for layer in layers] == ["a.weight"]
    assert [(item.name, item.reason) for item in skipped] == [("a.weight_v", SkipReason.UNKNOWN_LAYER)]
    assert found({"a.weight": torch.ones(4, 6), "a.weight_v": torch.ones(1, 6)})[1] == ()


def test_a_group_of_a_weight_normalised_layer_is_computed_alone() -> None:
    """Its rows have magnitudes of their own: the parts equal the rows of the whole."""
    torch.manual_seed(0)
    chain = [
        parametrizations.weight_norm(nn.Conv1d(1, 8, 3)),
        parametrizations.weight_norm(nn.Conv1d(8, 16, 3, groups=4)),
    ]
    tensors = {
        f"convs.{i}.{name}": tensor for i, module in enumerate(chain) for name, tensor in module.state_dict().items()
    }
    layers = [layer for layer in found(tensors)[0] if layer.layer == "convs.1"]
    assert len(layers) == 4
    whole = np.concatenate([layer.read() for layer in layers])
    used = chain[1].weight
    assert isinstance(used, Tensor)
    np.testing.assert_allclose(whole, used.detach().flatten(1).numpy(), rtol=1e-6)


def test_a_weight_norm_shared_by_two_names_counts_once() -> None:
    """The same two tensors under another name are the same layer."""
    module = parametrizations.weight_norm(nn.Linear(4, 3))
    tensors = {f"{name}.{key}": value for name in ("a", "b") for key, value in module.state_dict().items()}
    layers, skipped = found(tensors)
    assert [layer.layer for layer in layers] == ["a"]
    assert [(item.name, item.reason) for item in skipped] == [("b", SkipReason.SHARED)]


def test_a_weight_norm_is_multiplied_out_in_one_copy() -> None:
    """Beside the stored values the result and small parts in float64; the squares of all are never held."""
    direction = np.random.default_rng(0).standard_normal((512, 512, 3, 3)).astype(np.float32)
    magnitude = np.ones((512, 1, 1, 1), dtype=np.float32)
    tracemalloc.start()
    try:
        values = normalised(magnitude, direction)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert values.nbytes <= peak < 1.3 * values.nbytes
    wide = direction.astype(np.float64)
    np.testing.assert_allclose(
        values, wide / np.linalg.norm(wide.reshape(512, -1), axis=1).reshape(512, 1, 1, 1), rtol=1e-14
    )


@pytest.mark.parametrize("shape", [(700, 1, 1), (1, 900, 1), (1, 1, 3), (1, 1, 1), (1,), ()])
def test_lengths_are_those_of_the_whole(shape: tuple[int, ...]) -> None:
    """Some rows at a time, whatever the axes that a magnitude has one value along."""
    direction = np.random.default_rng(1).standard_normal((700, 900, 3))
    axes = tuple(axis for axis in range(3) if len(shape) != 3 or shape[axis] == 1)
    expected = np.sqrt(np.sum(direction**2, axis=axes, keepdims=True))
    np.testing.assert_allclose(lengths(direction, shape), expected, rtol=1e-13)
