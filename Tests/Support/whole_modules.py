"""Type-checks every module of the product as a whole, as release builds compile it. Run after a debug build, from the root.

    python3 Tests/Support/whole_modules.py

A debug build compiles files apart, and sees other declarations where two C modules declare the same type (`timespec` of
Glibc and of swift-nio's): what it takes, a release build may refuse. This takes seconds where that takes minutes.
Ends 1 with the compiler's words.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

# What only writes files, with and without a value.
WITH_VALUE = {"-emit-module-path", "-output-file-map", "-num-threads", "-index-store-path"}
WITHOUT = {"-emit-dependencies", "-emit-module", "-incremental", "-enable-batch-mode", "-c", "-serialize-diagnostics",
           "-parseable-output"}


def checking(arguments):
    """The arguments of a module's compilation, made to check it as a whole and to write nothing."""
    kept, index = [], 1
    while index < len(arguments):
        argument = arguments[index]
        index += 2 if argument in WITH_VALUE else 1
        if argument not in WITH_VALUE and argument not in WITHOUT and not re.fullmatch(r"-j\d+", argument):
            kept.append(argument)
    return [arguments[0], "-typecheck", "-whole-module-optimization", *kept]


def main():
    plan = Path(".build/debug.yaml").read_text()
    modules = re.findall(r'^  "C\.(Bongsu\w+|bongsu(?:_\w+)?)-.*\.module":\n((?:    .*\n)+)', plan, re.M)
    if len(modules) < 20:
        sys.exit(f"{len(modules)} modules of the product are in .build/debug.yaml; build first: swift build --build-tests")
    failed = 0
    for name, command in modules:
        arguments = json.loads(re.search(r"^    args: (\[.*\])$", command, re.M).group(1))
        done = subprocess.run(checking(arguments), capture_output=True, text=True)
        if done.returncode != 0:
            failed += 1
            print(f"{name} does not compile as a whole:\n{done.stdout}{done.stderr}", file=sys.stderr)
    print(f"{len(modules)} modules compile as a whole" if failed == 0 else f"{failed} of {len(modules)} modules fail")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
