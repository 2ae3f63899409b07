"""Alert latency: from the instant at which GPUs draw more to the POST at Alertmanager, and to the webhook behind it.

Called by runs/alert-latency, which builds the programs. A simulator with a known start steps the power of one factory at
random instants; the same instants, relative to whole seconds, are given to Prometheus by an exporter. Both tell a receiver
that answers as Alertmanager does, and a real Alertmanager with a webhook behind it where Debian's is installed.
"""

import argparse
import json
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nation_fleet
from machine import free_port, processor_seconds

# Each simulated agent takes two descriptors: its socket and its connection.
NODES_PER_SIMULATOR = 8_500


# A B200 at 60 % of the way from idle to its limit draws 1,214 W with its share of the node, and 1,457 W after the step.
THRESHOLD_WATTS = 1_335


@dataclass(frozen=True)
class Run:
    """One table line of ours; `core`: the only core that the aggregator may use."""

    nodes: int
    node_gpus: int
    interval: str
    trials: int
    core: int | None


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Receiver:
    """Notes when an alert that fires is told for the first time: at Alertmanager's door, and behind a real one."""

    def __init__(self):
        self.lock = threading.Lock()
        self.door, self.behind = {}, {}
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                now = time.time()
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                owner.take(now, body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, now, body):
        behind = isinstance(body, dict)
        with self.lock:
            for alert in body["alerts"] if behind else body:
                if alert["labels"].get("alertname") != "Step":
                    continue
                if behind and alert["status"] != "firing":
                    continue
                (self.behind if behind else self.door).setdefault(alert["startsAt"][:23], now)

    def first(self, table, after, before):
        """The first telling of an alert between two instants, of which none was told before."""
        with self.lock:
            found = [now for now in table.values() if after <= now < before]
        return min(found) if found else None


class Programs:
    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def start(self, name, words, **more):
        log = open(f"{self.folder}/{name}.log", "ab")
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=more.get("stderr", log))
        self.running.append(process)
        return process

    def end(self):
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        self.running = []

    def ready(self, url, seconds=120):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(url, timeout=2).read()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"alert-latency: {url} is not ready; see {self.folder}")

    def alertmanager(self, receiver):
        """A real one whose webhook is `receiver`; its port, or None where it is not installed."""
        if shutil.which("prometheus-alertmanager") is None:
            return None
        port = free_port()
        Path(f"{self.folder}/am.yml").write_text(
            "route: {receiver: w, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}\n"
            f"receivers: [{{name: w, webhook_configs: [{{url: 'http://127.0.0.1:{receiver.port}/'}}]}}]\n")
        self.start("alertmanager", [
            "prometheus-alertmanager", f"--config.file={self.folder}/am.yml", f"--storage.path={self.folder}/am-{port}",
            f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="])
        self.ready(f"http://127.0.0.1:{port}/-/ready")
        return port


def instants(trials, first, seed):
    """When power steps up and down again, seconds after the start of the run; at every phase of a second alike."""
    draw = random.Random(seed)
    at, found = float(first), []
    for _ in range(trials):
        up = at + 3.5 + draw.random()
        down = up + 3.2
        found.append((round(up, 3), round(down, 3)))
        at = down
    return found


def measure(receiver, breaches):
    """Latencies at the door and behind Alertmanager, in seconds; and how many breaches were not told."""
    door, behind, missed = [], [], 0
    for breach in breaches:
        told = receiver.first(receiver.door, breach, breach + 3)
        if told is None:
            missed += 1
            continue
        door.append(told - breach)
        further = receiver.first(receiver.behind, breach, breach + 3.5)
        if further is not None:
            behind.append(further - breach)
    return door, behind, missed


def write_scenario(path, steps):
    """All nodes at the same share of their power, and one factory that steps up and down again."""
    events = ["  - at 0s: all ramp to 60 % over 1 s"]
    for up, down in steps:
        events += [f"  - at {up}s: factory naver power +20 %", f"  - at {down}s: factory naver power +0.001 %"]
    path.write_text(
        "version: 1\nname: steps\nabout: one factory steps up and down\njobs:\n"
        "  - {factory: \"*\", inference: 100 %, job_nodes: 1}\nevents:\n" + "\n".join(events) + "\n")


def start_simulators(options, programs, folder, ingest, interval, steps):
    """Starts one for each part of the fleet, that of the stepping factory last; they, and when its clock began."""
    write_scenario(folder / "still.yaml", [])
    write_scenario(folder / "steps.yaml", steps)
    seconds = int(steps[-1][1]) + 4
    load, began = [], None
    for part in sorted((folder / "fleet").glob("part-*.yaml"), reverse=True):
        steps_here = part.stem == "part-1"
        load.append(programs.start(f"fleet-{part.stem}", [
            f"{options.bin}/bongsu-fleet", "--fleet", str(part), "--aggregator", f"127.0.0.1:{ingest}", "--scenario",
            f"{folder}/{'steps' if steps_here else 'still'}.yaml", "--interval", interval, "--duration", str(seconds),
            "--grace", "5", "--format", "json"], stderr=subprocess.PIPE))
        # It says how many it simulates at the instant at which its clock begins.
        for line in load[-1].stderr:
            if b"simulating" in line:
                began = time.time()
                break
        else:
            raise SystemExit(f"alert-latency: the simulator of {part} did not start; see {folder}")
        threading.Thread(target=load[-1].stderr.read, daemon=True).start()
    return load, began


def bongsu(options, folder, run):
    programs, receiver = Programs(folder), Receiver()
    try:
        nation_fleet.write_factories(run.nodes, NODES_PER_SIMULATOR, folder / "fleet", run.node_gpus)
        fleet = f"{folder}/fleet/all.yaml"
        # So that everybody has joined and reported for a while.
        steps = instants(run.trials, 4 + run.nodes / 125, options.seed)
        threshold = nation_fleet.shares(run.nodes)[0] * run.node_gpus * THRESHOLD_WATTS
        Path(f"{folder}/rules.yaml").write_text(
            f"groups:\n  - name: steps\n    interval: {run.interval}\n    rules:\n      - alert: Step\n"
            f"        expr: factory:bongsu_power_total_watts:sum{{factory=\"naver\"}} > {threshold}\n")
        real = programs.alertmanager(receiver)
        ingest, http = free_port(), free_port()
        words = [
            f"{options.bin}/bongsu-aggregator", "--fleet", fleet, "--data", f"{folder}/data", "--listen",
            f"127.0.0.1:{ingest}", "--http", f"127.0.0.1:{http}", "--rules", f"{folder}/rules.yaml", "--alertmanager",
            f"http://127.0.0.1:{receiver.port}"]
        if run.interval == "100ms":
            words += ["--rollup-interval", "100"]
        if real:
            words += ["--alertmanager", f"http://127.0.0.1:{real}"]
        if run.core is not None:
            words = ["taskset", "--cpu-list", str(run.core)] + words
        aggregator = programs.start("aggregator", words)
        programs.ready(f"http://127.0.0.1:{http}/-/ready")
        load, began = start_simulators(options, programs, folder, ingest, run.interval, steps)
        # The start of so many takes more than what is measured.
        time.sleep(max(0, began + steps[0][0] - time.time()))
        before, at = processor_seconds(aggregator.pid), time.time()
        for simulator in load:
            simulator.wait()
        cores = (processor_seconds(aggregator.pid) - before) / (time.time() - at)
        return (*measure(receiver, [began + up for up, _ in steps]), cores)
    finally:
        programs.end()


def prometheus(options, folder, trials):
    programs, receiver = Programs(folder), Receiver()
    state = {"watts": 500.0}

    class Exporter(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            body = f"# TYPE gpu_power_watts gauge\ngpu_power_watts {state['watts']}\n".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    exporter = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    exporter.daemon_threads = True
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    try:
        real = programs.alertmanager(receiver)
        targets = [f"'127.0.0.1:{receiver.port}'"] + ([f"'127.0.0.1:{real}'"] if real else [])
        # Prometheus derives its phases from these names; another seed, another phase.
        name = f"power-{options.seed}"
        Path(f"{folder}/rules.yml").write_text(
            f"groups: [{{name: {name}, interval: 1s, rules: [{{alert: Step, expr: gpu_power_watts > 700}}]}}]\n")
        Path(f"{folder}/prometheus.yml").write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n"
            f"alerting: {{alertmanagers: [{{static_configs: [{{targets: [{', '.join(targets)}]}}]}}]}}\n"
            f"scrape_configs: [{{job_name: {name}, static_configs: [{{targets: ['127.0.0.1:{exporter.server_port}']}}]}}]\n")
        port = free_port()
        programs.start("prometheus", [
            "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}"])
        programs.ready(f"http://127.0.0.1:{port}/-/ready")
        began = time.time()
        breaches = []
        for up, down in instants(trials, 3, options.seed):
            time.sleep(max(0, began + up - time.time()))
            breaches.append(time.time())
            state["watts"] = 750.0
            time.sleep(max(0, began + down - time.time()))
            state["watts"] = 500.0
        time.sleep(3)
        return measure(receiver, breaches)
    finally:
        programs.end()
        exporter.shutdown()


def line(name, door, behind, missed, cores=None):
    def text(values):
        if not values:
            return f"{'-':>8}{'-':>8}{'-':>8}"
        return "".join(f"{value * 1000:8.0f}" for value in (
            statistics.median(values), percentile(values, 0.99), max(values)))

    print(f"{name:<44}{len(door) + missed:>7}{missed:>7}{text(door)}{text(behind)}"
          + (f"{cores:8.2f}" if cores is not None else f"{'':>8}"), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--nodes", type=int, default=3250)
    parser.add_argument("--node-gpus", type=int, default=nation_fleet.NODE_GPUS)
    parser.add_argument("--fast-nodes", type=int, default=250)
    parser.add_argument("--core", type=int)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"{'ms from the breach':<44}{'trials':>7}{'missed':>7}{'at Alertmanager':>24}{'behind it':>24}")
    print(f"{'':<58}{'median':>8}{'p99':>8}{'max':>8}{'median':>8}{'p99':>8}{'max':>8}{'cores':>8}")
    failed = 0
    runs = [Run(options.nodes, options.node_gpus, "1s", options.trials, options.core)]
    if options.fast_nodes:
        runs.append(Run(options.fast_nodes, nation_fleet.NODE_GPUS, "100ms", options.trials, None))
    for run in runs:
        folder = Path(options.work) / run.interval
        folder.mkdir(parents=True)
        result = bongsu(options, folder, run)
        # A machine that is busy with other things may hold one up; the table says how many.
        failed += result[2] == options.trials
        line(f"bongsu, {run.nodes * run.node_gpus:,} GPUs at {run.interval}", *result)
    if shutil.which("prometheus"):
        folder = Path(options.work) / "prometheus"
        folder.mkdir(parents=True)
        line("prometheus, one gauge at 1 s", *prometheus(options, folder, options.trials))
    if failed:
        sys.exit("alert-latency: of one run not a single step was told within 3 s")


if __name__ == "__main__":
    main()
