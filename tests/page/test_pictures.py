"""The README's pictures of the page and of rolloutctl show what both look like now: they are taken anew, and their sizes and words compared."""

import json
import os
import subprocess
import xml.etree.ElementTree

from processes import BUILD, DEADLINE_S, ROOT

DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
PAGES = ("page-light.png", "page-dark.png")
MOST_BYTES = 200 * 1000


def test_the_readme_shows_them():
    assert '<source media="(prefers-color-scheme: dark)" srcset="docs/page-dark.png">' in README and 'src="docs/page-light.png"' in README
    assert "](docs/watch.svg)" in README
    assert len(README.encode()) <= 9 * 1024
    for name in (*PAGES, "watch.svg"):
        assert (DOCS / name).stat().st_size <= MOST_BYTES, name


def test_they_are_what_the_program_shows(tmp_path):
    subprocess.run([ROOT / "tests/support/record-page", tmp_path], check=True, timeout=5 * DEADLINE_S, env={**os.environ, "ROLLOUT_BUILD": BUILD.name})
    kept, now = (json.loads((folder / "pictures.json").read_text()) for folder in (DOCS, tmp_path))
    assert now == kept, "the pictures are old: take them with tests/support/record-page"
    for name in PAGES:
        assert (tmp_path / name).stat().st_size <= MOST_BYTES, name


def test_the_terminals_picture_has_its_text():
    """For those who do not see it, and it is well-formed."""
    picture = xml.etree.ElementTree.parse(DOCS / "watch.svg").getroot()
    title = picture.find("{http://www.w3.org/2000/svg}title").text
    drawn = [text.text for text in picture.findall("{http://www.w3.org/2000/svg}text")]
    assert all(text.strip() in title for text in drawn)
    for word in json.loads((DOCS / "pictures.json").read_text())["words"]["watch"]:
        assert word in title
