"""Writes fleet files for the national benchmark: five factories in the proportion of the national grants.

    python3 nation_fleet.py NODES PARTS DIR

DIR/all.yaml holds all nodes, 8 GPUs each, 4 to a rack; DIR/part-1.yaml … DIR/part-PARTS.yaml hold them in equal shares, for
simulator processes that may open only so many connections each.
"""

import sys
from pathlib import Path

GRANTS = (("naver", 60), ("msit", 50), ("samsung", 50), ("sk", 50), ("hyundai", 50))
NODES_PER_RACK = 4


def shares(nodes):
    """Nodes of each factory: by the grants, together exactly `nodes`."""
    total = sum(weight for _, weight in GRANTS)
    counts = [nodes * weight // total for _, weight in GRANTS]
    counts[0] += nodes - sum(counts)
    return counts


def fleet(spans):
    """The fleet whose factory number i holds its nodes spans[i] = first..last, counted from 1; nodes keep their names."""
    lines = ["version: 1", "nation: bench", "time_zone: Asia/Seoul", "factories:"]
    for (name, _), (first, last) in zip(GRANTS, spans):
        if last < first:
            continue
        lines += [f"  - id: {name}", "    pue: 1.25", "    halls:", "      - id: a", "        in_service: 2026-01-01",
                  "        model: B200", "        racks:"]
        for rack in range((first - 1) // NODES_PER_RACK, (last - 1) // NODES_PER_RACK + 1):
            low = max(first, rack * NODES_PER_RACK + 1)
            high = min(last, (rack + 1) * NODES_PER_RACK)
            lines += [f"          - id: r{rack + 1:05d}", f'            nodes: "{name}-n[{low:05d}-{high:05d}]"']
    lines += ["allocations:"]
    for (name, _), (first, last) in zip(GRANTS, spans):
        if last < first:
            continue
        lines += [f"  - path: {name}", f"    granted_gpus: {(last - first + 1) * 8}", "    members:",
                  f'      - nodes: "{name}-n[{first:05d}-{last:05d}]"', "        from: 2026-01-01"]
    return "\n".join(lines) + "\n"


def main(nodes, parts, directory):
    counts = shares(nodes)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "all.yaml").write_text(fleet([(1, count) for count in counts]))
    for part in range(parts):
        spans = [(count * part // parts + 1, count * (part + 1) // parts) for count in counts]
        (directory / f"part-{part + 1}.yaml").write_text(fleet(spans))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
