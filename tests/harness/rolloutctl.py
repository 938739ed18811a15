"""rolloutctl as people and scripts run it: on a terminal of some size, which pyte draws, or with its output in a pipe."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pyte

from processes import BUILD, DEADLINE_S, wait_until

ROLLOUTCTL = BUILD / "ctl/rolloutctl"


def environment(url, home, **more):
    """Nothing of the machine's own settings."""
    given = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm-256color", "LANG": "C.UTF-8", "ROLLOUT_URL": url}
    return {name: value for name, value in {**given, **more}.items() if value is not None}


class Ctl:
    """Runs commands against one gateway."""

    def __init__(self, gateway, url=None):
        self.url = url or f"http://127.0.0.1:{gateway.port}"
        self.home = gateway.home

    def run(self, *arguments, status=0, input=None, **env):
        """What it prints to standard output; to standard error it must print a sentence if the status is not 0, and else nothing."""
        done = subprocess.run([ROLLOUTCTL, *map(str, arguments)], env=environment(self.url, self.home, **env), input=input,
                              stdin=None if input else subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * DEADLINE_S)
        assert done.returncode == status, (arguments, done)
        self.said = done.stderr
        assert (done.stderr == "") == (status == 0) or status in (1, 3), done
        return done.stdout

    @contextlib.contextmanager
    def start(self, *arguments, **env):
        """A command in the background, its output in a pipe."""
        process = subprocess.Popen([ROLLOUTCTL, *map(str, arguments)], env=environment(self.url, self.home, **env), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    @contextlib.contextmanager
    def on_terminal(self, *arguments, columns=80, rows=24, **env):
        terminal = Terminal([str(ROLLOUTCTL), *map(str, arguments)], environment(self.url, self.home, **env), columns, rows)
        try:
            yield terminal
        finally:
            terminal.close()


class Terminal:
    """A terminal with one program on it."""

    def __init__(self, command, env, columns, rows):
        self.screen = pyte.HistoryScreen(columns, rows, history=1000)
        self.stream = pyte.ByteStream(self.screen)
        self.bytes = b""
        self.master, slave = pty.openpty()
        self.set_size(columns, rows)
        self.process = subprocess.Popen(command, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)

    def set_size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        self.screen.resize(rows, columns)
        self.set_size(columns, rows)  # the kernel sends SIGWINCH

    def read(self):
        """Draws what has come; False at the end."""
        while select.select([self.master], [], [], 0)[0]:
            try:
                piece = os.read(self.master, 65536)
            except OSError:  # the other end is closed
                return False
            if not piece:
                return False
            self.bytes += piece
            self.stream.feed(piece)
        return True

    def lines(self):
        self.read()
        return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.lines())

    def scrolled(self):
        """What has left the screen at its top."""
        self.read()
        return ["".join(line[column].data for column in range(self.screen.columns)).rstrip() for line in self.screen.history.top]

    def await_text(self, *texts):
        try:
            wait_until(lambda: all(text in self.text() for text in texts), f"{texts} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text()}") from error
        return self.lines()

    def type(self, text):
        os.write(self.master, text.encode())

    def wait(self):
        """Its exit status, once it has ended and all is drawn."""
        deadline = time.monotonic() + DEADLINE_S
        while self.process.poll() is None:
            self.read()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.01)
        self.read()
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.master)
