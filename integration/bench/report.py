"""One table, and the same as data."""

import json
import os
import platform
import statistics
from dataclasses import asdict, dataclass, field

import page

HEADER = ("workload", "tool", "runs", "median", "min-max", "CPU", "peak", "written", "sent", "ratio", "")


@dataclass
class Row:
    workload: str
    tool: str
    color: str
    # How many rounds it took part in, of how many; none of either where that has no meaning.
    runs: int = 0
    of: int = 0
    seconds: list = field(default_factory=list)
    median_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_bytes: int | None = None
    written_bytes: float | None = None
    sent_bytes: float | None = None
    # To the first tool of the workload, which is ours.
    ratio: float | None = None
    note: str = ""


class Report:
    def __init__(self, tools):
        self.tools = [{"name": tool.name, "version": tool.version()} for tool in tools]
        # `points` has a list of {"size", "seconds" by phase} for each series of growth; `micro` is criterion's.
        self.rows, self.points, self.micro = [], {}, []

    def add(self, workload, taken, of, notes=()):
        """`taken` holds tools with a list of costs each; the first is what the others are compared with."""
        median = statistics.median
        ours = median(cost.seconds for cost in taken[0][1])
        for number, (tool, costs) in enumerate(taken):
            row = Row(workload, tool.name, tool.color, len(costs), of, [cost.seconds for cost in costs])
            row.median_seconds = median(row.seconds)
            row.ratio = row.median_seconds / ours
            # A part that was not a process of its own has a time, and no more.
            if any(cost.peak_bytes for cost in costs):
                row.cpu_seconds = median(cost.cpu_seconds for cost in costs)
                row.peak_bytes = max(cost.peak_bytes for cost in costs)
                row.written_bytes = median(cost.written_bytes for cost in costs)
                row.sent_bytes = median(cost.sent_bytes for cost in costs)
            row.note = notes[number] if notes else ""
            self.rows.append(row)

    def leave_out(self, workload, tool, why):
        self.rows.append(Row(workload, tool.name, tool.color, note=f"left out: {why}"))

    def add_point(self, series, title, size, seconds):
        self.points.setdefault(series, {"title": title, "points": []})["points"].append({"size": size, "seconds": seconds})

    def text(self):
        blocks = [machine(), *(f"{tool['name']}: {tool['version']}" for tool in self.tools)]
        if self.rows:
            blocks += ["", table(HEADER, [cells(row) for row in self.rows])]
        for series in self.points.values():
            blocks += ["", growth(series)]
        if self.micro:
            blocks += ["", table(("part", "", "median", "interval", ""), [micro_cells(part) for part in self.micro])]
        return "\n".join(blocks)

    def write(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        data = {"machine": machine(), "tools": self.tools,
                "rows": [{name: value for name, value in asdict(row).items() if name != "color"} for row in self.rows],
                "growth": self.points, "micro": [asdict(part) for part in self.micro]}
        (folder / "report.json").write_text(json.dumps(data, indent=1) + "\n")
        (folder / "report.html").write_text(page.page(self))


def cells(row):
    runs = "" if not row.of else str(row.runs) if row.runs == row.of else f"{row.runs} of {row.of}"
    if row.median_seconds is None:
        return row.workload, row.tool, *[""] * 8, row.note
    spread = f"{seconds(min(row.seconds))}-{seconds(max(row.seconds))}"
    cost = ("",) * 4 if row.peak_bytes is None else (
        seconds(row.cpu_seconds), size(row.peak_bytes), size(row.written_bytes), size(row.sent_bytes))
    return row.workload, row.tool, runs, seconds(row.median_seconds), spread, *cost, f"{row.ratio:.1f}", row.note


def micro_cells(part):
    return part.group, part.name, seconds(part.median), f"{seconds(part.low)}-{seconds(part.high)}", part.each()


def growth(series):
    """How much longer each size takes than the one before."""
    points = series["points"]
    phases = list(points[0]["seconds"])
    lines = []
    for number, point in enumerate(points):
        line = [f"{point['size']:,}"]
        for phase in phases:
            before = points[number - 1] if number else None
            grown = f"{point['seconds'][phase] / before['seconds'][phase]:.1f} for {point['size'] / before['size']:.0f}" \
                if before else ""
            line += [seconds(point["seconds"][phase]), grown]
        lines.append(line)
    header = [series["title"]]
    for phase in phases:
        header += [phase, "times"]
    return table(header, lines)


def table(header, lines):
    """The first two columns and the last are words, the others numbers."""
    widths = [max(len(line[column]) for line in [header, *lines]) for column in range(len(header))]
    rule = ["-" * width for width in widths]

    def aligned(line):
        last = len(line) - 1
        return " | ".join(cell.ljust(width) if column < 2 or column == last and not line[last][:1].isdigit() else cell.rjust(width)
                          for column, (cell, width) in enumerate(zip(line, widths))).rstrip()

    return "\n".join(aligned(line) for line in [header, rule, *lines])


def seconds(value):
    if value < 0.001:
        return f"{value * 1e6:.1f} µs"
    return f"{value:.3f} s" if value < 1 else f"{value:.2f} s"


def size(value):
    return f"{value / 1e6:.1f} MB"


def machine():
    return f"{os.cpu_count()} cores, Linux {platform.release()}, {platform.machine()}"
