# The root that a release has beside this machine's own, and the namespaces that its cloud runs in: mounts, processes,
# network, host name, System V IPC, a loopback and a /run of its own. So every service listens where it does by default,
# and meets none of this machine's. Nothing of it is mounted or plugged outside: when the first process ends, all is gone
# but the root's files. Sourced by up, down and enter.

DIR=$(dirname "$ROOT")
INIT=$DIR/init.pid # the first process of its namespaces, as this machine counts

mirror() { awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/*.sources; }

# make_root: once; begun again where it broke off.
make_root() {
  [[ -e $ROOT/.whole && $(<"$ROOT/.whole") == "${PACKAGES[*]}" ]] && return
  step "root of Debian $SUITE"
  [[ -e $ROOT/.bootstrapped ]] || bootstrap
  step "packages of Debian $SUITE"
  printf '#!/bin/sh\nexit 101\n' | install -m 0755 /dev/stdin "$ROOT/usr/sbin/policy-rc.d" # the cloud starts them
  printf '127.0.0.1 localhost %s\n' "$SUITE" >"$ROOT/etc/hosts"
  echo "$SUITE" >"$ROOT/etc/hostname"
  cp /etc/resolv.conf "$ROOT/etc/resolv.conf"
  echo 'Acquire::Check-Valid-Until "false"; Acquire::Languages "none"; APT::Install-Recommends "false";' >"$ROOT/etc/apt/apt.conf.d/50cloud"
  in_root sh -c 'dpkg --configure -a && apt-get update -q && apt-get install -y -q "$@" && apt-get clean' apt "${PACKAGES[@]}" >"$DIR/apt.log" 2>&1 ||
    die "apt-get: $(grep -m1 -E '^(E:|dpkg: error)' "$DIR/apt.log") (all of it in $DIR/apt.log)"
  echo "${PACKAGES[*]}" >"$ROOT/.whole"
}

bootstrap() {
  local script=() # debootstrap's own of this suite, or sid's, which fits all of today's
  [[ -e /usr/share/debootstrap/scripts/$SUITE ]] || script=(/usr/share/debootstrap/scripts/sid)
  command -v debootstrap >/dev/null || apt-get install -y -q --no-install-recommends debootstrap >"$DIR/apt.log" 2>&1 ||
    die "apt-get: $(grep -m1 ^E: "$DIR/apt.log") (all of it in $DIR/apt.log)"
  rm -rf "$ROOT"
  mkdir -p "$ROOT/etc/dpkg/dpkg.cfg.d"
  echo force-unsafe-io >"$ROOT/etc/dpkg/dpkg.cfg.d/unsafe-io" # no fsync for each file: minutes less
  debootstrap --variant=minbase "$SUITE" "$ROOT" "$(mirror)" "${script[@]}" >"$DIR/debootstrap.log" 2>&1 ||
    die "debootstrap: $(tail -n 1 "$DIR/debootstrap.log") (all of it in $DIR/debootstrap.log)"
  touch "$ROOT/.bootstrapped"
}

# in_root COMMAND…: in the root that is being made, with this machine's network; what it starts and mounts ends with it
in_root() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    unshare --mount --pid --uts --ipc --fork --kill-child sh -c '
      hostname "$1" && mount -t proc proc "$2/proc" && mount -t sysfs -o ro sysfs "$2/sys" && mount --rbind /dev "$2/dev" &&
      mount -t tmpfs tmpfs "$2/dev/shm" && mount -t tmpfs tmpfs "$2/run" && root=$2 && shift 2 && exec chroot "$root" "$@"' \
    in_root "$SUITE" "$ROOT" "$@"
}

# running: the process there is, and has this root
running() { [[ -s $INIT && $(stat -Lc %d:%i "/proc/$(<"$INIT")/root" 2>/dev/null) == "$(stat -c %d:%i "$ROOT")" ]]; }

namespaces() {
  running && return
  step "namespaces"
  rm -f "$INIT"
  setsid unshare --mount --pid --net --uts --ipc --fork "$here/first-process" "$ROOT" "$INIT" "$SUITE" >"$DIR/init.log" 2>&1 </dev/null 9>&- &
  local parent=$! left=100
  until running; do
    ((left-- > 0)) && kill -0 $parent 2>/dev/null || die "the namespaces did not start: $(tail -n 1 "$DIR/init.log")"
    sleep 0.1
  done
}

# project: what the cloud and the tests need of this checkout, in /src
project() {
  mkdir -p "$ROOT/src/bin"
  rm -rf "$ROOT"/src/{testdata,docs}
  cp -a "$here/../../testdata" "$here/../../docs" "$here/../../README.md" "$ROOT/src/"
  local file
  for file in "$here"/../../bin/*; do [[ ! -f $file ]] || cp -u --preserve=timestamps,mode "$file" "$ROOT/src/bin/"; done
}

# within COMMAND…: in the running namespaces, in /src
within() {
  nsenter --target "$(<"$INIT")" --mount --pid --net --uts --ipc --root --wdns=/src \
    env -i PATH=/src/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM="${TERM:-dumb}" \
    RELEASE="$RELEASE" NETWORK="$NETWORK" ${OS_CLOUD:+OS_CLOUD="$OS_CLOUD"} ${NDOCK_CLOUD_PASSWORD:+NDOCK_CLOUD_PASSWORD="$NDOCK_CLOUD_PASSWORD"} "$@"
}

# end_namespaces: and with the first process all that runs and is mounted in them
end_namespaces() {
  running || return 0
  local init left=100
  init=$(<"$INIT")
  kill "$init"
  while kill -0 "$init" 2>/dev/null && ((left-- > 0)); do sleep 0.1; done
  rm -f "$INIT"
}
