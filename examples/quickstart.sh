#!/usr/bin/env bash
# From a bare Debian 12 to an ensemble that survives the death of a member.
#
#   packages (.ci/install) ──▶ build/bin/tutti ──▶ run an example ──▶ run it again and kill a member meanwhile
#
# Works from any directory. What is done already is not done again: a second run installs and compiles nothing.
# Exit: 0 all went as it should; 2 something is needed from you first, and what is said; 1 anything else.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
build="$root/build"
readonly root build
readonly cmake_min=3.25 gcc_min=12 disk_min_mib=500 job_mib=1200

bold='' plain=''
if [[ -t 1 && -z "${NO_COLOR:-}" && "${TERM:-dumb}" != dumb ]]; then
  bold=$'\e[1m' plain=$'\e[0m'
fi

heading() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
note() { printf '%s\n' "$*"; }
stop() {  # exit code, what is wrong, what to do
  printf 'error: %s\n       %s\n' "$2" "$3" >&2
  exit "$1"
}
at_least() { [[ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" == "$1" ]]; }

check_tools() {
  local version
  command -v cmake >/dev/null || stop 2 "cmake is not installed" "install cmake $cmake_min or later"
  version="$(cmake --version | sed -n '1s/.* \([0-9][0-9.]*\).*/\1/p')"
  at_least "$cmake_min" "$version" ||
    stop 2 "cmake $version ($(command -v cmake)) is too old" \
      "cmake $cmake_min or later is needed: Debian 12's is, or put a newer one first in PATH"
  command -v ninja >/dev/null || stop 2 "ninja is not installed" "install ninja-build"
  if [[ -z "${CXX:-}" ]]; then
    command -v g++ >/dev/null || stop 2 "g++ is not installed" "install g++ $gcc_min or later, or set CXX"
    version="$(g++ -dumpfullversion)"
    at_least "$gcc_min" "$version" ||
      stop 2 "g++ $version is too old for C++23" "install g++-$gcc_min or later and set CXX to it"
  fi
}

check_disk() {
  local free_mib
  free_mib="$(df --output=avail --block-size=1M "$root" | tail -n 1 | tr -d ' ')"
  ((free_mib >= disk_min_mib)) ||
    stop 2 "only $free_mib MiB are free in $root" "the build needs $disk_min_mib MiB: free some and run this again"
}

# As many compilers at once as there are cores, and as memory holds: each takes up to job_mib.
jobs_that_fit() {
  local cores memory_mib
  cores="$(nproc)"
  memory_mib="$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)"
  local fitting=$((memory_mib / job_mib))
  echo $((fitting < 1 ? 1 : fitting < cores ? fitting : cores))
}

# The tests share this build directory (tests/run.sh turns BUILD_TESTING on in it), so only a directory that
# is not configured yet is, and only the two programs are built: neither script undoes the other's work.
build_programs() {
  local owner
  owner="$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$build/CMakeCache.txt" 2>/dev/null || true)"
  [[ -z "$owner" || "$owner" == "$root" ]] ||
    stop 2 "$build was configured for another checkout, $owner" "remove it: rm -r '$build'"
  if [[ ! -f "$build/build.ninja" ]]; then
    check_disk
    CC="${CC:-gcc}" CXX="${CXX:-g++}" \
      cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF ||
      stop 1 "cmake could not configure; its message stands above" \
        "a missing package: see .ci/packages; another generator or compiler: remove $build"
  fi
  if ! cmake --build "$build" --parallel "$(jobs_that_fit)" --target bin/tutti bin/tutti-worker; then
    check_disk
    stop 1 "the build failed; the compiler's message stands above" \
      "'Killed' means too little memory: run 'cmake --build $build -j1 --target bin/tutti bin/tutti-worker'"
  fi
}

# Runs tutti as it is shown, and returns its exit code.
tutti() {
  printf '%s$ build/bin/tutti %s%s\n' "$bold" "$*" "$plain"
  (cd "$root" && build/bin/tutti "$@")
}

example=(run examples/breast_cancer.toml --input examples/data/breast_cancer_test.csv --target target --repeat 200)
readonly example

run_example() {
  heading "Three models answer as one"
  note "228 tumours that no model was trained on, 200 times over:"
  local code=0
  tutti "${example[@]}" || code=$?
  ((code == 0)) || stop 1 "tutti ended with code $code" "its message stands above"
}

run_example_with_kill() {
  heading "The same, and one model dies on the way"
  note "When 30 % of the rows are sent, the worker of 'boosted' is killed with SIGKILL:"
  local code=0
  tutti "${example[@]}" --kill boosted@30% || code=$?
  case "$code" in
    3) ;;  # degraded: every row was answered, some without a member
    0) note "Every member voted on every row: the run ended before the death was felt."; return ;;
    *) stop 1 "tutti ended with code $code; 3 (degraded) was expected" "its message stands above" ;;
  esac
  note ""
  note "What this shows:"
  note "  - every row was answered: the rows listed above by the two other members, which are a majority;"
  note "  - 'boosted' was started again, and has voted on every row since it was ready;"
  note "  - exit code 3 says so to scripts: all answered, not by everyone."
}

heading "Packages"
"$root/.ci/install" build
check_tools
note "all there"
heading "Build"
build_programs
run_example
run_example_with_kill

heading "Next"
note "  examples/README.md   the other examples, and how to bring your own models"
note "  tests/run.sh         the tests"
