#!/usr/bin/env bash
# The supervisor is killed at random moments of its life: while it starts, serves, restarts and ends. A second
# later no process of it may be left, its janitor included, no status socket, and nothing in /dev/shm.
#
#   orphan_test.sh BIN EXAMPLES [KILLS]
#
# Programs are started from copies of their own, so that their processes can be told from everybody else's.
set -euo pipefail

bin="$1" examples="$2" kills="${3:-200}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp "$bin/tutti-worker" "$work/worker"
cp "$bin/tutti" "$work/tutti-cli"
export TUTTI_WORKER="$work/worker" XDG_RUNTIME_DIR="$work" NO_COLOR=1

running() { ls -l /proc/[0-9]*/exe 2>/dev/null | grep -cF "$work/$1" || true; }
sockets() { find "$work/tutti" -type s 2>/dev/null | wc -l; }

mkfifo "$work/rows"
shm_before="$(ls /dev/shm | sort)"
most=0 sockets_seen=0
for ((i = 0; i < kills; ++i)); do
  "$work/tutti-cli" run "$examples/breast_cancer.toml" -i - -o "$work/out.csv" <"$work/rows" >/dev/null 2>&1 &
  supervisor=$!
  exec 9>"$work/rows"
  cat "$examples/data/breast_cancer.csv" >&9 || true
  # One in three also loses a worker just before, so that the kill may strike while it is replaced.
  if ((i % 3 == 0)); then
    sleep 0.03
    pkill -KILL -P "$supervisor" -o || true
  fi
  sleep "0.0$((RANDOM % 10))$((RANDOM % 10))"
  seen="$(running worker)"
  ((seen > most)) && most=$seen
  (($(sockets) > 0)) && sockets_seen=1
  kill -KILL "$supervisor"
  wait "$supervisor" 2>/dev/null || true
  exec 9>&-
done
if ((most == 0 || sockets_seen == 0)); then
  echo "no worker or no status socket was ever seen: this test looks in the wrong place"
  exit 1
fi
left=1
for _ in $(seq 10); do
  left="$(running '')"
  ((left == 0 && $(sockets) == 0)) && break
  sleep 0.1
done
echo "$kills kills, at most $most workers at once, $left processes and $(sockets) status sockets left after a second"
if ((left != 0 || $(sockets) != 0)) || [[ "$(ls /dev/shm | sort)" != "$shm_before" ]]; then
  echo "FAILED: something of a killed supervisor is left"
  exit 1
fi
