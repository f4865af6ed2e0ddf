"""Good files that look as if something were wrong with them: each holds a whole discriminator, and must be read."""

from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import enum
import fractions
import functools
import io
import logging
import pickle
import random
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from tests import stylegan
from tests.builders import small_discriminator


class Phase(enum.Enum):
    """A setting that is one of a few."""

    WARM = "warm"


class Shape(NamedTuple):
    """A setting of two numbers."""

    height: int
    width: int


@dataclass
class Settings:
    """What many training scripts save beside their weights."""

    name: str = "run"
    sizes: list[int] = field(default_factory=lambda: [64, 128])
    phase: Phase = Phase.WARM


class AttributeDict(dict[str, Any]):
    """A dict whose keys are attributes, as several libraries have one each."""

    __getattr__ = dict.__getitem__


class Registry(collections.OrderedDict[str, Any]):
    """An ordered dict of a class of its own."""


class Discriminator(nn.Module):
    """A network that is saved whole."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 16, 3), nn.LeakyReLU(0.2), nn.Conv2d(16, 16, 3), nn.Conv2d(16, 1, 3))
        self.criterion = nn.BCEWithLogitsLoss()


def _normalised() -> Discriminator:
    network = Discriminator()
    for index in (0, 2):
        nn.utils.spectral_norm(network.layers[index])
    return network


def beside() -> dict[str, object]:
    """What is saved beside the weights, by what it is."""
    network = Discriminator()
    optimizer = torch.optim.Adam(network.parameters())
    return {
        "argparse.Namespace": argparse.Namespace(lr=1e-4, out=Path("run"), device=torch.device("cpu")),
        "NumPy numbers": {"fid": np.float64(3.5), "step": np.int64(7), "best": np.bool_(True)},
        "NumPy arrays": {"losses": np.arange(3.0), "names": np.array(["a", "b"]), "any": np.array([{}, None])},
        "a structured array": np.zeros(2, dtype=[("a", "f4"), ("b", "i8")]),
        "NumPy's random state": np.random.RandomState(0).get_state(),
        "a NumPy generator": np.random.default_rng(0),
        "Python's random state": random.Random(0).getstate(),
        "PyTorch's random state": torch.get_rng_state(),
        "a subclass of OrderedDict": Registry(a=1, b=Registry(c=2)),
        "a subclass of dict": AttributeDict(a=1, b=AttributeDict(c=2)),
        "a defaultdict": collections.defaultdict(list, {"a": [1]}),
        "a Counter": collections.Counter("abc"),
        "a deque": collections.deque([1.0, 2.0], maxlen=10),
        "a dataclass": Settings(),
        "a named tuple": Shape(28, 28),
        "an enum": {"phase": Phase.WARM},
        "a class": {"activation": nn.LeakyReLU, "optimizer": torch.optim.Adam},
        "functions by their names": {"loss": nn.functional.softplus, "count": len},
        "functools.partial": functools.partial(nn.LeakyReLU, 0.2),
        "a pattern": re.compile("D_([0-9]+)"),
        "a logger": logging.getLogger("training"),
        "times": [datetime.datetime(2024, 5, 1), datetime.timedelta(1), datetime.UTC],
        "other numbers": [decimal.Decimal("0.1"), fractions.Fraction(1, 3), 3 + 4j, 10**30],
        "a UUID": uuid.UUID(int=7),
        "sets and ranges": [{1, 2}, frozenset("ab"), range(3), slice(1, 2), b"bytes", bytearray(b"more")],
        "PyTorch's own values": [torch.float16, torch.device("cpu"), torch.Size([2]), torch.strided],
        "a parameter": nn.Parameter(torch.ones(3)),
        "an optimizer whole": optimizer,
        "a schedule whole": torch.optim.lr_scheduler.StepLR(optimizer, 10),
        "a schedule's state": torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch).state_dict(),
        "a gradient scaler": torch.amp.GradScaler("cpu").state_dict(),
        "text that looks like code": {"cmd": "os.system('rm -rf /')", "eval": "__import__('os')", "html": "<script>"},
        "a pickle as bytes": pickle.dumps({"a": 1}),
        "sparse and quantised tensors": [
            torch.eye(3).to_sparse(),
            torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        ],
    }


def _saved(content: object, legacy: bool = False) -> bytes:
    target = io.BytesIO()
    torch.save(content, target, _use_new_zipfile_serialization=not legacy)
    return target.getvalue()


def _lightning() -> dict[str, object]:
    """A checkpoint as Lightning writes one, with the settings of a script in it."""
    state = {f"discriminator.{key}": value for key, value in small_discriminator().items()}
    return {
        "epoch": 1,
        "global_step": 100,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": "a", "best_k_models": {}}},
        "optimizer_states": [{"state": {}, "param_groups": []}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": AttributeDict(lr=1e-4, settings=Settings(), net=nn.LeakyReLU, args=argparse.Namespace(a=1)),
    }


def _numpy_dict() -> dict[str, object]:
    return {"discriminator": {key: value.numpy() for key, value in small_discriminator().items()}, "step": 3}


def whole_files() -> dict[str, Callable[[], tuple[str, bytes]]]:
    """Files that are more than weights by what they are: each a name and its bytes."""
    made: dict[str, Callable[[], tuple[str, bytes]]] = {
        "a module whole": lambda: ("D.pt", _saved(Discriminator())),
        "a module whole, legacy": lambda: ("D.pth", _saved(Discriminator(), legacy=True)),
        "a module under spectral norm": lambda: ("D.pt", _saved(_normalised())),
        "a module of DataParallel": lambda: ("D.pt", _saved(nn.DataParallel(Discriminator()))),
        "modules whole beside each other": lambda: ("run.pt", _saved({"netD": Discriminator(), "args": Settings()})),
        "Lightning": lambda: ("last.ckpt", _saved(_lightning())),
        "Lightning, legacy": lambda: ("last.ckpt", _saved(_lightning(), legacy=True)),
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        made[f"NumPy arrays by protocol {protocol}"] = functools.partial(_pickled, protocol)
    return made


def _pickled(protocol: int) -> tuple[str, bytes]:
    return "D.pkl", pickle.dumps(_numpy_dict(), protocol=protocol)


def write_good(folder: Path) -> dict[str, Path]:
    """Write every good file; return the path of each by what it is."""
    found: dict[str, Path] = {}
    files = {title: make() for title, make in whole_files().items()}
    for title, value in beside().items():
        whole = {"discriminator": small_discriminator(), "epoch": 3, "extra": value}
        files[f"{title}, zip"] = ("D.pt", _saved(whole))
        files[f"{title}, legacy"] = ("D.pth", _saved(whole, legacy=True))
        files[f"{title}, pickle"] = ("D.pkl", pickle.dumps({**_numpy_dict(), "extra": value}, protocol=4))
    for number, (title, (name, content)) in enumerate(files.items()):
        path = folder / str(number) / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        found[title] = path
    found["a StyleGAN snapshot"] = stylegan.snapshot(folder / "snapshot.pkl", stylegan.Discriminator())
    arrays: dict[str, Any] = {f"discriminator.{key}": value.numpy() for key, value in small_discriminator().items()}
    np.savez(folder / "D.npz", **arrays, settings=np.array([{}], dtype=object))
    found["objects in a NumPy archive"] = folder / "D.npz"
    return found
