"""HTML as a type: text becomes markup only through `tag`, which escapes it."""

from __future__ import annotations

import html
from collections.abc import Iterable

from spectral_doctor.errors import printable

_VOID = frozenset({"meta", "link", "input", "br", "img"})


class Markup(str):
    """Text that is HTML already; every other string is escaped on its way into a tag."""

    __slots__ = ()


def escaped(text: object) -> Markup:
    """Any text as HTML: what does not print is written as its escape, what has a meaning in HTML as its entity."""
    return text if isinstance(text, Markup) else Markup(html.escape(printable(text)))


def joined(parts: Iterable[str | None]) -> Markup:
    """Parts one after the other, each escaped unless it is markup; None is nothing."""
    return Markup("".join(escaped(part) for part in parts if part is not None))


def tag(name: str, /, *children: str | None, **attributes: str | int | bool | None) -> Markup:
    """An element with its children and attributes; every string in it that is no markup is escaped.

    `class_` is written `class` and `aria_label` `aria-label`; True is an attribute without a value, None and
    False are none at all.
    """
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        written.append(f" {attribute}" if value is True else f' {attribute}="{escaped(str(value))}"')
    opening = f"<{name}{''.join(written)}>"
    return Markup(opening if name in _VOID else f"{opening}{joined(children)}</{name}>")


def scroll_region(label: str, content: Markup) -> Markup:
    """Content that may be wider than the page, in a box that mouse, finger and keyboard can scroll."""
    return tag("div", content, class_="scroll", role="region", tabindex=0, aria_label=label)
