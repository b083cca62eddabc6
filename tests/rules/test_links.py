"""No link of a document leads nowhere."""

from pathlib import Path

import pytest
from tools.documents import REPO, anchors, documents, faults, pages


def test_links_of_every_document_lead_somewhere() -> None:
    assert faults(REPO) == []


def test_menu_of_the_site_names_every_page_once() -> None:
    shown = [path for path in documents(REPO) if path.is_relative_to(REPO / "docs") or path.parent == REPO]
    named = [path for path in pages(REPO) if path in shown]
    assert sorted(named) == sorted(shown)
    assert all(path.is_file() for path in pages(REPO))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a](gone.md)", "README.md:1: gone.md does not exist"),
        ("[a](docs)", "README.md:1: docs is a directory: link a file in it"),
        ("# Title\n\n[a](#other)", "README.md:3: #other has no heading other"),
        ("[a](docs/page.md#nothing)", "README.md:1: docs/page.md#nothing has no heading nothing"),
        ("[a]\n\n[a]: gone.md", "README.md:3: gone.md does not exist"),
        ("[a](https:///path)", "README.md:1: https:///path has no host"),
        ("[a](ftp://example.com/)", "README.md:1: ftp://example.com/ has an unknown scheme ftp"),
    ],
)
def test_link_is_named_when_it_leads_nowhere(tmp_path: Path, text: str, message: str) -> None:
    assert _faults(tmp_path, text) == [message]


@pytest.mark.parametrize(
    "text",
    [
        "[a](docs/page.md), [a](docs/page.md#one--two) and <https://example.com/>",
        "# A `teal env`\n\n[a](#a-teal-env)",
        "```\n[a](gone.md)\n```\nand `[a](gone.md)`",
        "[a](mailto:somebody@example.com)",
    ],
)
def test_link_is_passed_when_it_leads_somewhere(tmp_path: Path, text: str) -> None:
    assert _faults(tmp_path, text) == []


def test_repeated_headings_get_numbered_anchors(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# Same\n## Same\n## Same\n")
    assert anchors(tmp_path / "page.md") == {"same", "same-1", "same-2"}


def _faults(repo: Path, text: str) -> list[str]:
    (repo / "docs").mkdir()
    (repo / "docs/page.md").write_text("# Page\n\n## One & two\n")
    (repo / "README.md").write_text(text)
    return faults(repo)
