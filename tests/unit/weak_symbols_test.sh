#!/bin/sh
# Files compiled for one instruction set must not bring inline functions of the library along: the linker keeps one
# copy of each, and a CPU without that instruction set would then meet instructions that it does not know.
#   weak_symbols_test.sh NM OBJECT...
nm=$1
shift
found=$("$nm" -C "$@" | grep -E ' [WVu] ')
[ -z "$found" ] && exit 0
echo "weak functions in files of one instruction set:" >&2
echo "$found" >&2
exit 1
