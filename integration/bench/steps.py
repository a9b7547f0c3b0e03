#!/usr/bin/env python3
"""What the sandbox costs a step: the same hundred `RUN true` on busybox, with what is around them taken away.

`flashbuild build` and `buildah build --isolation chroot` run them as the steps of a Dockerfile, each with its layer. `crun run` and
`runc run` run `true` a hundred times in one bundle, of the specification that `flashbuild build --oci-runtime` hands to them, on the
plain folder: no overlay, no layer, no image, so their figure is that of a sandbox alone.
"""

import argparse
import json
import os
import shutil
import stat
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from images import busybox_tar
from measured import run


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory(prefix="flashbuild-bench-") as folder:
        work = Path(folder)
        context = dockerfile(work, arguments.steps)
        measured = {"flashbuild": Flashbuild(arguments.flashbuild.resolve(), work)}
        if shutil.which("buildah") and os.geteuid() == 0:
            measured["buildah"] = Buildah(work)
        specification = handed_over(measured["flashbuild"], work)
        for runtime in ("crun", "runc"):
            if shutil.which(runtime) and os.geteuid() == 0:
                tool = Runtime(runtime, specification, work)
                if tool.works():
                    measured[runtime] = tool
        taken = {name: [] for name in measured}
        # In turns, so that a busy machine is busy for all of them.
        for _ in range(arguments.runs):
            for name, tool in measured.items():
                taken[name].append(tool.steps(context, arguments.steps))
    print(f"{arguments.steps} x RUN true on busybox, milliseconds a step ({arguments.runs} rounds)")
    print(f"{'':<12}{'median':>9}{'best':>9}{'worst':>9}")
    for name, seconds in taken.items():
        row = [1000 * value / arguments.steps for value in (statistics.median(seconds), min(seconds), max(seconds))]
        print(f"{name:<12}{row[0]:>9.1f}{row[1]:>9.1f}{row[2]:>9.1f}")


def parse():
    parser = argparse.ArgumentParser(usage="integration/bench/steps.py FLASHBUILD [OPTIONS]", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flashbuild", type=Path, help="the binary to measure, built for release")
    parser.add_argument("--steps", type=int, default=100, help="steps of a round [100]")
    parser.add_argument("--runs", type=int, default=5, help="rounds [5]")
    return parser.parse_args()


def dockerfile(work, steps):
    context = work / "context"
    context.mkdir()
    busybox_tar(context / "busybox.tar")
    # Each step is another, or the second would be found by the key of the first.
    lines = [f"RUN : {number}; true" for number in range(steps)]
    (context / "Dockerfile").write_text("\n".join(["FROM scratch", "ADD busybox.tar /", *lines, ""]))
    return context


class Flashbuild:
    def __init__(self, binary, work):
        self.binary, self.store = binary, work / "flashbuild"

    def steps(self, context, _):
        shutil.rmtree(self.store, ignore_errors=True)
        command = [self.binary, "build", "--root", self.store, "--progress", "quiet", "--network", "none"]
        # The base is the same for all, and no step.
        (base := self.store.parent / "base").mkdir(exist_ok=True)
        shutil.copy(context / "busybox.tar", base)
        (base / "Dockerfile").write_text("FROM scratch\nADD busybox.tar /\nRUN true\n")
        run([*command, base])
        return run([*command, context]).seconds


class Buildah:
    def __init__(self, work):
        self.work = work

    def steps(self, context, _):
        store = self.work / "buildah"
        command = ["buildah", "--root", store, "--runroot", self.work / "buildah-run"]
        try:
            return run([*command, "build", "--quiet", "--isolation", "chroot", "--layers", context]).seconds
        finally:
            run([*command, "rmi", "--all", "--force"])


class Runtime:
    """An OCI runtime, over and over again in one bundle."""

    def __init__(self, name, specification, work):
        self.name, self.bundle = name, work / f"{name}-bundle"
        root = self.bundle / "rootfs"
        root.mkdir(parents=True)
        subprocess.run(["tar", "-xf", work / "context/busybox.tar", "-C", root], check=True)
        specification = json.loads(specification)
        specification["root"] = {"path": "rootfs", "readonly": False}
        specification["process"]["args"] = ["/bin/sh", "-c", "true"]
        specification["process"]["terminal"] = False
        # Files that the builder shows lie in a folder of its own, which is gone.
        own = {"proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"}
        specification["mounts"] = [mount for mount in specification["mounts"] if mount.get("type") in own]
        (self.bundle / "config.json").write_text(json.dumps(specification))

    def works(self):
        """Not every runtime knows every way in which a machine has its control groups."""
        tried = subprocess.run(["sh", "-c", self.script(1)], capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            print(f"bench: without {self.name}, which cannot run here: {tried.stderr.strip()}", file=sys.stderr)
        return tried.returncode == 0

    def steps(self, _, count):
        return run(["sh", "-c", self.script(count)]).seconds

    def script(self, count):
        # The builder's steps are in no control group of their own either.
        options = "--cgroup-manager=disabled" if self.name == "crun" else ""
        command = f"{self.name} --root {self.bundle}/state {options} run --bundle {self.bundle}"
        return f"for i in $(seq {count}); do {command} bench-$$-$i || exit 1; done"


def handed_over(flashbuild, work):
    """The specification that a step is run by, as a runtime gets to see it."""
    spy = work / "spy"
    taken = work / "config.json"
    spy.write_text(f"""#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in --bundle | -b) cp "$2/config.json" {taken}; exit 0 ;; --bundle=*) cp "${{1#*=}}/config.json" {taken}; exit 0 ;; esac
    shift
done
exit 1
""")
    spy.chmod(spy.stat().st_mode | stat.S_IXUSR)
    context = work / "once"
    context.mkdir()
    busybox_tar(context / "busybox.tar")
    (context / "Dockerfile").write_text("FROM scratch\nADD busybox.tar /\nRUN true\n")
    run([flashbuild.binary, "build", "--root", work / "once-store", "--progress", "quiet", "--network", "host",
         "--allow", "network.host", "--oci-runtime", spy, context])
    if not taken.exists():
        sys.exit("bench: the runtime was given no bundle")
    return taken.read_text()


if __name__ == "__main__":
    main()
