"""Runs `swift test` with a limit of time, so that one test that hangs is named instead of holding up everything.

    python3 Tests/Support/limited_test.py SECONDS LOG swift test --skip-build ...

Writes what the command prints to LOG and ends as it ends. At the limit the test process is aborted, which makes Swift's
runtime write what each of its threads was doing, everything the command started is killed, LOG gets a line for each test
that had begun and not ended, and this ends 124.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

BACKTRACE_SECONDS = 90
BEGUN = re.compile(r"^◇ Test (?!run started|case )(.+) started\.$")
ENDED = re.compile(r"^[✔✘➜] Test (?!run with|case )(.+?)(?: with \d+ test cases)? (?:passed|failed|skipped)(?: after|:| with|\.)")


def unfinished(lines):
    """The tests that began and did not end, with how often, in order of their beginning."""
    open_tests = {}
    for line in lines:
        if begun := BEGUN.match(line):
            open_tests[begun.group(1)] = open_tests.get(begun.group(1), 0) + 1
        elif ended := ENDED.match(line):
            open_tests[ended.group(1)] = open_tests.get(ended.group(1), 0) - 1
    return [name for name, count in open_tests.items() if count > 0]


def session_of(leader):
    """The processes of the session that `leader` leads: what a test started stays in it, unless it made its own."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name in brackets may hold anything; the fields count from behind it.
                fields = (entry / "stat").read_text().rpartition(") ")[2].split()
                if int(fields[3]) == leader:
                    found.append((int(entry.name), (entry / "cmdline").read_bytes().split(b"\0")[0].decode()))
            except (OSError, IndexError):
                continue
    return found


def kill(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def main():
    limit, log, command = float(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            sys.exit(process.wait(limit))
        except subprocess.TimeoutExpired:
            pass
        for pid, program in session_of(process.pid):
            if program.endswith((".xctest", "swiftpm-testing-helper")):
                kill(pid, signal.SIGABRT)
        deadline = time.monotonic() + BACKTRACE_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
        for pid, _ in session_of(process.pid):
            kill(pid, signal.SIGKILL)
        process.wait()
    names = unfinished(log.read_text(errors="replace").splitlines())
    with log.open("a") as output:
        # The line before may have been cut by the kill.
        output.write("\n")
        for name in names:
            output.write(f"✘ Test {name} did not end: error: it had begun, and the limit of {limit:.0f} s was reached\n")
    sys.exit(124)


if __name__ == "__main__":
    main()
