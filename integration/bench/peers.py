"""The tools that are measured: each builds a context and pushes the image."""

import shutil
import subprocess
from pathlib import Path

from measured import Daemon, run


class Flashbuild:
    name = "flashbuild"
    color = "#1a7f37"

    def __init__(self, binary, work):
        self.binary, self.store = binary, work

    def build(self, context, reference, network="none", options=()):
        return run([self.binary, "build", "--root", self.store, "--progress", "quiet", "--network", network, *options,
                    "--push", "-t", reference, context])

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

    def build(self, context, reference, network="none", options=()):
        # In a chroot there is the machine's network or none; buildah takes the former.
        built = run([*self.command, "build", "--quiet", "--isolation", "chroot", "--layers", "--tls-verify=false",
                     *options, "-t", reference, context])
        return built.then(run([*self.command, "push", "--quiet", "--tls-verify=false", reference]))

    def sharing(self, reference):
        cache = f"{reference.rpartition(':')[0]}-cache"
        return ["--cache-to", cache], ["--cache-from", cache]

    def forget(self):
        if self.store.exists():
            run([*self.command, "rmi", "--all", "--force"])

    def stop(self):
        self.forget()


class BuildKit:
    """The one inside dockerd, with overlayfs and runc."""

    name = "buildkit"
    leaves = {f"+ {path}" for path in ("/dev", "/etc", "/etc/hosts", "/etc/resolv.conf", "/proc", "/sys")}
    color = "#8250df"
    client = Path("/usr/bin/docker")

    @classmethod
    def is_here(cls):
        return cls.client.exists() and shutil.which("dockerd") is not None

    def __init__(self, work):
        work.mkdir(parents=True)
        self.socket = work / "docker.sock"
        self.daemon = Daemon(
            ["dockerd", "--data-root", work / "data", "--exec-root", work / "exec", "--pidfile", work / "pid",
             "--host", f"unix://{self.socket}", "--bridge", "none", "--iptables=false", "--ip6tables=false"],
            work / "dockerd.log")
        self.daemon.wait_for(lambda: subprocess.run([*self.command(), "version"], capture_output=True, check=False)
                             .returncode == 0)

    def command(self):
        return [self.client, "--host", f"unix://{self.socket}"]

    def build(self, context, reference, network="none", options=()):
        def work():
            built = run([*self.command(), "build", "--quiet", "--network", network, *options, "-t", reference,
                         context], {"DOCKER_BUILDKIT": "1"})
            return built.then(run([*self.command(), "push", "--quiet", reference]))

        return self.daemon.around(work)

    def sharing(self, reference):
        # The cache is in the image.
        return ["--build-arg", "BUILDKIT_INLINE_CACHE=1"], ["--cache-from", reference]

    def forget(self):
        run([*self.command(), "system", "prune", "--all", "--force"])
        run([*self.command(), "builder", "prune", "--all", "--force"])

    def stop(self):
        self.daemon.stop()
