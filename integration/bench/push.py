"""A push of 20 layers of 50 MB, beside `skopeo copy` of the same image in the same round.

Layers are of random bytes, so that nobody gains by compression, and lie in the store and in an OCI layout before the clock starts.
"""

import random
import shutil
import sys
from contextlib import ExitStack
from statistics import median

from faults import Faults
from images import Registry
from measured import Failure, run
from workload import Workload

SEED = 1
# Who failed in so many rounds sits out the rest.
TRIES = 3


class Skopeo:
    name = "skopeo"
    color = "#0969da"


class Push(Workload):
    name, title = "W10", "push of 20 x 50 MB"
    is_faulty = False

    def measure(self, tools, report):
        ours = tools[0]
        self.layers, self.bytes = (4, 5 << 20) if self.quick else (20, 50 << 20)
        layout = self.work / "layout"
        self.fill_context()
        flashbuild = [ours.binary, "push", "--root", self.work / "store", "--progress", "quiet", "bench:1"]
        run([ours.binary, "build", "--root", self.work / "store", "--progress", "quiet", "-t", "bench:1",
             "-o", f"type=oci,dest={layout},tar=false", self.context])
        shutil.rmtree(self.context)
        commands = {ours: lambda host: [*flashbuild, f"{host}/bench:1"]}
        if shutil.which("skopeo"):
            commands[Skopeo] = lambda host: ["skopeo", "copy", "--quiet", "--retry-times", "20", "--dest-tls-verify=false",
                                             f"oci:{layout}:1", f"docker://{host}/bench:1"]
        taken = {tool: [] for tool in commands}
        for number in range(self.pace.runs):
            for tool, command in commands.items():
                if sum(cost.seconds for cost in taken[tool]) < self.pace.of(ours) and (taken[tool] or number < TRIES):
                    self.round(tool, command, number, taken[tool])
        for tool, costs in taken.items():
            if not costs:
                report.leave_out(f"{self.name} {self.title}", tool, "gave up")
        taken = [(tool, costs) for tool, costs in taken.items() if costs]
        if taken:
            report.add(f"{self.name} {self.title}", taken, self.pace.runs,
                       [self.note(costs) for _, costs in taken])

    def fill_context(self):
        generator = random.Random(SEED)
        for number in range(self.layers):
            (self.context / f"{number:02}").write_bytes(generator.randbytes(self.bytes))
        copies = "".join(f"COPY {number:02} /{number:02}\n" for number in range(self.layers))
        (self.context / "Dockerfile").write_text("FROM scratch\n" + copies)

    def round(self, tool, command, number, taken):
        """Into a registry that has nothing, maybe through a network that fails by the round's seed."""
        with ExitStack() as stack:
            registry = stack.enter_context(Registry(self.work / "registry"))
            proxy = stack.enter_context(Faults(registry.host, number)) if self.is_faulty else None
            try:
                cost = run(command(proxy.host if proxy else registry.host))
            except Failure as failure:
                print(f"bench: {self.name}: {failure}", file=sys.stderr)
            else:
                cost.sent_bytes = proxy.bytes if proxy else registry.stored_bytes()
                taken.append(cost)
        shutil.rmtree(self.work / "registry")

    def note(self, costs):
        return ""


class FaultyPush(Push):
    name, title = "W10f", "the same through a network that delays, refuses and cuts"
    is_faulty = True

    def note(self, costs):
        again = median(cost.sent_bytes for cost in costs) - self.layers * self.bytes
        return f"{again / 1e6:.0f} MB sent again"
