"""Writes fleet files for the national benchmark: five factories in the proportion of the national grants.

    python3 nation_fleet.py NODES PARTS DIR

DIR/all.yaml holds all nodes, 8 GPUs each, 4 to a rack; DIR/part-1.yaml … DIR/part-PARTS.yaml hold them in equal shares, for
simulator processes that may open only so many connections each. By `write_factories` the first part is one factory whole,
so that one clock says when it changes.
"""

import sys
from pathlib import Path

GRANTS = (("naver", 60), ("msit", 50), ("samsung", 50), ("sk", 50), ("hyundai", 50))
NODES_PER_RACK = 4
NODE_GPUS = 8


def shares(nodes):
    """Nodes of each factory: by the grants, together exactly `nodes`."""
    total = sum(weight for _, weight in GRANTS)
    counts = [nodes * weight // total for _, weight in GRANTS]
    counts[0] += nodes - sum(counts)
    return counts


def fleet(spans, node_gpus=NODE_GPUS):
    """The fleet whose factory number i holds its nodes spans[i] = first..last, counted from 1; nodes keep their names."""
    lines = ["version: 1", "nation: bench", "time_zone: Asia/Seoul", "factories:"]
    for (name, _), (first, last) in zip(GRANTS, spans):
        if last < first:
            continue
        lines += [f"  - id: {name}", "    pue: 1.25", "    halls:", "      - id: a", "        in_service: 2026-01-01",
                  "        model: B200", f"        gpus_per_node: {node_gpus}", "        racks:"]
        for rack in range((first - 1) // NODES_PER_RACK, (last - 1) // NODES_PER_RACK + 1):
            low = max(first, rack * NODES_PER_RACK + 1)
            high = min(last, (rack + 1) * NODES_PER_RACK)
            lines += [f"          - id: r{rack + 1:05d}", f'            nodes: "{name}-n[{low:05d}-{high:05d}]"']
    lines += ["allocations:"]
    for (name, _), (first, last) in zip(GRANTS, spans):
        if last < first:
            continue
        lines += [f"  - path: {name}", f"    granted_gpus: {(last - first + 1) * node_gpus}", "    members:",
                  f'      - nodes: "{name}-n[{first:05d}-{last:05d}]"', "        from: 2026-01-01"]
    return "\n".join(lines) + "\n"


def write(directory, node_gpus, parts):
    """all.yaml and the parts, each the spans of all factories."""
    directory.mkdir(parents=True, exist_ok=True)
    whole = [(1, max(part[factory][1] for part in parts)) for factory in range(len(GRANTS))]
    for name, spans in [("all", whole)] + [(f"part-{number + 1}", part) for number, part in enumerate(parts)]:
        (directory / f"{name}.yaml").write_text(fleet(spans, node_gpus))


def main(nodes, parts, directory, node_gpus=NODE_GPUS):
    counts = shares(nodes)
    write(directory, node_gpus, [
        [(count * part // parts + 1, count * (part + 1) // parts) for count in counts] for part in range(parts)])


def write_factories(nodes, nodes_per_part, directory, node_gpus=NODE_GPUS):
    """Parts of whole factories, the first of one factory alone, each of at most `nodes_per_part` nodes."""
    counts = shares(nodes)
    groups = [[0]]
    for factory in range(1, len(counts)):
        if factory == 1 or sum(counts[other] for other in groups[-1]) + counts[factory] > nodes_per_part:
            groups.append([])
        groups[-1].append(factory)
    write(directory, node_gpus, [
        [(1, count if factory in group else 0) for factory, count in enumerate(counts)] for group in groups])


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
