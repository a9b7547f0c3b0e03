"""What criterion measured of single parts, if somebody ran `cargo bench` before: the newest estimate of each."""

import json
from dataclasses import dataclass

from images import TARGET
from measured import Cost
from workload import Workload


@dataclass
class Estimate:
    group: str
    name: str
    # Seconds of one iteration: the median, and the bounds of its confidence interval.
    median: float
    low: float
    high: float
    # What one iteration goes through, if the benchmark says it: how many, and of what.
    amount: int
    unit: str

    def each(self):
        """What one iteration comes to, in words."""
        if self.unit == "Elements":
            return f"{self.median / self.amount * 1e6:.2f} µs each of {self.amount:,}"
        if self.unit == "Bytes":
            return f"{self.amount / self.median / 1e6:.0f} MB/s"
        return ""


def estimates():
    found = []
    for description in sorted((TARGET / "criterion").glob("**/new/benchmark.json")):
        told = json.loads(description.read_text())
        median = json.loads(description.with_name("estimates.json").read_text())["median"]
        interval = median["confidence_interval"]
        unit, amount = next(iter((told.get("throughput") or {"": 0}).items()))
        name = " ".join(filter(None, (told["function_id"], told["value_str"])))
        found.append(Estimate(told["group_id"], name, median["point_estimate"] / 1e9, interval["lower_bound"] / 1e9,
                              interval["upper_bound"] / 1e9, amount, unit))
    return found


class Solver(Workload):
    """A chain of steps that do nothing: what is left is the solver's own."""

    name, title = "W12", "solver alone, a chain of steps"

    def measure(self, tools, report):
        report.micro = estimates()
        solver = [estimate for estimate in report.micro if estimate.group == "solver"]
        for estimate in solver:
            costs = [Cost(seconds) for seconds in (estimate.low, estimate.median, estimate.high)]
            report.add(f"{self.name} {self.title}, {estimate.name}", [(tools[0], costs)], 0, [estimate.each()])
        if not solver:
            report.leave_out(f"{self.name} {self.title}", tools[0], "cargo bench --bench micro was not run")
