"""What holds for every test: none of them looks into the user's own cache, or writes there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spectral_doctor.trajectory.cache import VARIABLE


@pytest.fixture(autouse=True, scope="session")
def without_the_users_cache() -> Iterator[None]:
    """The cache is off, in this process and in those that tests start, but where a test names a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "off")
        yield
