"""One table, the same as data, and a picture."""

import json
import os
import platform
import statistics
from html import escape

HEADER = ("workload", "tool", "runs", "median", "min-max", "CPU", "peak", "written", "sent", "ratio")


class Report:
    def __init__(self, runs):
        self.runs, self.rows = runs, []

    def add(self, workload, tools, costs):
        """`costs` holds a list of runs for each tool; the first tool is what the others are compared with."""
        ours = statistics.median(cost.seconds for cost in costs[0])
        for tool, runs in zip(tools, costs):
            seconds = [cost.seconds for cost in runs]
            median = statistics.median
            self.rows.append({
                "workload": workload, "tool": tool.name, "color": tool.color, "runs": len(runs),
                "seconds": seconds, "median_seconds": median(seconds),
                "cpu_seconds": median(cost.cpu_seconds for cost in runs),
                "peak_bytes": max(cost.peak_bytes for cost in runs),
                "written_bytes": median(cost.written_bytes for cost in runs),
                "sent_bytes": median(cost.sent_bytes for cost in runs),
                "ratio": median(seconds) / ours,
            })

    def table(self):
        lines = [HEADER, *map(cells, self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
        lines.insert(1, tuple("-" * width for width in widths))
        return "\n".join([machine(), "", *(aligned(line, widths) for line in lines)])

    def write(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        data = {"machine": machine(), "rows": [{k: v for k, v in row.items() if k != "color"} for row in self.rows]}
        (folder / "report.json").write_text(json.dumps(data, indent=1) + "\n")
        (folder / "report.svg").write_text(self.picture())

    def picture(self):
        """A bar for each row; the scale is each workload's own, because only rows of one workload compare."""
        slowest = {}
        for row in self.rows:
            slowest[row["workload"]] = max(slowest.get(row["workload"], 0), row["median_seconds"])
        y, parts, last = 0, [], None
        for row in self.rows:
            if row["workload"] != last:
                last, y = row["workload"], y + 30
                parts.append(f'<text x="10" y="{y}" font-weight="bold">{escape(last)}</text>')
            y += 20
            width = max(1, 480 * row["median_seconds"] / slowest[last])
            parts.append(f'<text x="10" y="{y}">{escape(row["tool"])}</text>')
            parts.append(f'<rect x="100" y="{y - 12}" width="{width:.0f}" height="14" fill="{row["color"]}"/>')
            label = f'{seconds(row["median_seconds"])}  ({row["ratio"]:.1f}x)'
            parts.append(f'<text x="{108 + width:.0f}" y="{y}">{label}</text>')
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{y + 20}" '
                f'font-family="sans-serif" font-size="13">{"".join(parts)}</svg>\n')


def cells(row):
    spread = f'{seconds(min(row["seconds"]))}-{seconds(max(row["seconds"]))}'
    return (row["workload"], row["tool"], str(row["runs"]), seconds(row["median_seconds"]), spread,
            seconds(row["cpu_seconds"]), size(row["peak_bytes"]), size(row["written_bytes"]), size(row["sent_bytes"]),
            f'{row["ratio"]:.1f}')


def aligned(line, widths):
    named, numbers = 2, zip(line[2:], widths[2:])
    left = [cell.ljust(width) for cell, width in zip(line[:named], widths)]
    return " | ".join([*left, *(cell.rjust(width) for cell, width in numbers)]).rstrip()


def seconds(value):
    return f"{value:.3f} s" if value < 1 else f"{value:.2f} s"


def size(value):
    return f"{value / 1e6:.1f} MB"


def machine():
    return f"{os.cpu_count()} cores, Linux {platform.release()}, {platform.machine()}"
