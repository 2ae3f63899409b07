"""Runs a simulated fleet against an aggregator and accounts for the bytes that it writes to disk. Called by runs/writes."""

import argparse
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from machine import free_port


def written(pid):
    """Bytes of dirtied pages, as the kernel accounts them to the process, and bytes handed to write()."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["write_bytes"]), int(fields["wchar"])


def size(paths):
    return sum(path.stat().st_size for path in paths if path.is_file())


def fleet_file(nodes):
    racks = (nodes + 7) // 8
    return f"""version: 1
nation: bench
time_zone: UTC
factories:
  - id: f1
    halls:
      - id: a
        in_service: 2020-01-01
        model: B200
        racks: [{{ id: "r[001-{racks:03}]", nodes: "{{rack}}-n[1-8]" }}]
allocations:
  - {{ path: owner, members: [{{ nodes: "r[001-{racks:03}]-n[1-8]" }}] }}
"""


class Aggregator:
    def __init__(self, options, fleet):
        self.data = options.work / "data"
        self.listen, self.http = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.log = open(options.work / "aggregator.log", "w")
        self.process = subprocess.Popen(
            [options.bin / "bongsu-aggregator", "--fleet", fleet, "--data", self.data, "--listen", self.listen, "--http", self.http,
             "--chunk-seconds", str(options.chunk_seconds)], stdout=self.log, stderr=self.log)
        for _ in range(300):
            try:
                self.get("/-/ready")
                return
            except OSError:
                time.sleep(0.2)
        sys.exit(f"the aggregator is not ready after 60 s: {Path(self.log.name).read_text()[-2000:]}")

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.http}{path}", timeout=30) as answer:
            return answer.read().decode()

    def metric(self, name):
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.get("/metrics").splitlines() if line.split("{")[0].split(" ")[0] == name)

    def settle(self, seconds):
        """Waits until the last rows are packed, which is `seconds` later, and no minute is left to be formed."""
        time.sleep(seconds)
        if seconds < 30:
            # A run of seconds tells whether it runs; its minute has not ended.
            return
        for _ in range(600):
            if json.loads(self.get("/api/bongsu/v1/storage")).get("minutes_waiting") == 0:
                return
            time.sleep(0.5)
        print("minutes still wait to be formed: what they write is not in the figures", file=sys.stderr)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--chunk-seconds", type=int, required=True)
    parser.add_argument("--settle-seconds", type=int, required=True)
    options = parser.parse_args()
    fleet = options.work / "fleet.yaml"
    fleet.write_text(fleet_file(options.nodes))
    aggregator = Aggregator(options, fleet)
    try:
        before = written(aggregator.process.pid)
        subprocess.run(
            [options.bin / "bongsu-fleet", "--fleet", fleet, "--aggregator", aggregator.listen, "--nodes", str(options.nodes),
             "--duration", str(options.seconds)], stdout=subprocess.DEVNULL, check=True)
        aggregator.settle(options.settle_seconds)
        after = written(aggregator.process.pid)
        rows, samples, received, commits = (
            int(aggregator.metric(name)) for name in
            ("bongsu_ingest_blocks_total", "bongsu_ingest_samples_total", "bongsu_ingest_received_bytes_total",
             "bongsu_journal_commit_seconds_count"))
    finally:
        aggregator.stop()
    if rows == 0:
        sys.exit("no row was accepted")
    disk, calls = (end - start for start, end in zip(before, after))
    # A file system in memory counts nothing as written to disk.
    total = disk or calls
    print(f"{options.nodes} nodes of 8 GPUs, {options.seconds} s, chunks of {options.chunk_seconds} s: {rows:,} rows, {samples:,} samples")

    def say(name, count):
        print(f"{name:28}{count:>16,}  {count / rows:10.1f} a row  {count / samples:8.3f} a sample")

    say("bytes received", received)
    say("bytes written to disk" if disk else "bytes handed to write()", total)
    print(f"commits of the journal      {commits:>16,}")
    print("kept at the end:")
    data = aggregator.data
    kept = {
        "journal": size(data.glob("journal/**/*")), "raw": size(data.glob("raw/*")), "tiers": size(data.glob("tiers.sqlite*")),
        "checkpoint": size(data.glob("checkpoint/*")), "history": size(data.glob("history.sqlite*")),
    }
    for name, count in kept.items():
        say(f"  {name}", count)
    packed = f", {total / kept['raw']:.2f} times the packed rows" if kept["raw"] else ""
    print(f"write amplification: {total / received:.2f} times the bytes received{packed}")


if __name__ == "__main__":
    main()
