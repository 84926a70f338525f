# The root that a release has beside this machine's own, and the namespaces that its cloud runs in: mounts, processes,
# network, host name, System V IPC, a loopback and a /run of its own. So every service listens where it does by default,
# and meets none of this machine's. Nothing of it is mounted or plugged outside: when the first process ends, all is gone
# but the root's files. Sourced by up, down and enter.

DIR=$(dirname "$ROOT")
INIT=$DIR/init.pid # the first process of its namespaces, as this machine counts

# make_root: once; begun again where it broke off.
make_root() {
  local whole="${PACKAGES[*]}, and docker.io's archive"
  [[ -e $ROOT/.whole && $(<"$ROOT/.whole") == "$whole" ]] && return
  step "root of Debian $SUITE"
  [[ -e $ROOT/.bootstrapped ]] || { bootstrap "$ROOT" "$SUITE" && touch "$ROOT/.bootstrapped"; }
  step "packages of Debian $SUITE"
  install_packages "$ROOT" "${PACKAGES[@]}"
  in_root "$ROOT" sh -c 'apt-get clean && apt-get install -y -q --reinstall --download-only docker.io' >>"$ROOT.log" 2>&1 # which setup installs again, where no mirror is reached
  echo "$whole" >"$ROOT/.whole"
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

# project: what the cloud and the tests need of this checkout, in /src; but not under a run that uses the cloud (alone)
project() {
  flock --nonblock "/proc/$(<"$INIT")/root/run/ndock-e2e.lock" true || return 0
  mkdir -p "$ROOT/src/bin"
  rm -rf "$ROOT"/src/{testdata,docs}
  cp -a "$here/../../testdata" "$here/../../docs" "$here/../../README.md" "$ROOT/src/"
  local file
  for file in "$here"/../../bin/*; do [[ ! -f $file ]] || cp -u --remove-destination --preserve=timestamps,mode "$file" "$ROOT/src/bin/"; done
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
