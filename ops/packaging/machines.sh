# Small Debian machines for tests, sourced by them: a fresh root with systemd as its first process, in namespaces of its
# own (mounts, processes, network, host name, control groups). No container engine; root is needed. What a test does
# inside is done as on a real machine: apt, systemctl, the hardened units.
#
# Set before: `machines_root` (a folder for the base roots, kept) and `fail`. Call machines_begin first.

# Says why machines cannot be had here; silent and true when they can.
machines_unavailable() {
  [ "$(id -u)" -eq 0 ] || { printf 'needs root, to make file systems and namespaces\n'; return 0; }
  local tool
  for tool in debootstrap ip unshare nsenter; do
    command -v "$tool" >/dev/null || { printf 'needs the program %s\n' "$tool"; return 0; }
  done
  grep -q overlay /proc/filesystems || modprobe overlay 2>/dev/null || { printf 'needs overlayfs\n'; return 0; }
  [ -n "$(machines_cgroup)" ] || { printf 'needs a cgroup2 file system\n'; return 0; }
  unshare --mount --pid --fork --net --uts --ipc --cgroup true 2>/dev/null || { printf 'needs namespaces\n'; return 0; }
  return 1
}

machines_cgroup() { findmnt --noheadings --first-only --types cgroup2 --output TARGET; }

declare -A machine_pid=()
machines_work=""

machines_begin() {
  machines_work=$(mktemp -d)
  mount -t tmpfs none "$machines_work"
}

# A Debian 12 root with systemd, made once and kept as `plain`; with other names a copy with more packages: NAME, packages.
machines_base() {
  local name=$1 base=$machines_root/$1 mirror
  shift
  [ -e "$base/.complete" ] && return 0
  # A half-made one is of no use.
  rm -rf "$base"
  mkdir -p "$machines_root"
  if [ "$name" != plain ]; then
    machines_base plain
    cp -a "$machines_root/plain" "$base"
    rm "$base/.complete"
    machines_packages "$base" "$@"
    return
  fi
  mkdir -p "$base"
  mirror=${BONGSU_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Created-By: Packages' 2>/dev/null | head -n 1)}
  debootstrap --variant=minbase bookworm "$base" "${mirror:-http://deb.debian.org/debian}" >"$base.log" 2>&1 ||
    { tail -n 5 "$base.log" >&2; fail "debootstrap failed; its log is $base.log"; }
  machines_host_apt "$base"
  machines_packages "$base" systemd-sysv dbus
}

machines_packages() { # root, packages…
  local base=$1
  shift
  # Whoever runs this may keep temporary files where a machine has no folder.
  env -u TMPDIR chroot "$base" sh -ec 'export DEBIAN_FRONTEND=noninteractive; apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$@"; apt-get clean' sh "$@" >>"$base.log" 2>&1 ||
    { tail -n 5 "$base.log" >&2; fail "the base root lacks its packages; the log is $base.log"; }
  touch "$base/.complete"
}

# Packages come from where this machine takes its own.
machines_host_apt() {
  rm -rf "$1/etc/apt/sources.list" "$1"/etc/apt/sources.list.d
  cp -a /etc/apt/sources.list.d "$1/etc/apt/"
  [ ! -f /etc/apt/sources.list ] || cp /etc/apt/sources.list "$1/etc/apt/"
  local file
  for file in /etc/apt/apt.conf.d/*; do
    grep -qiE 'proxy|check-|gpg|auth|Retries' "$file" && cp "$file" "$1/etc/apt/apt.conf.d/"
  done
  cp --dereference /etc/resolv.conf "$1/etc/resolv.conf"
  # The answer to apt's question whether to continue.
  printf 'APT::Get::Assume-Yes "true";\n' >"$1/etc/apt/apt.conf.d/90yes"
}

# Starts machine NAME from base BASE. Its changes are in memory and end with it.
machine_start() {
  local name=$1 base=$machines_root/$2 place=$machines_work/$1 group
  group=$(machines_cgroup)/bongsu-test-$$-$name
  mkdir -p "$place"/{upper,work,root} "$group"
  mount -t overlay overlay -o "lowerdir=$base,upperdir=$place/upper,workdir=$place/work" "$place/root"
  printf '%s\n' "$name" >"$place/root/etc/hostname"
  tr -d - </proc/sys/kernel/random/uuid >"$place/root/etc/machine-id"
  (
    echo "$BASHPID" >"$group/cgroup.procs"
    exec unshare --fork --pid --mount --net --uts --ipc --cgroup --propagation private \
      bash -euo pipefail -s "$place/root" "$name" <<'BOOT'
cd "$1"
hostname "$2"
mount -t proc proc proc
# Kernel settings are the real machine's: not for us to change.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -o remount,bind,ro sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  : >"dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm run/old
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
pivot_root . run/old
exec chroot . /bin/sh -c 'umount --lazy /run/old; rmdir /run/old
  exec env -i container=bongsu-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd \
    --log-target=journal systemd.unit=multi-user.target </dev/null >/dev/null 2>&1'
BOOT
  ) 2>"$machines_work/$name.log" &
  local parent=$! tries
  for tries in $(seq 300); do
    machine_pid[$name]=$(pgrep --parent "$parent" || true)
    [ -n "${machine_pid[$name]}" ] && machine "$name" systemctl is-system-running --quiet 2>/dev/null && return 0
    kill -0 "$parent" 2>/dev/null || { cat "$machines_work/$name.log" >&2; fail "machine $name ended while it started"; }
    sleep 0.1
  done
  machine "$name" systemctl --no-pager --failed >&2 || true
  fail "machine $name is not up after 30 s"
}

# Runs a command inside machine NAME.
machine() {
  local name=$1
  shift
  nsenter --target "${machine_pid[$name]}" --all -- env -u TMPDIR /bin/sh -c 'cd /root && exec "$@"' sh "$@"
}

# The same with this machine's network, for what fetches packages.
machine_online() {
  local name=$1
  shift
  nsenter --target "${machine_pid[$name]}" --mount --pid --uts --ipc --cgroup -- \
    env -u TMPDIR /bin/sh -c 'cd /root && exec "$@"' sh "$@"
}

# Connects machines by a network of their own, 10.74.20.1 for the first and so on, and lets them know their names.
machines_connect() {
  local hub=${machine_pid[$1]} name number=0 hosts="127.0.0.1 localhost"
  nsenter --target "$hub" --net ip link add bridge type bridge
  nsenter --target "$hub" --net ip link set bridge up
  for name in "$@"; do
    number=$((number + 1))
    hosts+=$'\n'"10.74.20.$number $name"
    if [ "$number" -eq 1 ]; then
      nsenter --target "$hub" --net ip address add "10.74.20.1/24" dev bridge
    else
      nsenter --target "$hub" --net ip link add "to$number" type veth peer name lan netns "${machine_pid[$name]}"
      nsenter --target "$hub" --net ip link set "to$number" master bridge up
      nsenter --target "${machine_pid[$name]}" --net ip link set lan up
      nsenter --target "${machine_pid[$name]}" --net ip address add "10.74.20.$number/24" dev lan
    fi
    nsenter --target "${machine_pid[$name]}" --net ip link set lo up
  done
  for name in "$@"; do printf '%s\n' "$hosts" >"$machines_work/$name/root/etc/hosts"; done
}

# Stops every machine and removes what they wrote.
machines_end() {
  local name group tries
  for name in "${!machine_pid[@]}"; do
    [ -n "${machine_pid[$name]}" ] && kill -KILL "${machine_pid[$name]}" 2>/dev/null
  done
  wait 2>/dev/null
  for name in "${!machine_pid[@]}"; do
    group=$(machines_cgroup)/bongsu-test-$$-$name
    [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
    umount --lazy "$machines_work/$name/root" 2>/dev/null
  done
  [ -z "$machines_work" ] || { umount --lazy "$machines_work" && rmdir "$machines_work"; } 2>/dev/null
  return 0
}
