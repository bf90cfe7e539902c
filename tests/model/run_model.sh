#!/bin/bash
# Lets SPIN try every interleaving of channel.pml: right as it is, and with each bug that it must find.
#
#   run_model.sh           all of it: a minute of processor time
#   run_model.sh --quick   the small right ones and all bugs that are found fast: twenty seconds of it
#
# A right variant passes when its search was complete and found nothing. A wrong one passes when SPIN finds
# what is expected of it: "deadlock", a state in which somebody waits for a wake-up that is lost, or
# "assert", a property that channel.pml states. A place passes when it is reached: a search that never came
# there would prove nothing about it.
# Exit: 0 all as expected, 1 not so, 2 cannot run.
set -u
export LC_ALL=C

quick=0
case "${1-}" in
  "") ;;
  --quick) quick=1 ;;
  *) echo "usage: run_model.sh [--quick]" >&2; exit 2 ;;
esac
for tool in spin gcc timeout; do
  command -v "$tool" > /dev/null || { echo "run_model.sh: $tool is missing; apt-get install spin gcc" >&2; exit 2; }
done

model=$(cd "$(dirname "$0")" && pwd)/channel.pml
work=$(mktemp -d) || exit 2
set -m  # a process group for each search, so that it can be ended with all that it started
end_all() {
  for group in $(jobs -p); do kill -- "-$group" 2> /dev/null; done
  wait 2> /dev/null
  rm -rf "$work"
}
trap end_all EXIT
trap 'exit 2' INT TERM

parallel=2          # searches at a time
memory_mb=2000      # of one search; the largest needs half of it
depth=200000        # steps of one run; the longest has a few thousand
seconds=500         # of one search; far beyond need, for machines that others load as well

# run NUMBER NAME EXPECTED FLAGS…: one line "verdict name expected found states time" into $work.
run() {
  local number=$1 name=$2 expected=$3
  shift 3
  local place=$work/$number found=broken states=- begun=$SECONDS optimise=-O0 table=18
  # Seconds of optimising pay for a long search only. The table of states starts with 2^table entries.
  case "$name" in *small | bug:* | place:*) ;; *) optimise=-O2 table=24 ;; esac
  mkdir "$place"
  if (cd "$place" && spin -a "$@" "$model" && gcc $optimise -w -DSAFETY -DMEMLIM=$memory_mb -o pan pan.c) > "$place/build" 2>&1
  then
    # pan writes its trail where it runs.
    (cd "$place" && exec timeout --foreground "$seconds" ./pan -m$depth -w$table) > "$place/pan.out" 2>&1
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$place/pan.out")
    if ! grep -q '^State-vector' "$place/pan.out"; then
      found=timeout
    elif grep -q 'errors: 0$' "$place/pan.out"; then
      found=nothing
      grep -qE 'max search depth too small|Search not completed|out of memory' "$place/pan.out" && found=truncated
    elif grep -q '^pan:1: invalid end state' "$place/pan.out"; then
      found=deadlock
    elif grep -q '^pan:1: assertion violated' "$place/pan.out"; then
      found=assert
    fi
  fi
  local verdict=FAILED
  [ "$found" = "$expected" ] && verdict=ok
  printf '%-7s %-46s %-9s %-10s %10s %5ss\n' "$verdict" "$name" "$expected" "$found" "${states:--}" \
    $((SECONDS - begun)) > "$work/$number.line"
  if [ "$verdict" != ok ]; then
    {
      echo "--- $name: to see the steps,"
      echo "    spin -a $* channel.pml && gcc -O2 -w -DSAFETY -o pan pan.c && ./pan -m$depth; spin -t -p -g $* channel.pml"
      tail -n 5 "$place/build"
      grep -E '^pan:|^error|Warning|states, stored' "$place/pan.out"
    } > "$work/$number.why" 2> /dev/null
  fi
  rm -rf "$place"
}

number=100
check() {
  while [ "$(jobs -pr | wc -l)" -ge $parallel ]; do wait -n; done
  number=$((number + 1))
  run $number "$@" &
}

small="-DLINES=1 -DREQUESTS=2"
middle="-DLINES=2 -DREQUESTS=2"
if [ $quick = 1 ]; then
  check "right: killed at every step, small"       nothing $small
  check "right: deadlines and late kills, small"   nothing $small -DDEADLINES
  check "right: a hostile worker, small"           nothing $small -DHOSTILE
else
  # The longest first, that the two lanes end together.
  check "right: a hostile one left behind alive"   nothing $small -DHOSTILE -DUNKILLABLE
  check "right: a worker left behind alive"        nothing $middle -DDEADLINES -DUNKILLABLE
  check "right: a hostile worker"                  nothing $middle -DHOSTILE
  check "right: deadlines and late kills"          nothing $middle -DDEADLINES
  check "right: killed at every step"              nothing
  check "bug: memory reused, cleared before"       assert $small -DREUSE -DWIPE -DUNKILLABLE -DDEADLINES
fi
check "bug: no fence"                              deadlock -DNO_FENCE
check "bug: no fence after publishing"             deadlock -DNO_PUBLISH_FENCE
check "bug: no fence before the second look"       deadlock -DNO_SLEEP_FENCE
check "bug: woken before the publish"              deadlock -DWAKE_FIRST
check "bug: no second look"                        deadlock -DNO_SECOND_LOOK
check "bug: futex word read after the second look" deadlock -DBELL_LATE
check "bug: one request too many in flight"        assert $small -DNO_CREDIT
check "bug: no final drain"                        assert -DNO_DRAIN
check "bug: settled before death is sure"          assert -DEARLY_SETTLE -DDEADLINES
check "bug: memory reused across generations"      assert -DREUSE
check "bug: the worker's position is trusted"      assert $small -DTRUST_PEER -DHOSTILE
check "bug: a descriptor is fetched twice"         assert $small -DDOUBLE_FETCH -DHOSTILE
check "place: an answer taken by the final drain"  assert -DREACHED=1
check "place: a vote of the second generation"     assert -DREACHED=2
check "place: a request settled as crashed"        assert -DREACHED=3
check "place: a request past its deadline"         assert -DREACHED=4 -DDEADLINES
check "place: a liar found out"                    assert $small -DREACHED=5 -DHOSTILE
wait

printf '%-7s %-46s %-9s %-10s %10s %6s\n' "" variant expected found states time
cat "$work"/*.line
cat "$work"/*.why 2> /dev/null
ran=$(cat "$work"/*.line | wc -l)
good=$(grep -c '^ok ' "$work"/*.line | awk -F: '{ sum += $2 } END { print sum }')
echo "$good of $((number - 100)) as expected, $SECONDS s"
[ "$ran" = $((number - 100)) ] && [ "$good" = "$ran" ]
