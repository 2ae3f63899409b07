"""Starts an aggregator over a day of stored data, asks it, kills it and starts it again. Called by runs/history, which builds
the programs. Prometheus and VictoriaMetrics are asked the same over the samples that the questions need.
"""

import argparse
import json
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nation_fleet
import query
from machine import disk_bytes, free_port, peak_bytes, processor_seconds, resident_bytes

FACTORY = "sk"
RECORDED = f"factory:{query.POWER}:sum"
# Samples of a factory's power that peers are given for the whole span, as a file of text.
WHOLE_SAMPLES_MAX = 4_000_000


class Aggregator(query.Server):
    """One aggregator over the stored data, and the seconds until it answered."""

    def __init__(self, options, ports, number):
        ingest, http = ports
        began = time.monotonic()
        super().__init__(
            "Bongsu",
            [f"{options.bin}/bongsu-aggregator", "--fleet", f"{options.work}/fleet/all.yaml", "--data",
             f"{options.work}/data", "--listen", f"127.0.0.1:{ingest}", "--http", f"127.0.0.1:{http}"], http,
            options.work / f"aggregator-{number}.log")
        self.began = began
        deadline = began + 300
        while True:
            try:
                self.get("/-/ready")
                break
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit(f"ops/bench history: the aggregator does not start; see {options.work}/aggregator-{number}.log")
                time.sleep(0.01)
        self.ready_after = time.monotonic() - began

    def metric(self, name):
        found = re.search(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+]+)$", self.get("/metrics").decode(), re.MULTILINE)
        return float(found[1]) if found else 0

    def seconds_until(self, condition, limit=120):
        """Seconds since the start until the condition holds."""
        while time.monotonic() < self.began + limit:
            if condition():
                return time.monotonic() - self.began
            time.sleep(0.02)
        sys.exit(f"ops/bench history: nothing after {limit} s")


def first_node(aggregator, end):
    """Labels of one GPU that has data at the end."""
    body = aggregator.get("/api/v1/query", query=f'{query.POWER}{{factory="{FACTORY}"}}', time=end)
    result = json.loads(body)["data"]["result"]
    if not result:
        sys.exit(f"ops/bench history: factory {FACTORY} has no power at {end}")
    return min((series["metric"]["node"], series["metric"]["gpu"]) for series in result), len(result)


def recorded_lines(aggregator, first, end):
    """The factory's power minute by minute, as the lines of a series that a recording rule would have left."""
    body = aggregator.get(
        "/api/v1/query_range", query=f'{RECORDED}{{factory="{FACTORY}"}}', start=first, end=end, step=60)
    for series in json.loads(body)["data"]["result"]:
        labels = ",".join(f'{name}="{value}"' for name, value in sorted(series["metric"].items()) if name != "__name__")
        for at, value in series["values"]:
            yield f"{RECORDED}{{{labels}}} {value} {at}\n"


def questions(node, gpu, first, end, is_whole):
    hour = max(first, end - 3600)
    five = max(first, end - 300)
    path = "/api/v1/query_range"
    found = [
        query.Question(
            "a", path, {"query": f'{query.POWER}{{node="{node}",gpu="{gpu}"}}', "start": hour, "end": end, "step": 1}),
        query.Question(
            "b", path, {"query": f'{query.POWER}{{factory="{FACTORY}"}}', "start": five, "end": end, "step": 1}),
        query.Question(
            "c", path, {"query": f'{RECORDED}{{factory="{FACTORY}"}}', "start": first, "end": end, "step": 60})]
    if is_whole:
        # Windows of 60 samples, whether one at their very beginning counts (Prometheus 2.42) or not. The first minute has
        # no sample at its beginning, and so is not whole.
        found.append(query.Question(
            "d", path,
            {"query": f'sum by (factory) (avg_over_time({query.POWER}{{factory="{FACTORY}"}}[59s500ms]))', "start": first + 60,
             "end": end, "step": 60}, ours=f'sum by (factory) ({RECORDED}{{factory="{FACTORY}"}})'))
    return found


def ask(options, aggregator, first, end):
    (node, gpu), gpus = first_node(aggregator, end)
    export = options.work / "samples.txt"
    is_whole = gpus * (end - first) <= WHOLE_SAMPLES_MAX
    query.export_samples(
        options, aggregator, f'{query.POWER}{{factory="{FACTORY}"}}', first if is_whole else max(first, end - 3600), end,
        export)
    lines = export.read_text().splitlines(keepends=True)
    with open(export, "w") as out:
        # The end of the file is a line that says so.
        out.writelines(line for line in lines if line != "# EOF\n")
        out.write(f"# TYPE {RECORDED} gauge\n")
        out.writelines(recorded_lines(aggregator, first, end))
        out.write("# EOF\n")
    print(f"a: one GPU's power over an hour; b: that of {gpus} GPUs over 5 min; c: a factory's by the minute over all of it"
          + ("; d: the same, which peers add up from all readings" if is_whole else ""))
    peers = query.start_peers(options.work, export)
    try:
        query.measure([aggregator] + peers, questions(node, gpu, first, end, is_whole), options.rounds)
    finally:
        for peer in peers:
            peer.stop()


def kill_and_start(options, ports, aggregator):
    """kill -9 while all nodes report. Returns the aggregator that stands up again."""
    plan = options.work / "fleet" / "part-1.yaml"
    with open(options.work / "fleet.log", "w") as log:
        fleet = subprocess.Popen(
            [f"{options.bin}/bongsu-fleet", "--fleet", plan, "--aggregator", f"127.0.0.1:{ports[0]}", "--duration",
             str(options.load_seconds + 30), "--grace", "60", "--format", "json"], stdout=log, stderr=log)
    try:
        aggregator.seconds_until(
            lambda: aggregator.metric("bongsu_ingest_connected_nodes") == options.nodes,
            time.monotonic() - aggregator.began + 60)
        time.sleep(options.load_seconds)
        aggregator.process.kill()
        aggregator.process.wait()
        again = Aggregator(options, ports, 2)
        acknowledged = again.seconds_until(lambda: again.metric("bongsu_ingest_acknowledgements_total") > 0)
        connected = again.seconds_until(lambda: again.metric("bongsu_ingest_connected_nodes") == options.nodes)
        status = fleet.wait()
    finally:
        if fleet.poll() is None:
            fleet.terminate()
            fleet.wait()
    account = json.loads((options.work / "fleet.log").read_text().strip().splitlines()[-1])
    print(f"after kill -9 under {options.nodes} nodes: ready {again.ready_after:.2f} s, first new durable acknowledgement "
          f"{acknowledged:.2f} s, all nodes back {connected:.1f} s; {account['rows_sampled']:,} rows sampled, "
          f"{account['rows_acknowledged']:,} acknowledged, {account['rows_lost']} lost")
    if status != 0 or account["rows_lost"] or account["rows_sampled"] != account["rows_acknowledged"]:
        sys.exit("ops/bench history: rows were lost or not acknowledged")
    return again


def main():
    parser = argparse.ArgumentParser()
    for name, kind in (("bin", str), ("work", Path), ("nodes", int), ("minutes", int), ("rounds", int),
                       ("load-seconds", int)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    options = parser.parse_args()
    options.work = options.work.resolve()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    nation_fleet.main(options.nodes, 1, options.work / "fleet")
    end = int(time.time()) // 60 * 60
    first = end - options.minutes * 60
    began = time.monotonic()
    subprocess.run(
        [f"{options.bin}/bongsu-past", "directory", f"{options.work}/fleet/all.yaml", str(options.nodes),
         str(options.minutes), f"{options.work}/data", str(end)], check=True)
    disk = disk_bytes(options.work / "data")
    samples = options.nodes * nation_fleet.NODE_GPUS * 12 * options.minutes * 60
    print(f"{samples:,} samples of {options.nodes * nation_fleet.NODE_GPUS:,} GPUs in {options.minutes:,} min, written in "
          f"{time.monotonic() - began:.0f} s: raw {disk.get('raw', 0) / samples:.3f} bytes a sample, tiers "
          f"{disk.get('tiers', 0) / samples:.3f}")
    ports = free_port(), free_port()
    aggregator = Aggregator(options, ports, 1)
    try:
        print(f"start: ready {aggregator.ready_after:.2f} s, {processor_seconds(aggregator.process.pid):.2f} s of processor, "
              f"{resident_bytes(aggregator.process.pid) / 1e6:.0f} MB resident")
        ask(options, aggregator, first, end)
        print(f"after the questions: {peak_bytes(aggregator.process.pid) / 1e6:.0f} MB at most")
        aggregator = kill_and_start(options, ports, aggregator)
    finally:
        if aggregator.process.poll() is None:
            aggregator.stop()
    shutil.rmtree(options.work / "data")


if __name__ == "__main__":
    main()
