"""The documents: every link leads somewhere, every page is reached from the README, and the README stays short."""

import re

import pytest

from processes import ROOT

PAGES = [path.relative_to(ROOT) for folder in (".", "docs", "docs/reference", "conf", "docker") for path in sorted((ROOT / folder).glob("*.md"))]


def prose(page):
    """Without what stands in code blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", (ROOT / page).read_text(), flags=re.M | re.S)


def links(page):
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if not re.match(r"[a-z]+:", link)]


def anchors(page):
    """As GitHub and others make them of headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", prose(page), re.M)}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (ROOT / page.parent / path).resolve() if path else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.relative_to(ROOT)), link


def test_every_page_is_reached_from_the_readme():
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached:
            continue
        reached.add(page)
        ahead += [target for link in links(page.relative_to(ROOT)) if (target := (page.parent / link.partition("#")[0]).resolve()).suffix == ".md"]
    assert {ROOT / page for page in PAGES} <= reached


def test_the_readme_is_read_in_three_minutes():
    assert (ROOT / "README.md").stat().st_size <= 9 * 1024
