#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Draw the page faults and the memory of processes, from a capture or a recording.

Usage: example.py [RECORDING [FILE.svg]]

Without a recording, it profiles three small programs. The picture is an SVG, by default
faults.svg. In a notebook, run the cells (# %%); then this shows the picture:

    draw(*capture_programs())
"""

# %% The records
import subprocess
import sys
from html import escape

import mp3

PROGRAM = """
import mmap, time
memory = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE)
time.sleep(0.3)
for page in range(0, len(memory), mmap.PAGESIZE):
    memory[page] = 1
time.sleep(0.3)
"""


def capture_programs():
    """Profile three programs one after the other. Return their records."""
    with mp3.Capture() as capture:
        capture.follow()                        # this process, and what it starts
        for _ in range(3):
            subprocess.run([sys.executable, "-c", PROGRAM], check=True)
        capture.unregister()
        while capture.header.processes:         # until a tick has collected the last counts
            capture.wait(1)
        return list(capture.records()), "three programs"


def read_recording(path):
    """Return the records of a recording, and its command."""
    with mp3.Recording(path) as recording:
        return list(recording.records()), recording.info.get("command", path)


# %% The picture
COLORS = ["#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#0072B2", "#999999"]
LEFT, WIDTH, HEIGHT, BINS = 80, 800, 200, 160


def ticks(highest, most=5):
    """Return numbers from 0 to at least highest: steps of 1, 2 or 5 times 10^n."""
    step = 10.0 ** -9
    while highest / step > most:
        step *= 2.5 if f"{step:e}"[0] == "2" else 2
    return [step * i for i in range(int(-(-highest // step)) + 1)]


def short(number):
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:g}{unit}"
    return f"{number:.6g}"


def plain(name):
    """Return a name that an SVG can contain: a process chooses its own."""
    return escape("".join(c if c.isprintable() and not 0xD800 <= ord(c) < 0xE000 else "?"
                          for c in name))


class Panel:
    """Axes with a title; curves are added to its elements."""

    def __init__(self, y, title, seconds, highest):
        self.y = y
        self.times, self.values = ticks(seconds, 10), ticks(highest)
        self.elements = [f'<text x="{LEFT}" y="{y - 12}" font-size="16">{title}</text>']
        for value in self.values:
            at = self.up(value)
            self.elements.append(
                f'<path d="M{LEFT},{at:.1f}h{WIDTH}" stroke="#D8D8D8"/>'
                f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{short(value)}</text>')
        for time in self.times:
            self.elements.append(
                f'<text x="{self.along(time):.1f}" y="{y + HEIGHT + 20}" '
                f'text-anchor="middle">{time:.6g}</text>')

    def along(self, time):
        return LEFT + WIDTH * time / self.times[-1]

    def up(self, value):
        return self.y + HEIGHT * (1 - value / self.values[-1])


class Picture(str):
    """An SVG that a notebook shows."""

    def _repr_svg_(self):
        return str(self)


def draw(records, title):
    """Return a picture of the faults by process, stacked, and of the resident memory."""
    start = min(record.time_ns for record in records)
    seconds = max((max(record.time_ns for record in records) - start) / 1e9, 0.05)
    width = 0.05 * -(-seconds // (0.05 * BINS))  # a multiple of the usual interval
    processes = {}
    for record in records:
        processes.setdefault(record.pid, []).append(record)

    def faults_of(pid):
        return sum(record.min_flt + record.maj_flt for record in processes[pid])

    order = sorted(processes, key=faults_of, reverse=True)
    shown = order[:len(COLORS) - 1]
    groups = [[pid] for pid in shown] + ([order[len(shown):]] if order[len(shown):] else [])

    # A tick is at a multiple of the interval after the first one, but for its delay.
    bins = [[0] * (round(seconds / width) + 1) for _ in groups]
    for group, row in zip(groups, bins):
        for pid in group:
            for record in processes[pid]:
                row[round((record.time_ns - start) / 1e9 / width)] += (
                    record.min_flt + record.maj_flt) / width
    rates = Panel(110, "Page faults per second", seconds,
                  max(map(sum, zip(*bins))) or 1)
    memory = Panel(110 + HEIGHT + 80, "Resident memory, MiB", seconds,
                   max(record.rss_bytes for record in records) / 2**20 or 1)

    below = [0] * len(bins[0])
    for row, color in zip(bins, COLORS):
        bars = ""
        for i, rate in enumerate(row):
            if rate:
                left, right = rates.along(i * width), rates.along((i + 1) * width)
                bottom, top = rates.up(below[i]), rates.up(below[i] + rate)
                bars += f"M{left:.1f},{bottom:.1f}V{top:.1f}H{right:.1f}V{bottom:.1f}z"
            below[i] += rate
        rates.elements.append(f'<path d="{bars}" fill="{color}"/>')
    for pid, color in zip(shown, COLORS):
        points = " ".join(
            f"{memory.along((record.time_ns - start) / 1e9):.1f},"
            f"{memory.up(record.rss_bytes / 2**20):.1f}"
            for record in processes[pid] if not record.flags & mp3.LAST)
        memory.elements.append(f'<polyline points="{points}" fill="none" stroke="{color}" '
                               'stroke-width="2"/>')

    legend = []
    for i, (group, color) in enumerate(zip(groups, COLORS)):
        pid = group[0]
        name = (f"{plain(processes[pid][-1].comm)} ({pid})" if pid in shown else
                f"others ({len(group)})")
        y = 120 + 24 * i
        legend.append(f'<rect x="{LEFT + WIDTH + 20}" y="{y - 11}" width="20" height="12" '
                      f'fill="{color}"/><text x="{LEFT + WIDTH + 48}" y="{y}">{name}</text>')
    major = sum(record.maj_flt for record in records)
    total = sum(map(faults_of, processes))
    return Picture("\n".join([
        '<svg xmlns="http://www.w3.org/2000/svg" width="1080" height="655" '
        'font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="40" font-size="22">{plain(title)}</text>',
        f'<text x="{LEFT}" y="64" fill="#404040">{len(processes)} processes, '
        f'{seconds:.1f} s: {total:,} faults, {major:,} of them major</text>',
        *rates.elements, *memory.elements, *legend,
        f'<text x="{LEFT + WIDTH / 2}" y="{memory.y + HEIGHT + 45}" text-anchor="middle">'
        'seconds since the first record</text>', "</svg>\n"]))


# %% Both
def main(arguments):
    try:
        records, title = (read_recording(arguments[0]) if arguments else
                          capture_programs())
        if not records:
            raise OSError("there are no records to draw")
        name = arguments[1] if len(arguments) > 1 else "faults.svg"
        with open(name, "w", encoding="utf-8") as file:
            file.write(draw(records, title))
    except OSError as error:
        sys.exit(f"example.py: {error}")
    print(f"{name}: {len(records)} records")


if __name__ == "__main__" and "ipykernel" not in sys.modules:
    main(sys.argv[1:])
