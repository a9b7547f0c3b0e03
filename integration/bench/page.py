"""The report as a page that needs nothing else: bars for each workload, curves for each series of growth."""

import math
from html import escape

import report

STYLE = ("body{font:14px sans-serif;max-width:60em;margin:2em auto}table{border-collapse:collapse;font-size:12px}"
         "td,th{padding:2px 8px;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}td:first-child,th:first-child{text-align:left}")
COLORS = {"cold": "#0969da", "nothing changed": "#1a7f37", "one change": "#bf8700"}
WIDTH, HEIGHT, LEFT, BOTTOM = 520, 300, 70, 40


def page(told):
    tools = "".join(f"<li>{escape(tool['name'])}: {escape(tool['version'])}</li>" for tool in told.tools)
    parts = [f"<p>{escape(report.machine())}</p><ul>{tools}</ul>", bars(told.rows),
             "<h2>All figures</h2>", html_table(report.HEADER, [report.cells(row) for row in told.rows])]
    for series in told.points.values():
        parts += [f"<h2>{escape(series['title'].capitalize())}</h2>", curves(series)]
    if told.micro:
        parts += ["<h2>Single parts</h2>",
                  html_table(("part", "", "median", "interval", ""), [report.micro_cells(part) for part in told.micro])]
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>flashbuild: benchmark</title><style>{STYLE}</style>'
            f"<h1>Benchmark</h1>{''.join(parts)}</html>\n")


def bars(rows):
    """The scale is each workload's own, because only rows of one workload compare."""
    measured = [row for row in rows if row.median_seconds is not None]
    slowest = {}
    for row in measured:
        slowest[row.workload] = max(slowest.get(row.workload, 0), row.median_seconds)
    y, parts, last = 0, [], None
    for row in measured:
        if row.workload != last:
            last, y = row.workload, y + 30
            parts.append(f'<text x="10" y="{y}" font-weight="bold">{escape(last)}</text>')
        y += 20
        width = max(1, 480 * row.median_seconds / slowest[last])
        parts.append(f'<text x="10" y="{y}">{escape(row.tool)}</text>')
        parts.append(f'<rect x="100" y="{y - 12}" width="{width:.0f}" height="14" fill="{row.color}"/>')
        label = f"{report.seconds(row.median_seconds)}  ({row.ratio:.1f}x)"
        parts.append(f'<text x="{108 + width:.0f}" y="{y}">{label}</text>')
    return f'<svg width="760" height="{y + 20}" font-size="13">{"".join(parts)}</svg>'


def curves(series):
    """On scales of powers of ten: what grows with its input is a line as steep as the dashed one."""
    points = series["points"]
    sizes = [point["size"] for point in points]
    times = [value for point in points for value in point["seconds"].values()]
    right, top = decades(sizes), decades(times)

    def place(size, seconds):
        x = LEFT + (WIDTH - LEFT) * (math.log10(size) - right[0]) / (right[1] - right[0])
        y = (HEIGHT - BOTTOM) * (1 - (math.log10(seconds) - top[0]) / (top[1] - top[0]))
        return f"{x:.1f},{y:.1f}"

    def line(marks, color, dash=""):
        return f'<polyline points="{" ".join(marks)}" fill="none" stroke="{color}" stroke-width="2"{dash}/>'

    parts = [f'<svg width="{WIDTH + 160}" height="{HEIGHT}" font-size="12">']
    for power in range(top[0], top[1] + 1):
        x, y = place(10 ** right[0], 10 ** power).split(",")
        parts.append(f'<line x1="{x}" x2="{WIDTH}" y1="{y}" y2="{y}" stroke="#ddd"/>'
                     f'<text x="{LEFT - 6}" y="{float(y) + 4}" text-anchor="end">{10.0 ** power:g} s</text>')
    for power in range(right[0], right[1] + 1):
        x = place(10 ** power, 10 ** top[0]).split(",")[0]
        parts.append(f'<text x="{x}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{10 ** power:,}</text>')
    # As much longer as the input is larger, from the lowest mark on; it ends at the upper edge.
    first, end = 10.0 ** top[0], min(right[1] - right[0], top[1] - top[0])
    parts.append(line([place(10 ** right[0], first), place(10 ** (right[0] + end), first * 10 ** end)], "#999",
                      ' stroke-dasharray="4 4"'))
    for number, phase in enumerate(points[0]["seconds"]):
        marks = [place(point["size"], point["seconds"][phase]) for point in points]
        parts.append(line(marks, COLORS[phase]))
        parts.append(f'<text x="{WIDTH + 12}" y="{20 + 18 * number}" fill="{COLORS[phase]}">{escape(phase)}</text>')
    return "".join([*parts, "</svg>"])


def decades(values):
    """Exponents of ten that the values lie between."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def html_table(header, lines):
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f"<table><tr>{head}</tr>{body}</table>"
