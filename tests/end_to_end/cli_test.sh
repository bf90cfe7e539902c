#!/usr/bin/env bash
# The command line as a user meets it: exit codes, what goes where, bad input, signals, full disks, closed pipes.
#
#   cli_test.sh BIN EXAMPLES
set -uo pipefail

bin="$(realpath "$1")" examples="$(realpath "$2")"
tutti="$bin/tutti"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export NO_COLOR=1
failed=0 passed=0

pass() { passed=$((passed + 1)); }
fail() {
  failed=$((failed + 1))
  printf 'FAILED: %s\n' "$*"
}
# expect CODE NAME COMMAND…: runs with output in $work/out and $work/err.
expect() {
  local want="$1" name="$2" code=0
  shift 2
  timeout 60 "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
  if ((code == want)); then pass; else
    fail "$name: exit code $code, expected $want"
    cat "$work/err"
  fi
}
has() { # FILE TEXT NAME
  if grep -qF -- "$2" "$work/$1"; then pass; else
    fail "$3: '$2' is not in $1:"
    head -n 20 "$work/$1"
  fi
}
empty() { if [[ ! -s "$work/$1" ]]; then pass; else fail "$2: $1 should be empty"; fi; }
same() { if [[ "$1" == "$2" ]]; then pass; else fail "$3: '$1' where '$2' was expected"; fi; }
# Two processes a member, template and isolate; companions, where there are pid namespaces, and the janitor are
# not counted.
workers_of() { echo $(($(pgrep -c -P "$1") - $(pgrep -c -P "$1" '^tutti-[cj]'))); }

config="$examples/breast_cancer.toml"
rows="$examples/data/breast_cancer_test.csv"
count="$(($(wc -l <"$rows") - 1))"

# ---- usage ----
expect 2 "no command" "$tutti"
expect 2 "unknown command" "$tutti" rnu
has err "did you mean 'run'?" "unknown command"
expect 2 "unknown option" "$tutti" run "$config" --inptu x
has err "did you mean '--input'?" "unknown option"
expect 2 "unknown member" "$tutti" run "$config" -i "$rows" --kill boostd@1
has err "did you mean 'boosted'?" "unknown member"
expect 2 "missing config" "$tutti" run "$work/none.toml" -i "$rows"
has err "$work/none.toml" "missing config"
expect 2 "bad setting" "$tutti" plan "$config" --set answer.deadlin=1s
has err "did you mean 'deadline'?" "bad setting"
expect 0 "help" "$tutti" --help
has out "Exit codes" "help"
has out "143" "help"

# ---- check, plan, schema, version ----
expect 0 "check" "$tutti" check "$config" --json
has out '"ok": true' "check"
printf '{"learner": 3' >"$work/broken.json"
sed "s|models/breast_cancer/boosted.json|$work/broken.json|; s|\"models/|\"$examples/models/|" "$config" >"$work/broken.toml"
expect 2 "check of a broken model" "$tutti" check "$work/broken.toml" --json
has err "broken.json" "check of a broken model"
has out '"ok": false' "check of a broken model"
# A setting and a model are wrong at once: both are told in one run.
sed 's|^quorum.*|quorum = 9|' "$work/broken.toml" >"$work/twice.toml"
grep -q '^quorum = 9' "$work/twice.toml" || printf '[answer]\nquorum = 9\n' >>"$work/twice.toml"
expect 2 "check of a broken setting and a broken model" "$tutti" check "$work/twice.toml" --json
has err "quorum is 9 of 3 members" "check of a broken setting and a broken model"
has err "failed  boosted" "check of a broken setting and a broken model"
has out '"quorum is 9 of 3 members' "check of a broken setting and a broken model"
has out '"name": "boosted"' "check of a broken setting and a broken model"
expect 0 "plan" "$tutti" plan "$config" --json
has out '"descriptors_allowed": ' "plan"
(ulimit -n 32 && "$tutti" plan "$config" >"$work/out" 2>&1)
has out "of 32 (ulimit -n): too few, raise the limit" "plan with few descriptors"
(ulimit -n 32 && "$tutti" run "$config" -i "$rows" >"$work/out" 2>"$work/err" && fail "a run with few descriptors")
has err "raise the descriptor limit" "a run with few descriptors"
expect 0 "plan" "$tutti" plan "$config" --json
has out '"isolates": 3' "plan"
expect 0 "schema" "$tutti" schema
has out '"$schema"' "schema"
expect 0 "version" "$tutti" version --json
has out '"protocol": 5' "version"

# ---- run: what goes where ----
expect 0 "run" "$tutti" run "$config" -i "$rows" --target target
has err "ensemble" "run"
empty out "run with a target writes no answers"
expect 0 "run to standard output" "$tutti" run "$config" -i "$rows"
same "$(wc -l <"$work/out")" "$((count + 1))" "lines of CSV"
has out "row,label,p_malignant,p_benign,spread,disagreement,votes,missing" "CSV header"
for format in csv jsonl npy; do
  expect 0 "run to $format" "$tutti" run "$config" -i "$rows" --output "$work/answers.$format"
  empty out "run to a file"
done
same "$(wc -l <"$work/answers.jsonl")" "$count" "lines of JSON"
same "$(head -c 6 "$work/answers.npy" | tail -c 5)" "NUMPY" "NPY magic"
expect 0 "json summary" "$tutti" run "$config" -i "$rows" --target target --json
has out '"rows_unanswered": 0' "json summary"
expect 0 "format of an output without an ending" "$tutti" run "$config" -i "$rows" --output "$work/answers" --format jsonl
same "$(wc -l <"$work/answers")" "$count" "lines of JSON in a file without an ending"
expect 0 "format of standard output" "$tutti" run "$config" -i "$rows" --format jsonl
same "$(wc -l <"$work/out")" "$count" "lines of JSON on standard output"
mkfifo "$work/answers_pipe"
wc -l <"$work/answers_pipe" >"$work/answers_count" &
reader=$!
expect 0 "format of a FIFO" "$tutti" run "$config" -i "$rows" --output "$work/answers_pipe" --format csv
wait $reader
same "$(cat "$work/answers_count")" "$((count + 1))" "lines of CSV through a FIFO"
expect 2 "unknown format" "$tutti" run "$config" -i "$rows" --output "$work/answers" --format jsnl
has err "did you mean 'jsonl'?" "unknown format"
cp "$rows" "$work/own.csv"
ln "$work/own.csv" "$work/same.csv"
expect 2 "output that is the input" "$tutti" run "$config" -i "$work/own.csv" --output "$work/same.csv"
has err "the output is the input file itself" "output that is the input"
code=0
"$tutti" run "$config" -i "$work/own.csv" >>"$work/own.csv" 2>"$work/err" || code=$?
same "$code" 2 "exit code of answers appended to their input"
same "$(cksum <"$work/own.csv")" "$(cksum <"$rows")" "an input that was named as output"
expect 2 "two things on standard output" "$tutti" run "$config" -i "$rows" --json --output -
expect 2 "unknown output format" "$tutti" run "$config" -i "$rows" --output "$work/answers.xyz"
timeout 60 "$tutti" run "$config" -i <(cat "$rows") --output - >"$work/substituted" 2>"$work/err" || fail "run from a process substitution"
same "$(wc -l <"$work/substituted")" "$((count + 1))" "answers from a process substitution"
timeout 60 "$tutti" run "$config" -i - --output - <"$rows" >"$work/piped" 2>"$work/err" || fail "run from standard input"
same "$(tail -n 3 "$work/piped")" "$(tail -n 3 "$work/answers.csv")" "answers from standard input"

# ---- a member dies on the way ----
expect 3 "drill" "$tutti" run "$config" -i "$rows" --target target --repeat 100 --kill boosted@30% --json --output "$work/drill.csv"
same "$(wc -l <"$work/drill.csv")" "$((count * 100 + 1))" "no row is lost"
has out '"rows_unanswered": 0' "drill"
has err "boosted: crashed: SIGKILL" "drill"
# A machine under load takes its time to start it again; what the rows in between lack it for has other names.
same "$(awk -F, 'NR > 1 && $NF != ""' "$work/drill.csv" | wc -l)" "$(grep -o '"rows_degraded": [0-9]*' "$work/out" | grep -o '[0-9]*')" \
  "rows without the member, in the file and in the summary"

# ---- bad data ----
head -n 5 "$rows" >"$work/ragged.csv" && echo "1,2,3" >>"$work/ragged.csv"
expect 1 "ragged row" "$tutti" run "$config" -i "$work/ragged.csv" --output "$work/ragged_out.csv"
has err "ragged.csv:6" "ragged row"
same "$(wc -l <"$work/ragged_out.csv")" 5 "rows before the bad one are answered and written"
has err "ragged_out.csv holds the answers before the error" "ragged row"
cp "$work/answers.csv" "$work/good.csv"
expect 1 "ragged row over a good output" "$tutti" run "$config" -i "$work/ragged.csv" --output "$work/good.csv"
has err "good.csv is as it was; $work/good.csv.partial holds the answers before the error" "ragged row over a good output"
same "$(cksum <"$work/good.csv")" "$(cksum <"$work/answers.csv")" "a good output after a run that failed"
same "$(wc -l <"$work/good.csv.partial")" 5 "rows before the bad one, beside a good output"
{ head -n 1 "$rows"; echo "1,2,3"; } >"$work/bad_at_once.csv"
expect 1 "bad first row" "$tutti" run "$config" -i "$work/bad_at_once.csv" --output "$work/never.csv"
has err "no row was answered: $work/never.csv was not written" "bad first row"
if [[ ! -e "$work/never.csv" ]]; then pass; else fail "an output without a row was written"; fi
sed 's/,[^,]*$/,/' "$rows" >"$work/no_targets.csv"
{ head -n 1 "$rows"; sed -n '2,11p' "$rows"; tail -n +12 "$work/no_targets.csv"; } >"$work/few_targets.csv"
expect 0 "few targets" "$tutti" run "$config" -i "$work/few_targets.csv" --target target
has err "scores are of the 10 rows that have a true value" "few targets"
expect 1 "target by number where there are names" "$tutti" run "$config" -i "$rows" --target 0
has err "the target goes by its name; column 0 is called" "target by number where there are names"
: >"$work/empty.csv"
expect 1 "empty file" "$tutti" run "$config" -i "$work/empty.csv"
has err "empty.csv" "empty file"
expect 1 "not NPY" "$tutti" run "$config" -i "$config.npy"
printf 'nonsense' >"$work/bad.npy"
expect 1 "wrong magic" "$tutti" run "$config" -i "$work/bad.npy"
has err "bad.npy" "wrong magic"

# ---- the environment ----
TUTTI_ANSWER__QUORUM=all expect 0 "environment" "$tutti" plan "$config" --json
has out '"quorum": 3' "environment"
TUTTI_ANSWER__QUORUM=4 expect 2 "bad environment" "$tutti" plan "$config"
has err "TUTTI_ANSWER__QUORUM" "bad environment"
expect 0 "plan" "$tutti" plan "$config" --json
has out '"mode": "full"' "jit by default"
TUTTI_JIT=off TUTTI_JIT_THRESHOLD=7 expect 0 "environment of jit" "$tutti" plan "$config" --json --set member.network.jit=tier1
has out '"mode": "off"' "TUTTI_JIT"
has out '"mode": "tier1"' "a member's jit"
has out '"threshold": 7' "TUTTI_JIT_THRESHOLD"
TUTTI_JIT=on expect 2 "bad environment of jit" "$tutti" plan "$config"
has err 'environment TUTTI_JIT: error: mode is "on"' "bad environment of jit"

# ---- jit: each model is tried, each tier by itself ----
expect 0 "jit" "$tutti" jit "$config" --try
has out "breast_cancer: does not run; each model was tried here" "jit"
has out "1 rows: " "batch sizes"
expect 0 "jit as JSON" "$tutti" jit "$config" --try --json
has out '"running": false' "jit as JSON"
has out '"ns_per_row"' "jit as JSON"
TUTTI_JIT=off expect 0 "jit that is off" "$tutti" jit "$config" --try
has out "boosted: jit is off" "jit that is off"
expect 1 "jit of a broken model" "$tutti" jit "$work/broken.toml" --try
has out "broken.json" "jit of a broken model"
expect 2 "jit of a bad config" "$tutti" jit "$config" --set jit.mode=on
has err 'mode is "on", which is unknown; write one of: off, tier1, full' "jit of a bad config"

# ---- full disks and closed pipes ----
ln -s /dev/full "$work/full.csv"
expect 1 "full disk" "$tutti" run "$config" -i "$rows" --repeat 50 --output "$work/full.csv"
has err "full.csv" "full disk"
code=0
timeout 60 "$tutti" run "$config" -i "$rows" --repeat 50 2>"$work/err" | head -n 2 >/dev/null || code=${PIPESTATUS[0]}
if ((code == 1)); then pass; else fail "closed pipe: exit code $code, expected 1"; fi

# ---- events that could not be written are told ----
expect 0 "events to a full disk" "$tutti" run "$config" -i "$rows" --target target --events /dev/full --json
has err "could not be written to /dev/full" "events to a full disk"
if grep -q '"events_dropped": [1-9]' "$work/out"; then pass; else fail "events to a full disk: none dropped in JSON"; fi

# ---- closed standard descriptors: nothing else gets their numbers ----
code=0
timeout 60 "$tutti" run "$config" -i "$rows" --output "$work/closed.csv" <&- >&- 2>&- || code=$?
same "$code" 0 "exit code with standard descriptors closed"
same "$(wc -l <"$work/closed.csv")" "$((count + 1))" "answers with standard descriptors closed"

# ---- a stall of the whole machine, longer than the deadline: votes are late, rows are not lost ----
env --default-signal=INT "$tutti" run "$config" -i "$rows" --target target --repeat 1000000 --json \
  --set answer.grace=20s >"$work/out" 2>"$work/err" &
pid=$!
for _ in $(seq 100); do (($(workers_of $pid) == 6)) && break; sleep 0.05; done
sleep 0.3
# shellcheck disable=SC2046  # three pids
kill -STOP $(pgrep -P $pid)
sleep 0.4
# shellcheck disable=SC2046
kill -CONT $(pgrep -P $pid)
sleep 0.3
kill -INT $pid
code=0
wait $pid || code=$?
same "$code" 130 "exit code of a stalled and interrupted run"
has err "late" "a stall makes votes late"
has out '"rows_unanswered": 0' "a stall loses no row"

# ---- a standard error that nobody reads holds nothing up ----
mkfifo "$work/unread"
exec 8<>"$work/unread"
head -c 200000 /dev/zero | timeout 1 dd of="$work/unread" bs=4096 status=none 2>/dev/null
code=0
timeout 20 "$tutti" run "$config" -i "$rows" --repeat 500 --kill boosted@30% --output "$work/unread.csv" 2>&8 &
pid=$!
for _ in $(seq 100); do [[ "$(cat "$work/unread.csv" 2>/dev/null | wc -l)" == "$((count * 500 + 1))" ]] && break; sleep 0.1; done
same "$(wc -l <"$work/unread.csv")" "$((count * 500 + 1))" "answers while nobody reads standard error"
cat <&8 >/dev/null &
reader=$!
wait $pid
kill $reader 2>/dev/null
exec 8>&-

# ---- what programs wait for did not arrive ----
code=0
"$tutti" version --json >/dev/full 2>/dev/null || code=$?
same "$code" 1 "exit code when standard output is full"
code=0
"$tutti" run "$work/none.toml" -i "$rows" 2>/dev/full || code=$?
same "$code" 2 "exit code when standard error is full"

# ---- Ctrl-C: what is in flight is finished and written, nobody is left ----
# The input is a pipe that never ends, so that the run can only end by the signal.
mkfifo "$work/endless"
env --default-signal=INT "$tutti" run "$config" -i - --output "$work/interrupted.csv" <"$work/endless" 2>"$work/err" &
pid=$!
exec 9>"$work/endless"
cat "$rows" >&9
for _ in $(seq 100); do (($(workers_of $pid) == 6)) && break; sleep 0.1; done
sleep 0.5
kill -INT $pid
code=0
wait $pid || code=$?
exec 9>&-
same "$code" 130 "exit code after Ctrl-C"
same "$(wc -l <"$work/interrupted.csv")" "$((count + 1))" "rows written after Ctrl-C"
same "$(workers_of $pid)" 0 "workers left after Ctrl-C"

# ---- the config is loaded anew while rows come; a broken one changes nothing ----
mkdir -p "$work/anew"
cp -r "$examples/models" "$work/anew/"
cp "$config" "$work/anew/ensemble.toml"
export XDG_RUNTIME_DIR="$work/anew"
setsid "$tutti" run "$work/anew/ensemble.toml" -i - --output "$work/anew.csv" --events "$work/anew.jsonl" <"$work/endless" 2>"$work/anew.err" &
pid=$!
exec 9>"$work/endless"
head -n 100 "$rows" >&9
for _ in $(seq 100); do "$tutti" status >/dev/null 2>&1 && break; sleep 0.1; done
expect 0 "reload" "$tutti" reload breast_cancer
has err "generation 2" "reload"
echo 'no_such_key = 1' >>"$work/anew/ensemble.toml"
expect 1 "reload of a broken config" "$tutti" reload
has err 'unknown key "no_such_key"' "reload of a broken config"
# The event log of the command line is that of the new members too.
for generation in 1 2; do
  worker="$(grep '"event":"ready".*"isolate":"boosted/0"' "$work/anew.jsonl" | tail -n 1 | grep -o '"pid":[0-9]*' | cut -d: -f2)"
  kill -KILL "$worker"
  for _ in $(seq 200); do
    grep -q "\"event\":\"ready\",.*\"isolate\":\"boosted/0\".*\"generation\":$((generation + 1))," "$work/anew.jsonl" && break
    sleep 0.05
  done
done
has anew.jsonl '"generation":3,' "events after a reload"
if grep -q 'quorum_lost\|exited' "$work/anew.jsonl"; then fail "a reload is told as an outage"; else pass; fi
expect 1 "reload of what does not run" "$tutti" reload nobody
tail -n +101 "$rows" >&9
exec 9>&-
code=0
wait $pid || code=$?
same "$code" 0 "exit code after reloads"
same "$(wc -l <"$work/anew.csv")" "$((count + 1))" "rows written across a reload"

# ---- SIGHUP while the models load: noted, and heeded once they are there ----
cp "$config" "$work/anew/ensemble.toml"
# shellcheck disable=SC2016  # expanded when it runs
printf '#!/bin/sh\nwhile [ ! -e "%s/go" ]; do sleep 0.02; done\nexec "%s/tutti-worker" "$@"\n' "$work" "$bin" >"$work/slow_worker"
chmod +x "$work/slow_worker"
TUTTI_WORKER="$work/slow_worker" setsid "$tutti" run "$work/anew/ensemble.toml" -i - --output "$work/early.csv" \
  <"$work/endless" 2>"$work/early.err" &
pid=$!
exec 9>"$work/endless"
for _ in $(seq 200); do (($(pgrep -c -P $pid) >= 3)) && break; sleep 0.05; done
kill -HUP $pid
touch "$work/go"
for _ in $(seq 400); do grep -q "config loaded anew, generation 2" "$work/early.err" && break; sleep 0.05; done
has early.err "config loaded anew, generation 2" "SIGHUP while the models load"
cat "$rows" >&9
exec 9>&-
code=0
wait $pid || code=$?
same "$code" 0 "exit code after SIGHUP while the models load"

# ---- nohup means that SIGHUP is ignored: tutti reload says so ----
nohup "$tutti" run "$config" -i - --output "$work/nohup.csv" <"$work/endless" >/dev/null 2>"$work/nohup.err" &
pid=$!
exec 9>"$work/endless"
for _ in $(seq 200); do "$tutti" status >/dev/null 2>&1 && break; sleep 0.05; done
expect 1 "reload of what nohup started" "$tutti" reload
has err "it ignores SIGHUP" "reload of what nohup started"
cat "$rows" >&9
exec 9>&-
wait $pid
unset XDG_RUNTIME_DIR

# ---- the supervisor is killed: nothing is left a second later ----
"$tutti" run "$config" -i - --output "$work/killed.csv" <"$work/endless" 2>"$work/err" &
pid=$!
exec 9>"$work/endless"
for _ in $(seq 100); do (($(workers_of $pid) == 6)) && break; sleep 0.1; done
same "$(workers_of $pid)" 6 "workers before the kill"
workers="$(pgrep -P $pid | tr '\n' ' ')"
kill -KILL $pid
wait $pid 2>/dev/null
exec 9>&-
same "$(find "$work" -name '*killed.csv*' | wc -l)" 0 "files left of an output that was never finished"
sleep 1
for worker in $workers; do
  # What has no program any more is dead, and waits for the machine's process 1 to take note.
  if readlink "/proc/$worker/exe" >/dev/null; then fail "worker $worker outlived its supervisor"; else pass; fi
done

# ---- small requests, as fast as they go: no worker is mistaken for one that rings its bell for nothing ----
expect 0 "one row a request" "$tutti" run "$config" -i "$rows" --batch 1 --repeat 10 --json
same "$(grep -c '"rows_missed": 0' "$work/out")" 3 "members that missed no vote, one row a request"
has out '"rows_degraded": 0' "one row a request"

# ---- status: a run is seen from outside while it lives ----
export XDG_RUNTIME_DIR="$work/runtime"
mkdir -m 700 "$XDG_RUNTIME_DIR"
expect 1 "status of nothing" "$tutti" status
has err "no ensemble of this user is running" "status of nothing"
"$tutti" run "$config" -i - --output "$work/watched.csv" --events "$work/events.jsonl" <"$work/endless" 2>"$work/err" &
pid=$!
exec 9>"$work/endless"
for _ in $(seq 200); do [[ -S "$XDG_RUNTIME_DIR/tutti/breast_cancer.$pid" ]] && break; sleep 0.1; done
expect 0 "status of a run" "$tutti" status
has out "breast_cancer (pid $pid): ready, 3 of 3 members ready, quorum 2" "status of a run"
has out "logistic/0" "status of a run"
expect 0 "status as JSON" "$tutti" status breast_cancer --json
has out '"readiness":"ready"' "status as JSON"
has out '"kernels":' "tiers in the status as JSON"
expect 0 "jit of a run" "$tutti" jit "$config"
has out "breast_cancer (pid $pid): running" "jit of a run"
expect 0 "jit of a run as JSON" "$tutti" jit "$config" --json
has out '"running": true' "jit of a run as JSON"
expect 1 "status of another" "$tutti" status breast_cancre
has err "did you mean 'breast_cancer'?" "status of another"
expect 1 "status of a file" "$tutti" status "$config"
kill -KILL $pid
wait $pid 2>/dev/null
exec 9>&-
expect 1 "status after a kill" "$tutti" status
same "$(find "$XDG_RUNTIME_DIR/tutti" -type s | wc -l)" 0 "sockets left after a kill"
same "$(grep -c '"event":"ready"' "$work/events.jsonl")" 3 "events of three members that became ready"

# ---- stress: nothing lost, nothing twice, nothing wrong, nothing left ----
expect 0 "list of faults" "$tutti" stress "$config" --faults list
has out "scribble" "list of faults"
expect 2 "unknown fault" "$tutti" stress "$config" --faults kil
has err "did you mean 'kill'?" "unknown fault"
expect 2 "list among faults" "$tutti" stress "$config" --faults list,kill
has err "list stands alone" "list among faults"
expect 2 "no faults" "$tutti" stress "$config" --faults ''
has err "names nothing" "no faults"
expect 2 "no members" "$tutti" stress "$config" --members ''
has err "names nothing" "no members"
expect 2 "no rate" "$tutti" stress "$config" --rate nan
has err "'nan' is no number of requests" "no rate"
expect 1 "stress without time to answer" "$tutti" stress "$config" --set answer.deadline=1us --faults kill
has err "the machine has no time for a stress run" "stress without time to answer"
# What a loaded machine does to latencies is not judged here, so the deadline is long and the exit code either.
code=0
timeout 120 "$tutti" stress "$config" --faults kill,segv,abort,stop,crash,exit,nan,lie,shape --for 20s --seed 7 \
  --set answer.deadline=1s --set answer.grace=200ms --json --report "$work/stress.html" >"$work/out" 2>"$work/err" || code=$?
if ((code == 0 || code == 1)); then pass; else fail "stress: exit code $code"; fi
has out '"lost": 0' "stress"
has out '"twice": 0' "stress"
has out '"wrong": 0' "stress"
has out '"left_behind": ""' "stress"
# Under a sanitizer a strike may be healed after the tool's patience; that there were strikes must be so anywhere.
if (($(grep -c '"at_ns"' "$work/out") >= 5)); then pass; else fail "stress: fewer than 5 strikes in 20 s"; fi
expect 2 "a time too short for any fault" "$tutti" stress "$config" --faults stop --for 1s --set answer.grace=10s
has err "--for 1" "a time too short for any fault"
expect 2 "kills and faults" "$tutti" stress "$config" --kills 5 --faults kill
# Kills at random moments, templates among them: whatever they cost, no answer is lost, doubled or wrong.
code=0
timeout 120 "$tutti" stress "$config" --kills 100 --seed 7 --set answer.deadline=1s --json >"$work/out" 2>"$work/err" || code=$?
if ((code == 0 || code == 1)); then pass; else fail "campaign: exit code $code"; fi
has out '"strikes": 100' "campaign"
has out '"lost": 0' "campaign"
has out '"twice": 0' "campaign"
has out '"wrong": 0' "campaign"
has out '"left_behind": ""' "campaign"
if grep -q "</svg>" "$work/stress.html" && ! grep -qE 'src=|href=|<script' "$work/stress.html"; then pass; else fail "the report is one file"; fi

printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
