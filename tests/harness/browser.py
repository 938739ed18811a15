"""A real browser for a test: Debian's Chromium, driven by tests/page/browser.mjs."""

import contextlib
import itertools
import json
import shutil
import subprocess

from processes import DEADLINE_S, LOCATIONS, ROOT, wait_until

# The page for those who may write, and for those who may read.
PAGE_LOCATIONS = LOCATIONS + """
        location ~ ^/(events|readyz)$ { rollout_api; }
        location /rollout/ { rollout_page write=on; }
        location /read/ { rollout_page; }
"""

PROGRAMS = ("chromium-headless-shell", "chromium")


class Browser:
    def __init__(self):
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        assert program, f"none of {', '.join(PROGRAMS)} is installed"
        self.child = subprocess.Popen(["node", str(ROOT / "tests/page/browser.mjs"), program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.numbers = itertools.count(1)

    def do(self, command, **values):
        number = next(self.numbers)
        self.child.stdin.write(json.dumps({"id": number, "do": command, **values}) + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        assert line, f"the browser ended at {command} {values}"
        answer = json.loads(line)
        assert answer["id"] == number, answer
        if "error" in answer:
            raise AssertionError(f"{command} {values}: {answer['error']}")
        return answer["value"]

    @contextlib.contextmanager
    def page(self, url, **settings):
        """A page of its own context; what it must never do fails the test."""
        page = Page(self, url, **settings)
        try:
            yield page
            faults = page.faults()
            assert faults == [], faults
        finally:
            page.do("close")

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.close()
        try:
            self.child.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()


class Page:
    """One tab. `of` is a selector of playwright's."""

    def __init__(self, browser, url, **settings):
        self.browser = browser
        self.number = browser.do("open", url=url, **settings)

    def do(self, command, **values):
        return self.browser.do(command, page=self.number, **values)

    def faults(self):
        return self.do("faults")

    def see(self, of, text=None):
        """Waits until that can be seen, with that text in it."""
        self.do("see", of=of, **({} if text is None else {"text": text}))

    def see_gone(self, of):
        self.do("see", of=of, state="hidden")

    def text(self, of):
        return self.do("text", of=of)

    def texts(self, of):
        return self.do("texts", of=of)

    def count(self, of):
        return self.do("count", of=of)

    def click(self, of):
        self.do("click", of=of)

    def fill(self, of, text):
        self.do("fill", of=of, text=text)

    def press(self, *keys):
        for key in keys:
            self.do("press", key=key)

    def run(self, script):
        return self.do("run", script=script)

    def until(self, condition, what):
        """Waits for a condition of the test's on the page."""
        return wait_until(condition, what)

    def must_be_accessible(self):
        found = self.do("axe")
        assert found == [], json.dumps(found, indent=1)
