"""Texts of documents that others wrote: at whatever place a bad one stands, it never reaches the terminal as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.safety.fuzzing import read_changed
from tests.safety.readers import Reader, readers

BAD = "a\x1b[31m\u202eb"
# Of the long documents every so many places are tried; steps without a common factor, so that all kinds come.
EVERY = {"shards": 1, "baseline": 1, "metrics": 1, "reference": 3, "rows": 7, "rows gone on from": 7, "history": 11}


def with_bad_texts(value: Any) -> Iterator[Any]:
    """A document once for every text and every key in it, with that one bad; of a list, in its first two entries."""
    if isinstance(value, str):
        yield BAD
    elif isinstance(value, dict):
        for key, item in value.items():
            yield {(BAD if name == key else name): one for name, one in value.items()}
            yield from ({**value, key: other} for other in (BAD, *with_bad_texts(item)))
    elif isinstance(value, list):
        for place, item in enumerate(value[:2]):
            yield from ([*value[:place], other, *value[place + 1 :]] for other in with_bad_texts(item))


def contents(content: bytes) -> Iterator[bytes]:
    """The same of a file: one JSON text, or a line each."""
    try:
        yield from (json.dumps(bad).encode() for bad in with_bad_texts(json.loads(content)))
    except ValueError:
        lines = content.split(b"\n")
        for place, line in enumerate(lines[:-1]):
            for bad in with_bad_texts(json.loads(line)):
                yield b"\n".join([*lines[:place], json.dumps(bad).encode(), *lines[place + 1 :]])


@pytest.mark.parametrize("name", EVERY)
def test_no_text_of_a_document_reaches_the_terminal(name: str) -> None:
    """Escaped, or not at all; each read ends as it may."""
    reader = readers()[name]
    tried = 0
    for file in reader.changed:
        for content in list(contents(reader.files[file]))[:: EVERY[name]]:
            given: Reader = replace(reader, files={**reader.files, file: content}, change=lambda _, same: same)
            end = read_changed(given, "0")
            assert not end.fault, f"{content.decode()[:500]}: {end.fault}"
            tried += 1
    assert tried >= 10


def test_every_place_is_tried() -> None:
    """Keys, texts, and the first entries of a list; numbers are left alone."""
    assert list(with_bad_texts({"a": [1, "x"], "b": 2})) == [
        {BAD: [1, "x"], "b": 2},
        {"a": BAD, "b": 2},
        {"a": [1, BAD], "b": 2},
        {"a": [1, "x"], BAD: 2},
        {"a": [1, "x"], "b": BAD},
    ]
