"""The programs that show the product at work, conf/quickstart and conf/cluster, run as their users run them."""

import os
import pathlib
import shutil
import signal
import tempfile

import pexpect

from processes import BUILD, MODULE, NGINX, ROOT, sanitizers_of, wait_until

LONGEST_S = 300  # as processes.DEADLINE_S: what is not there by then never comes


class Demonstration:
    """One of the programs, in a terminal and in a session of its own, by which all processes of it are found. `nginx`: a program to take in
    the place of nginx."""

    def __init__(self, name, *arguments, nginx=None):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="rollout-test."))
        self.home.chmod(0o755)
        self.child = pexpect.spawn(str(ROOT / "conf" / name), list(arguments), encoding="utf-8", timeout=LONGEST_S, dimensions=(50, 500), env={
            **os.environ, "ROLLOUT_BUILD": BUILD.name, "ROLLOUT_NGINX": str(nginx or self.nginx_for_the_build()), "TMPDIR": str(self.home)})
        self.text = ""

    def nginx_for_the_build(self):
        """An nginx that loads a module that is built with AddressSanitizer."""
        program = self.home / "nginx"
        preload = " ".join(sanitizers_of(MODULE))
        program.write_text(f"#!/bin/sh\nLD_PRELOAD='{preload}' ASAN_OPTIONS=detect_leaks=0 exec {NGINX} \"$@\"\n")
        program.chmod(0o755)
        return program

    def await_words(self, words):
        """All that it has said until then is in `text`."""
        found = self.child.expect_exact([words, pexpect.EOF])
        self.text += (self.child.before + (self.child.after if found == 0 else "")).replace("\r\n", "\n")
        assert found == 0, f"\"{words}\" was not said: {self.text}"

    def await_end(self):
        """Its exit status, when it has ended, and nothing that it started runs on."""
        self.child.expect(pexpect.EOF)
        self.text += self.child.before.replace("\r\n", "\n")
        self.child.wait()
        assert self.processes() == {}, self.text
        return 128 + self.child.signalstatus if self.child.signalstatus else self.child.exitstatus

    def processes(self):
        """Those of its session, by process id."""
        found = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.child.pid and fields[0] != "Z":
                    found[int(stat.parent.name)] = (stat.parent / "cmdline").read_text().replace("\0", " ")
            except OSError:
                pass
        return found

    def folders(self):
        """Those that it has made and not removed."""
        return [path for path in self.home.iterdir() if path.is_dir()]

    def close(self):
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.processes(), "the end of its processes")
        self.child.close(force=True)
        shutil.rmtree(self.home)
