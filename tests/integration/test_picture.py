"""The README's picture is what docs/draw-rollout makes of the data of a real run."""

import json
import subprocess
import xml.etree.ElementTree

from processes import ROOT

DOCS = ROOT / "docs"


def test_the_picture_is_drawn_from_the_recorded_data():
    drawn = subprocess.run([DOCS / "draw-rollout"], input=(DOCS / "rollout.json").read_bytes(), capture_output=True, check=True).stdout
    assert drawn == (DOCS / "rollout.svg").read_bytes(), "docs/draw-rollout < docs/rollout.json > docs/rollout.svg"
    xml.etree.ElementTree.fromstring(drawn)
    assert "](docs/rollout.svg)" in (ROOT / "README.md").read_text()


def test_the_recorded_data_shows_what_the_readme_says():
    good, bad = json.loads((DOCS / "rollout.json").read_text())["runs"]
    assert (good["status"], bad["status"]) == ("completed", "failed")
    assert [weight for _, weight in good["weights"]] == [0, 5, 25, 50, 100]
    assert sum(second["failed"] for second in good["seconds"]) == 0
    assert bad["weights"][-1][1] == 0 and bad["weights"][-1][0] > bad["spoilt"]
    failed = sum(second["failed"] for second in bad["seconds"])
    total = sum(second["blue"] + second["green"] + second["failed"] for second in bad["seconds"])
    assert 0 < failed <= 0.1 * total
