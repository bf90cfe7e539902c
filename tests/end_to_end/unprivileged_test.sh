#!/usr/bin/env bash
# The walls for those who are not root, and where nobody can make a namespace, as in most containers: attacks
# are stopped all the same, and what is missing is said.
#
#   unprivileged_test.sh BIN EXAMPLES
#
# Exit: 0 passed, 1 failed, 77 it cannot be tried here (not root, or the build is where only root can read).
set -uo pipefail

bin="$1" examples="$2"
readonly bin examples nobody=65534
cd /

as_stranger() { setpriv --reuid=$nobody --regid=$nobody --clear-groups "$@"; }
# Root of a user namespace without a capability and without the right to make another namespace.
without_namespaces() {
  # shellcheck disable=SC2016  # the inner shell's own words
  as_stranger unshare --user --map-root-user sh -c \
    'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all --bounding-set=-all "$@"' sh "$@"
}

if ((EUID != 0)) || ! as_stranger test -x "$bin/escape_test" || ! as_stranger test -r "$examples/wine.toml"; then
  echo "skipped: needs root, and a build that every user may read"
  exit 77
fi

passed=0 failures=0
check() { # check NAME COMMAND…
  local name="$1"
  shift
  if "$@"; then passed=$((passed + 1)); else
    echo "FAILED: $name"
    failures=$((failures + 1))
  fi
}
says() { grep -qF -- "$1" <<<"$output"; }

users=(as_stranger)
if without_namespaces true 2>/dev/null; then users+=(without_namespaces); fi
for user in "${users[@]}"; do
  for program in cage_test isolation_test escape_test; do
    output="$($user "$bin/$program" 2>&1)" || { echo "$output"; false; }
    check "$program as $user" test $? = 0
  done
  output="$($user "$bin/tutti" doctor 2>&1)"
  code=$?
  level="$(sed -n 's/^Isolation: //p' <<<"$output")"
  check "doctor as $user: exit code $code of level $level" test "$code" = "$([[ $level == full ]] && echo 0 || echo 3)"
  check "doctor as $user: tells what is not there" says own_uid

  export XDG_RUNTIME_DIR=/nonexistent
  run=("$bin/tutti" run "$examples/wine.toml" -i "$examples/data/wine_test.csv" --target target --json)
  output="$($user "${run[@]}" 2>/dev/null)"
  check "run as $user: starts with the walls that there are" test $? = 0
  check "run as $user: tells the level" says "\"isolation\": \"$level\""
  output="$($user "${run[@]}" --set isolation.require=full 2>&1)"
  if [[ $level == full ]]; then
    check "run as $user: full is enough for full" test $? = 0
  else
    check "run as $user: less than full is refused" says "isolation is not full"
  fi
done

echo "$passed passed, $failures failed, as ${users[*]}"
((failures == 0))
