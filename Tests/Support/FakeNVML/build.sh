#!/bin/sh
# Builds the stand-in for NVIDIA's management library.
#
#   build.sh OUT.so          as a current driver's library
#   build.sh --old OUT.so    as one of 2020, without the later functions and fields
#
# FAKE_NVML_DRIVER is its version, if set.
set -eu
folder=$(cd "$(dirname "$0")" && pwd)
flags=
if [ "${1:-}" = --old ]; then
  flags=-DFAKE_NVML_OLD_DRIVER
  shift
fi
if [ -n "${FAKE_NVML_DRIVER:-}" ]; then flags="$flags -DFAKE_NVML_DRIVER=\"$FAKE_NVML_DRIVER\""; fi
if [ $# -ne 1 ]; then
  echo "usage: build.sh [--old] OUT.so" >&2
  exit 2
fi
exec "${CC:-cc}" -std=c11 -O1 -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden $flags \
  -o "$1" "$folder/FakeNVML.c" -lpthread
