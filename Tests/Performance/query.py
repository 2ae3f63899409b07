"""Asks an aggregator, a Prometheus and a VictoriaMetrics the same queries over the same samples.

Called by runs/query, which builds the programs.
"""

import argparse
import http.client
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import nation_fleet
from machine import free_port, processor_seconds

POWER = "bongsu_gpu_power_watts"
# Above this peers get the last seconds only, since the whole export would take hours, and are asked for the latest values.
EXPORTED_GPUS_MAX = 4_000
EXPORTED_SECONDS = 3
NODES_PER_SIMULATOR = 8_500


class Server:
    """A running server with Prometheus's API. Its connection is kept, as those who ask again and again keep theirs; not
    for several threads."""

    def __init__(self, name, command, port, log):
        self.name, self.base = name, f"http://127.0.0.1:{port}"
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.health = "/-/healthy"
        with open(log, "w") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def get(self, path, **parameters):
        """The body of the answer. Throws OSError when there is none, or one of an error."""
        place = f"{path}?{urllib.parse.urlencode(parameters)}"
        try:
            answer = self.ask(place)
        except http.client.HTTPException as error:
            raise OSError(f"{self.name}: {place}: {error!r}") from error
        if answer.status >= 400:
            raise OSError(f"{self.name}: {place}: {answer.status} {answer.read()[:300]!r}")
        return answer.read()

    def ask(self, place):
        # The other side may have closed a connection that lay idle; one that is new has to work.
        is_new = self.connection.sock is None
        try:
            self.connection.request("GET", place)
            return self.connection.getresponse()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            if is_new:
                raise
            return self.ask(place)

    def wait(self, path, seconds=120):
        self.health = path
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.get(path)
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit(f"ops/bench query: {self.name} does not answer; its log is in the work folder")
                time.sleep(0.2)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()


def start_aggregator(options, work, node_gpus=nation_fleet.NODE_GPUS, interval="1s"):
    nation_fleet.main(options.nodes, -(-options.nodes // NODES_PER_SIMULATOR), work / "fleet", node_gpus)
    ingest, http = free_port(), free_port()
    aggregator = Server(
        "the aggregator",
        [f"{options.bin}/bongsu-aggregator", "--fleet", f"{work}/fleet/all.yaml", "--data", f"{work}/data", "--listen",
         f"127.0.0.1:{ingest}", "--http", f"127.0.0.1:{http}"], http, work / "aggregator.log")
    aggregator.wait("/-/ready")
    fleets = []
    for plan in sorted((work / "fleet").glob("part-*.yaml")):
        with open(work / f"{plan.stem}.log", "w") as log:
            fleets.append(subprocess.Popen(
                [f"{options.bin}/bongsu-fleet", "--fleet", str(plan), "--aggregator", f"127.0.0.1:{ingest}", "--interval",
                 interval],
                stdout=log, stderr=subprocess.STDOUT))
    return aggregator, fleets


def series_count(server, at=None):
    parameters = {"query": f"count({POWER})"} | ({"time": at} if at else {})
    result = json.loads(server.get("/api/v1/query", **parameters))["data"]["result"]
    return int(result[0]["value"][1]) if result else 0


def export_samples(options, aggregator, match, first, last, path):
    subprocess.run(
        [f"{options.bin}/bongsu", "export", "--match", match, "--start", str(first), "--end", str(last), "--output", str(path),
         "--url", aggregator.base], check=True)


def start_peers(work, export):
    """Prometheus over blocks and VictoriaMetrics, both filled from one file of OpenMetrics."""
    peers = []
    if shutil.which("prometheus") and shutil.which("promtool"):
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(export), str(work / "prometheus")],
            check=True, stdout=subprocess.DEVNULL)
        (work / "prometheus.yml").write_text("{}\n")
        port = free_port()
        peers.append(Server(
            "Prometheus",
            ["prometheus", f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={work}/prometheus",
             f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y"], port,
            work / "prometheus.log"))
        peers[-1].wait("/-/ready")
    if shutil.which("victoria-metrics"):
        port = free_port()
        peers.append(Server(
            "VictoriaMetrics",
            ["victoria-metrics", f"-storageDataPath={work}/victoria", f"-httpListenAddr=127.0.0.1:{port}",
             "-retentionPeriod=100y", "-search.latencyOffset=0s", "-search.disableCache"], port, work / "victoria.log"))
        peers[-1].wait("/health")
        # Its importer takes milliseconds where OpenMetrics has seconds.
        body = work / "victoria.txt"
        with open(export) as lines, open(body, "w") as out:
            for line in lines:
                if not line.startswith("#"):
                    head, _, seconds = line.rstrip("\n").rpartition(" ")
                    out.write(f"{head} {round(float(seconds) * 1000)}\n")
        with open(body, "rb") as stream:
            request = urllib.request.Request(
                f"{peers[-1].base}/api/v1/import/prometheus", data=stream, method="POST",
                headers={"Content-Length": str(body.stat().st_size)})
            urllib.request.urlopen(request, timeout=600).read()
        peers[-1].get("/internal/force_flush")
    return peers


class Question:
    """A query. Peers are asked it as it stands, at instants that all of them have; `latest`: we are timed without a
    time, since ingest goes on here and the newest values are what is meant, and compared at the common instant;
    `ours`: the query by which we are asked for the same."""

    def __init__(self, name, path, parameters, is_shared=True, latest=False, ours=None):
        self.name, self.path, self.parameters = name, path, parameters
        self.is_shared, self.latest, self.ours = is_shared, latest, ours

    def compared(self, is_ours):
        return self.parameters | ({"query": self.ours} if self.ours and is_ours else {})

    def timed(self, is_ours):
        left_out = "time" if self.latest and is_ours else None
        return {key: value for key, value in self.compared(is_ours).items() if key != left_out}


def questions(options, last):
    span = {"start": last - min(300, options.seconds), "end": last, "step": 1}
    by_factory = f"sum by (factory) ({POWER})"
    topk = f"topk(10, {POWER})"
    found = [
        Question("q1", "/api/v1/query", {"query": by_factory, "time": last}, latest=True),
        Question("q3", "/api/v1/query", {"query": topk, "time": last}, latest=True),
        Question(
            "q4", "/api/v1/query_range",
            {"query": f"factory:{POWER}:sum", "start": last - options.seconds, "end": last,
             "step": 60 if options.seconds >= 3600 else 5}, is_shared=False)]
    if options.gpus <= EXPORTED_GPUS_MAX:
        found[1:1] = [
            Question("q1p", "/api/v1/query", {"query": by_factory, "time": last}),
            Question("q2", "/api/v1/query_range", {"query": by_factory} | span),
            Question(
                "q2b", "/api/v1/query_range", {"query": f"sum by (factory) (avg_over_time({POWER}[5m]))"} | span)]
    return found


def values(body):
    """All numbers of an answer by labels, to compare answers."""
    found = {}
    for series in json.loads(body)["data"]["result"]:
        labels = tuple(sorted((k, v) for k, v in series["metric"].items() if k != "__name__"))
        found[labels] = [float(point[1]) for point in series.get("values", [series.get("value")])]
    return found


def agree(one, other):
    return one.keys() == other.keys() and all(
        len(one[key]) == len(other[key])
        and all(abs(a - b) <= 1e-9 * max(abs(a), abs(b)) for a, b in zip(one[key], other[key])) for key in one)


def measure(servers, asked, rounds):
    print(f"{'':4} {'':16} {'first':>9} {'median':>9} {'worst':>9} ms  {'cpu':>8} ms")
    for server in servers:
        # What the asker and HTTP take of each time below.
        bare = [timed(server, server.health, {}) for _ in range(rounds)]
        print(f"{'':4} {server.name:16} {bare[0]:9.1f} {statistics.median(bare):9.1f} {max(bare):9.1f} ms  "
              "asked whether it lives")
    for question in asked:
        ours = servers[0]
        them = servers if question.is_shared else servers[:1]
        asks = {server: question.timed(server is ours) for server in them}
        first, times = {}, {server: [] for server in them}
        for server in them:
            # Apart, since whoever keeps what was read once keeps it from here on.
            first[server] = timed(server, question.path, asks[server])
        processor = {server: processor_seconds(server.process.pid) for server in them}
        for _ in range(rounds):
            for server in them:
                times[server].append(timed(server, question.path, asks[server]))
        used = {server: processor_seconds(server.process.pid) - processor[server] for server in them}
        # With nobody to compare with, an instant that has passed would be one more question.
        compared = {server: question.compared(server is ours) if len(them) > 1 else asks[ours] for server in them}
        answers = {server: server.get(question.path, **compared[server]) for server in them}
        found = values(answers[ours])
        for server in them:
            judged = "" if server is ours else "  agrees" if agree(found, values(answers[server])) else "  DIFFERS"
            print(f"{question.name:4} {server.name:16} {first[server]:9.1f} {statistics.median(times[server]):9.1f} "
                  f"{max(times[server]):9.1f} ms  {used[server] * 1000 / rounds:8.1f} ms  "
                  f"{len(answers[server]):>9} bytes{judged}", flush=True)
        if not found:
            sys.exit(f"ops/bench query: {question.name} has no answer")


def timed(server, path, parameters):
    """Milliseconds of one answer."""
    begin = time.perf_counter()
    server.get(path, **parameters)
    return (time.perf_counter() - begin) * 1000


def main():
    parser = argparse.ArgumentParser()
    for name, kind in (("bin", str), ("work", Path), ("nodes", int), ("node-gpus", int), ("seconds", int),
                       ("rounds", int), ("interval", str)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    options = parser.parse_args()
    options.gpus = options.nodes * options.node_gpus
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    work = options.work.resolve()
    began = int(time.time()) - 1
    aggregator, fleets = start_aggregator(options, work, options.node_gpus, options.interval)
    peers = []
    try:
        deadline = time.monotonic() + 60 + options.nodes / 50
        while series_count(aggregator) < options.gpus:
            if time.monotonic() > deadline:
                sys.exit(f"ops/bench query: {series_count(aggregator)} of {options.gpus} GPUs report")
            time.sleep(1)
        time.sleep(options.seconds)
        last = int(time.time()) - 3
        print(f"{series_count(aggregator, last)} series of {POWER}, {options.seconds} s, one row each {options.interval}")
        if options.gpus > EXPORTED_GPUS_MAX:
            began = last - EXPORTED_SECONDS
        # Ingest goes on while we are asked, as in life; peers rest.
        export_samples(options, aggregator, POWER, began, last, work / "power.txt")
        peers = start_peers(work, work / "power.txt")
        measure([aggregator] + peers, questions(options, last), options.rounds)
    finally:
        for fleet in fleets:
            fleet.terminate()
        for server in peers + [aggregator]:
            server.stop()


if __name__ == "__main__":
    main()
