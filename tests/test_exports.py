"""The public names: sorted, complete, and imported on first use."""

from __future__ import annotations

import subprocess
import sys

import pytest

import spectral_doctor


def test_all_is_sorted_and_matches_the_homes() -> None:
    """`__all__` lists each lazily resolved name once, in order."""
    assert spectral_doctor.__all__ == sorted(spectral_doctor.__all__)
    assert set(spectral_doctor.__all__) == {*spectral_doctor._HOMES, "__version__"}


@pytest.mark.parametrize("name", spectral_doctor.__all__)
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    """Each name exists, and says in a sentence what it is."""
    public = getattr(spectral_doctor, name)
    assert name == "__version__" or (public.__doc__ or "").strip()


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as on any module."""
    with pytest.raises(AttributeError, match="module 'spectral_doctor' has no attribute 'Spektrum'"):
        _ = spectral_doctor.Spektrum


def test_importing_the_package_imports_nothing_heavy() -> None:
    """`import spectral_doctor` alone costs no torch."""
    script = "import spectral_doctor, sys; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
