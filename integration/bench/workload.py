"""How a build is measured: phase by phase, each tool in its turn.

A phase says what is forgotten or changed before a run, so that every run of it does the same work. Every tool has a registry and
a copy of the context of its own, so that none finds what another left or changed.
"""

import subprocess
import sys
import time
from dataclasses import dataclass, field

from measured import Failure

COLD, NO_OP, ONE_CHANGE = "cold", "nothing changed", "one change"
# A machine knows nothing, but a registry has the cache of another machine.
COLD_MACHINE = "cold machine, cache in a registry"
# What was built, but has gone nowhere yet, is compressed and pushed.
EXPORT = "export of what is built"


@dataclass
class Pace:
    """How long measuring may take."""

    runs: int
    # Seconds after which a peer takes part in no further round; we have twice as many.
    budget: float
    quick: bool

    def of(self, tool):
        return self.budget * (2 if tool.name == "flashbuild" else 1)


@dataclass
class Entrant:
    """A tool that takes part in a workload."""

    tool: object
    context: object
    costs: dict = field(default_factory=dict)
    spent: float = 0.0
    changes: int = 0
    # Its warm-up took so long that it counts, and is all that it does of that phase.
    is_slow: bool = False

    def add(self, phase, cost):
        self.costs.setdefault(phase, []).append(cost)


class Workload:
    network = "none"
    # Names of peers that cannot do it, or not within minutes, and why.
    without = {}

    def __init__(self, work, bases, pace):
        self.work, self.bases, self.pace, self.quick = work / self.name, bases, pace, pace.quick
        self.context = self.work / "context"
        self.context.mkdir(parents=True)

    def measure(self, tools, report):
        self.prepare(tools[0])
        entrants = self.entrants(tools, report)
        self.compare([entrant.tool for entrant in entrants])
        for number in range(self.pace.runs):
            for entrant in entrants:
                if number == 0 or not entrant.is_slow and entrant.spent < self.pace.of(entrant.tool):
                    self.round(entrant)
        for phase in self.phases:
            taken = [(entrant.tool, entrant.costs[phase]) for entrant in entrants]
            report.add(f"{self.name} {self.title}, {phase}", taken, self.pace.runs)

    def entrants(self, tools, report):
        """Builds once with every tool, which also warms what can be warm; peers that fail are left out."""
        entrants = []
        for tool in tools:
            if tool.name in self.without:
                report.leave_out(f"{self.name} {self.title}", tool, self.without[tool.name])
                continue
            entrant = Entrant(tool, self.own_context(tool))
            try:
                cost = self.build(entrant)
            except Failure as failure:
                if tool is tools[0]:
                    sys.exit(f"bench: {failure}")
                print(f"bench: {self.name}: left out, because it fails: {tool.name}: {failure}", file=sys.stderr)
                report.leave_out(f"{self.name} {self.title}", tool, "fails")
                continue
            # Whoever needs that long is not asked for the same again.
            if COLD in self.phases and tool is not tools[0] and cost.seconds > self.pace.budget / 2:
                entrant.add(COLD, cost)
                entrant.is_slow = True
            entrants.append(entrant)
        return entrants

    def round(self, entrant):
        began = time.monotonic()
        for phase in self.phases:
            if not (entrant.is_slow and phase == COLD):
                entrant.add(phase, self.step(phase, entrant))
        # What goes before a measurement takes time, too.
        entrant.spent += time.monotonic() - began

    def step(self, phase, entrant):
        tool, options = entrant.tool, ()
        if phase in (COLD, EXPORT):
            tool.forget()
            tool.results.clear()
        if phase == EXPORT:
            self.build(entrant, push=False)
        elif phase == COLD_MACHINE:
            leave, options = tool.sharing(self.reference(tool))
            tool.forget()
            self.build(entrant, leave)
            tool.forget()
        elif phase == ONE_CHANGE:
            entrant.changes += 1
            self.change(entrant.context, entrant.changes)
        return self.build(entrant, options)

    def build(self, entrant, options=(), push=True):
        tool = entrant.tool
        stored = tool.results.stored_bytes()
        cost = tool.build(entrant.context, self.reference(tool), self.network, options, self.arguments(tool), push)
        cost.sent_bytes = tool.results.stored_bytes() - stored
        return cost

    def arguments(self, tool):
        """Build arguments."""
        return {}

    def own_context(self, tool):
        """Files are shared; whoever changes one puts another in its place."""
        context = self.work / tool.name
        subprocess.run(["cp", "-al", self.context, context], check=True)
        return context

    def compare(self, tools):
        """Holds the images of all tools against each other."""
        for peer in tools[1:]:
            differences = tools[0].differences(self.reference(tools[0]), self.reference(peer), peer.leaves)
            if differences:
                sys.exit("\n".join([f"bench: {self.name}: {peer.name} made other files:", *differences[:50]]))

    def reference(self, tool):
        return f"{tool.results.host}/{self.name.lower()}:latest"

    def write(self, name, text):
        (self.context / name).write_text(text)


def put(path, text):
    """A file of other contents in the place of one that others may share."""
    path.unlink(missing_ok=True)
    path.write_text(text)
