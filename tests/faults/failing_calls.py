"""Calls of a process that fail when a test says so (failing_calls.c), and what a test needs of the machine for it."""

import mmap
import os
import pathlib
import resource
import struct
import subprocess

import pytest

from processes import sanitizers_of

SOURCE = pathlib.Path(__file__).with_suffix(".c")
NAMES = ("sync_errno", "rename_errno", "write_errno", "clock_ns", "memory_pid", "memory_left", "memory_on", "failed", "uptime_ns")
MINUTE_NS = 60 * 10**9
DAY_NS = 86400 * 10**9


class FailingCalls:
    """The numbers that a preloaded process looks at; setting one has its effect at once."""

    def __init__(self, library, file):
        self.__dict__.update(library=library, file=file)
        file.write_bytes(bytes(8 * len(NAMES)))
        file.chmod(0o666)  # nginx's worker processes are of another user
        with open(file, "r+b") as opened:
            self.__dict__["map"] = mmap.mmap(opened.fileno(), 8 * len(NAMES))

    def __getattr__(self, name):
        return struct.unpack_from("=q", self.map, 8 * NAMES.index(name))[0]

    def __setattr__(self, name, value):
        struct.pack_into("=q", self.map, 8 * NAMES.index(name), value)

    def environment(self, program, options=""):
        """For a program that is to have these calls. Sanitizers' libraries come after them: theirs are then the ones that are failed."""
        return {"LD_PRELOAD": " ".join([str(self.library), *sanitizers_of(program)]), "FAILING_CALLS": str(self.file),
                "ASAN_OPTIONS": "verify_asan_link_order=0:allocator_may_return_null=1" + (":" + options if options else "")}


@pytest.fixture(scope="session")
def failing_library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("failing")
    folder.chmod(0o755)
    library = folder / "failing_calls.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library, SOURCE, "-ldl"], check=True)
    for above in folder.parents[:2]:
        above.chmod(0o755)
    return library


@pytest.fixture
def failing(failing_library, tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    folder.chmod(0o755)
    return FailingCalls(failing_library, folder / "numbers")


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def allow_files(pid, count):
    """How many files the process may have open from now on; those it has stay open."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, hard))


@pytest.fixture
def small_disk(tmp_path_factory):
    """Makes folders that are file systems of their own with so many bytes."""
    mounted = []

    def make(size):
        if os.geteuid() != 0:
            pytest.skip("only root can mount a file system")
        folder = tmp_path_factory.mktemp("disk")
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "none", folder], capture_output=True, text=True)
        if made.returncode != 0:
            pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder):
    """Takes all the room there is, and returns the file that has it."""
    file = folder / "filler"
    with open(file, "wb", buffering=0) as filler:
        for size in (65536, 4096, 1):
            try:
                while True:
                    filler.write(b"x" * size)
            except OSError:
                continue
    return file
