#!/usr/bin/env bash
# Goal: whoever installs tutti can use it, wherever it is installed: the programs, C++ that embeds it, plug-ins.
# Method: install this build to a fresh prefix, move that, and do what examples/embed/README.md says, with no
# environment variable that could help and with the build's own worker out of reach.
#
#   install_test.sh CMAKE SOURCE BUILD CC CXX SANITIZERS       ctest calls it so
set -euo pipefail

readonly cmake=$1 source=$2 build=$3 cc=$4 cxx=$5 sanitizers=$6
scratch="$(mktemp -d "${TMPDIR:-/tmp}/tutti-install-XXXXXX")"
readonly scratch prefix="$scratch/a prefix"
trap 'rm -rf "$scratch"' EXIT

# env -i: only what tools need to run at all.
clean() { env -i PATH="$PATH" HOME="$scratch" NO_COLOR=1 "$@"; }
fail() {
  printf 'FAILED: %s\n' "$1"
  [[ -z "${2:-}" ]] || cat "$scratch/$2.log"
  exit 1
}
# step NAME COMMAND…: its output is kept in NAME.log, and shown when it is not as it should be.
step() {
  local name=$1
  shift
  clean "$@" >"$scratch/$name.log" 2>&1 || fail "$name ended with code $?" "$name"
}
# says NAME PATTERN: the step's output has a line that matches.
says() { grep -Eq -- "$2" "$scratch/$1.log" || fail "$1 does not say /$2/" "$1"; }

# Where it was installed is not where it is used: nothing in the package may remember the first place.
step install "$cmake" --install "$build" --prefix "$scratch/first"
mv "$scratch/first" "$prefix"
! grep -rlF "$scratch/first" "$prefix" || fail "these files remember where they were installed"
! grep -rF "$build" "$prefix/lib/cmake" || fail "the package's CMake files point into the build"

step version "$prefix/bin/tutti" version --json
says version '"tutti": "[0-9]+\.[0-9]+\.[0-9]+"'
says version '"protocol": [0-9]+'

step check "$prefix/bin/tutti" check "$source/examples/breast_cancer.toml"
says check '^ok +boosted '
says check '3 models, all load'

step plugin "$cc" -std=c11 -fsyntax-only -I "$prefix/include/tutti" "$source/examples/plugin/threshold.c"

# The same compiler; under sanitizers the same flags, which static libraries leave to whoever links them.
flags="${sanitizers:+-fsanitize=$sanitizers}"
step configure "$cmake" -S "$source/examples/embed" -B "$scratch/embed" -DCMAKE_BUILD_TYPE=Release "-DCMAKE_PREFIX_PATH=$prefix" \
  "-DCMAKE_CXX_COMPILER=$cxx" "-DCMAKE_CXX_FLAGS=$flags -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror"
step build "$cmake" --build "$scratch/embed"

# The worker is neither beside the program nor named by anybody: the package alone says where it is.
cd /
step embed "$scratch/embed/embed"
says embed '^everybody votes:$'
says embed '^  row 0: malignant, probability [01]\.[0-9]+$'
says embed '^  row 1: malignant, probability [01]\.[0-9]+$'
says embed '^  row 2: benign, probability [01]\.[0-9]+$'
says embed '^  boosted: voted benign with [01]\.[0-9]+ [01]\.[0-9]+ [01]\.[0-9]+$'
says embed '^  boosted: missing, (crashed: SIGKILL|not ready)'
says embed '\(healed\)'
says embed '^asked without waiting:$'
# Each of the four answers has every label, and only one of them lacks a vote.
[[ "$(grep -c '^  row 2: benign' "$scratch/embed.log")" == 4 ]] || fail "not four answers" embed
[[ "$(grep -c ': missing, ' "$scratch/embed.log")" == 1 ]] || fail "not exactly one missing vote" embed

# Without a worker the program is told so, not stopped.
mv "$prefix/bin/tutti-worker" "$prefix/bin/elsewhere"
if clean "$scratch/embed/embed" >"$scratch/lost.log" 2>&1; then fail "it ran without a worker"; fi
says lost "$prefix/bin/tutti-worker: error: tutti-worker was not found; set TUTTI_WORKER to its path"
echo "passed"
