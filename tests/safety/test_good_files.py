"""Good files that look suspicious are read: a refusal that is wrong sends people back to `torch.load`."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from spectral_doctor.inspection import inspect_paths
from tests.safety.good import Discriminator, write_good


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every good file by what it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return write_good(tmp_path_factory.mktemp("good"))


def test_no_good_file_is_refused(good: dict[str, Path]) -> None:
    """Each gives its discriminator, with every layer that the saved one has."""
    assert len(good) > 100
    layers = {title: _layers(path) for title, path in good.items()}
    wrong = {title: count for title, count in layers.items() if count < 3}
    assert not wrong


def _layers(path: Path) -> int:
    inspection = inspect_paths(path)
    assert not inspection.failures
    return sum(len(item.trajectory.layers) for item in inspection.diagnoses)


def test_a_module_has_the_layers_that_it_has(good: dict[str, Path]) -> None:
    """The oracle of the count: convolutions of the network that was saved whole."""
    own = sum(parameter.ndim == 4 for parameter in Discriminator().parameters())
    assert _layers(good["a module whole"]) == own == 3
