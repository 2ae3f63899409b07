"""Counts heap allocations of a running aggregator's threads while encrypted agents deliver, called by runs/allocations.

The aggregator runs with Tests/Support/AllocationCount preloaded, which keeps a table of calls per thread.
"""

import argparse
import json
import mmap
import os
import re
import statistics
import struct
import sys
import time
from pathlib import Path

import nation
import nation_fleet

SLOT = struct.Struct("<QQQQ")
HEADER = 32
# Receiver, shards and journal writers: nothing of them may allocate for a block.
DATA_PLANE = re.compile(r"receiver-\d+|shard-\d+|journal-\d+")


def threads(table, pid):
    """Name → calls, bytes and frees so far; threads of one name add up, ended ones count as "ended"."""
    used = struct.unpack_from("<Q", table, 8)[0]
    result = {}
    for number in range(min(used, 511)):
        thread, calls, size, frees = SLOT.unpack_from(table, HEADER + number * SLOT.size)
        try:
            name = Path(f"/proc/{pid}/task/{thread}/comm").read_text().strip()
        except OSError:
            name = "ended"
        old = result.get(name, (0, 0, 0))
        result[name] = (old[0] + calls, old[1] + size, old[2] + frees)
    return result


def counter(part, name):
    body, _ = part.get("/metrics")
    return sum(float(line.split()[-1]) for line in body.decode().splitlines()
               if line.startswith(name + " ") or line.startswith(name + "{"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--warm", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--trace", help="also print call stacks of this thread's allocations for a second")
    options = parser.parse_args()
    options.start_seconds = options.warm
    part = nation.Part(options, 0, options.nodes)
    part.folder.mkdir(parents=True, exist_ok=True)
    counts = part.folder / "allocations"
    nation_fleet.main(part.nodes, part.simulators, part.folder)
    try:
        part.join()
        part.environment = dict(
            os.environ, LD_PRELOAD=str(options.library), BONGSU_ALLOCATION_COUNTS=str(counts))
        part.start_aggregator()
        pid = part.aggregator.pid
        fleets = part.start_fleets(options.warm + options.seconds + 5)
        time.sleep(options.warm)
        with open(counts, "r+b") as file:
            table = mmap.mmap(file.fileno(), 0)
        blocks = counter(part, "bongsu_ingest_blocks_total")
        snapshots = [threads(table, pid)]
        for _ in range(options.seconds):
            time.sleep(1)
            snapshots.append(threads(table, pid))
        blocks = counter(part, "bongsu_ingest_blocks_total") - blocks
        if options.trace:
            number = next(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()
                          if (task / "comm").read_text().strip() == options.trace)
            struct.pack_into("<Q", table, 0, number)
            time.sleep(1)
            struct.pack_into("<Q", table, 0, 0)
        for fleet in fleets:
            fleet.wait()
    finally:
        part.stop()
    if blocks < options.nodes:
        sys.exit(f"only {blocks:.0f} blocks came in {options.seconds} s from {options.nodes} nodes")
    print(f"{blocks:,.0f} blocks in {options.seconds} s from {options.nodes:,} nodes of 8 GPUs")
    print(f"{'thread':<18}{'allocations':>14}{'a block':>12}{'bytes a block':>16}{'median second':>16}")
    first, last = snapshots[0], snapshots[-1]
    plane, typical = 0, 0
    for name in sorted(last, key=lambda name: first.get(name, (0, 0, 0))[0] - last[name][0]):
        calls, size, _ = (new - old for new, old in zip(last[name], first.get(name, (0, 0, 0))))
        median = statistics.median(
            after.get(name, (0,))[0] - before.get(name, (0,))[0] for before, after in zip(snapshots, snapshots[1:]))
        if calls:
            print(f"{name:<18}{calls:>14,}{calls / blocks:>12.4f}{size / blocks:>16.1f}{median:>16,.0f}")
        if DATA_PLANE.fullmatch(name):
            plane += calls
            typical += median
    per_second = blocks / options.seconds
    print(f"\ndata plane: {plane / blocks:.4f} allocations a block, checkpoints included; in a median second {typical:.0f}, "
          f"that is for one closed tick and its commits, beside {per_second:,.0f} blocks")
    (options.work / "allocations.json").write_text(
        json.dumps({"blocks": blocks, "data_plane": plane, "median_second": typical}))
    # Closing a tick and committing may allocate, and a checkpoint does; a block may not.
    if typical >= per_second / 2:
        print(f"the data plane allocates for blocks: {typical:.0f} times in a median second", file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    main()
