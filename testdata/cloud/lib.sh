# What up and down share: where things are, and starting, awaiting and stopping a service without an init system.
# Sourced, never run.

LOG=/var/log/ndock-cloud    # one log per service
RUN=/run/ndock-cloud        # one process id per service
STATE=/var/lib/ndock-cloud  # which one-time steps are done; lives as long as the database it speaks of
IP=127.0.0.1
PASS=${NDOCK_CLOUD_PASSWORD:-secret}
mkdir -p $LOG $RUN $STATE

step() { printf '%(%T)T %s\n' -1 "$*"; }
die() { echo "cloud: $*" >&2; exit 1; }

# only_one: a second up or down waits for the first. Services must not inherit the lock (daemon closes it).
only_one() { exec 9>$RUN/lock; flock 9; }

# running NAME: by its log too, since after a crash of the machine its process id may be another's.
running() { [[ -s $RUN/$1.pid && $(readlink "/proc/$(<$RUN/$1.pid)/fd/1") == "$LOG/$1.log" ]]; }

# as USER COMMAND...
as() { setpriv --reuid "$1" --regid "$(id -gn "$1")" --init-groups -- "${@:2}"; }

# daemon NAME USER COMMAND...: start a service that is not running, detached, also from this directory, which may go
daemon() {
  local name=$1 user=$2; shift 2
  running "$name" && return
  setsid env --chdir=/ setpriv --reuid "$user" --regid "$(id -gn "$user")" --init-groups -- "$@" >>$LOG/$name.log 2>&1 </dev/null 9>&- &
  echo $! >$RUN/$name.pid
}

# wait_for SECONDS WHAT COMMAND...
wait_for() {
  local left=$1 what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    ((left-- > 0)) || die "gave up waiting for $what; its log is in $LOG"
    sleep 1
  done
}

# once NAME COMMAND...: a step that this cloud needs one single time; begun again if it broke off
once() {
  [[ -e $STATE/$1 ]] && return
  "${@:2}" >>$LOG/$1.log 2>&1 || die "$1: $(tail -n 1 $LOG/$1.log) (all of it in $LOG/$1.log)"
  touch $STATE/$1
}

# stop NAME...: end services and wait until they are gone, politely first
stop() {
  local name left
  for name; do running "$name" && kill "$(<$RUN/$name.pid)"; done 2>/dev/null
  for name; do
    left=100
    while running "$name" && ((left-- > 0)); do sleep 0.1; done
    running "$name" && kill -9 -- "-$(<$RUN/$name.pid)" 2>/dev/null
    rm -f $RUN/$name.pid
  done
}

# init_script NAME ACTION: Debian's own script for a service that `ndock node setup` must be able to restart
init_script() {
  [[ -x /etc/init.d/$1 ]] || return 0
  service "$1" "$2" >>$LOG/init.log 2>&1 9>&-
}
