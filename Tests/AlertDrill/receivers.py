#!/usr/bin/env python3
"""Receivers that fail in every way beside ones that work, and rule files that change, break and come back.

One aggregator with some twenty receivers: each is judged by what it says of itself in `bongsu alerts`, and the good ones
by what arrived. None may hold up another, a broken rule may not either, and nothing that a server does may be believed
before its certificate and answer are.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request

import hostile
from drill import FLEET, Failed
from hostile import Certificates, Hostile
from parts import Aggregator, Program, Server, free_port, get

RULES = """groups:
  - name: trial
    interval: 1s
    rules:
      - alert: Broken
        # Two series that become one, which is an error.
        expr: label_replace(label_replace(vector(1), "a", "x", "", "") or vector(2), "a", "same", "", "")
      - alert: Kept
        expr: vector(1)
        for: 1h
      - alert: Fires
        expr: vector(2)
      - alert: Changes
        expr: {changing}
"""


class Trial:
    def __init__(self, options, folder):
        self.folder = folder
        self.began = time.monotonic()
        self.write("fleet.yaml", FLEET.format(offset=0))
        self.write("rules.yaml", RULES.format(changing="vector(3)"))
        self.write("sleeps", "#!/bin/sh\necho $$ > " + folder + "/sleeps.pid\nexec sleep 3600\n", 0o755)
        self.write("fails", "#!/bin/sh\nexit 3\n", 0o755)
        self.write("copies", f"#!/bin/sh\ncat > {folder}/copied.json\n", 0o755)
        self.write("token", "tok3n\n")
        certificates = Certificates(folder)
        self.good, self.elsewhere = Server(), Server()
        self.expected = {}
        self.entries = []
        place = f"http://127.0.0.1:{self.elsewhere.port}/"
        self.hostile = {
            "refuses": (hostile.status(400, "no such thing\r\nsecond line"), "status 400: no such thing"),
            "fails": (hostile.status(500, "out of order"), "status 500: out of order"),
            "busy": (hostile.status(429, "later"), "status 429: later"),
            "garbage": (hostile.garbage, "no HTTP"),
            "hangs": (hostile.hangs, "no answer within 500 ms"),
            "drips-head": (hostile.drips_head, "no answer within 500 ms"),
            "drips-body": (hostile.drips_body, "500"),
            "redirects": (hostile.status(307, "", f"Location: {place}\r\n"), "status 307"),
            "closes": (hostile.closes, "closed without an answer"),
            "half": (hostile.half, "no HTTP"),
        }
        for name, (behave, words) in self.hostile.items():
            self.webhook(name, Hostile(behave), words)
        self.add("webhooks", "absent", f"http://127.0.0.1:{free_port()}/", "Connection refused")
        self.webhook("floods", Hostile(hostile.floods), None)
        self.webhook("basic", Hostile(hostile.wants("authorization", hostile.basic("bongsu", "s3cret"))), None,
                     "basic_auth: {username: bongsu, password: s3cret}")
        self.webhook("basic-wrong", Hostile(hostile.wants("authorization", hostile.basic("bongsu", "s3cret"))),
                     "status 401", "basic_auth: {username: bongsu, password: other}")
        self.webhook("bearer", Hostile(hostile.wants("authorization", "Bearer tok3n")), None,
                     f"bearer_token_file: {folder}/token")
        self.webhook("signed", Hostile(hostile.wants_signature("k3y")), None, "secret: k3y")
        self.webhook("signed-wrong", Hostile(hostile.wants_signature("k3y")), "status 401", "secret: other")
        ca = f"tls: {{ca_file: {folder}/ca.pem}}"
        self.secure("tls-right", certificates.context("right"), None, ca)
        self.secure("tls-foreign", certificates.context("foreign"), "expired or signed by nobody in", ca)
        self.secure("tls-expired", certificates.context("expired"), "expired or signed by nobody in", ca)
        self.secure("tls-elsewhere", certificates.context("elsewhere"), "for another host", ca)
        self.secure("tls-system", certificates.context("right"), "nobody in the system's list", "")
        self.secure("tls-unchecked", certificates.context("foreign"), None, "tls: {insecure_skip_verify: true}")
        commands = [("sleeps", "did not end within 500 ms and was killed"), ("fails", "status 3"), ("copies", None)]
        for name, words in commands:
            self.expected[f"command:{name}"] = words
        self.write(
            "alerting.yaml",
            f"rule_files: [{folder}/rules.yaml]\nrestart_hold: 1s\nshipped_rules: false\nwebhooks:\n"
            f"  - {{name: good, url: 'http://127.0.0.1:{self.good.port}/'}}\n" + "".join(self.entries) + "commands:\n"
            + "".join(f"  - {{name: {name}, command: [{folder}/{name}], timeout: 500ms}}\n" for name, _ in commands))
        self.aggregator = Aggregator(folder, options.bin, f"{folder}/fleet.yaml", f"{folder}/alerting.yaml")
        self.fleet = None

    def webhook(self, name, server, words, more=""):
        self.add("webhooks", name, f"http://127.0.0.1:{server.port}/", words, more)

    def secure(self, name, context, words, more):
        server = Hostile(hostile.status(200), tls=context)
        self.add("webhooks", name, f"https://localhost:{server.port}/", words, more)

    def add(self, kind, name, url, words, more=""):
        self.entries.append(
            f"  - {{name: {name}, url: '{url}', timeout: {'5s' if words is None else '500ms'}"
            + (f", {more}" if more else "") + "}\n")
        self.expected[f"webhook:{name}"] = words

    def write(self, name, text, mode=0o644):
        with open(f"{self.folder}/{name}", "w") as file:
            file.write(text)
        os.chmod(f"{self.folder}/{name}", mode)

    def say(self, text):
        print(f"  {time.monotonic() - self.began:5.1f} s  {text}", flush=True)

    def wait(self, what, condition, seconds=60, seen=lambda: ""):
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            if not self.aggregator.program.runs():
                raise Failed(f"the aggregator ended while waiting: {what}; see {self.aggregator.program.log}")
            if time.monotonic() > deadline:
                raise Failed(f"not within {seconds} s: {what} {seen()}")
            time.sleep(0.05)
        self.say(what)
        return found

    def check(self, what, holds, seen=""):
        if not holds:
            raise Failed(f"{what}: {seen}")
        self.say(what)

    def told(self):
        return [
            (alert["labels"]["alertname"], alert["status"]) for _, message in self.good.remembered()
            for alert in message["alerts"]]

    def reload(self):
        """Status and text of POST /-/reload."""
        try:
            request = urllib.request.Request(f"{self.aggregator.url}/-/reload", method="POST", data=b"")
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def run(self):
        self.aggregator.start()
        self.wait("the aggregator answers", self.aggregator.ready)
        self.fleet = Program(
            f"{self.folder}/fleet.log", f"{self.bin}/bongsu-fleet", "--fleet", f"{self.folder}/fleet.yaml",
            "--aggregator", f"127.0.0.1:{self.aggregator.ingest}", "--duration", "600", "--grace", "1")
        self.wait("the good receiver has both alerts", lambda: len(self.told()) >= 2)
        self.receivers()
        self.reloads()
        self.wait("all of this did not keep the good receiver from what came later", lambda: len(self.told()) >= 5)

    def receivers(self):
        def unlike():
            found = self.aggregator.receivers()
            wrong = []
            for name, words in self.expected.items():
                report = found.get(name)
                if report is None:
                    wrong.append(f"{name} is missing")
                elif words is None and (report["delivered"] < 2 or report["failing"]):
                    wrong.append(f"{name} should have delivered: {report}")
                elif words is not None and (report["delivered"] > 0 or words not in (report.get("last_failure") or "")):
                    wrong.append(f"{name} should have failed by '{words}': {report}")
            return wrong

        self.wait(
            f"{len(self.expected)} receivers stand as they should", lambda: not unlike(), 60,
            lambda: "\n" + "\n".join(unlike()))
        found = self.aggregator.receivers()
        self.check("what is refused for good is counted and let go", (
            found["webhook:refuses"]["refused"] == 2 and found["webhook:refuses"]["waiting"] == 0), found["webhook:refuses"])
        self.check("what failed otherwise waits", all(
            found[name]["waiting"] == 2 and found[name]["failed"] > 0 for name, words in self.expected.items()
            if words and name != "webhook:refuses"), found)
        self.check("no redirection is followed", not self.elsewhere.remembered())
        with open(f"{self.folder}/sleeps.pid") as file:
            process = int(file.read())
        self.wait("a command past its time is killed", lambda: not os.path.exists(f"/proc/{process}") or int(
            open(f"{self.folder}/sleeps.pid").read() or process) != process)
        self.check("a command got its alerts", os.path.getsize(f"{self.folder}/copied.json") > 100)
        status, output = self.aggregator.ask("alerts", "--format", "json")
        self.check("a rule that fails is named, the others of its group fire", (
            status == 0 and "trial/Broken" in output and "same labelset" in output), output)

    def reloads(self):
        count = len(self.told())
        times = {
            name: (alert["active_since_ms"], alert.get("fired_ms")) for name, alert in self.aggregator.alerts().items()}
        self.check("three alerts are there", set(times) == {"Kept", "Fires", "Changes"}, times)

        def kept(names):
            now = self.aggregator.alerts()
            return all(
                name in now and (now[name]["active_since_ms"], now[name].get("fired_ms")) == times[name]
                for name in names)

        status, text = self.reload()
        self.check("unchanged rules are read again", status == 200, text)
        self.aggregator.program.process.send_signal(signal.SIGHUP)
        self.evaluated()
        self.check("and nothing is told, no timer begins anew", kept(times) and len(self.told()) == count, self.told())

        self.write("rules.yaml", RULES.format(changing="vector(4)"))
        status, text = self.reload()
        self.check("a changed file is taken", status == 200, text)
        self.wait("the changed rule's alert ends and begins", lambda: self.told()[count:] == [
            ("Changes", "resolved"), ("Changes", "firing")], 30, self.told)
        self.check("the others go on", kept(["Kept", "Fires"]), self.aggregator.alerts())
        times["Changes"] = tuple(self.aggregator.alerts()["Changes"][key] for key in ("active_since_ms", "fired_ms"))

        self.write("rules.yaml", RULES.format(changing="sum(("))
        status, text = self.reload()
        line = RULES[:RULES.index("{changing}")].count("\n") + 1
        self.check(f"a broken file is refused by line: {text.splitlines()[1] if status != 200 else text}", (
            status == 500 and f"{self.folder}/rules.yaml:{line}:" in text), (status, text))
        self.evaluated()
        self.check("the rules in use stay", kept(times) and len(self.told()) == count + 2, self.told())
        self.check("and it is said where people look", "rules.yaml" in self.aggregator.ask("alerts")[1],
                   self.aggregator.ask("alerts"))
        os.remove(f"{self.folder}/rules.yaml")
        status, text = self.reload()
        self.check("a file that is gone is refused by name", status == 500 and "rules.yaml" in text, text)
        def said():
            with open(self.aggregator.program.log) as file:
                return file.read().count(f"rules.yaml:{line}:")

        self.write("rules.yaml", RULES.format(changing="sum("))
        before = said()
        self.aggregator.program.process.send_signal(signal.SIGHUP)
        self.wait("SIGHUP says the same to the log", lambda: said() > before)
        self.check("the aggregator runs on, with the rules of before", kept(times), self.aggregator.alerts())

        self.write("rules.yaml", RULES.format(changing="vector(4)").replace("Fires", "Renamed"))
        self.aggregator.program.process.send_signal(signal.SIGHUP)
        self.wait("mended files are taken at SIGHUP", lambda: "Renamed" in self.aggregator.alerts())
        self.check("the rest goes on", kept(["Kept", "Changes"]), self.aggregator.alerts())

    def evaluated(self):
        """Waits for three more evaluations."""
        first = self.evaluation()
        self.wait("rules are evaluated", lambda: (self.evaluation() or 0) >= first + 3000)

    def evaluation(self):
        return (get(f"{self.aggregator.url}/api/bongsu/v1/alerts") or {}).get("evaluated_ms")

    def clean(self):
        for program in (self.fleet, self.aggregator.program):
            if program:
                program.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="folder of the programs")
    parser.add_argument("--keep", action="store_true", help="keep everything also when all is well")
    options = parser.parse_args()
    if shutil.which("openssl") is None:
        print("openssl is not installed; ops/prepare test installs it", file=sys.stderr)
        return 1
    folder = tempfile.mkdtemp(prefix="bongsu-receivers-")
    trial = Trial(options, folder)
    trial.bin = options.bin
    try:
        trial.run()
    except (Failed, RuntimeError) as error:
        print(f"receivers: {error}\neverything is kept in {folder}", file=sys.stderr)
        return 1
    finally:
        trial.clean()
    if not options.keep:
        shutil.rmtree(folder)
    print(f"receivers and reloads: as it should be, {time.monotonic() - trial.began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
