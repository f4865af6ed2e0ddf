"""The cache: the same result with it and without, whatever becomes of it, and never that of other values."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from spectral_doctor.checkpoints.formats import FORMATS, format_of
from spectral_doctor.checkpoints.stores import LocalFile
from spectral_doctor.elements import Values
from spectral_doctor.inspection import Inspection, inspect_paths
from spectral_doctor.records import Spectrum
from spectral_doctor.spectrum import Measured, measured
from spectral_doctor.trajectory import file_states, recollection
from spectral_doctor.trajectory.cache import FILE, SpectraCache, cache_folder
from spectral_doctor.trajectory.recollection import digest_of
from tests.builders import save, small_discriminator


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three checkpoints, old enough to be trusted."""
    folder = tmp_path / "run"
    for step in range(1, 4):
        save(folder, f"netD_{100 * step}.pt", small_discriminator(step))
    monkeypatch.setattr(file_states, "SETTLED", -3600.0)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[SpectraCache]:
    """A cache of this test's own."""
    made = SpectraCache(tmp_path / "cache")
    yield made
    made.close()


@pytest.fixture
def decomposed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes that were decomposed for lack of a cached spectrum."""
    shapes: list[tuple[int, ...]] = []

    def noted(values: Values, *, coarse: bool | None = None) -> Measured:
        shapes.append(values.shape)
        return measured(values, coarse=coarse)

    monkeypatch.setattr(recollection, "measured", noted)
    return shapes


def spectra(inspection: Inspection) -> list[object]:
    """Everything that was measured, to the last bit."""
    return [(item.trajectory.steps, item.trajectory.layers) for item in inspection.diagnoses]


def test_a_second_look_costs_its_new_checkpoints_only(
    run: Path, cache: SpectraCache, decomposed: list[tuple[int, ...]]
) -> None:
    """The same result to the last bit; only the new file is decomposed, and by its content a copy is known too."""
    plain = inspect_paths(run)
    assert decomposed == []
    first = inspect_paths(run, cache=cache)
    assert len(decomposed) == 9
    assert inspect_paths(run, cache=cache) == first == plain
    assert len(decomposed) == 9
    save(run, "netD_400.pt", small_discriminator(4))
    assert len(inspect_paths(run, cache=cache).diagnoses[0].trajectory.steps) == 4
    assert len(decomposed) == 12
    shutil.copytree(run, run.parent / "copy")
    assert spectra(inspect_paths(run.parent / "copy", cache=cache)) == spectra(inspect_paths(run))
    assert len(decomposed) == 12


def test_an_untouched_file_is_not_read(run: Path, cache: SpectraCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look reads no weight; a cache of content alone reads all."""
    first = inspect_paths(run, cache=cache)
    monkeypatch.setattr("spectral_doctor.state_dicts.matrices.LayerWeight.read", None)
    assert inspect_paths(run, cache=cache) == first
    monkeypatch.setattr(file_states, "SETTLED", 3600.0)
    with pytest.raises(TypeError):
        inspect_paths(run, cache=cache)


def test_an_untouched_file_is_not_opened(run: Path, cache: SpectraCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look asks the disk for no byte of a checkpoint; one whose times cannot be trusted is read."""
    first = inspect_paths(run, cache=cache)
    monkeypatch.setattr(LocalFile, "read", None)
    monkeypatch.setattr(LocalFile, "span", None)
    assert inspect_paths(run, cache=cache) == first
    monkeypatch.setattr(file_states, "SETTLED", 3600.0)
    with pytest.raises(TypeError):
        inspect_paths(run, cache=cache)


def test_a_file_of_another_format_in_the_place_of_one(run: Path, cache: SpectraCache) -> None:
    """The format is that of the file as it is now, also where its size and modification time are those of the old."""
    inspect_paths(run, cache=cache)
    path, (size, times) = (
        run / "netD_200.pt",
        (lambda told: (told.st_size, told.st_mtime_ns))((run / "netD_200.pt").stat()),
    )
    path.write_bytes(b"no checkpoint".ljust(size))
    os.utime(path, ns=(times, times))
    told = inspect_paths(run, cache=cache)
    assert told == inspect_paths(run)
    assert [item.name for item in told.left_out] == [str(path)]


def test_a_format_that_depends_on_other_files_is_not_remembered(tmp_path: Path) -> None:
    """A data file of TensorFlow's is one only beside its index; what may become one is told anew each time."""
    remembered = set(file_states._BY_ITSELF)
    names = [type(item).__name__ for item in FORMATS]
    assert {"TorchZip", "TorchLegacy", "Safetensors", "PlainPickle"} <= remembered
    assert remembered.isdisjoint(names[names.index("TensorFlowData") :])
    lone = tmp_path / "model.data-00000-of-00001"
    lone.write_bytes(bytes(100))
    alone = format_of(LocalFile(lone))
    (tmp_path / "model.index").write_bytes(bytes(40) + bytes.fromhex("57fb808b247547db"))
    assert type(format_of(LocalFile(lone))).__name__ == "TensorFlowData" != type(alone).__name__


@pytest.mark.parametrize("settled", [-3600.0, 3600.0])
def test_one_changed_bit_is_noticed(
    run: Path, cache: SpectraCache, monkeypatch: pytest.MonkeyPatch, settled: float
) -> None:
    """A weight's lowest bit, with size, name and modification time as they were: by the file's state and by content."""
    monkeypatch.setattr(file_states, "SETTLED", settled)
    path = run / "netD_200.pt"
    before = inspect_paths(run, cache=cache)
    times = path.stat()
    content = bytearray(path.read_bytes())
    largest = small_discriminator(2)["conv2.weight"].abs().max()
    tensor = small_discriminator(2)["conv2.weight"]
    place = content.index(tensor.numpy().tobytes()) + 4 * int((tensor.abs() == largest).flatten().nonzero()[0])
    content[place] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = inspect_paths(run, cache=cache)
    assert spectra(after) == spectra(inspect_paths(run))
    assert spectra(after) != spectra(before)


def test_a_file_that_changed_just_now_is_not_trusted(
    run: Path, cache: SpectraCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its times could not tell that it changes once more; what its matrices hold is kept all the same."""
    monkeypatch.setattr(file_states, "SETTLED", 3600.0)
    inspect_paths(run, cache=cache)
    told = cache.info()
    assert (told.spectra, told.seen) == (9, 0)
    monkeypatch.setattr(file_states, "SETTLED", -3600.0)
    inspect_paths(run, cache=cache)
    assert cache.info().seen == 3


def test_what_was_asked_for_belongs_to_the_key(tmp_path: Path, run: Path, cache: SpectraCache) -> None:
    """Two discriminators of one file with layers of the same names are not taken for each other."""
    both = save(tmp_path, "both.pt", {"one": small_discriminator(1), "two": small_discriminator(2)})
    one = inspect_paths(both, discriminator="one", cache=cache)
    two = inspect_paths(both, discriminator="two", cache=cache)
    assert spectra(two) == spectra(inspect_paths(both, discriminator="two"))
    assert spectra(two) != spectra(one)


def test_what_has_no_spectrum_is_the_same_from_the_cache(tmp_path: Path, cache: SpectraCache, run: Path) -> None:
    """NaN keeps its count and integers their reason, at the second look too."""
    broken = small_discriminator(7)
    broken["conv2.weight"][0, 0, 0, :2] = torch.tensor([float("nan"), float("inf")])
    broken["table.weight"] = torch.ones(5, 6, dtype=torch.int64)
    path = save(tmp_path, "netD_1.pt", broken)
    plain = inspect_paths(path)
    assert [inspect_paths(path, cache=cache) for _ in range(3)] == [plain] * 3
    assert sum(layer.non_finite[0] for layer in plain.diagnoses[0].trajectory.layers) == 2


def damage(path: Path, way: str) -> None:
    """Spoil a cache file."""
    content = bytearray(path.read_bytes())
    if way == "text":
        path.write_bytes(b"no database " * 1000)
    elif way == "half":
        path.write_bytes(content[: len(content) // 2])
    elif way == "empty":
        path.write_bytes(b"")
    else:
        random = np.random.default_rng(int(way.removeprefix("bits ")))
        for place in random.integers(100, len(content), 400):
            content[place] ^= int(random.integers(1, 256))
        path.write_bytes(content)


@pytest.mark.parametrize("way", ["text", "half", "empty", *(f"bits {seed}" for seed in range(8))])
def test_a_damaged_cache_changes_nothing(run: Path, tmp_path: Path, way: str) -> None:
    """Neither the result nor the run: and afterwards there is a whole one again."""
    expected = inspect_paths(run)
    first = SpectraCache(tmp_path / "cache")
    inspect_paths(run, cache=first)
    first.close()
    damage(first.path, way)
    for _ in range(3):
        later = SpectraCache(tmp_path / "cache")
        assert inspect_paths(run, cache=later) == expected
        later.close()
    assert SpectraCache(tmp_path / "cache").info().seen == 3


def test_a_row_that_was_changed_is_not_believed(run: Path, cache: SpectraCache) -> None:
    """A flipped bit in a spectrum is found by its checksum; with the checksum made to fit, it would be believed."""
    expected = inspect_paths(run, cache=cache)
    with sqlite3.connect(cache.path) as connection:
        connection.execute("UPDATE spectra SET content = substr(content, 1, 16) || zeroblob(length(content) - 16)")
    connection.close()
    assert inspect_paths(run, cache=cache) == expected
    other = Measured(Spectrum((2.0, 1.0)), at_bound=0.5)
    cache.keep({b"d" * 32: other}, {})
    assert cache.spectra([b"d" * 32]) == {b"d" * 32: other}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_folder_without_the_right_to_write_is_survived(run: Path, tmp_path: Path) -> None:
    """No cache can be made, and an old one is read and not written."""
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert inspect_paths(run, cache=SpectraCache(closed / "cache")) == inspect_paths(run)


def test_a_read_only_cache_is_read(run: Path, tmp_path: Path, decomposed: list[tuple[int, ...]]) -> None:
    """What it knows is used, what is new is not kept, and nothing is said."""
    first = SpectraCache(tmp_path / "cache")
    inspect_paths(run / "netD_100.pt", cache=first)
    first.close()
    reading = SpectraCache(tmp_path / "cache")
    reading._connection = sqlite3.connect(f"file:{first.path}?mode=ro", uri=True, isolation_level=None)
    assert len(decomposed) == 3
    assert spectra(inspect_paths(run, cache=reading)) == spectra(inspect_paths(run))
    assert len(decomposed) == 9
    assert reading.info().spectra == 3
    reading.close()


def test_where_the_cache_cannot_be_a_folder(run: Path, tmp_path: Path) -> None:
    """A file that stands in its place stays as it is."""
    (tmp_path / "file").write_text("mine")
    assert inspect_paths(run, cache=SpectraCache(tmp_path / "file")) == inspect_paths(run)
    assert (tmp_path / "file").read_text() == "mine"


def _look(run: Path, folder: Path) -> list[list[object]]:
    file_states.SETTLED = -3600.0
    cache = SpectraCache(folder)
    found = [spectra(inspect_paths(run, cache=cache)) for _ in range(5)]
    cache.close()
    return found


def test_processes_share_a_cache(run: Path, tmp_path: Path) -> None:
    """Two that look at once give the same as one alone, and the cache is whole afterwards."""
    expected = spectra(inspect_paths(run))
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        pending = [pool.submit(_look, run, tmp_path / "cache") for _ in range(4)]
        assert all(item.result() == [expected] * 5 for item in pending)
    told = SpectraCache(tmp_path / "cache").info()
    assert (told.spectra, told.seen) == (9, 3)


def test_a_locked_cache_is_survived(run: Path, cache: SpectraCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another process does not let go of it, the run goes on without."""
    monkeypatch.setattr("spectral_doctor.trajectory.cache._PATIENCE", 0.01)
    cache.keep({b"d" * 32: Measured(Spectrum((1.0,)))}, {})
    cache.close()
    other = sqlite3.connect(cache.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert inspect_paths(run, cache=cache) == inspect_paths(run)
    other.execute("ROLLBACK")
    other.close()
    assert cache.info().spectra == 1


def test_the_size_is_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    """However much is put in, the file stays small; without the bound it does not."""
    sizes = []
    for number, largest in enumerate((2**19, 2**40)):
        cache = SpectraCache(tmp_path / str(number), largest)
        for index in range(200):
            values = tuple(float(2000 - position) for position in range(2000))
            cache.keep({index.to_bytes(32, "little"): Measured(Spectrum(values))}, {})
        sizes.append(cache.info().size)
        known = [bool(cache.spectra([index.to_bytes(32, "little")])) for index in range(200)]
        assert known[-1]
        assert known == sorted(known)
        cache.close()
    assert sizes[0] < 2**20 < sizes[1]


def test_clearing_takes_it_away(run: Path, cache: SpectraCache) -> None:
    """And it can be used again at once."""
    inspect_paths(run, cache=cache)
    assert cache.info().spectra == 9
    assert cache.clear()
    assert not cache.path.exists()
    assert cache.info().spectra == 0
    inspect_paths(run, cache=cache)
    assert cache.info().spectra == 9


def test_the_digest_tells_types_shapes_layouts_and_values_apart() -> None:
    """And is the same for the same content in another place."""
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    changed = values.copy()
    changed[2, 3] = np.nextafter(changed[2, 3], np.float32(0))
    different = [
        values,
        changed,
        values.reshape(4, 3),
        values.view(np.int32),
        np.asfortranarray(values),
        np.repeat(values, 2, axis=1)[:, ::2],
    ]
    digests = [digest_of(item, coarse=False) for item in different]
    assert len(set(digests)) == len(digests)
    assert digest_of(values.copy(), coarse=False) == digests[0] != digest_of(values, coarse=True)


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable, else the user's cache folder, else none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert cache_folder({}) == tmp_path / ".cache" / "spectral-doctor"
    assert cache_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/spectral-doctor")
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == tmp_path / ".cache" / "spectral-doctor"
    assert cache_folder({"SPECTRAL_DOCTOR_CACHE": "/x", "XDG_CACHE_HOME": "/c"}) == Path("/x")
    assert cache_folder({"SPECTRAL_DOCTOR_CACHE": "off"}) is None
    assert FILE == "spectra.sqlite3"
