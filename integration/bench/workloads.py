"""What is built: one class a workload, one row in [`WORKLOADS`]."""

import random

from growth import SERIES
from images import busybox_tar, debian_tar, link_or_copy
from micro import Solver
from packages import ForeignInstall, Install
from projects import Projects
from push import FaultyPush, Push
from slim import Slim
from workload import COLD, COLD_MACHINE, EXPORT, NO_OP, ONE_CHANGE, Workload, put

SEED = 1


class Python(Workload):
    name, title = "W1-W2", "six-step Python image"
    phases = (NO_OP, ONE_CHANGE)

    def prepare(self, flashbuild):
        base = self.bases.push_tar(flashbuild, debian_tar("base-files", "dash", "coreutils", "python3-minimal"),
                                   self.name.lower())
        self.write("Dockerfile", f"FROM {base}\nWORKDIR /app\nCOPY requirements.txt .\n"
                   "RUN python3 -c \"import os; os.makedirs('/opt/lib'); [open(f'/opt/lib/{n}.py', 'w').write(str(n) * 500)"
                   " for n in range(2000)]\"\nCOPY . .\nCMD [\"python3\", \"main.py\"]\n")
        self.write("requirements.txt", "fastapi\n")
        for number in range(50):
            self.write(f"module_{number}.py", f"value = {number}\n" * 100)
        self.change(self.context, 0)

    def change(self, context, number):
        put(context / "main.py", f"print('change {number}')\n")


class RemoteCache(Python):
    name = "W11"
    phases = (COLD, COLD_MACHINE)


class Files(Workload):
    name, title = "W3", "COPY of 50,000 files"
    phases = (COLD, NO_OP, ONE_CHANGE)

    def prepare(self, flashbuild):
        """Files of 0 to 4 KiB that compress as text does, a hundred to a folder."""
        generator = random.Random(SEED)
        words = [f"{generator.getrandbits(40):x} " for _ in range(2000)]
        for folder in range(10 if self.quick else 500):
            path = self.context / "tree" / f"{folder:03}"
            path.mkdir(parents=True)
            for number in range(100):
                text = "".join(generator.choices(words, k=generator.randrange(400)))[:4096]
                (path / f"{number:02}").write_text(text)
        self.write("Dockerfile", "FROM scratch\nCOPY . /src\n")

    def change(self, context, number):
        put(context / "tree/007/07", f"change {number}\n")


class BigFile(Workload):
    name, title = "W4", "COPY of 1 GiB, half of it text"
    phases = (COLD,)

    def prepare(self, flashbuild):
        generator = random.Random(SEED)
        words = [f"{generator.getrandbits(40):x} " for _ in range(20_000)]
        with (self.context / "data").open("wb") as data:
            for _ in range(4 if self.quick else 256):
                data.write(generator.randbytes(2 << 20))
                data.write("".join(generator.choices(words, k=240_000)).encode()[: 2 << 20])
        self.write("Dockerfile", "FROM scratch\nCOPY data /data\n")


class Steps(Workload):
    name, title = "W5", "100 x RUN echo > file"
    phases = (COLD, NO_OP)

    def prepare(self, flashbuild):
        base = self.bases.push_tar(flashbuild, busybox_tar(self.work / "base.tar"), "busybox")
        steps = "".join(f"RUN echo {number} > /f_{number}\n" for number in range(5 if self.quick else 100))
        self.write("Dockerfile", f"FROM {base}\n{steps}")


class Stages(Workload):
    name, title = "W6", "64 stages that sleep a second"
    phases = (COLD,)
    without = {"buildah": "a minute and more: one stage after the other"}

    def prepare(self, flashbuild):
        base = self.bases.push_tar(flashbuild, busybox_tar(self.work / "base.tar"), "stages")
        count = 4 if self.quick else 64
        stages = "".join(f"FROM {base} AS s{number}\nRUN sleep 1 && echo {number} > /out\n" for number in range(count))
        copies = "".join(f"COPY --from=s{number} /out /out_{number}\n" for number in range(count))
        self.write("Dockerfile", f"{stages}FROM scratch\n{copies}")


class RootFileSystem(Workload):
    name, title = "W13", "ADD of a Debian root file system, 170 MB of files"
    phases = (COLD, EXPORT)

    def prepare(self, flashbuild):
        small = ("base-files", "dash", "coreutils", "python3-minimal")
        source = debian_tar(*small) if self.quick else debian_tar(*small[:3], "python3", "perl", "git", "libc6-dev")
        link_or_copy(source, self.context / "rootfs.tar")
        self.write("Dockerfile", "FROM scratch\nADD rootfs.tar /\n")


WORKLOADS = (Python, Files, BigFile, Steps, Stages, Install, Slim, ForeignInstall, Push, FaultyPush, RemoteCache, Solver,
             RootFileSystem, Projects, *SERIES)
