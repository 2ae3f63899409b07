"""Writes a recording (CSV with run,node,gpu,t_ms,power_w,gpu_util_pct,temp_c) as a sample file for codec-bench.

    python3 sample_file.py RECORDING.csv OUT

The file: "BGDS0001", then u32 gpus, metrics, ticks, gpus per node, u64 first time in ms, u32 step in ms, u32 seed, u32
factories, zeros up to byte 64, then i64 value[tick][gpu][metric], all little-endian. The first run of the recording is
taken; each whole second takes every GPU's newest reading: power in mW, utilization in per mille, temperature in 0.1 C.
"""

import csv
import struct
import sys


def main(source, target):
    series, run = {}, None
    with open(source, newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            run = run or row["run"]
            if row["run"] != run:
                continue
            reading = [round(float(row[name] or 0) * factor) for name, factor in
                       (("power_w", 1000), ("gpu_util_pct", 10), ("temp_c", 10))]
            series.setdefault((row["node"], int(row["gpu"])), []).append((int(row["t_ms"]), reading))
    if not series:
        sys.exit(f"{source}: no readings; is it a recording with run,node,gpu,t_ms,power_w,gpu_util_pct,temp_c?")
    first = max(samples[0][0] for samples in series.values()) // 1000 + 1
    last = min(samples[-1][0] for samples in series.values()) // 1000
    gpus = [sorted(series[key]) for key in sorted(series)]
    with open(target, "wb") as file:
        file.write(struct.pack("<8sIIIIQIII", b"BGDS0001", len(gpus), 3, last - first + 1, len(gpus), first * 1000, 1000, 0, 1)
                   .ljust(64, b"\0"))
        position = [0] * len(gpus)
        for second in range(first, last + 1):
            for index, samples in enumerate(gpus):
                while position[index] + 1 < len(samples) and samples[position[index] + 1][0] <= second * 1000:
                    position[index] += 1
                file.write(struct.pack("<3q", *samples[position[index]][1]))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
