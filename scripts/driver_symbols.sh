#!/usr/bin/env bash
# Prints cuda/driver/driver_symbols.h: the driver calls that this program makes, which are those that the C objects of
# gorgonia.org/cu and hbar/cuda/driver leave undefined. cuda/driver/trampoline.c defines them, cuInit apart by hand.
#   scripts/driver_symbols.sh >cuda/driver/driver_symbols.h
set -euo pipefail
cd "$(dirname "$0")/.."
# nm finds nothing in the parts of an archive that are Go's own: it says so, and all is well.
archive() { go list -tags gpu -export -f '{{.Export}}' "$1"; }
undefined() { nm -u "$1" 2>/dev/null | awk '$1 == "U" && $2 ~ /^cu[A-Z]/ { print $2 }' || true; }
defined() { nm --defined-only "$1" 2>/dev/null | awk '$2 == "T" && $3 ~ /^cu[A-Z]/ { print $3 }' || true; }
export LC_ALL=C
cu=$(archive gorgonia.org/cu)
comm -23 <({ undefined "$cu"; undefined "$(archive hbar/cuda/driver)"; } | sort -u) <({ defined "$cu"; echo cuInit; } | sort -u) |
  sed 's/.*/X(&)/'
