# What the scripts beside it share: where things are, and starting, awaiting and stopping a service without systemd.
# Sourced, never run.

LOG=/var/log/ndock-cloud    # of what has no log of its own
STATE=/var/lib/ndock-cloud  # which one-time steps are done; lives as long as the database it speaks of
IP=127.0.0.1
PASS=${NDOCK_CLOUD_PASSWORD:-secret}
HORIZON_PORT=8088 HORIZON_PID=/run/ndock-cloud-horizon.pid
# For /etc/default/docker: its init script raises limits, which a machine without CAP_SYS_RESOURCE forbids. They stay as they are.
KEEP_LIMITS='ulimit() { command ulimit "$@" 2>/dev/null || true; }'
CONTROLLER=5672,9292,9311,8774,8778,9696,5000,11211,6642 # the ports on IP that another compute node asks

step() { printf '%(%T)T %s\n' -1 "$*"; }
die() { echo "cloud: $*" >&2; exit 1; }

# only_one DIRECTORY: a second up or down waits for the first. Services must not inherit the lock (9>&-).
only_one() { mkdir -p "$1"; exec 9>"$1/lock"; flock 9; }

# as USER COMMAND…
as() { setpriv --reuid "$1" --regid "$(id -gn "$1")" --init-groups -- "${@:2}"; }

# start NAME…: by the packages' own init scripts, which do nothing where the service runs
start() { local s; for s; do init_script "$s" start || die "service $s: $(tail -n 1 $LOG/init.log)"; done; }
stop() { local s; for s; do init_script "$s" stop || true; done; }

# init_script NAME ACTION: nothing, where there is none
init_script() {
  [[ -x /etc/init.d/$1 ]] || return 0
  service "$1" "$2" >>$LOG/init.log 2>&1 9>&-
}

horizon_runs() { start-stop-daemon --status --pidfile $HORIZON_PID --name uwsgi_python3; }
stop_horizon() { start-stop-daemon --stop --quiet --oknodo --retry INT/10/KILL/5 --remove-pidfile --pidfile $HORIZON_PID --name uwsgi_python3; }

# wait_for SECONDS WHAT COMMAND…
wait_for() {
  local left=$1 what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    ((left-- > 0)) || die "gave up waiting for $what; its log is in $LOG, or where its package has it"
    sleep 1
  done
}

# once NAME COMMAND…: a step that this cloud needs one single time; begun again if it broke off
once() {
  [[ -e $STATE/$1 ]] && return
  "${@:2}" >>$LOG/$1.log 2>&1 || die "$1: $(tail -n 1 $LOG/$1.log) (all of it in $LOG/$1.log)"
  touch $STATE/$1
}
