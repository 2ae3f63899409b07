"""The same samples into an aggregator, a VictoriaMetrics and a Prometheus. Called by runs/ingest, which builds the programs."""

import argparse
import json
import os
import shutil
import sys
import time
import urllib.request
from pathlib import Path

import nation
import nation_fleet
import query
import remote_write
from machine import disk_bytes, free_port, peak_bytes, processor_seconds


def take(options, part):
    """Lets the aggregator take the load and pack it. Returns its costs; what it has is exported to export.txt."""
    nation_fleet.main(part.nodes, part.simulators, part.folder)
    part.environment = dict(os.environ, BONGSU_AGGREGATOR_CHUNK_SECONDS=str(options.chunk_seconds))
    export = options.work / "export.txt"
    try:
        part.join()
        began = int(time.time()) + 2
        part.start_aggregator()
        # The rows of the joining are not counted.
        while time.time() < began:
            time.sleep(0.1)
        pid = part.aggregator.pid
        before = processor_seconds(pid)
        fleets = part.start_fleets(options.seconds)
        if any(fleet.wait() != 0 for fleet in fleets):
            sys.exit("ops/bench ingest: a simulator failed; its log is in --keep DIR")
        durable = processor_seconds(pid) - before
        last = int(time.time())
        # Chunks are formed when checkpoints are, which is every half minute.
        time.sleep(options.chunk_seconds + 40)
        part.wait_until_idle(pid)
        packed = processor_seconds(pid) - before
        peak = peak_bytes(pid)
        done = part.cli("export", "--match", '{node!=""}', "--start", str(began), "--end", str(last), "--output", str(export))
        if done.returncode != 0:
            sys.exit(f"ops/bench ingest: {done.stderr}")
    finally:
        part.stop()
    disk = disk_bytes(part.folder / "data")
    return {"durable": durable, "packed": packed, "peak": peak, "raw": disk.get("raw", 0),
            "tiers": disk.get("tiers", 0) + disk.get("history", 0), "journal": disk.get("journal", 0)}


def stored(server, last, seconds):
    """How many samples the server gives back of one metric that every GPU has."""
    body = server.get("/api/v1/query", query=f"sum(count_over_time({query.POWER}[{seconds}s]))", time=last)
    result = json.loads(body)["data"]["result"]
    return int(float(result[0]["value"][1])) if result else 0


def victoria(work, port):
    command = ["victoria-metrics", f"-storageDataPath={work}/data", f"-httpListenAddr=127.0.0.1:{port}",
               "-retentionPeriod=100y", "-search.latencyOffset=0s", "-search.disableCache"]
    return query.Server("VictoriaMetrics", command, port, work / "log"), "/health"


def prometheus(work, port):
    (work / "prometheus.yml").write_text("{}\n")
    command = ["prometheus", f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={work}/data",
               f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver", "--web.enable-admin-api",
               "--query.max-samples=500000000", "--log.level=warn"]
    return query.Server("Prometheus", command, port, work / "log"), "/-/ready"


def settle(server, work):
    """Lets the server bring what it has into its final form. Returns the folder to measure."""
    if server.name == "Prometheus":
        urllib.request.urlopen(urllib.request.Request(
            server.base + "/api/v1/admin/tsdb/snapshot", data=b""), timeout=600).read()
        return work / "data" / "snapshots"
    server.get("/internal/force_flush")
    server.get("/internal/force_merge")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        metrics = server.get("/metrics").decode()
        if "vm_active_force_merges 0" in metrics and all(
                line.endswith(" 0") for line in metrics.splitlines() if line.startswith("vm_active_merges{")):
            break
        time.sleep(0.5)
    return work / "data" / "data"


def offer(options, make, samples, nodes_in_body, expected, last):
    """Writes all samples into a fresh server. Returns its row of the table."""
    work = options.work / f"{make.__name__}-{nodes_in_body}"
    work.mkdir(parents=True)
    port = free_port()
    server, path = make(work, port)
    try:
        server.wait(path)
        pid = server.process.pid
        made = list(remote_write.bodies(samples, nodes_in_body))
        before = processor_seconds(pid)
        remote_write.send(port, made)
        used = processor_seconds(pid) - before
        folder = settle(server, work)
        found = stored(server, last + 2, options.seconds + 600)
        peak = peak_bytes(pid)
        disk = sum(disk_bytes(folder).values())
    finally:
        server.stop()
    if found != expected:
        print(f"{server.name} gives back {found} of {expected} samples of {query.POWER}", file=sys.stderr)
    bodies = "one node's second" if nodes_in_body == 1 else f"{nodes_in_body} nodes' seconds"
    return f"{server.name}, {bodies} a body", used, disk, peak, found == expected


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--chunk-seconds", type=int, required=True)
    options = parser.parse_args()
    options.work = options.work.resolve()
    part = nation.Part(options, 0, options.nodes)
    part.folder.mkdir(parents=True, exist_ok=True)
    ours = take(options, part)
    samples, count = remote_write.read_export(options.work / "export.txt")
    accounts = [json.loads((part.folder / f"fleet-{i}.log").read_text().strip().splitlines()[-1])
                for i in range(1, part.simulators + 1)]
    rows = sum(account["rows_acknowledged"] for account in accounts)
    # The simulator's nodes have 8 GPUs, and every GPU has its power in every row.
    marker = f'"{query.POWER}"'.encode()[1:-1]
    power = sum(marker in labels for nodes in samples.values() for series in nodes.values() for labels, _ in series)
    print(f"{count:,} samples of {options.nodes * 8:,} GPUs in {rows:,} rows\n")
    if power != rows * 8:
        sys.exit(f"ops/bench ingest: {rows * 8:,} samples of {query.POWER} were acknowledged and {power:,} exported")
    lines = [("Bongsu, encrypted, durable", ours["durable"], ours["journal"], ours["peak"], True),
             ("Bongsu, packed into chunks", ours["packed"], ours["raw"], ours["peak"], True)]
    last = max(samples) // 1000
    for make, program in ((victoria, "victoria-metrics"), (prometheus, "prometheus")):
        if shutil.which(program):
            for nodes_in_body in (1, 100):
                lines.append(offer(options, make, samples, nodes_in_body, power, last))
    print(f"{'':<44}{'M samples/cpu s':>16}{'bytes a sample':>16}{'peak MB':>10}{'Bongsu is':>12}")
    for name, used, disk, peak, _ in lines:
        ratio = used / ours["packed"] if used else float("nan")
        print(f"{name:<44}{count / max(used, 1e-9) / 1e6:>16.2f}{disk / count:>16.3f}{peak / 1e6:>10.0f}{ratio:>11.1f}x")
    print(f"\nBongsu's minutes and tiers: {ours['tiers'] / count:.3f} bytes a sample of this short history")
    sys.exit(0 if all(line[4] for line in lines) else 1)


if __name__ == "__main__":
    main()
