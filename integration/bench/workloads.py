"""What is built: one class a workload, one row in [`WORKLOADS`].

A workload is measured in phases. Each phase says what is forgotten or changed before a run, so that every run of it
does the same work.
"""

import random
import sys
import tarfile

from images import busybox_tar, debian_tar, link_or_copy
from measured import Failure

SEED = 1
# The phase in which a machine knows nothing, but a registry has the cache of another machine.
COLD_MACHINE = "cold machine, cache in a registry"


class Workload:
    network = "none"

    def __init__(self, work, bases, results, quick):
        self.work, self.bases, self.results, self.quick = work / self.name, bases, results, quick
        self.context = self.work / "context"
        self.context.mkdir(parents=True)
        self.changes = 0

    def measure(self, tools, runs, budget, report):
        self.prepare(tools[0])
        tools = self.able(tools)
        self.compare(tools)
        for phase in self.phases:
            if phase not in ("cold", COLD_MACHINE):
                for tool in tools:
                    self.build(tool)
            costs = [[] for _ in tools]
            for _ in range(runs):
                for tool, taken in zip(tools, costs):
                    if taken and sum(cost.seconds for cost in taken) > budget:
                        continue
                    options = ()
                    if phase == "cold":
                        tool.forget()
                        self.results.clear()
                    elif phase == COLD_MACHINE:
                        leave, look = tool.sharing(self.reference(tool))
                        tool.forget()
                        self.build(tool, leave)
                        tool.forget()
                        options = look
                    elif phase == "one change":
                        self.changes += 1
                        self.change()
                    taken.append(self.build(tool, options))
            report.add(f"{self.name} {self.title}, {phase}", tools, costs)

    def build(self, tool, options=()):
        stored = self.results.stored_bytes()
        cost = tool.build(self.context, self.reference(tool), self.network, options)
        cost.sent_bytes = self.results.stored_bytes() - stored
        return cost

    def able(self, tools):
        """Builds once with every tool, which also warms what can be warm, and leaves out peers that fail."""
        able = []
        for tool in tools:
            try:
                self.build(tool)
                able.append(tool)
            except Failure as failure:
                if tool is tools[0]:
                    sys.exit(f"bench: {failure}")
                print(f"bench: {self.name}: left out, because it fails: {tool.name}: {failure}", file=sys.stderr)
        return able

    def compare(self, tools):
        """Holds the images of all tools against each other."""
        for peer in tools[1:]:
            differences = tools[0].differences(self.reference(tools[0]), self.reference(peer), peer.leaves)
            if differences:
                sys.exit("\n".join([f"bench: {self.name}: {peer.name} made other files:", *differences]))

    def reference(self, tool):
        return f"{self.results.host}/{self.name.lower()}/{tool.name}:latest"

    def write(self, name, text):
        (self.context / name).write_text(text)


class Python(Workload):
    name, title = "W1-W2", "six-step Python image"
    phases = ("nothing changed", "one change")

    def prepare(self, flashbuild):
        base = self.bases.push_tar(flashbuild, debian_tar("base-files", "dash", "coreutils", "python3-minimal"),
                                      "python")
        self.write("Dockerfile", f"FROM {base}\nWORKDIR /app\nCOPY requirements.txt .\n"
                   "RUN python3 -c \"import os; os.makedirs('/opt/lib'); [open(f'/opt/lib/{n}.py', 'w').write(str(n) * 500)"
                   " for n in range(2000)]\"\nCOPY . .\nCMD [\"python3\", \"main.py\"]\n")
        self.write("requirements.txt", "fastapi\n")
        for number in range(50):
            self.write(f"module_{number}.py", f"value = {number}\n" * 100)
        self.change()

    def change(self):
        self.write("main.py", f"print('change {self.changes}')\n")


class Files(Workload):
    name, title = "W3", "COPY of 50,000 files"
    phases = ("cold", "nothing changed", "one change")

    def prepare(self, flashbuild):
        """Files of 0 to 4 KiB that compress as text does, a hundred to a folder."""
        generator = random.Random(SEED)
        words = [f"{generator.getrandbits(40):x} " for _ in range(2000)]
        for number in range(1_000 if self.quick else 50_000):
            path = self.context / "tree" / f"{number // 100:03}" / f"{number % 100:02}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(generator.choices(words, k=generator.randrange(400)))[:4096])
        self.write("Dockerfile", "FROM scratch\nCOPY . /src\n")

    def change(self):
        (self.context / "tree/007/07").write_text(f"change {self.changes}\n")


class RemoteCache(Python):
    name, title = "W11", "six-step Python image"
    phases = (COLD_MACHINE,)


class BigFile(Workload):
    name, title = "W4", "COPY of 1 GiB, half of it text"
    phases = ("cold",)

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
    phases = ("cold", "nothing changed")

    def prepare(self, flashbuild):
        base = self.bases.push_tar(flashbuild, busybox_tar(self.work / "base.tar"), "busybox")
        steps = "".join(f"RUN echo {number} > /f_{number}\n" for number in range(5 if self.quick else 100))
        self.write("Dockerfile", f"FROM {base}\n{steps}")


class Stages(Workload):
    name, title = "W6", "64 stages that sleep a second"
    phases = ("cold",)

    def prepare(self, flashbuild):
        base = self.bases.push_tar(flashbuild, busybox_tar(self.work / "base.tar"), "stages")
        count = 4 if self.quick else 64
        stages = "".join(f"FROM {base} AS s{number}\nRUN sleep 1 && echo {number} > /out\n" for number in range(count))
        copies = "".join(f"COPY --from=s{number} /out /out_{number}\n" for number in range(count))
        self.write("Dockerfile", f"{stages}FROM scratch\n{copies}")


class Export(Workload):
    name, title = "W13", "ADD of a 170 MB root file system"
    phases = ("cold",)

    def prepare(self, flashbuild):
        source = debian_tar("base-files", "dash", "coreutils", "python3-minimal") if self.quick else debian_tar(
            "base-files", "dash", "coreutils", "python3", "perl", "git", "gcc", "libc6-dev")
        with tarfile.open(source) as archive:
            print(f"bench: {sum(member.size for member in archive) / 1e6:.0f} MB of files", file=sys.stderr)
        link_or_copy(source, self.context / "rootfs.tar")
        self.write("Dockerfile", "FROM scratch\nADD rootfs.tar /\n")


WORKLOADS = (Python, Files, BigFile, Steps, Stages, RemoteCache, Export)
