"""Runs the national load against real aggregators and accounts for processor time, memory, disk and every row.

Called by runs/nation, which builds the programs. Only /proc and the programs' own answers are read.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import nation_fleet
from machine import disk_bytes, free_port, peak_bytes, processor_seconds, resident_bytes

# Each simulated agent takes two descriptors: its socket and its connection.
NODES_PER_SIMULATOR = 8_500


class Part:
    """One aggregator with the simulators of its nodes."""

    def __init__(self, options, number, nodes):
        self.options, self.number, self.nodes = options, number, nodes
        self.folder = options.work / f"aggregator-{number}"
        self.ingest, self.enrol, self.http = free_port(), free_port(), free_port()
        self.simulators = -(-nodes // NODES_PER_SIMULATOR)
        self.result = None
        self.aggregator = None
        self.running = []
        # What the aggregator gets beside the benchmark's own environment.
        self.environment = None

    def start(self, name, *command, environment=None):
        output = open(self.folder / f"{name}.log", "a")
        return subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment)

    def cli(self, *words):
        environment = dict(os.environ, BONGSU_URL=f"http://127.0.0.1:{self.http}")
        return subprocess.run([self.options.bin / "bongsu", *words], env=environment, capture_output=True, text=True)

    def start_aggregator(self):
        """Starts it and waits until it takes agents."""
        self.aggregator = self.start(
            "aggregator", self.options.bin / "bongsu-aggregator", "--fleet", self.folder / "all.yaml", "--data",
            self.folder / "data", "--secure", "--listen", f"127.0.0.1:{self.ingest}", "--enrol-listen",
            f"127.0.0.1:{self.enrol}", "--http", f"127.0.0.1:{self.http}", environment=self.environment)
        self.running.append(self.aggregator)
        for _ in range(300):
            try:
                self.get("/-/ready")
                return
            except OSError:
                time.sleep(0.2)
        raise SystemExit(f"aggregator {self.number} is not ready after 60 s")

    def start_fleets(self, seconds, *words):
        fleets = [
            self.start(
                f"fleet-{part}", self.options.bin / "bongsu-fleet", "--fleet", self.folder / f"part-{part}.yaml",
                "--aggregator", f"127.0.0.1:{self.ingest}", "--keys", self.folder / f"keys-{part}", "--duration",
                str(seconds), "--grace", "60", "--format", "json", "--seed", str(part), *words)
            for part in range(1, self.simulators + 1)]
        self.running += fleets
        return fleets

    def get(self, path):
        """One HTTP answer and the seconds it took."""
        began = time.monotonic()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=30) as answer:
            body = answer.read()
        return body, time.monotonic() - began

    def connected(self):
        body, seconds = self.get("/api/bongsu/v1/status")
        return json.loads(body)["nodes"]["connected"], seconds

    def join(self):
        """Lets every node join once; its keys are kept for the load. Returns the aggregator's processor seconds."""
        self.start_aggregator()
        token = self.cli("join-token", "create", "--uses", str(self.nodes), "--format", "json")
        if token.returncode != 0:
            raise SystemExit(f"no join token: {token.stderr}")
        answer = json.loads(token.stdout)
        words = (answer["tokens"] if "tokens" in answer else answer)[0].values()
        secret = next(word for word in words if isinstance(word, str) and word.startswith("bongsu1"))
        before = processor_seconds(self.aggregator.pid)
        for fleet in self.start_fleets(1, "--join", secret):
            fleet.wait()
        seconds = processor_seconds(self.aggregator.pid) - before
        self.aggregator.terminate()
        self.aggregator.wait(60)
        return seconds

    def run(self):
        options = self.options
        nation_fleet.main(self.nodes, self.simulators, self.folder)
        try:
            join_seconds = self.join()
            self.start_aggregator()
            pid = self.aggregator.pid
            begin = options.start_seconds or 10 + self.nodes // 250
            before, began = processor_seconds(pid), time.monotonic()
            fleets = self.start_fleets(begin + options.seconds)
            answers = []
            all_connected_after = None
            while time.monotonic() < began + begin:
                time.sleep(0.5)
                connected, seconds = self.connected()
                answers.append(seconds)
                if connected == self.nodes and all_connected_after is None:
                    all_connected_after = time.monotonic() - began
                    connect_seconds = processor_seconds(pid) - before
            before, at = processor_seconds(pid), time.monotonic()
            load_before = sum(processor_seconds(fleet.pid) for fleet in fleets)
            cores = load = 0.0
            while time.monotonic() < began + begin + options.seconds - 2:
                time.sleep(min(1, options.seconds / 4))
                answers.append(self.get("/api/bongsu/v1/top/factories")[1])
                if any(fleet.poll() is not None for fleet in fleets):
                    break
                now = time.monotonic()
                cores = (processor_seconds(pid) - before) / (now - at)
                load = (sum(processor_seconds(fleet.pid) for fleet in fleets) - load_before) / (now - at)
            failed = sum(1 for fleet in fleets if fleet.wait() != 0)
            accounts = [json.loads((self.folder / f"fleet-{part}.log").read_text().strip().splitlines()[-1])
                        for part in range(1, self.simulators + 1)]
            resident = resident_bytes(pid)
            self.wait_until_idle(pid)
            total = processor_seconds(pid) - before
            answers.sort()
            self.result = {
                "nodes": self.nodes, "connected": connected, "seconds": options.seconds, "cores_steady": cores,
                "cores_with_rest": total / options.seconds, "cores_simulators": load,
                "join_cpu_seconds": join_seconds, "all_connected_after": all_connected_after,
                "connect_cpu_seconds": connect_seconds if all_connected_after else None,
                "resident_bytes": resident, "peak_bytes": peak_bytes(pid),
                "answer_median": answers[len(answers) // 2], "answer_p99": answers[len(answers) * 99 // 100],
                "disk_bytes": disk_bytes(self.folder / "data"), "simulators_failed": failed, "accounts": accounts}
        finally:
            self.stop()

    def stop(self):
        for process in reversed(self.running):
            if process.poll() is None:
                process.terminate()
        for process in self.running:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()

    def wait_until_idle(self, pid):
        """Until what follows the load, such as writing history, uses less than 3 % of a core over ten seconds."""
        pause = min(10, self.options.seconds)
        for _ in range(60):
            before = processor_seconds(pid)
            time.sleep(pause)
            if processor_seconds(pid) - before < 0.03 * pause:
                return
        print(f"aggregator {self.number} is still busy after {60 * pause} s", file=sys.stderr)


def total(part, key):
    return sum(account.get(key, 0) for account in part["accounts"])


def report(results):
    def row(name, value):
        print(f"{name:<44}" + "".join(f"{value(result):>16}" for result in results))

    print(f"{'':<44}" + "".join(f"{'aggregator ' + str(i + 1):>16}" for i in range(len(results))))
    row("nodes", lambda r: f"{r['nodes']:,}")
    row("GPUs", lambda r: f"{r['nodes'] * 8:,}")
    row("connected when counting began", lambda r: f"{r['connected']:,}")
    row("seconds", lambda r: f"{r['seconds']:,}")
    row("rows sampled", lambda r: f"{total(r, 'rows_sampled'):,}")
    row("rows acknowledged", lambda r: f"{total(r, 'rows_acknowledged'):,}")
    row("rows spooled", lambda r: f"{total(r, 'rows_spooled'):,}")
    row("rows lost", lambda r: f"{total(r, 'rows_lost'):,}")
    row("wire bytes a row", lambda r: f"{total(r, 'bytes_sent') / max(1, total(r, 'rows_sampled')):.1f}")
    row("cores, steady", lambda r: f"{r['cores_steady']:.3f}")
    row("cores, with all that follows", lambda r: f"{r['cores_with_rest']:.3f}")
    row("cores of the simulators", lambda r: f"{r['cores_simulators']:.3f}")
    row("processor seconds, all nodes joining", lambda r: f"{r['join_cpu_seconds']:.1f}")
    row("processor seconds, all nodes connecting", lambda r: f"{r['connect_cpu_seconds'] or float('nan'):.1f}")
    row("all connected after, s", lambda r: f"{r['all_connected_after'] or float('nan'):.1f}")
    row("memory at the end, MB", lambda r: f"{r['resident_bytes'] / 1e6:.0f}")
    row("peak memory, MB", lambda r: f"{r['peak_bytes'] / 1e6:.0f}")
    row("HTTP answer, median, ms", lambda r: f"{r['answer_median'] * 1e3:.1f}")
    row("HTTP answer, p99, ms", lambda r: f"{r['answer_p99'] * 1e3:.1f}")
    for name in sorted({name for r in results for name in r["disk_bytes"]}):
        row(f"disk, {name}, MB", lambda r, name=name: f"{r['disk_bytes'].get(name, 0) / 1e6:.1f}")
    for key in sorted({key for r in results for account in r["accounts"] for key in account if key.startswith("ack_ms")}):
        row(f"sample to acknowledgement, ms, {key[7:].replace('_', '.')}",
            lambda r, key=key: f"{max(account.get(key) or 0 for account in r['accounts'])}")
    print(f"\nnation: {sum(r['nodes'] for r in results) * 8:,} GPUs, "
          f"{sum(r['cores_steady'] for r in results):.3f} cores steady, "
          f"{sum(r['cores_with_rest'] for r in results):.3f} with all that follows, "
          f"{sum(r['peak_bytes'] for r in results) / 1e9:.2f} GB peak memory, "
          f"{sum(total(r, 'rows_lost') for r in results)} rows lost, "
          f"{sum(total(r, 'rows_unacknowledged') for r in results)} unacknowledged")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--aggregators", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--start-seconds", type=int)
    parser.add_argument("--together", action="store_true")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    parts = []
    for number in range(options.aggregators):
        nodes = options.nodes * (number + 1) // options.aggregators - options.nodes * number // options.aggregators
        parts.append(Part(options, number, nodes))
        parts[-1].folder.mkdir(parents=True, exist_ok=True)
    if options.together:
        threads = [threading.Thread(target=part.run) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        for part in parts:
            part.run()
    if any(part.result is None for part in parts):
        sys.exit("an aggregator's run did not end; its logs are in --keep DIR")
    results = [part.result for part in parts]
    report(results)
    (options.work / "nation.json").write_text(json.dumps(results, indent=1, default=str))
    wrong = sum(total(r, "rows_lost") + total(r, "rows_unacknowledged") for r in results)
    sys.exit(1 if wrong or any(r["simulators_failed"] for r in results) else 0)


if __name__ == "__main__":
    main()
