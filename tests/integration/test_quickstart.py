"""conf/quickstart: what it shows is so."""

import re

import pytest

from demonstrations import Demonstration


@pytest.fixture
def quickstart():
    made = Demonstration("quickstart", "--once")
    yield made
    made.close()


def test_the_quick_start_shows_what_it_promises(quickstart):
    assert quickstart.await_end() == 0, quickstart.text
    said = quickstart.text
    assert re.findall(r"^== (\d)\.", said, re.M) == ["1", "2", "3", "4", "5", "6"]
    assert len(re.findall(r"^[1-9]\d+ requests answered, 0 failed$", said, re.M)) == 2  # a rollout; one with a server that is killed
    # A task is shown on its way, and whole.
    assert re.search(r"^-- in_progress, \d+%, shift: Revision 3 has 25 % of the traffic", said, re.M)
    assert re.search(r"^-- failed, \d+%, rollback: .*error share", said, re.M) and said.count('{"task_id": ') > 6
    assert said.rstrip().endswith("Everything that was started is stopped, and its folder is removed.")
    assert quickstart.folders() == []
