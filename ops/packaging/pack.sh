# Puts programs, units, settings and documents together as packages; sourced by ops/package, which sets `programs`,
# `version`, `compression`, `tar_compression` and `fail`.

# Whom a package belongs to and where its data is: user, mode of the directories, directories below /var/lib/bongsu.
declare -A user=([bongsu-agent]=bongsu-agent [bongsu-aggregator]=bongsu [bongsu-facility-agent]=bongsu-facility)
declare -A mode=([bongsu-agent]=0700 [bongsu-aggregator]=0750 [bongsu-facility-agent]=0700)
declare -A directories=(
  [bongsu-agent]="agent spool" [bongsu-aggregator]="aggregator" [bongsu-facility-agent]="facility facility-spool")
declare -A settings=([bongsu-agent]=agent.conf [bongsu-aggregator]=aggregator.conf [bongsu-facility-agent]=facility-agent.yaml)
declare -A synopsis=(
  [bongsu-agent]="GPU power and utilization of this node, for Bongsu"
  [bongsu-aggregator]="power and utilization of a fleet of GPU nodes"
  [bongsu-facility-agent]="meters, BMCs and exporters over HTTP, for Bongsu"
  [bongsu-cli]="see and run Bongsu from a terminal")
declare -A description=(
  [bongsu-agent]=" Reads GPUs, processors and supply every second and sends them, compressed and
 encrypted, to the aggregator. Keeps what it cannot deliver. Small: below 10 MB
 resident and a millisecond of processor time a second."
  [bongsu-aggregator]=" Takes the samples of thousands of agents, makes them durable before it
 acknowledges them, and rolls them up per rack, hall, AI factory, nation and
 national allocation. Answers over HTTP."
  [bongsu-facility-agent]=" Reads dcgm-exporters, Redfish BMCs and Prometheus series of meters, and delivers
 them as the node agent does, with a key for the nodes and meters it speaks for."
  [bongsu-cli]=" Asks the aggregator and prints tables, JSON or CSV; makes and revokes join
 tokens; checks fleet and rule files without an aggregator.")

# Puts a file with fixed mode into the package's tree.
put() { # mode, file, place below the tree
  install -D -m "$1" -- "$2" "$tree/$3"
}

compressed() { # file, place without .gz
  mkdir -p "$tree/$(dirname "$2")"
  gzip -9n <"$1" >"$tree/$2.gz"
}

# Manual page and completions of one program, as the program itself describes them.
documents() { # program, package
  manual "$1" "$1" "${synopsis[$2]}"
  if [ "$1" = bongsu ]; then
    local command
    while IFS= read -r command; do manual "bongsu $command" "bongsu-$command" "$(
      "$binaries/bongsu" "$command" --help | awk '/^$/ { exit } { printf "%s%s", (NR > 1 ? " " : ""), $0 }' |
        sed 's/^OVERVIEW: //; s/\.$//')"; done < <(
      "$binaries/bongsu" --help | sed -n '/^SUBCOMMANDS:/,$p' | sed -nE 's/^  ([a-z-]+) +[A-Z].*/\1/p')
  fi
  completions "$1"
}

completions() { # program
  local shell place
  for shell in bash zsh fish; do
    case $shell in
    bash) place=usr/share/bash-completion/completions/$1 ;;
    zsh) place=usr/share/zsh/vendor-completions/_$1 ;;
    fish) place=usr/share/fish/vendor_completions.d/$1.fish ;;
    esac
    if [ -f "ops/completions/$(basename "$place")" ]; then
      put 0644 "ops/completions/$(basename "$place")" "$place"
    elif "$binaries/$1" --generate-completion-script "$shell" >"$scratch/completion" 2>/dev/null &&
      [ -s "$scratch/completion" ]; then
      put 0644 "$scratch/completion" "$place"
    elif completion_from_help "$(cd "$binaries" && pwd)/$1" "$shell" >"$scratch/completion"; then
      put 0644 "$scratch/completion" "$place"
    else
      fail "no completions for $shell from $1 --help"
    fi
  done
}

# A manual page from what the program says of itself with --help.
manual() { # command, name of the page, what it is
  # Wide, so that no line of an example is broken; each of them begins a line of the page.
  COLUMNS=200 PATH=$(cd "$binaries" && pwd):$PATH help2man --no-info --section=1 --no-discard-stderr --name="$3" \
    --version-string="$version" --output="$scratch/page" "$1" || fail "no manual page from $1 --help"
  sed -i -e "s/^$1 .- /$2 \\\\- /" -e 's/^OVERVIEW: //' -e 's/^USAGE: /.SS "USAGE:"\n/' \
    -e '/^\.SS "Example/,/^\.SS "USAGE/{/^bongsu/i .br' -e '}' "$scratch/page"
  compressed "$scratch/page" "usr/share/man/man1/$2.1"
}

# What is shipped with each package.
stage() { # package; sets nothing, fills $tree
  local package=$1 program=$1
  [ "$package" = bongsu-cli ] && program=bongsu
  put 0755 "$binaries/$program" "usr/bin/$program"
  documents "$program" "$package"
  if [ -n "${user[$package]:-}" ]; then
    put 0644 "ops/packaging/$package.service" "lib/systemd/system/$package.service"
    # The shipped file has every setting as a comment; what an installed service needs is in force.
    sed -E -e 's|^#(spool = /var/lib/bongsu/.*)|\1|' -e 's|^#(spool: /var/lib/bongsu/.*)|\1|' \
      -e 's|^#(fleet = /etc/bongsu/fleet.yaml)|\1|' -e 's|^#(data = /var/lib/bongsu/aggregator)|\1|' \
      "ops/config/${settings[$package]}" >"$scratch/settings"
    if [ "$package" = bongsu-aggregator ]; then
      # Other machines are to reach it: encrypted, and after joining. HTTP stays on this machine.
      sed -i -E 's|^#listen = .*|listen = 0.0.0.0:7420|' "$scratch/settings"
      grep -q '^listen = ' "$scratch/settings" || fail "ops/config/aggregator.conf has no line '#listen = …'"
    fi
    put 0644 "$scratch/settings" "etc/bongsu/${settings[$package]}"
  fi
  case $package in
  bongsu-agent) put 0644 ops/packaging/60-bongsu-agent.rules lib/udev/rules.d/60-bongsu-agent.rules ;;
  bongsu-aggregator)
    local file
    while IFS= read -r file; do put 0644 "$file" "usr/share/bongsu/${file#ops/}"; done < <(
      find ops/fleets ops/rules ops/grafana -type f ! -name '*.py' 2>/dev/null | sort)
    ;;
  esac
  local docs=usr/share/doc/$package
  compressed CHANGELOG.md "$docs/changelog"
  put 0644 ops/packaging/copyright "$docs/copyright"
  licences "$docs/licences" "$package"
  if [ "$package" = bongsu-aggregator ] && [ -f ops/README.md ]; then put 0644 ops/README.md "$docs/README.md"; fi
}

# Licences and notices of what is linked in: the Swift runtime, and but for the node agent, Swift packages.
licences() { # place, package
  local root=.build-package/programs/checkouts file
  file=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")/share/swift/LICENSE.txt
  [ ! -f "$file" ] || put 0644 "$file" "$1/swift.LICENSE.txt"
  [ "$2" != bongsu-agent ] || return 0
  [ -d "$root" ] || root=.build/checkouts
  while IFS= read -r file; do
    put 0644 "$file" "$1/$(basename "$(dirname "$file")").$(basename "$file")"
  done < <(find "$root" -mindepth 2 -maxdepth 2 -type f \( -iname 'LICENSE*' -o -iname 'NOTICE*' \) | sort)
}

script() { # template, package
  sed -e "s|@PACKAGE@|$2|g" -e "s|@UNIT@|$2.service|g" -e "s|@USER@|${user[$2]}|g" -e "s|@MODE@|${mode[$2]}|g" \
    -e "s|@DIRECTORIES@|${directories[$2]}|g" \
    -e "/^#CONFIGURE#/{r ops/packaging/$2.configure
d}" -e "/^#PURGE#/{r ops/packaging/$2.purge
d}" "ops/packaging/$1"
}

# Every time stamp, so that nothing depends on when it was packed.
settle() {
  find "$1" -type d -exec chmod 0755 {} +
  find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

deb() { # package, folder of the result
  local package=$1 program=$1 depends size
  [ "$package" = bongsu-cli ] && program=bongsu
  mkdir -p "$tree/DEBIAN"
  (cd "$tree" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
  # Which libraries, from which version on: read from the program.
  printf 'Source: bongsu\n\nPackage: %s\nArchitecture: any\n' "$package" >"$scratch/debian/control"
  depends=$(cd "$scratch" && dpkg-shlibdeps -O -e "$tree/usr/bin/$program" 2>"$scratch/shlibdeps" | sed 's/^shlibs:Depends=//')
  [ -n "$depends" ] || { cat "$scratch/shlibdeps" >&2; fail "no libraries found for $program"; }
  # The charts of the web page.
  [ "$package" = bongsu-aggregator ] && depends="$depends, libjs-chart.js"
  [ -n "${user[$package]:-}" ] && depends="adduser, init-system-helpers (>= 1.54~), $depends"
  size=$(find "$tree" -type f ! -path '*/DEBIAN/*' -printf '%s\n' |
    awk '{ sum += int(($1 + 1023) / 1024) } END { print sum }')
  {
    printf 'Package: %s\nSource: bongsu\nVersion: %s\nArchitecture: %s\nSection: admin\nPriority: optional\n' \
      "$package" "$version" "$(dpkg --print-architecture)"
    printf 'Maintainer: Bongsu maintainers <maintainers@bongsu.invalid>\nInstalled-Size: %s\nDepends: %s\n' "$size" "$depends"
    case $package in
    bongsu-aggregator) printf 'Recommends: bongsu-cli\n' ;;
    bongsu-cli | bongsu-facility-agent) printf 'Recommends: ca-certificates\n' ;;
    esac
    printf 'Description: %s\n%s\n' "${synopsis[$package]}" "${description[$package]}"
  } >"$tree/DEBIAN/control"
  if [ -n "${user[$package]:-}" ]; then
    (cd "$tree" && find etc -type f -printf '/%p\n' | sort >DEBIAN/conffiles)
    local name
    for name in postinst prerm postrm; do
      script "$name" "$package" >"$tree/DEBIAN/$name"
      chmod 0755 "$tree/DEBIAN/$name"
    done
  fi
  find "$tree/DEBIAN" -type f ! -perm /0111 -exec chmod 0644 {} +
  settle "$tree"
  dpkg-deb --root-owner-group "${compression[@]}" --build "$tree" \
    "$2/${package}_${version}_$(dpkg --print-architecture).deb" >/dev/null
}

# Makes all packages of the programs in $1 into $2.
pack() {
  local binaries=$1 output package scratch tree everything
  output=$(cd "$2" && pwd)
  scratch=$(mktemp -d)
  everything=$scratch/tarball/bongsu-$version
  mkdir -p "$everything"
  local packages=(bongsu-agent bongsu-aggregator bongsu-cli)
  [[ " ${programs[*]} " == *' bongsu-facility-agent '* ]] && packages+=(bongsu-facility-agent)
  (
    umask 022
    for package in "${packages[@]}"; do
      tree=$scratch/debian/$package
      mkdir -p "$tree"
      stage "$package"
      cp -a "$tree/." "$everything/"
      deb "$package" "$output"
    done
    # Where /lib leads to /usr/lib, unpacking a folder lib over / would put the folder in place of the link.
    cp -a "$everything/lib/." "$everything/usr/lib/"
    rm -r "$everything/lib"
    settle "$everything"
    tar --create --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
      --directory="$scratch/tarball" "bongsu-$version" |
      "${tar_compression[@]}" >"$output/bongsu-$version-linux-$(uname -m).tar.xz"
  )
  rm -rf "$scratch"
}
