# SPDX-License-Identifier: GPL-2.0
"""What bench/fleet runs: artificial machines, and a Prometheus that scrapes them."""

import gzip
import http.server
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests/host"))

from prometheus import Prometheus, until      # noqa: E402

# What a machine of a guest has exported
PAGE = os.path.join(TOP, "tests/host/data/metrics-2.prom")
RULES = os.path.join(TOP, "packaging/prometheus/mp3.rules.yml")

# Each kind of machine: rows of names, of cgroups, and the share of them that does
# something between two scrapes
KINDS = {"usual": (60, 40, 1 / 3), "full": (201, 201, 1)}

# What a metric grows by between two scrapes, at most: the first pattern that its name
# contains. So little that no alert fires: that would cost more than all else.
STEPS = {"build_info|interval|limit|lost|dropped|denied|registered|former": 0, "missed": 0.1,
         "started": 20, "major_faults": 5, "minor_faults": 50000, "bucket|count": 5000,
         "resident": 1 << 24, "stall": 0.5, "seconds": 5, "ticks": 60}

# Between two scrapes. To measure in a third of the time, rates of the rules have ranges
# that are as much shorter, and so as many samples as in the fleet.
SCRAPE_SECONDS = 5

# The fleet of docs/fleet.md
MACHINES = 1000
INTERVAL_SECONDS = 15
RETENTION_DAYS = 15
FEDERATED_SECONDS = 60
FEDERATED_DAYS = 730


class Machine:
    """A machine whose pages have the metrics of a template, with more rows."""

    def __init__(self, template, names, cgroups, active, seed):
        self.random = random.Random(seed)
        self.active = active
        self.lines = []         # name, step, value, row; or a comment
        rows = {"comm": [f"name-{i}" for i in range(names)],
                "cgroup": [f"/system.slice/service-{i}.service" for i in range(cgroups)]}
        done = set()
        for line in template.splitlines():
            match = re.fullmatch(r'(\w+)(?:\{(\w+)=".*?"\})? (\S+)', line)
            if line.startswith("#") or not match or match[2] not in rows:
                self.add(line, None)
            elif match[1] not in done:
                done.add(match[1])
                for row in rows[match[2]]:
                    # The value of the template, for its decimals
                    self.add(f'{match[1]}{{{match[2]}="{row}"}} {match[3]}', row)

    def add(self, line, row):
        if line.startswith("#"):
            self.lines.append([line, None, None, None])
            return
        name, value = line.rsplit(" ", 1)
        step = next(step for pattern, step in STEPS.items() if re.search(pattern, name))
        self.lines.append([name, step, float(value) if "." in value else int(value), row])

    def page(self):
        """Return the next page."""
        draw = self.random.random
        active = {row: row is None or draw() < self.active
                  for row in sorted({line[3] or "" for line in self.lines}) + [None]}
        text = []
        for line in self.lines:
            name, step, value, row = line
            if step is None:
                text.append(name)
                continue
            if active[row]:
                grown = value + draw() * step
                value = line[2] = grown if isinstance(value, float) else int(grown)
            text.append(f"{name} {value:.9f}" if isinstance(value, float)
                        else f"{name} {value}")
        return "\n".join(text) + "\n"


def serve(machines):
    """Serve the pages of machines, /0 to /N. Return the port."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            data = machines[int(self.path[1:])].page().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    # Prometheus closes the connection of a scrape that has timed out.
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def shorter_ranges(rules):
    """Return rules whose ranges have as many samples as those of the fleet."""
    units = {"s": 1, "m": 60, "h": 3600}
    return re.sub(r"\[(\d+)([smh])\]", lambda match: "[%ds]" % (
        int(match[1]) * units[match[2]] * SCRAPE_SECONDS / INTERVAL_SECONDS), rules)


def directory_bytes(path):
    return sum(os.path.getsize(os.path.join(folder, name))
               for folder, _, names in os.walk(path) for name in names)


def measure_kind(program, kind, nr_machines, nr_scrapes):
    """Scrape machines of a kind. Print what that costs."""
    def result(what, value, unit):
        print(kind, what, value, unit, flush=True)

    names, cgroups, active = KINDS[kind]
    template = open(PAGE, encoding="utf-8").read()
    machines = [Machine(template, names, cgroups, active, i) for i in range(nr_machines)]
    for _ in range(100):
        page = machines[0].page().encode()
    result("machines", nr_machines, "")
    result("scrapes", nr_scrapes, "")
    result("page", len(page), "bytes")
    result("page_gzip", len(gzip.compress(page, 6)), "bytes")
    port = serve(machines)

    with tempfile.TemporaryDirectory() as folder:
        targets = {
            "machines": [{"targets": [f"127.0.0.1:{port}"],
                          "labels": {"__metrics_path__": f"/{i}",
                                     "instance": f"machine-{i}"}}
                         for i in range(nr_machines)],
            "none": []}

        def scrape(which):
            with open(folder + "/new.json", "w", encoding="utf-8") as file:
                json.dump(targets[which], file)
            os.rename(folder + "/new.json", folder + "/targets.json")

        def configure(rule_files):
            # JSON is YAML.
            with open(folder + "/prometheus.yml", "w", encoding="utf-8") as file:
                json.dump({
                    "global": {"scrape_interval": f"{SCRAPE_SECONDS}s",
                               "evaluation_interval": f"{INTERVAL_SECONDS}s"},
                    "rule_files": rule_files,
                    "scrape_configs": [{
                        "job_name": "mp3",
                        "file_sd_configs": [{"files": [folder + "/targets.json"],
                                             "refresh_interval": "1s"}]}]}, file)

        scrape("none")
        with open(folder + "/rules.yml", "w", encoding="utf-8") as file:
            file.write(shorter_ranges(open(RULES, encoding="utf-8").read()))
        configure([folder + "/rules.yml"])
        log = open(folder + "/log", "w+", encoding="utf-8")
        process = subprocess.Popen(
            [program, "--config.file", folder + "/prometheus.yml",
             "--storage.tsdb.path", folder + "/data", "--web.enable-admin-api",
             "--web.listen-address", "127.0.0.1:0"], stderr=log)

        def address():
            if process.poll() is not None:
                raise OSError(open(log.name, encoding="utf-8").read())
            return re.search(r'"Listening on" address=(\S+)',
                             open(log.name, encoding="utf-8").read())

        def status():
            stat = open(f"/proc/{process.pid}/stat", encoding="utf-8").read()
            fields = stat.rsplit(")", 1)[1].split()
            cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            return cpu, int(fields[21]) * os.sysconf("SC_PAGE_SIZE")

        try:
            prometheus = Prometheus("http://" + until(address)[1])

            def ready():
                try:
                    return prometheus.get("targets") is not None
                except OSError:
                    return False

            until(ready)
            time.sleep(10)
            cpu_before, memory_before = status()
            scrape("machines")

            def scrapes():
                counts = [value for _, value in prometheus.query("count_over_time(up[1h])")]
                return counts if len(counts) == nr_machines else [0]

            # Memory at the peaks between collections of garbage is what counts.
            memory = []

            def wait_scrapes(number):
                while min(scrapes()) < number:
                    for _ in range(20):
                        memory.append(status()[1])
                        time.sleep(0.1)
                return status()[0], sum(scrapes())

            cpu_with, done_with = wait_scrapes(nr_scrapes)
            if prometheus.value("min(min_over_time(up[1h]))") < 1:
                raise OSError("this machine is too slow: a scrape has timed out")
            alerts = prometheus.get("alerts")["alerts"]
            assert not alerts, alerts[:3]
            groups = prometheus.get("rules")["groups"]
            for group in groups:
                for rule in group["rules"]:
                    assert rule["health"] == "ok", rule
            snapshot = prometheus.get("admin/tsdb/snapshot", method="POST")["name"]
            wal = directory_bytes(folder + "/data/wal")
            blocks = os.path.join(folder, "data/snapshots", snapshot)
            stats = [json.load(open(f"{blocks}/{name}/meta.json", encoding="utf-8"))["stats"]
                     for name in os.listdir(blocks)]
            samples = sum(block["numSamples"] for block in stats)
            series = sum(block["numSeries"] for block in stats)
            chunks = sum(directory_bytes(f"{blocks}/{name}/chunks")
                         for name in os.listdir(blocks))
            index = sum(os.path.getsize(f"{blocks}/{name}/index")
                        for name in os.listdir(blocks))
            scraped = prometheus.value("max(scrape_samples_scraped)")
            recorded = prometheus.value('count({__name__=~".+:.+"})')
            evaluations = prometheus.value(
                "max(count_over_time(instance:mp3_resident_memory_bytes:sum[1h]))")
            memory_peak = max(memory)

            # The same without rules, for their share of the CPU time
            configure([])
            process.send_signal(signal.SIGHUP)
            until(lambda: not prometheus.get("rules")["groups"])
            cpu_start, done_start = status()[0], sum(scrapes())
            cpu_without, done_without = wait_scrapes(max(scrapes()) + nr_scrapes // 4)
        finally:
            process.terminate()
            process.wait()
    result("series", int(scraped), "")
    result("recorded", int(recorded), "")
    result("head_series", series, "")
    result("memory_per_series", round((memory_peak - memory_before) / series), "bytes")
    result("chunks_per_sample", round(chunks / samples, 3), "bytes")
    result("index_per_series", round(index / series, 1), "bytes")
    result("wal_per_sample", round(wal / samples, 3), "bytes")
    scrape_cpu = (cpu_without - cpu_start) / (done_without - done_start)
    rules_cpu = (cpu_with - cpu_before - done_with * scrape_cpu) / evaluations
    result("cpu_per_sample", round(scrape_cpu / scraped * 1e6, 3), "us")
    result("rules_cpu_per_series", round(rules_cpu / scraped / nr_machines * 1e6, 3), "us")


def amount(number, unit=""):
    """Return a number with three digits and a prefix of its unit."""
    for prefix, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if unit and number >= factor:
            return f"{float(f'{number / factor:.3g}'):g} {prefix}{unit}"
    number = float(f"{number:.3g}")
    return f"{number:,.0f}" if number >= 100 and not unit else f"{number:g} {unit}".strip()


def table(path):
    """Print what the machines of docs/fleet.md need."""
    data = {}
    for line in open(path, encoding="utf-8"):
        if not line.startswith("#"):
            kind, what, value = line.split()[:3]
            data.setdefault(kind, {})[what] = float(value)
    rows = {}
    for kind, (names, cgroups, _) in KINDS.items():
        d = data[kind]
        # What the rules record: for each machine, each name, and each bucket
        recorded_machine = 7
        recorded = MACHINES * recorded_machine + d["recorded"] - \
            d["machines"] * recorded_machine
        series = MACHINES * d["series"] + recorded
        rate = series / INTERVAL_SECONDS
        rules = MACHINES * d["series"] * d["rules_cpu_per_series"] / 1e6
        cpus = rate * d["cpu_per_sample"] / 1e6 + rules / INTERVAL_SECONDS
        day = 86400 * rate * d["chunks_per_sample"] + series * d["index_per_series"]
        kept = recorded * 86400 / FEDERATED_SECONDS * d["chunks_per_sample"] + \
            recorded * d["index_per_series"]
        for what, value in (
                ("names and cgroups of a machine", f"{names} and {cgroups}"),
                ("a page, as `gzip` compresses it",
                 f"{amount(d['page'], 'B')}, {amount(d['page_gzip'], 'B')}"),
                ("pages, all machines",
                 amount(MACHINES * d["page"] / INTERVAL_SECONDS, "B/s")),
                ("series of a machine", amount(d["series"])),
                ("series, with what the rules record", amount(series)),
                ("memory for a series", amount(d["memory_per_series"], "B")),
                ("**memory**", f"**{amount(series * d['memory_per_series'], 'B')}**"),
                ("samples", amount(rate, "/s")),
                ("CPU time for a sample", f"{d['cpu_per_sample']:.3g} µs"),
                ("CPU time of the rules for a series, each time",
                 f"{d['rules_cpu_per_series']:.3g} µs"),
                (f"CPU time of the rules, every {INTERVAL_SECONDS} s",
                 f"{amount(rules)} s"),
                ("**CPUs**", f"**{amount(cpus)}**"),
                ("disk for a sample", f"{d['chunks_per_sample']:.3g} B"),
                ("disk for a day", amount(day, "B")),
                (f"**disk for {RETENTION_DAYS} days**",
                 f"**{amount(day * RETENTION_DAYS, 'B')}**"),
                ("log of the last three hours (WAL)",
                 amount(rate * 3 * 3600 * d["wal_per_sample"], "B")),
                ("series that the rules record", amount(recorded)),
                (f"disk for {FEDERATED_DAYS // 365} years of these, each minute",
                 amount(kept * FEDERATED_DAYS, "B"))):
            rows.setdefault(what, []).append(value)
    print(f"| {MACHINES:,} machines, every {INTERVAL_SECONDS} s | "
          + " | ".join(KINDS) + " |")
    print("|---" * (1 + len(KINDS)) + "|")
    for what, values in rows.items():
        print(f"| {what} | " + " | ".join(values) + " |")


def measure(program, nr_machines, nr_scrapes):
    version = subprocess.run([program, "--version"], capture_output=True, text=True,
                             check=True).stdout.split()[2]
    print(f"# Prometheus {version}, {os.cpu_count()} CPUs")
    print("# kind what value unit")
    for kind in KINDS:
        # About as many series of each kind
        measure_kind(program, kind, nr_machines if kind == "usual" else
                     max(1, nr_machines // 4), nr_scrapes)


if __name__ == "__main__":
    if sys.argv[1] == "measure":
        # Prometheus is to end, too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        measure(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        table(sys.argv[2])
