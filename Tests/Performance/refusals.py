"""Asks an aggregator what it must refuse, and tells how long that takes.

Called by runs/refusals, which builds the programs.
"""

import argparse
import http.client
import json
import statistics
import sys
import time
import urllib.parse
from pathlib import Path

import query
from machine import peak_bytes

POWER = query.POWER
ANSWER_BYTES_MAX = 8192


def form(**parameters):
    return urllib.parse.urlencode(parameters)


def cases(now):
    """What is asked: a name, whether over a range, and the parameters as they are sent."""
    instant, span = "/api/v1/query", "/api/v1/query_range"
    long = 250_000

    def over(**change):
        return span, form(**({"query": POWER, "start": now - 300, "end": now, "step": 1} | change))

    return {
        "unclosed parenthesis": (instant, form(query="sum(")),
        "unknown function": (instant, form(query=f"nope({POWER})")),
        "wrong type": (instant, form(query=f"rate({POWER})")),
        "range vector over a range": over(query=f"{POWER}[5m]"),
        "selector of everything": (instant, form(query="{}")),
        "regular expression": (instant, form(query=POWER + '{node=~"("}')),
        "regular expression, repeated": (instant, form(query=POWER + '{node=~"(((a{1000}){1000}){1000})"}')),
        "time without sense": (instant, form(query="1", time="yesterday")),
        "time of the year 300,000": (instant, form(query="1", time="1e13")),
        "step 0": over(step=0),
        "step below 0": over(step=-1),
        "step NaN": over(step="NaN"),
        "step of a nanosecond": over(step="0.000000001"),
        "step of 1e300": over(step="1e300"),
        "range of a century at 1 s": over(start=now - 3_155_760_000),
        "range that runs back": over(start=now, end=now - 300),
        "timeout below 0": (instant, form(query="1", timeout="-1s")),
        "subquery of a century at 1 ms": (instant, form(query=f"max_over_time({POWER}[100y:1ms])")),
        "subqueries in subqueries": (
            instant, form(query=f"max_over_time(max_over_time({POWER}[10y:1s])[10y:1s])")),
        "no UTF-8": (instant, "query=%ff%fe%80"),
        "half an escape": (instant, "query=%4"),
        "1 MB expression": (instant, "query=" + "a" * 1_000_000),
        "500 KB expression": (instant, "query=" + "a" * 500_000),
        "250 KB name": (instant, "query=" + "a" * long + "("),
        "250 KB of operators": (instant, "query=" + "1%2B" * (long // 2) + "1"),
        "250 KB string": (instant, form(query='"' + "x" * long)),
        "250 KB of labels": (instant, form(query="a*on(" + "l," * (long // 4) + "x)group_left(" + "l," * (long // 5) + "x)b")),
        "250 KB of matchers": (instant, form(query="x{" + 'a="",' * (long // 6) + "b=~}")),
        "10,000 parentheses": (instant, form(query="(" * 10_000 + "1" + ")" * 10_000)),
        "100,000 parentheses": (instant, form(query="(" * 100_000)),
        "10,000 signs": (instant, form(query="-" * 10_000 + "1")),
        "10,000 calls": (instant, form(query="abs(" * 10_000 + "x" + ")" * 10_000)),
        "10,000 powers": (instant, form(query="2^" * 10_000 + "2")),
        "10,000 subqueries": (instant, form(query="x" + "[1m:]" * 10_000)),
        "100 selectors": ("/api/v1/series", "&".join(["match%5B%5D=x"] * 100)),
        "selector that matches nothing": ("/api/v1/series", form(**{"match[]": '{a=""}'})),
    }


def ask(port, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    begin = time.perf_counter()
    connection.request("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    text = answer.read()
    taken = (time.perf_counter() - begin) * 1000
    connection.close()
    return answer.status, text, taken


def measure(port, rounds):
    wrong = 0
    print(f"{'':32} {'median':>8} {'worst':>8} ms  status  answer")
    for name, (path, body) in cases(int(time.time())).items():
        times = []
        for _ in range(rounds):
            status, text, taken = ask(port, path, body)
            times.append(taken)
        kind = "no JSON"
        try:
            kind = json.loads(text).get("errorType", "")
        except ValueError:
            pass
        is_right = status in (400, 422) and kind in ("bad_data", "execution") and len(text) <= ANSWER_BYTES_MAX
        wrong += not is_right
        print(f"{name:32} {statistics.median(times):8.2f} {max(times):8.2f} ms  {status}     "
              f"{kind}, {len(text)} bytes{'' if is_right else '  NOT REFUSED AS IT SHOULD BE'}", flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser()
    for name, kind in (("bin", str), ("work", Path), ("nodes", int), ("rounds", int), ("port", int)):
        parser.add_argument(f"--{name}", type=kind, required=name != "port")
    options = parser.parse_args()
    if options.port:
        sys.exit(1 if measure(options.port, options.rounds) else 0)
    aggregator, fleets = query.start_aggregator(options, options.work.resolve())
    try:
        deadline = time.monotonic() + 120
        while query.series_count(aggregator) < options.nodes * 8:
            if time.monotonic() > deadline:
                sys.exit("ops/bench refusals: not all GPUs report")
            time.sleep(1)
        before = peak_bytes(aggregator.process.pid)
        wrong = measure(int(aggregator.base.rsplit(":", 1)[1]), options.rounds)
        after = peak_bytes(aggregator.process.pid)
        print(f"peak memory {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB behind")
        if wrong or aggregator.process.poll() is not None:
            sys.exit(f"ops/bench refusals: {wrong} not refused as they should be")
    finally:
        for fleet in fleets:
            fleet.terminate()
        aggregator.stop()


if __name__ == "__main__":
    main()
