# Roots of Debian, made with debootstrap. Sourced.

mirror() { awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/*.sources; }

# bootstrap ROOT SUITE [PACKAGE,…]: a small Debian; its log is ROOT.log
bootstrap() {
  local script=() # debootstrap's own of this suite, or sid's, which fits all of today's
  [[ -e /usr/share/debootstrap/scripts/$2 ]] || script=(/usr/share/debootstrap/scripts/sid)
  command -v debootstrap >/dev/null || apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends debootstrap >"$1.log" 2>&1 ||
    die "apt-get: $(grep -m1 ^E: "$1.log") (all of it in $1.log)"
  rm -rf "$1"
  mkdir -p "$1/etc/dpkg/dpkg.cfg.d"
  echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/unsafe-io" # no fsync for each file: minutes less
  # It has its /proc to itself: one that it leaves would be packed, and removed, with the root.
  unshare --mount debootstrap --variant=minbase ${3:+--include="$3"} "$2" "$1" "$(mirror)" "${script[@]}" >"$1.log" 2>&1 ||
    die "debootstrap: $(tail -n 1 "$1.log") (all of it in $1.log)"
  printf '#!/bin/sh\nexit 101\n' | install -m 0755 /dev/stdin "$1/usr/sbin/policy-rc.d" # nothing starts while it is made
  printf '127.0.0.1 localhost %s\n' "$2" >"$1/etc/hosts" # packages ask for their host's address
  echo "$2" >"$1/etc/hostname"
  echo 'Acquire::Check-Valid-Until "false"; Acquire::Languages "none"; APT::Install-Recommends "false";' >"$1/etc/apt/apt.conf.d/50cloud"
}

# install_packages ROOT PACKAGE…: also after an install that broke off
install_packages() {
  cp /etc/resolv.conf "$1/etc/resolv.conf"
  in_root "$1" sh -c 'dpkg --configure -a && apt-get update -q && apt-get install -y -q "$@"' apt "${@:2}" >>"$1.log" 2>&1 ||
    die "apt-get: $(grep -E '^(E:|dpkg: error)' "$1.log" | tail -n 1) (all of it in $1.log)"
}

# in_root ROOT COMMAND…: with this machine's network; what it starts and mounts ends with it
in_root() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    unshare --mount --pid --uts --ipc --fork --kill-child sh -c '
      hostname "$(cat "$1/etc/hostname")" && mount -t proc proc "$1/proc" && mount -t sysfs -o ro sysfs "$1/sys" && mount --rbind /dev "$1/dev" &&
      mount -t tmpfs tmpfs "$1/dev/shm" && mount -t tmpfs tmpfs "$1/run" && root=$1 && shift && exec chroot "$root" "$@"' \
    in_root "$@"
}
