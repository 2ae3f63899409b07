# Shared by the scripts in runs/; sourced from the repository's root.

# print_usage: the comment at the head of the calling script.
print_usage() {
  sed -n '2,/^[^#]/{/^# \{0,1\}/s///p}' "$0"
  exit 0
}

usage_error() {
  printf 'ops/bench %s: %s\n' "$(basename "$0")" "$1" >&2
  exit 2
}

# build_bench PRODUCT: builds a program of this package in release and prints its path.
build_bench() {
  local log status=0
  log=$(mktemp)
  swift build -c release --package-path Tests/Performance --product "$1" >"$log" 2>&1 || status=$?
  if [ "$status" -ne 0 ]; then
    grep -E 'error:' "$log" | sort -u | head -n 20 >&2 || true
    tail -n 5 "$log" >&2
    exit 1
  fi
  rm -f "$log"
  printf '%s/%s\n' "$(swift build -c release --package-path Tests/Performance --show-bin-path)" "$1"
}

# build_programs CONFIGURATION PRODUCT…: builds programs of the product and prints the folder they are in.
build_programs() {
  local configuration=$1 product log
  shift
  log=$(mktemp)
  for product in "$@"; do
    swift build -c "$configuration" --product "$product" >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
  done
  rm -f "$log"
  swift build -c "$configuration" --show-bin-path
}
