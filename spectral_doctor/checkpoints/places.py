"""Names of files that lie elsewhere: the little of a path that naming and ordering need."""

from __future__ import annotations

import re
from dataclasses import dataclass

_URL = re.compile(r"^[a-z][a-z0-9+.-]+(::|://)", re.IGNORECASE)


def is_remote(text: str) -> bool:
    """Say whether a text names a place by its protocol, as `s3://bucket/run` does."""
    return bool(_URL.match(text))


@dataclass(frozen=True)
class RemotePath:
    """A file, or a folder that is one checkpoint, by its URL."""

    url: str
    is_folder: bool = False

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return self.url.rstrip("/").rsplit("/", 1)[-1]

    @property
    def parent(self) -> RemotePath:
        """The folder it lies in."""
        protocol, separator, place = self.url.rstrip("/").partition("://")
        above, slash, _ = place.rpartition("/")
        return RemotePath(f"{protocol}{separator}{above or slash}", is_folder=True)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self.url.rstrip('/')}/{name}")

    def __str__(self) -> str:
        return self.url
