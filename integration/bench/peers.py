"""The tools that are measured: each builds a context and pushes the image."""

import os
import shutil
import subprocess

from measured import run


class Flashbuild:
    name = "flashbuild"
    color = "#1a7f37"

    def __init__(self, binary, work):
        self.binary, self.store = binary, work

    def build(self, context, reference, network="none", options=(), arguments=None, push=True):
        where = ["--push"] if push else []
        return run([self.binary, "build", "--root", self.store, "--progress", "quiet", "--network", network, *options,
                    *build_args(arguments), *where, "-t", reference, context])

    def sharing(self, reference):
        """How a build leaves its cache for others, and how theirs looks into it."""
        cache = f"type=registry,ref={reference}-cache"
        return ["--cache-to", f"{cache},mode=max"], ["--cache-from", cache]

    def forget(self):
        shutil.rmtree(self.store, ignore_errors=True)

    def differences(self, ours, theirs, expected):
        """What differs between the files of two images, as lines, but for what is expected to."""
        result = subprocess.run([self.binary, "diff", "--root", self.store, "--semantic", ours, theirs],
                                capture_output=True, text=True, check=False)
        if result.returncode > 1:
            return result.stderr.splitlines()
        # The last line counts.
        lines = [line for line in result.stdout.splitlines()[:-1] if " config." not in line]
        return [line for line in lines if line not in expected]

    def version(self):
        return first_line([self.binary, "--version"])

    def stop(self):
        pass


class Buildah:
    """With `--isolation chroot`, its quickest way to run a step."""

    name = "buildah"
    # Places that it mounts over while a step runs, and leaves behind.
    leaves = {f"+ {path}" for path in (
        "/dev", "/etc", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/proc", "/run", "/sys", "/tmp")}
    color = "#0969da"

    @staticmethod
    def is_here():
        return shutil.which("buildah") is not None

    def __init__(self, work):
        self.store = work / "store"
        self.command = ["buildah", "--root", self.store, "--runroot", work / "run"]

    def build(self, context, reference, network="none", options=(), arguments=None, push=True):
        # In a chroot there is the machine's network or none; buildah takes the former.
        built = run([*self.command, "build", "--quiet", "--isolation", "chroot", "--layers", "--tls-verify=false",
                     *options, *build_args(arguments), "-t", reference, context])
        if not push:
            return built
        return built.then(run([*self.command, "push", "--quiet", "--tls-verify=false", reference]))

    def sharing(self, reference):
        cache = f"{reference.rpartition(':')[0]}-cache"
        return ["--cache-to", cache], ["--cache-from", cache]

    def forget(self):
        if self.store.exists():
            run([*self.command, "rmi", "--all", "--force"])

    def version(self):
        return first_line(["buildah", "--version"])

    def stop(self):
        self.forget()


def build_args(arguments):
    return [f"--build-arg={name}={value}" for name, value in (arguments or {}).items()]


def first_line(command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.partition("\n")[0]


def is_root():
    return os.geteuid() == 0
