"""Runs parts of the nation of rising size against real aggregators and prints what each costs.

Called by runs/scale, which builds the programs. The work is nation.Part's; here are the sizes, the sums and the table.
"""

import argparse
import resource
import shutil
import sys
from pathlib import Path

import nation

NATION = 32_500
# 20,000 descriptors a process, and one for each agent.
NODES_PER_AGGREGATOR = 16_250
COLUMNS = (
    ("percent", "percent of the nation", "{:g}"), ("gpus", "GPUs", "{:,}"), ("aggregators", "aggregators", "{}"),
    ("cores", "cores, steady", "{:.3f}"), ("cores_all", "cores, with all that follows", "{:.3f}"),
    ("peak_mb", "peak memory, MB", "{:.0f}"), ("disk_mb", "disk, MB a minute", "{:.1f}"),
    ("ack_p99_ms", "sample to ack, p99, ms", "{:.0f}"), ("answer_p99_ms", "HTTP answer, p99, ms", "{:.1f}"),
    ("lost", "rows lost or unacknowledged", "{}"))


def measure(options, percent):
    """The costs of `percent` of the nation, summed over as many aggregators as it needs."""
    nodes = max(1, round(NATION * percent / 100))
    count = -(-nodes // NODES_PER_AGGREGATOR)
    results = []
    for number in range(count):
        share = nodes * (number + 1) // count - nodes * number // count
        part = nation.Part(options, number, share)
        part.folder = options.work / f"percent-{percent:g}-{number}"
        part.folder.mkdir(parents=True, exist_ok=True)
        part.run()
        results.append(part.result)
        # Several nations of data would fill a small disk; what was counted is not needed any more.
        shutil.rmtree(part.folder / "data")
    latencies = [account["ack_ms_p99"] for result in results for account in result["accounts"] if account["ack_ms_p99"]]
    return {
        "percent": percent, "gpus": nodes * 8, "aggregators": count,
        "cores": sum(r["cores_steady"] for r in results), "cores_all": sum(r["cores_with_rest"] for r in results),
        "peak_mb": sum(r["peak_bytes"] for r in results) / 1e6,
        "disk_mb": sum(sum(r["disk_bytes"].values()) for r in results) / 1e6 / (options.seconds / 60),
        "ack_p99_ms": max(latencies, default=float("nan")),
        "answer_p99_ms": max(r["answer_p99"] for r in results) * 1e3,
        "lost": sum(nation.total(r, "rows_lost") + nation.total(r, "rows_unacknowledged") for r in results),
        "failed": sum(r["simulators_failed"] for r in results)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--percent", required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--start-seconds", type=int)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rows = []
    for percent in map(float, options.percent.split(",")):
        rows.append(measure(options, percent))
        # As it goes, since the larger parts take long.
        print("  ".join(f"{name} {form.format(rows[-1][key])}" for key, name, form in COLUMNS), flush=True)
    print()
    for key, name, form in COLUMNS:
        print(f"{name:<32}" + "".join(f"{form.format(row[key]):>14}" for row in rows))
    with open(options.work / "scale.tsv", "w") as table:
        table.write("\t".join(key for key, _, _ in COLUMNS) + "\n")
        for row in rows:
            table.write("\t".join(str(row[key]) for key, _, _ in COLUMNS) + "\n")
    sys.exit(1 if any(row["lost"] or row["failed"] for row in rows) else 0)


if __name__ == "__main__":
    main()
