"""Opens many views of the web page at once and measures both sides. Called by runs/viewers."""

import argparse
import asyncio
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from machine import free_port, processor_seconds


# Shares of the viewers. The factory with the most racks is among them.
VIEWS = [
    (0.50, "nation", ["view=nation"]),
    (0.20, "factory", ["view=factory&id=hyundai-saemangeum", "view=factory&id=naver-sejong&heat=temperature"]),
    (0.20, "allocation", ["view=allocation&id=msit", "view=allocation&id=samsung"]),
    (0.05, "rack", ["view=rack&id=naver-sejong&hall=gov&rack=r001"]),
    (0.05, "node", ["view=node&id=naver-sejong-gov-r001-n1"]),
]


class Viewer:
    """One open stream: counts what comes, as a page would take it."""

    def __init__(self, view, query):
        self.view, self.query = view, query
        self.bytes = self.frames = self.opening = 0
        self.ages = []
        self.is_open = True

    async def watch(self, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /api/bongsu/v1/live?{self.query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        text = b""
        try:
            while chunk := await reader.read(65536):
                self.bytes += len(chunk)
                text += chunk
                for time_text in re.findall(rb'event: figures\ndata: .*?"t":(\d+)', text, re.S):
                    self.frames += 1
                    self.ages.append(time.time() - int(time_text) / 1000)
                # What may be the beginning of the next frame stays.
                text = text[text.rfind(b"event: "):] if b"\n\n" not in text[-4:] else b""
        finally:
            self.is_open = False
            writer.close()


class Run:
    def __init__(self, options):
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="bongsu-viewers-"))
        self.http, self.ingest = free_port(), free_port()
        self.running = []

    def start(self, name, *arguments):
        log = open(self.folder / f"{name}.log", "w")
        process = subprocess.Popen([self.options.bin / name, *map(str, arguments)], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.running.append(process)
        return process

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=30) as answer:
            return answer.read()

    def status(self):
        return json.loads(self.get("/api/bongsu/v1/status"))

    def first_view(self):
        """Seconds from the first request to the first figures, with every file of the page over one connection each."""
        start = time.monotonic()
        files = re.findall(r'"(/page/[a-z.]+)"', self.get("/").decode())
        seen = set()
        while files:
            path = files.pop()
            if path in seen:
                continue
            seen.add(path)
            files += ["/page/" + name for name in re.findall(r'from "\./([a-z]+\.js)"', self.get(path).decode(errors="replace"))]
        with socket.create_connection(("127.0.0.1", self.http)) as stream:
            stream.sendall(b"GET /api/bongsu/v1/live?view=nation HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            text = b""
            while b"event: figures" not in text:
                text += stream.recv(65536)
        return time.monotonic() - start

    async def part(self, seconds):
        """What the aggregator takes and uses in `seconds`."""
        before, used, start = self.status(), processor_seconds(self.aggregator.pid), time.monotonic()
        ages = []
        while time.monotonic() - start < seconds:
            await asyncio.sleep(1)
            status = await asyncio.to_thread(self.status)
            ages.append(status["lag_ms"])
        after, elapsed = self.status(), time.monotonic() - start
        return {
            "rows": (after["ingest"]["blocks_total"] - before["ingest"]["blocks_total"]) / elapsed,
            "duplicates": after["ingest"]["duplicate_blocks_total"] - before["ingest"]["duplicate_blocks_total"],
            "gaps": after["losses"]["gaps_total"] - before["losses"]["gaps_total"],
            "processor": (processor_seconds(self.aggregator.pid) - used) / elapsed,
            "lag": sorted(ages)[len(ages) // 2], "lag_most": max(ages), "commit": after["journal"].get("commit_ms"),
        }

    async def run(self):
        options = self.options
        self.aggregator = self.start(
            "bongsu-aggregator", "--fleet", "ops/fleets/korea.yaml", "--data", self.folder / "data", "--demo-in-service",
            "--listen", f"127.0.0.1:{self.ingest}", "--http", f"127.0.0.1:{self.http}")
        for _ in range(600):
            try:
                if self.status()["ready"]["state"] == "ready":
                    break
            except OSError:
                pass
            time.sleep(0.1)
        self.start("bongsu-fleet", "--fleet", "ops/fleets/korea.yaml", "--aggregator", f"127.0.0.1:{self.ingest}", "--nodes", options.nodes)
        for _ in range(600):
            if self.status()["nodes"]["connected"] >= options.nodes:
                break
            time.sleep(0.5)
        else:
            raise SystemExit(f"only {self.status()['nodes']['connected']} of {options.nodes} nodes connected")
        time.sleep(5)
        first = min(self.first_view() for _ in range(3))
        alone = await self.part(options.seconds)

        viewers = []
        for share, view, queries in VIEWS:
            count = max(1, round(share * options.viewers))
            viewers += [Viewer(view, queries[number % len(queries)]) for number in range(count)]
        tasks = [asyncio.create_task(viewer.watch(self.http)) for viewer in viewers]
        await asyncio.sleep(3)
        for viewer in viewers:
            viewer.opening, viewer.bytes, viewer.frames, viewer.ages = viewer.bytes, 0, 0, []
        began = time.monotonic()
        watched = await self.part(options.seconds)
        elapsed = time.monotonic() - began
        closed = sum(not viewer.is_open for viewer in viewers)
        for task in tasks:
            task.cancel()
        return self.tell(first, alone, watched, viewers, elapsed, closed)

    def tell(self, first, alone, watched, viewers, elapsed, closed):
        failures = []
        print(f"{self.options.nodes} nodes, {len(viewers)} viewers, {self.options.seconds} s each part")
        for name, part in [("without viewers", alone), (f"with {len(viewers)} viewers", watched)]:
            print(f"{name:>20}: {part['rows']:.0f} rows/s durable, {part['processor']:.3f} processor seconds a second, newest tick "
                  f"{part['lag']} ms old (median; {part['lag_most']} at most), {part['duplicates']} duplicates, {part['gaps']} gaps")
        print(f"{'first view':>20}: {first * 1000:.0f} ms from the first request to the first figures, all files loaded")
        for _, view, _ in VIEWS:
            group = [viewer for viewer in viewers if viewer.view == view]
            rates = sorted(viewer.bytes / elapsed for viewer in group)
            frames = sum(viewer.frames for viewer in group) / len(group) / elapsed
            ages = sorted(age for viewer in group for age in viewer.ages) or [float("nan")]
            print(f"{view:>20}: {rates[-1] / 1000:.2f} KB/s for each, {max(v.opening for v in group) / 1000:.1f} KB in the first 3 s, "
                  f"{frames:.2f} frames/s, {ages[len(ages) // 2]:.2f} s from tick to viewer (median; {ages[-1]:.2f} at most)")
            if rates[-1] > 20_000:
                failures.append(f"{view} sends {rates[-1]:.0f} bytes a second, at most 20000 are allowed")
            if frames == 0:
                failures.append(f"{view} brought no figures")
        print(f"{'viewers cost':>20}: {(watched['processor'] - alone['processor']) / len(viewers) * 1000:.2f} ms of processor a second for each")
        if closed:
            failures.append(f"{closed} streams ended by themselves")
        if watched["gaps"] or alone["gaps"]:
            failures.append("rows were lost")
        if not self.options.quick:
            if watched["rows"] < alone["rows"] * 0.99:
                failures.append(f"{watched['rows']:.0f} rows/s while people watch, {alone['rows']:.0f} before")
            if first > 1:
                failures.append(f"the first view took {first:.2f} s")
        for failure in failures:
            print(f"FAILED: {failure}")
        return 1 if failures else 0

    def end(self):
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--viewers", type=int, required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--quick", action="store_true")
    run = Run(parser.parse_args())
    try:
        sys.exit(asyncio.run(run.run()))
    finally:
        run.end()
