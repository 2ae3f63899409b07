"""Exported samples as bodies of Prometheus's remote write: protobuf in snappy's framing, whose literals are left as they are.

What is sent is larger than a client's that compresses, and the server has less to decode: processor time of peers is if
anything better than in life.
"""

import http.client
import re
import struct
import threading

LINE = re.compile(r'([a-zA-Z_:]\w*)\{(.*)\} (\S+) (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, body):
    return varint(number << 3 | 2) + varint(len(body)) + body


def snappy(body):
    """The block format with literals only."""
    out = [varint(len(body))]
    for start in range(0, len(body), 65536):
        part = body[start:start + 65536]
        out += [b"\xf4", struct.pack("<H", len(part) - 1), part]
    return b"".join(out)


def read_export(path):
    """Samples by node and second: {second: {node: [(label bytes, value)]}}, and how many there are."""
    labels_of, samples, count = {}, {}, 0
    with open(path) as lines:
        for line in lines:
            match = LINE.match(line)
            if not match:
                continue
            name, text, value, when = match.groups()
            key = (name, text)
            if key not in labels_of:
                labels = dict(LABEL.findall(text)) | {"__name__": name}
                encoded = b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in sorted(labels.items()))
                labels_of[key] = (labels.get("node", ""), encoded)
            node, encoded = labels_of[key]
            second = round(float(when) * 1000)
            samples.setdefault(second, {}).setdefault(node, []).append((encoded, float(value)))
            count += 1
    return samples, count


def bodies(samples, nodes_in_body):
    """Remote-write bodies in the order of time, each with up to `nodes_in_body` nodes of one second; and the connection that
    each goes over, always the same for a node since its samples must be in order."""
    places = {node: place for place, node in enumerate(sorted({node for second in samples.values() for node in second}))}
    for milliseconds in sorted(samples):
        stamp = b"\x10" + varint(milliseconds)
        groups = {}
        for node, values in samples[milliseconds].items():
            series = groups.setdefault(places[node] // nodes_in_body, [])
            for labels, value in values:
                series.append(field(1, labels + field(2, b"\x09" + struct.pack("<d", value) + stamp)))
        for group, series in groups.items():
            yield group % 2, snappy(b"".join(series))


def send(port, made):
    """Sends all bodies over two connections."""
    halves = [[], []]
    for connection, body in made:
        halves[connection].append(body)
    failed = []

    def run(mine):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
                   "X-Prometheus-Remote-Write-Version": "0.1.0"}
        for body in mine:
            connection.request("POST", "/api/v1/write", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status // 100 != 2:
                failed.append(f"{answer.status} {text[:200]}")
                return

    threads = [threading.Thread(target=run, args=(half,)) for half in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise SystemExit(f"ops/bench ingest: remote write was refused: {failed[0]}")
