"""Real samples from what a user names, in the generator's shape and scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spectral_doctor.errors import UsageError
from spectral_doctor.generators.data import reader, real_samples


def test_bytes_become_what_a_tanh_makes_and_numbers_stay(tmp_path: Path) -> None:
    """0 to 255 as −1 to 1, channels first; the largest array of an archive."""
    pictures = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", labels=np.arange(20), images=pictures)
    made = real_samples(str(tmp_path / "data.npz"), (3, 8, 8), 20)
    np.testing.assert_array_equal(made, np.moveaxis(pictures, -1, 1).astype(np.float32) / 127.5 - 1)
    numbers = np.random.default_rng(0).standard_normal((20, 5))
    np.save(tmp_path / "data.npy", numbers)
    np.testing.assert_array_equal(real_samples(str(tmp_path / "data.npy"), (5,), 20), numbers.astype(np.float32))
    flat = real_samples(str(tmp_path / "data.npz"), (192,), 20)
    np.testing.assert_array_equal(flat, made.reshape(20, 192))


def test_a_share_is_drawn_by_the_seed(tmp_path: Path) -> None:
    """As many as are asked for, without one twice."""
    np.save(tmp_path / "data.npy", np.arange(100.0)[:, None])
    one, again, other = (reader(str(tmp_path / "data.npy"), 30, seed)((1,)) for seed in (0, 0, 1))
    assert len(set(one.reshape(-1))) == 30
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (64,), (192,)])
def test_a_folder_of_pictures_is_fitted_to_the_generators(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """The largest centred square, in grey or in colours."""
    Image.new("RGB", (24, 16), (255, 255, 255)).save(tmp_path / "white.png")
    Image.new("L", (16, 16), 0).save(tmp_path / "black.jpg")
    made = real_samples(str(tmp_path), shape)
    assert made.shape == (2, *shape)
    assert sorted(made.reshape(2, -1).mean(axis=1)) == pytest.approx([-1.0, 1.0])


def test_a_recipe_gives_its_own_data() -> None:
    """By name."""
    made = real_samples("ring", (2,), 500)
    assert np.linalg.norm(made, axis=1) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (
            "nothing",
            (2,),
            "no such file, folder or recipe; name a .npy or .npz file, a folder of pictures, a recipe that "
            "`recipes` lists, or your own as FILE.py:RECIPE.",
        ),
        ("TMP/data.npy", (7,), "its samples have the shape (5,), and the generator's (7,); name data of that shape."),
        ("TMP/nan.npy", (5,), "it holds NaN or infinity."),
        ("TMP/text.csv", (5,), "expected a .npy or .npz file, a folder of pictures or a recipe."),
        ("TMP/empty", (5,), "expected a folder with pictures, found none in it."),
        ("TMP/words.npz", (5,), "expected an array of numbers (samples, …), found none in it."),
        ("TMP/pictures", (5,), "the generator makes (5,), which are no square pictures."),
    ],
)
def test_data_that_do_not_fit_say_why(tmp_path: Path, name: str, shape: tuple[int, ...], message: str) -> None:
    """Each with the way out."""
    for folder in ("empty", "pictures"):
        (tmp_path / folder).mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "pictures" / "one.png")
    (tmp_path / "text.csv").write_text("1,2")
    np.save(tmp_path / "data.npy", np.zeros((9, 5)))
    np.save(tmp_path / "nan.npy", np.full((9, 5), np.nan))
    np.savez(tmp_path / "words.npz", words=np.array(["a", "b"]))
    source = name.replace("TMP", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        real_samples(source, shape)
    assert str(caught.value) == f"--data {source}: {message}"


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    """An object array is refused, for loading it would run code."""
    np.save(tmp_path / "objects.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match="cannot be read as NumPy data: Object arrays cannot be loaded"):
        real_samples(str(tmp_path / "objects.npy"), (1,))
