"""What stdout is: how wide, whether it shows colours and links, and whether a program reads it."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass

# Terminals that show OSC 8 links, by the variable that they set; TERM_PROGRAM and TERM name others.
_LINKING_VARIABLES = ("WT_SESSION", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "DOMTERM")
_LINKING_PROGRAMS = ("iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby", "rio")
_LINKING_TERMS = ("xterm-kitty", "xterm-ghostty", "alacritty", "foot", "foot-extra", "wezterm")
# VTE (GNOME Terminal and others) has links since 0.50.
_FIRST_VTE = 5000


@dataclass(frozen=True)
class Terminal:
    """Where a report is shown; `whole` says that a program reads it, for which no name may be cut."""

    width: int
    color: bool
    links: bool
    whole: bool


def terminal() -> Terminal:
    """Stdout as it is: at least 80 columns, and 80 where there is no terminal."""
    if not sys.stdout.isatty():
        return Terminal(80, False, os.environ.get("FORCE_HYPERLINK", "0") not in ("", "0"), True)
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Terminal(max(shutil.get_terminal_size().columns, 80), not plain, shows_links(os.environ), False)


def shows_links(environment: Mapping[str, str]) -> bool:
    """Whether a terminal shows OSC 8 links, as far as its variables tell; FORCE_HYPERLINK=1 or 0 decides."""
    forced = environment.get("FORCE_HYPERLINK")
    if forced is not None:
        return forced not in ("", "0")
    if environment.get("TERM") == "dumb":
        return False
    vte = environment.get("VTE_VERSION", "")
    return (
        any(environment.get(name) for name in _LINKING_VARIABLES)
        or environment.get("TERM_PROGRAM") in _LINKING_PROGRAMS
        or environment.get("TERM") in _LINKING_TERMS
        or (vte.isdigit() and int(vte) >= _FIRST_VTE)
    )


def host() -> str:
    """This machine's name, which a link to a file carries so that another machine does not look for it."""
    return socket.gethostname()
