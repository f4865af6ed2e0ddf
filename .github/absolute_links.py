"""Before a release: README's links to files of the project become absolute, and the project's addresses are entered.

    python .github/absolute_links.py OWNER/REPOSITORY TAG

The package page shows README without the files beside it, so that a relative picture would not be found there. Where
the project lives is known to the workflow that releases it, and stands nowhere else.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)\s]+)\)")


def absolute(text: str, repository: str, tag: str) -> str:
    """Markdown with its relative links made absolute: pictures as files, all else as pages of the repository."""

    def link(found: re.Match[str]) -> str:
        picture, words, path = found.groups()
        host = "https://raw.githubusercontent.com" if picture else "https://github.com"
        place = f"{host}/{repository}/{tag}" if picture else f"{host}/{repository}/blob/{tag}"
        return f"{picture}[{words}]({place}/{path})"

    return _LINK.sub(link, text)


def with_addresses(project: str, repository: str) -> str:
    """pyproject.toml with a table of the project's addresses."""
    home, owner, name = f"https://github.com/{repository}", *repository.split("/")
    addresses = {
        "Homepage": home,
        "Documentation": f"https://{owner}.github.io/{name}/",
        "Issues": f"{home}/issues",
        "Changelog": f"{home}/blob/main/CHANGELOG.md",
    }
    table = "\n".join(f'{key} = "{value}"' for key, value in addresses.items())
    return project.replace(
        "[project.optional-dependencies]", f"[project.urls]\n{table}\n\n[project.optional-dependencies]", 1
    )


if __name__ == "__main__":
    repository, tag = sys.argv[1:]
    readme, project = ROOT / "README.md", ROOT / "pyproject.toml"
    readme.write_text(absolute(readme.read_text(encoding="utf-8"), repository, tag), encoding="utf-8")
    project.write_text(with_addresses(project.read_text(encoding="utf-8"), repository), encoding="utf-8")
