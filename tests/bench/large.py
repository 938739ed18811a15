"""A large model from its source into the repository: what the staging costs beside cp, what its checksum costs beside openssl speed,
and what other deployments notice of it."""

import datetime
import hashlib
import os
import re
import statistics
import subprocess
import threading

from figures import Figure, side_by_side, timed
from rollouts import gateway_of

BLOCK = 16 << 20  # of data or of a hole


def write_model(path, size, holes):
    """A file of random bytes, of which every fourth block is a hole if it has holes; its SHA-256."""
    block = os.urandom(BLOCK)
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True)
    with open(path, "wb") as file:
        for number in range(size // BLOCK):
            is_hole = holes and number % 4 == 3
            digest.update(bytes(BLOCK) if is_hole else block)
            file.seek(BLOCK, os.SEEK_CUR) if is_hole else file.write(block)
        file.truncate(size)
    return digest.hexdigest()


def seconds_of(task, last):
    """From the start of the step `fetch` to the end of the step `last`."""
    steps = {step["name"]: step for step in task["metadata"]["steps"]}
    moments = [datetime.datetime.fromisoformat(moment.replace("Z", "+00:00"))
               for moment in (steps["fetch"]["started_at"], steps[last]["ended_at"])]
    return (moments[1] - moments[0]).total_seconds()


def sha256_bytes_a_second():
    said = subprocess.run(["openssl", "speed", "-evp", "sha256", "-bytes", str(1 << 20), "-seconds", "2"],
                          capture_output=True, text=True, check=True).stdout
    return float(re.search(r"^sha256\s+([\d.]+)k$", said, re.MULTILINE | re.IGNORECASE)[1]) * 1000


def measure(options):
    gateway = gateway_of(0, max_concurrent_rollouts=4)
    try:
        sparse, dense = gateway.home / "models/sparse/model.onnx", gateway.home / "models/dense/model.onnx"
        write_model(sparse, options.large_bytes, holes=True)
        sha256 = write_model(dense, options.large_bytes, holes=False)
        os.sync()

        def staged(path, last="stage", **config):
            return seconds_of(gateway.deploy("large", source=f"file://{path}", **config), last)

        def copied():
            """To the disk, as what is staged is."""
            to = gateway.home / "copy.onnx"
            took, _ = timed(lambda: [subprocess.run(command, check=True) for command in (["cp", "--reflink=auto", "--sparse=always", sparse, to], ["sync", to])])
            to.unlink()
            return took

        def fetched_with_checksum():
            """The step `fetch` copies and digests, and `stage` waits for the disk. The best of three: a virtual machine that gives free memory
            back to its host needs a second for each GiB that it takes again."""
            return options.large_bytes / min(staged(dense, last="fetch", sha256=sha256) for _ in range(3))

        rounds = min(options.rounds, 3)
        staged(sparse), copied()
        pairs = side_by_side(rounds, lambda: staged(sparse), copied)
        size = f"{options.large_bytes / (1 << 30):.3g} GiB"
        yield Figure(f"a model of {size} with holes, staged", "cp --reflink=auto --sparse=always, and sync", 0.95, True,
                     [theirs / ours for ours, theirs in pairs], "{:.2f} and {:.2f} s".format(*map(statistics.median, zip(*pairs))))

        pairs = side_by_side(rounds, fetched_with_checksum, sha256_bytes_a_second)
        yield Figure(f"a model of {size} fetched with its checksum", "openssl speed", 0.8, True, [ours / theirs for ours, theirs in pairs],
                     "{:.2f} and {:.2f} GB a second".format(*(statistics.median(side) / 1e9 for side in zip(*pairs))))

        times = beside(gateway, dense, sha256, rounds)
        yield Figure("a small model's deployment while large ones are staged", "while none is", None, False,
                     [with_large / alone for with_large, alone in times],
                     "{:.3f} and {:.3f} s, from its post to its end".format(*map(statistics.median, zip(*times))))
    finally:
        gateway.close()


def beside(gateway, path, sha256, rounds):
    """The seconds of a small deployment beside a large one and without, each round."""
    seconds = []
    for _ in range(rounds):
        alone, _ = timed(lambda: gateway.deploy("m"))
        large = threading.Thread(target=gateway.deploy, args=("large",), kwargs={"source": f"file://{path}", "sha256": sha256})
        large.start()
        times = []
        while large.is_alive():
            times.append(timed(lambda: gateway.deploy("m"))[0])
        large.join()
        seconds.append((statistics.median(times), alone))
    return seconds
