#!/usr/bin/env bash
# Builds and passes every test.
#
#   tests/run.sh            format, tests, sanitizers, fuzzers, the model of the channel, and clang-tidy over what the
#                           last five commits changed
#   tests/run.sh --all      the same with clang-tidy over everything: half an hour more
#   tests/run.sh --quick    the tests in the release build, and the short form of the model: under 5 minutes
#
# Builds in build/ (shared with the quickstart), build/address, build/thread and build/fuzz. Exit: 0 all passed.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
build="$root/build"
readonly root build fuzz_seconds="${TUTTI_FUZZ_SECONDS:-8}"
quick=false
commits_checked=5
case "${1:-}" in
  '') ;;
  --quick) quick=true ;;
  --all) commits_checked='' ;;
  *)
    printf 'error: %s is unknown; use tests/run.sh [--quick | --all]\n' "$1" >&2
    exit 2
    ;;
esac

passed=0
failures=()

# step NAME COMMAND…: runs it, tells how long it took, and goes on to the next when it fails.
step() {
  local name="$1" begun=$SECONDS
  shift
  printf '\n==== %s\n' "$name"
  if "$@"; then
    passed=$((passed + 1))
    printf '==== %s: passed in %d s\n' "$name" $((SECONDS - begun))
  else
    failures+=("$name")
    printf '==== %s: FAILED after %d s\n' "$name" $((SECONDS - begun))
  fi
}

jobs_that_fit() {
  local memory_mib
  memory_mib="$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)"
  local fitting=$((memory_mib / 1500)) cores
  cores="$(nproc)"
  echo $((fitting < 1 ? 1 : fitting < cores ? fitting : cores))
}

# build_in DIRECTORY TARGET OPTION…: quiet unless it fails.
# shellcheck disable=SC2086  # several targets are several words
build_in() {
  local directory="$1" target="$2"
  shift 2
  mkdir -p "$directory"
  if ! { cmake -S "$root" -B "$directory" -G Ninja "$@" &&
    cmake --build "$directory" --parallel "$(jobs_that_fit)" --target $target; } >"$directory/build.log" 2>&1; then
    grep -E -A 12 'error|FAILED' "$directory/build.log" | head -n 80
    return 1
  fi
}

tests_in() {
  ctest --test-dir "$1" --output-on-failure --timeout 600
}

release_tests() {
  build_in "$build" all -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=ON -DTUTTI_FAULT_POINTS=ON && tests_in "$build"
}

# With sanitizers GCC 12 sees uninitialised values where there are none.
address_tests() {
  build_in "$build/address" all -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O1 -g1 -Wno-maybe-uninitialized' \
    -DTUTTI_WERROR=ON -DTUTTI_FAULT_POINTS=ON -DTUTTI_SANITIZE=address,undefined && tests_in "$build/address"
}

# Threads and shared memory only: what has one thread has nothing for TSan to find.
thread_tests() {
  build_in "$build/thread" "shared_test core_test faults_test" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O1 -g1' -DTUTTI_FAULT_POINTS=ON -DTUTTI_SANITIZE=thread &&
    TSAN_OPTIONS=halt_on_error=1 ctest --test-dir "$build/thread" -R '^(shared|core|faults)_test$' --output-on-failure \
      --timeout 900
}

fuzz() {
  build_in "$build/fuzz" fuzzers -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O1 -g1' -DTUTTI_FUZZERS=ON -DTUTTI_JIT=OFF \
    -DTUTTI_SANITIZE=address,undefined || return 1
  local fuzzer name found
  found="$(mktemp -d)"
  for fuzzer in "$build"/fuzz/bin/fuzz_*; do
    name="${fuzzer##*/fuzz_}"
    mkdir -p "$found/$name"
    printf '%-12s ' "$name"
    if ! "$fuzzer" -max_total_time="$fuzz_seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
      -artifact_prefix="$build/fuzz/" "$found/$name" "$root/tests/fuzz/corpus/$name" >"$found/$name.log" 2>&1; then
      tail -n 40 "$found/$name.log"
      return 1
    fi
    grep -o 'stat::number_of_executed_units.*' "$found/$name.log"
  done
  rm -r "$found"
}

check_format() {
  git -C "$root" ls-files -z '*.cpp' '*.hpp' '*.c' '*.h' | (cd "$root" && xargs -0 clang-format-19 --dry-run -Werror)
}

# The files to check, each ended by a NUL.
code_to_check() {
  local code=('shared/*.cpp' 'worker/*.cpp' 'supervisor/*.cpp')
  if [[ -z "$commits_checked" ]]; then
    git -C "$root" ls-files -z "${code[@]}"
  else
    git -C "$root" log -n "$commits_checked" --name-only --format= -- "${code[@]}" | sort -u |
      while read -r file; do [[ ! -f "$root/$file" ]] || printf '%s\0' "$file"; done
  fi
}

# A .clang-tidy that cannot be read is an error that clang-tidy itself only mentions.
check_code() {
  if (cd "$root" && clang-tidy-19 --verify-config) 2>&1 | grep -B 1 -A 2 'error:'; then return 1; fi
  code_to_check |
    (cd "$root" && xargs -0 -r -n 1 -P "$(nproc)" clang-tidy-19 -p "$build" --quiet --warnings-as-errors='*' \
      --extra-arg=-Wno-unknown-warning-option 2>/dev/null)
}

# The core under a virtual clock; the quick form is one of the release tests.
simulation() {
  "$build/bin/tutti-simulation" --seeds 20000
}

"$root/.ci/install" build test
if $quick; then
  step "tests, release build" release_tests
  step "model of the channel, short" "$root/tests/model/run_model.sh" --quick
else
  step "format" check_format
  step "tests, release build" release_tests
  step "simulation, 20 000 seeds" simulation
  step "tests, address and undefined-behaviour sanitizers" address_tests
  step "tests, thread sanitizer" thread_tests
  step "fuzzers, $fuzz_seconds s each" fuzz
  step "model of the channel" "$root/tests/model/run_model.sh"
  step "clang-tidy" check_code
fi

printf '\n%d passed, %d failed\n' "$passed" "${#failures[@]}"
if ((${#failures[@]} > 0)); then
  printf 'failed: %s\n' "${failures[@]}"
  exit 1
fi
