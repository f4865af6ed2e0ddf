"""Files in the shapes in which the StyleGAN family saves its networks: objects with their source code beside them.

The modules that such a pickle names (`torch_utils.persistence`, `dnnlib`) are written here in a few lines of our
own and stand in `sys.modules` only while a file is written or, as the negative, loaded.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

VERSION = 6


class EasyDict(dict[str, Any]):
    """A dict whose keys are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error


def _reconstruct_persistent_obj(meta: Mapping[str, Any]) -> object:
    """Run the source that the file brings along, and make an object of the class in it."""
    module = ModuleType("imported_from_a_pickle")
    exec(meta["module_src"], module.__dict__)
    made = object.__new__(module.__dict__[meta["class_name"]])
    made.__dict__.update(meta["state"])
    return made


class Persistent(nn.Module):
    """A module that is pickled as its source and its state."""

    source = ""

    def __reduce__(self) -> tuple[object, ...]:
        meta = {
            "type": "class",
            "version": VERSION,
            "module_src": self.source,
            "class_name": type(self).__name__,
            "state": self.__dict__,
        }
        return _reconstruct_persistent_obj, (meta,), None

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        return self.__reduce__()


class Layer(Persistent):
    """A layer with equalised learning rate: the weight is raw, and its gain is not a tensor."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        self.register_buffer("resample_filter", torch.ones(4, 4))
        self.weight_gain = 1 / torch.randn(shape)[0].numel() ** 0.5


class Block(Persistent):
    """One resolution of a discriminator."""

    def __init__(self, width: int, colours: bool) -> None:
        super().__init__()
        if colours:
            self.fromrgb = Layer(width, 3, 1, 1)
        self.conv0 = Layer(width, width, 3, 3)
        self.conv1 = Layer(width, width, 3, 3)
        self.skip = Layer(width, width, 1, 1)


class Epilogue(Persistent):
    """The last resolution, down to one output."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = Layer(width, width + 1, 3, 3)
        self.fc = Layer(width, 16 * width)
        self.out = Layer(1, width)


class Discriminator(Persistent):
    """StyleGAN2's and StyleGAN3's, by its names."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.b16 = Block(width, colours=True)
        self.b8 = Block(width, colours=False)
        self.b4 = Epilogue(width)


class Generator(Persistent):
    """A stand-in with a mapping and a synthesis network."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(width, width), nn.Linear(width, width))
        self.synthesis = Layer(3, width, 1, 1)


class Stage(Persistent):
    """One stage of R3GAN's: a transition, then residual layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.Layers = nn.ModuleList([Residual(width), Residual(width)])


class Residual(Persistent):
    """Three convolutions, the second of them grouped."""

    def __init__(self, width: int) -> None:
        super().__init__()
        for number, shape in ((1, (width, width, 1, 1)), (2, (width, width // 4, 3, 3)), (3, (width, width, 1, 1))):
            inner = Persistent()
            inner.Layer = nn.Conv2d(1, 1, 1)
            inner.Layer.weight = nn.Parameter(torch.randn(shape))
            self.add_module(f"LinearLayer{number}", inner)


class StagedDiscriminator(Persistent):
    """R3GAN's, by its names."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.MainLayers = nn.ModuleList([Stage(width), Stage(width)])


class Projected(Persistent):
    """Projected GAN's: a frozen feature network, and small discriminators under spectral norm."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.feature_network = nn.Sequential(nn.Conv2d(3, width, 3), nn.Conv2d(width, width, 3))
        self.discriminator = Persistent()
        self.discriminator.mini_discs = nn.ModuleDict({str(index): self._small(width) for index in range(2)})

    @staticmethod
    def _small(width: int) -> nn.Module:
        layers = [nn.Conv2d(width, width, 3), nn.Conv2d(width, width, 3), nn.Conv2d(width, 1, 3)]
        return nn.Sequential(*(nn.utils.spectral_norm(layer) for layer in layers))


class Transformed(Persistent):
    """StyleGAN-T's: a frozen DINO, and heads under spectral norm."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.dino = nn.Sequential(nn.Linear(width, width), nn.Linear(width, width))
        self.heads = nn.ModuleDict({str(index): Projected._small(width) for index in range(2)})


@contextmanager
def named_as_in_the_files() -> Iterator[None]:
    """While this is open, the names that the pickles hold exist: `torch_utils.persistence`, `dnnlib.util`."""
    modules = {name: ModuleType(name) for name in ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util")}
    vars(modules["torch_utils.persistence"])["_reconstruct_persistent_obj"] = _reconstruct_persistent_obj
    vars(modules["dnnlib.util"])["EasyDict"] = EasyDict
    vars(modules["torch_utils"])["persistence"] = modules["torch_utils.persistence"]
    vars(modules["dnnlib"])["util"] = modules["dnnlib.util"]
    before = (_reconstruct_persistent_obj.__module__, EasyDict.__module__)
    _reconstruct_persistent_obj.__module__, EasyDict.__module__ = "torch_utils.persistence", "dnnlib.util"
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]
        _reconstruct_persistent_obj.__module__, EasyDict.__module__ = before


def snapshot(
    path: Path, discriminator: nn.Module, *, protocol: int = pickle.DEFAULT_PROTOCOL, **others: object
) -> Path:
    """Write a snapshot as the training loops do: networks, moving average, arguments of the data set, and more."""
    content = {
        "G": Generator(),
        "D": discriminator,
        "G_ema": Generator(),
        "augment_pipe": None,
        "training_set_kwargs": EasyDict(class_name="training.dataset.ImageFolderDataset", resolution=16),
        **others,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with named_as_in_the_files():
        path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def network_fragment(network: nn.Module) -> bytes:
    """The instructions of protocol 2 that make a network, without a pickle's beginning and end."""
    with named_as_in_the_files():
        return pickle.dumps(network, protocol=2, fix_imports=False)[2:-1]


def plain_fragment(value: object) -> bytes:
    """The instructions of protocol 2 that make a value."""
    return pickle.dumps(value, protocol=2, fix_imports=False)[2:-1]


def weights(network: nn.Module) -> dict[str, Tensor]:
    """What a network's own state dict says: the oracle."""
    return dict(network.state_dict())
