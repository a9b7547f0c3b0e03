"""The folder in which everything is made that a measurement needs, and from which nothing is left."""

import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def workplace():
    """A folder for a `with`; ended by a signal or not, it goes with all that is mounted in it.

    Daemons are stopped before, by the `with` of whoever began them.
    """
    endings = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for ending in endings:
        signal.signal(ending, lambda *_: sys.exit("bench: ended"))
    folder = Path(tempfile.mkdtemp(prefix="flashbuild-bench-")).resolve()
    try:
        yield folder
    finally:
        # A second interruption would leave things lying about.
        for ending in endings:
            signal.signal(ending, signal.SIG_IGN)
        for mount in reversed(mounts_below(folder)):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            print(f"bench: {folder} could not be removed", file=sys.stderr)


def mounts_below(folder):
    """In the order in which they were mounted: the fifth field of proc_pid_mountinfo(5)."""
    points = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [point for point in points if point.startswith(f"{folder}/")]
