"""Trackers by name: what each library is called with, and one sentence where it is not there."""

from __future__ import annotations

import sys
import threading
from io import FileIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from spectral_doctor.cli import app
from spectral_doctor.errors import MissingExtra
from spectral_doctor.training.tracking import TensorBoard, named_trackers

VALUES = {"plateau/conv[group 1/2]": 0.5, "best_plateau": 0.9}
PREFIXED = {f"spectral/{key}": value for key, value in VALUES.items()}


class Recorder(ModuleType):
    """A library that writes down how it was called."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.run: Any = None
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append((name, arguments, named))
            return SimpleNamespace(log=lambda *more, **beside: self.calls.append(("run.log", more, beside)))

        return call


@pytest.mark.parametrize(
    ("name", "called", "expected"),
    [
        ("wandb", "log", (({"spectral/step": 7, **PREFIXED},), {})),
        ("trackio", "run.log", ((PREFIXED,), {"step": 7})),
        ("mlflow", "log_metrics", (({"spectral/plateau/conv_group 1/2_": 0.5, "spectral/best_plateau": 0.9}, 7), {})),
    ],
)
def test_a_tracker_gets_the_numbers_of_a_step(
    name: str, called: str, expected: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Under one prefix, with the step, and by names that the library takes."""
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    library = Recorder(name)
    monkeypatch.setitem(sys.modules, name, library)
    named_trackers()[name](tmp_path)(7, VALUES)
    assert [(arguments, named) for call, arguments, named in library.calls if call == called] == [expected]
    begun = [named["project"] for call, _, named in library.calls if call == "init"]
    assert begun == ([] if name == "mlflow" else ["spectral-doctor"])


def test_a_run_that_is_open_is_logged_into(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """wandb's own run of the training script stays the one; a project that its variable names is not overruled."""
    library = Recorder("wandb")
    monkeypatch.setitem(sys.modules, "wandb", library)
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    named_trackers()["wandb"](tmp_path)
    assert ("init", (), {"project": None}) in library.calls
    library.run, library.calls = object(), []
    named_trackers()["wandb"](tmp_path)
    assert "init" not in {call for call, _, _ in library.calls}


def test_tensorboard_reads_back_what_was_written(tmp_path: Path) -> None:
    """By its own reader: numbers with their steps, a picture's size; two of one second are two files."""
    pytest.importorskip("tensorboard")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for step in (3, 9):
        board = TensorBoard(tmp_path / "new" / "board")
        board(step, VALUES)
        board.picture("spectra", FigureCanvasAgg(Figure(figsize=(2, 1), dpi=50)).figure, step)
    read = EventAccumulator(str(tmp_path / "new" / "board"))
    read.Reload()
    for name, value in VALUES.items():
        assert [(item.step, round(item.value, 6)) for item in read.Scalars(name)] == [(3, value), (9, value)]
    assert [(item.step, item.width, item.height) for item in read.Images("spectra")] == [(3, 100, 50), (9, 100, 50)]
    assert len(list((tmp_path / "new" / "board").iterdir())) == 2


def test_a_full_disk_is_one_error_and_leaves_no_torn_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A write that is done by half is taken back, and what is written when there is room again is read; no thread."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = TensorBoard(tmp_path)
    board(1, VALUES)
    (path,), threads = list(tmp_path.iterdir()), threading.active_count()
    whole = path.read_bytes()

    class Full(FileIO):
        def write(self, data: Any) -> int:
            return super().write(data[: len(data) // 2])

    with monkeypatch.context() as full:
        full.setattr(Path, "open", lambda self, *_, **__: Full(self, "ab"))
        with pytest.raises(OSError, match="No space left on device"):
            board(2, VALUES)
    assert path.read_bytes() == whole
    board(3, VALUES)
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert [item.step for item in read.Scalars("best_plateau")] == [1, 3]
    assert threading.active_count() == threads
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Which, and what to install; also from the command line, before anything is watched."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard" if name == "tensorboard" else name, None)
    sentence = f"the tracker {name} needs {name}: pip install 'spectral-doctor[{name}]'"
    with pytest.raises(MissingExtra) as error:
        named_trackers()[name](tmp_path)
    assert str(error.value) == sentence
    result = CliRunner().invoke(app, ["watch", str(tmp_path), "--once", "--tracker", name])
    assert (result.exit_code, result.stderr, result.stdout) == (2, f"error: {sentence}\n", "")


def test_a_name_that_is_no_tracker_is_told_the_names(tmp_path: Path) -> None:
    """And how a function of one's own is named."""
    result = CliRunner().invoke(app, ["watch", str(tmp_path), "--once", "--tracker", "neptune"])
    assert result.exit_code == 2
    assert result.stderr == (
        "error: --tracker neptune: expected one of 'wandb', 'mlflow', 'tensorboard', 'trackio', or your own as "
        "FILE.PY:FUNCTION.\n"
    )


def test_a_tracker_that_fails_ends_no_run(tmp_path: Path) -> None:
    """Its failure is said once, with the step; the training ends as it does without it, all checkpoints there."""
    (tmp_path / "mine.py").write_text("def track(step, values):\n    raise ConnectionError('no network')\n")
    arguments = ["train", "ring", "-o", str(tmp_path / "run"), "--steps", "4", "--no-pictures", "--set", "save_every=2"]
    arguments += ["--set", "samples=64", "--tracker", f"{tmp_path / 'mine.py'}:track"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("ConnectionError: no network at step 0; it gets no more numbers, the run goes on.") == 1
    assert len(list((tmp_path / "run").glob("step-*.pt"))) == 3
