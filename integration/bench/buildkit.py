"""BuildKit, behind its own daemon and behind Docker's; both with overlayfs and runc."""

import shutil
import subprocess
from pathlib import Path

from measured import Daemon, run
from peers import build_args, first_line, is_root

# Places that a step has something mounted on, which stay behind.
LEAVES = {f"+ {path}" for path in ("/dev", "/etc", "/etc/hosts", "/etc/resolv.conf", "/proc", "/sys")}


class BuildKit:
    """`buildkitd`, asked by `buildctl`."""

    name = "buildkit"
    leaves = LEAVES
    color = "#8250df"

    @staticmethod
    def is_here():
        return is_root() and all(map(shutil.which, ("buildkitd", "buildctl", "runc")))

    def __init__(self, work):
        work.mkdir(parents=True)
        self.command = ["buildctl", "--addr", f"unix://{work}/buildkitd.sock"]
        self.daemon = Daemon(
            ["buildkitd", "--root", work / "state", "--addr", f"unix://{work}/buildkitd.sock",
             "--oci-worker=true", "--containerd-worker=false", "--oci-worker-snapshotter=overlayfs",
             "--oci-worker-net=host", "--oci-worker-gc=false", "--allow-insecure-entitlement=network.host"],
            work / "buildkitd.log")
        self.daemon.wait_for(lambda: subprocess.run([*self.command, "debug", "workers"], capture_output=True, check=False)
                             .returncode == 0)

    def build(self, context, reference, network="none", options=(), arguments=None, push=True):
        output = f"type=image,name={reference},push={str(push).lower()},registry.insecure=true"
        passed = [f"--opt=build-arg:{name}={value}" for name, value in (arguments or {}).items()]
        return self.daemon.around(lambda: run(
            [*self.command, "build", "--progress=plain", "--frontend=dockerfile.v0", f"--local=context={context}",
             f"--local=dockerfile={context}", "--allow=network.host", f"--opt=force-network-mode={network}", *options,
             *passed, f"--output={output}"]))

    def sharing(self, reference):
        cache = f"type=registry,ref={reference}-cache"
        return [f"--export-cache={cache},mode=max"], [f"--import-cache={cache}"]

    def forget(self):
        run([*self.command, "prune", "--all"])

    def version(self):
        return first_line(["buildkitd", "--version"])

    def stop(self):
        self.daemon.stop()


class Dockerd:
    """The BuildKit inside dockerd."""

    name = "dockerd"
    leaves = LEAVES
    color = "#bf8700"
    client = Path("/usr/bin/docker")

    @classmethod
    def is_here(cls):
        return is_root() and cls.client.exists() and shutil.which("dockerd") is not None

    def __init__(self, work):
        work.mkdir(parents=True)
        self.command = [self.client, "--host", f"unix://{work}/docker.sock"]
        self.daemon = Daemon(
            ["dockerd", "--data-root", work / "data", "--exec-root", work / "exec", "--pidfile", work / "pid",
             "--host", f"unix://{work}/docker.sock", "--bridge", "none", "--iptables=false", "--ip6tables=false"],
            work / "dockerd.log")
        self.daemon.wait_for(lambda: subprocess.run([*self.command, "version"], capture_output=True, check=False)
                             .returncode == 0)

    def build(self, context, reference, network="none", options=(), arguments=None, push=True):
        def work():
            built = run([*self.command, "build", "--quiet", "--network", network, *options, *build_args(arguments),
                         "-t", reference, context], {"DOCKER_BUILDKIT": "1"})
            return built.then(run([*self.command, "push", "--quiet", reference])) if push else built

        return self.daemon.around(work)

    def sharing(self, reference):
        # The cache is in the image.
        return ["--build-arg", "BUILDKIT_INLINE_CACHE=1"], ["--cache-from", reference]

    def forget(self):
        run([*self.command, "system", "prune", "--all", "--force"])
        run([*self.command, "builder", "prune", "--all", "--force"])

    def version(self):
        return first_line(["dockerd", "--version"])

    def stop(self):
        self.daemon.stop()
