"""What the alert drill is made of: programs, a relay in front of Alertmanager, receivers that remember."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url):
    """The JSON at `url`, or None while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


def instant(text):
    """Milliseconds since 1970 of RFC 3339 in UTC."""
    whole, _, rest = text.rstrip("Z").partition(".")
    seconds = int(time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))) - time.timezone
    return seconds * 1000 + int((rest + "000")[:3])


class Program:
    """A process of the drill; its output goes to a file."""

    def __init__(self, log, *words):
        self.log = log
        with open(log, "ab") as output:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def runs(self):
        return self.process.poll() is None

    def kill(self):
        self.end(signal.SIGKILL)

    def end(self, how=signal.SIGTERM, seconds=30):
        if not self.runs():
            return
        self.process.send_signal(how)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Server:
    """An HTTP server on a port that stays the same while it goes away and comes back."""

    def __init__(self):
        self.port = free_port()
        self.posts = []
        self.lock = threading.Lock()
        self.server = None
        self.open()

    def open(self):
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status = owner.take(self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        class Reusing(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.server = Reusing(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        """From now on connections are refused."""
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def take(self, path, body):
        with self.lock:
            self.posts.append((time.time() * 1000, json.loads(body)))
        return 200

    def remembered(self):
        with self.lock:
            return list(self.posts)


class Relay(Server):
    """Stands in front of Alertmanager and remembers what it took."""

    def __init__(self, target):
        self.target = target
        super().__init__()

    def take(self, path, body):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.target}{path}", body, {"Content-Type": "application/json"})
        now = time.time() * 1000
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
        except OSError:
            return 502
        if status == 200:
            with self.lock:
                self.posts.append((now, json.loads(body)))
        return status


class Alertmanager:
    """Debian's Alertmanager, each alert a group of its own, every notification to `webhook`."""

    def __init__(self, folder, webhook):
        self.folder = folder
        self.port = free_port()
        self.program = None
        with open(f"{folder}/alertmanager.yaml", "w") as file:
            file.write(
                "route: {receiver: all, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 12h}\n"
                f"receivers: [{{name: all, webhook_configs: [{{url: 'http://127.0.0.1:{webhook}/', "
                "send_resolved: true}]}]\n")

    def start(self):
        self.program = Program(
            f"{self.folder}/alertmanager.log", "prometheus-alertmanager",
            f"--config.file={self.folder}/alertmanager.yaml", f"--storage.path={self.folder}/alertmanager",
            f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address=")
        deadline = time.monotonic() + 60
        while not answers(f"http://127.0.0.1:{self.port}/-/ready"):
            if time.monotonic() > deadline or not self.program.runs():
                raise RuntimeError(f"Alertmanager does not start, see {self.folder}/alertmanager.log")
            time.sleep(0.1)

    def stop(self):
        # Asked to end, it saves what it has told: a crash of its own may tell twice, which is not ours to judge.
        if self.program:
            self.program.end()

    def alerts(self):
        """Active alerts by identity; None while it is down."""
        found = get(f"http://127.0.0.1:{self.port}/api/v2/alerts?active=true")
        if found is None:
            return None
        return {identity(alert["labels"]): alert for alert in found}


class Aggregator:
    def __init__(self, folder, binaries, fleet, alerting):
        self.folder = folder
        self.binaries = binaries
        self.fleet = fleet
        self.alerting = alerting
        self.ingest, self.http = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http}"
        self.program = None

    def start(self):
        self.program = Program(
            f"{self.folder}/aggregator.log", f"{self.binaries}/bongsu-aggregator", "--fleet", self.fleet, "--data",
            f"{self.folder}/data", "--listen", f"127.0.0.1:{self.ingest}", "--http", f"127.0.0.1:{self.http}",
            "--alerting", self.alerting)

    def ready(self):
        return answers(f"{self.url}/-/ready")

    def alerts(self):
        """Pending and firing alerts by identity; empty while it does not answer."""
        found = get(f"{self.url}/api/bongsu/v1/alerts") or {"alerts": []}
        return {identity(alert["labels"]): alert for alert in found["alerts"]}

    def receivers(self):
        """How delivery goes, by receiver."""
        found = get(f"{self.url}/api/bongsu/v1/alerts") or {"receivers": []}
        return {receiver["name"]: receiver for receiver in found["receivers"]}

    def news(self):
        """What receivers have to be told, in the order in which it happened: (time, identity, fires)."""
        found = get(f"{self.url}/api/bongsu/v1/alerts/history?limit=1000") or {"changes": []}
        changes = reversed(found["changes"])
        return [
            (change["at_ms"], identity(change["labels"]), change["to"] == "firing") for change in changes
            if change["to"] == "firing" or change["from"] == "firing"]

    def ask(self, *words):
        """Exit status and output of the command."""
        ended = subprocess.run(
            [f"{self.binaries}/bongsu", *words, "--url", self.url], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=60)
        return ended.returncode, ended.stdout


def identity(labels):
    """What tells an alert from all others, short: its name, place and kind."""
    order = ["factory", "hall", "meter", "severity", "window"]
    return " ".join([labels["alertname"]] + [labels[name] for name in order if labels.get(name)])
