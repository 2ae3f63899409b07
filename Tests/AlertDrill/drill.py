#!/usr/bin/env python3
"""Alarms with a real Alertmanager: what it is told when power steps, agents vanish, and either side goes away.

Two factories of simulated nodes whose power is the same in every run. One timeline, in seconds of the simulator:

    20  east draws 20 % more within 5 s: the forecast of its contract and the ramp fire, once each
        the aggregator is killed while both fire and a third waits out its `for`; nothing is told anew, the timer goes on
    --  Alertmanager goes away for --outage seconds, within which the aggregator is killed once more; what happens
        meanwhile arrives afterwards, in order
    65  east is back at what it was: the forecast ends, the ramp down fires; a minute later both ramps are over
    75  30 % of the agents of west, whose hall is above its limit, vanish: the alert of the hall stays, that of coverage
        comes, sudden loss does not

Waits are for conditions, with generous limits; the timeline only gives the order. Needs prometheus-alertmanager.
"""

import argparse
import shutil
import sys
import tempfile
import time

from parts import Aggregator, Alertmanager, Program, Relay, Server, identity, instant

FLEET = """
version: 1
nation: drill
time_zone: Asia/Seoul
factories:
  - id: east
    pue: 1.3
    ramp_limit_10s: 30 kW
    halls:
      - id: a
        in_service: 2025-01-01
        racks:
          - {{id: "r[01-10]", nodes: "{{factory}}-{{rack}}-n[1-2]", model: B200}}
    meters:
      - id: east
        contract_power: 285 kW # 253 kW are drawn, 303 kW after the step
        clock_offset_seconds: {offset} # a quarter-hour begins with the drill
  - id: west
    pue: 1.3
    halls:
      - id: a
        in_service: 2025-01-01
        power_limit: 200 kW # 194 kW are drawn: critical from the start
        racks:
          - {{id: "r[01-10]", nodes: "{{factory}}-{{rack}}-n[1-2]", model: B200}}
"""

SCENARIO = """
version: 1
name: alert drill
about: see Tests/AlertDrill/drill.py
jobs:
  - {{factory: "*", inference: 100 %, job_nodes: 1}}
events:
  - at 0s: all ramp to 60 % over 1 s
  - at 20s: factory east power +20 % over 5 s
  - at 65s: factory east power +0.001 % over 5 s
  - at 75s: 30 % of factory west nodes vanish for 300 s
"""

RULES = """
groups:
  - name: drill
    interval: 1s
    rules:
      - alert: Patient
        expr: factory:bongsu_power_total_watts:sum{factory="east"} > 215000
        for: 20s
      - alert: Blip
        expr: factory:bongsu_power_change_watts:10s{factory="east"} < -30000
"""

ALERTING = """
evaluation_interval: 1s
restart_hold: 15s
rule_files: [{folder}/rules.yaml]
alertmanagers:
  - {{url: "http://127.0.0.1:{relay}", resend: 20s}}
webhooks:
  - {{name: direct, url: "http://127.0.0.1:{direct}/"}}
"""

FORECAST = "ContractPowerForecast east east critical"
RAMP_UP = "PowerRampUp east warning 10s"
RAMP_DOWN = "PowerRampDown east warning 10s"
HALL = "HallPowerHigh west a critical"
LOST = "PowerOrNetworkLost west a critical"
PATIENT, BLIP = "Patient east", "Blip east"


class Failed(Exception):
    pass


class Drill:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.began = time.monotonic()
        now = int(time.time())
        # The quarter-hour of the meter began a few seconds ago.
        offset = -((now - 5) % 900)
        self.write("fleet.yaml", FLEET.format(offset=offset))
        self.write("scenario.yaml", SCENARIO.format())
        self.write("rules.yaml", RULES)
        self.behind, self.direct = Server(), Server()
        self.alertmanager = Alertmanager(folder, self.behind.port)
        self.relay = Relay(self.alertmanager.port)
        self.write("alerting.yaml", ALERTING.format(folder=folder, relay=self.relay.port, direct=self.direct.port))
        self.aggregator = Aggregator(folder, options.bin, f"{folder}/fleet.yaml", f"{folder}/alerting.yaml")
        self.fleet = None

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w") as file:
            file.write(text)

    def say(self, text):
        print(f"  {time.monotonic() - self.began:5.1f} s  {text}", flush=True)

    def wait(self, what, condition, seconds=90):
        deadline = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                self.say(what)
                return found
            for program in (self.fleet, self.aggregator.program):
                if program is not None and not program.runs():
                    raise Failed(f"{program.process.args[0]} ended while waiting: {what}; see {program.log}")
            if time.monotonic() > deadline:
                raise Failed(f"not within {seconds} s: {what}")
            time.sleep(0.1)

    def check(self, what, holds, seen=""):
        if not holds:
            raise Failed(f"{what}: {seen}" if seen != "" else what)
        self.say(what)

    def told(self):
        """What came out of Alertmanager, by alert: whether it fired, in order."""
        sequences = {}
        for _, message in self.behind.remembered():
            for alert in message["alerts"]:
                sequences.setdefault(identity(alert["labels"]), []).append(alert["status"])
        return sequences

    def starts(self, *names):
        """startsAt of these alerts at Alertmanager, when it has them all."""
        alerts = self.alertmanager.alerts() or {}
        return {name: alerts[name]["startsAt"] for name in names} if all(name in alerts for name in names) else None

    # MARK: the timeline

    def run(self):
        self.alertmanager.start()
        self.aggregator.start()
        self.wait("the aggregator answers", self.aggregator.ready)
        self.fleet = Program(
            f"{self.folder}/fleet.log", f"{self.options.bin}/bongsu-fleet", "--fleet", f"{self.folder}/fleet.yaml",
            "--aggregator", f"127.0.0.1:{self.aggregator.ingest}", "--scenario", f"{self.folder}/scenario.yaml",
            "--duration", "900", "--grace", "1")
        self.wait("the hall of west is above its limit", lambda: self.starts(HALL))
        self.step_and_crash()
        self.outage()
        self.vanish()
        self.ends()

    def step_and_crash(self):
        before = self.wait("forecast and ramp of east are at Alertmanager", lambda: self.starts(FORECAST, RAMP_UP))
        pending = self.wait(
            "the patient alert waits", lambda: self.aggregator.alerts().get(PATIENT), 20)
        self.check("and does not fire yet", pending["state"] == "pending", pending)
        posts = len(self.relay.remembered())
        self.aggregator.program.kill()
        self.say("the aggregator is killed")
        self.aggregator.start()
        self.wait("it answers again", self.aggregator.ready)
        again = self.wait(
            "it tells again of what fires", lambda: [
                alert for _, body in self.relay.remembered()[posts:] for alert in body
                if identity(alert["labels"]) in (FORECAST, RAMP_UP, HALL)])
        for alert in again:
            name = identity(alert["labels"])
            if name in before:
                self.check(f"with its start: {name}", instant(alert["startsAt"]) == instant(before[name]), alert)
        fired = self.wait(
            "the patient alert fires",
            lambda: (lambda alert: alert if alert and alert["state"] == "firing" else None)(
                self.aggregator.alerts().get(PATIENT)))
        self.check(
            "its timer went on through the restart", fired["active_since_ms"] == pending["active_since_ms"],
            (pending, fired))
        waited = fired["fired_ms"] - fired["active_since_ms"]
        self.check(f"it fired {waited} ms after it began", 20_000 <= waited <= 30_000, waited)
        self.wait("it is at Alertmanager", lambda: self.starts(PATIENT))
        self.check(
            "Alertmanager has the starts of before", self.starts(FORECAST, RAMP_UP) == before,
            self.starts(FORECAST, RAMP_UP))
        told = self.told()
        for name in (FORECAST, RAMP_UP, HALL, PATIENT):
            self.check(f"told once: {name}", told.get(name) == ["firing"], told)

    def outage(self):
        self.check(
            "power is still up when Alertmanager goes away", FORECAST in self.aggregator.alerts(),
            "this machine is too slow for the timeline")
        self.before_outage = len(self.relay.remembered())
        start = time.time() * 1000
        self.relay.close()
        self.alertmanager.stop()
        began = time.monotonic()
        name = f"alertmanager:http://127.0.0.1:{self.relay.port}"
        self.wait(
            "a brief alert came and went while Alertmanager is away",
            lambda: [fires for _, name, fires in self.aggregator.news() if name == BLIP] == [True, False], 120)
        self.aggregator.program.kill()
        self.aggregator.start()
        self.wait("the aggregator was killed and answers again, its events are on disk", self.aggregator.ready)
        self.wait("and wait", lambda: self.aggregator.receivers()[name]["waiting"] >= 4)
        self.wait(
            f"{self.options.outage} s are over", lambda: time.monotonic() - began >= self.options.outage,
            self.options.outage + 10)
        receiver = self.aggregator.receivers()[name]
        self.check(
            f"the aggregator says that {receiver['waiting']} events wait and why: {receiver['last_failure']}",
            receiver["failing"] and receiver["waiting"] >= 4, receiver)
        expected = [(name, fires) for at, name, fires in self.aggregator.news() if at >= start - 1000]
        expected = [entry for entry in expected if entry != (PATIENT, True)]
        self.alertmanager.start()
        self.relay.open()

        def delivered():
            found = []
            for now, body in self.relay.remembered()[self.before_outage:]:
                for alert in body:
                    entry = (identity(alert["labels"]), instant(alert["endsAt"]) > now)
                    if entry in expected and entry not in found:
                        found.append(entry)
            return found

        self.wait("all of it arrives", lambda: set(delivered()) == set(expected))
        self.check(f"in order: {len(expected)} events", delivered() == expected, (delivered(), expected))

    def vanish(self):
        self.wait("agents of west have vanished: power or network lost", lambda: self.starts(LOST))
        self.wait("coverage of west", lambda: self.starts("TelemetryCoverage west critical"), 150)
        self.check("the hall's alert fires on", self.aggregator.alerts()[HALL]["state"] == "firing")
        self.wait("at Alertmanager too", lambda: self.starts(HALL), 60)
        self.check(
            "no sudden loss", not any(name.startswith("SuddenPowerLoss") for _, name, _ in self.aggregator.news()))
        status, output = self.aggregator.ask("alerts", "--firing", "--exit-code")
        self.check("bongsu alerts --exit-code says that something fires", status == 1 and "HallPowerHigh" in output,
                   (status, output))

    def ends(self):
        self.wait("the ramps of east are over", lambda: {
            name: states for name, states in self.told().items() if name in (RAMP_UP, RAMP_DOWN)
        } == {RAMP_UP: ["firing", "resolved"], RAMP_DOWN: ["firing", "resolved"]}, 180)
        told = self.told()
        for name in (FORECAST, PATIENT):
            self.check(f"told once and ended once: {name}", told[name] == ["firing", "resolved"], told[name])
        self.check("the hall of west was told once", told[HALL] == ["firing"], told[HALL])
        for name, states in told.items():
            self.check(f"never told twice: {name}", len(states) == len(set(states)), states)
        direct = {}
        for _, message in self.direct.remembered():
            for alert in message["alerts"]:
                direct.setdefault(identity(alert["labels"]), []).append(alert["status"])
        expected = {}
        for _, name, fires in self.aggregator.news():
            expected.setdefault(name, []).append("firing" if fires else "resolved")
        self.check("a webhook of the aggregator was told each change once", direct == expected, (direct, expected))

    def clean(self):
        for program in (self.fleet, self.aggregator.program):
            if program:
                program.end()
        self.alertmanager.stop()
        for server in (self.relay, self.behind, self.direct):
            server.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="folder of the programs")
    parser.add_argument("--outage", type=int, default=30, help="seconds that Alertmanager is away (default 30)")
    parser.add_argument("--keep", action="store_true", help="keep everything also when all is well")
    options = parser.parse_args()
    if shutil.which("prometheus-alertmanager") is None:
        print("prometheus-alertmanager is not installed; ops/prepare test installs it", file=sys.stderr)
        return 1
    folder = tempfile.mkdtemp(prefix="bongsu-alerts-")
    drill = Drill(options, folder)
    try:
        drill.run()
    except (Failed, RuntimeError) as error:
        print(f"alert drill: {error}\neverything is kept in {folder}", file=sys.stderr)
        return 1
    finally:
        drill.clean()
    if not options.keep:
        shutil.rmtree(folder)
    print(f"alert drill: as it should be, {time.monotonic() - drill.began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
