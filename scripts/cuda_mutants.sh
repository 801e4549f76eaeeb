#!/usr/bin/env bash
# Do the checks of the CUDA kernels bite? Breaks the kernels in four ways and wants a failure of each.
#   scripts/cuda_mutants.sh TESTBINARY       (go test -c -tags gpu ./cuda)
set -euo pipefail
cd "$(dirname "$0")/.."
tests=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# mutant NAME FILE SED WANT [FLAG...]: the tests on an emulator of the changed FILE must fail and print WANT.
mutant() {
  local name=$1 file=$2 edit=$3 want=$4
  shift 4
  rm -rf "$work/kernels" "$work/scripts"
  mkdir -p "$work/kernels" "$work/scripts"
  cp -r kernels/cuda "$work/kernels/"
  cp scripts/build_emulator.sh "$work/scripts/"
  sed -i "$edit" "$work/kernels/cuda/$file"
  if cmp -s "kernels/cuda/$file" "$work/kernels/cuda/$file"; then
    echo "mutant '$name': the edit changes nothing in $file" >&2
    return 1
  fi
  "$work/scripts/build_emulator.sh" "$work/emulator.so" "$@"
  local preload=''
  if [ $# -gt 0 ]; then preload="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"; fi
  if (cd cuda && LD_PRELOAD=$preload ASAN_OPTIONS=detect_leaks=0 HBAR_EMU_ORDER=3 HBAR_LIBCUDA="$work/emulator.so" "$tests" -test.run 'Trajectory|Normals' >"$work/log" 2>&1); then
    echo "mutant '$name' passes the tests" >&2
    return 1
  fi
  grep -q "$want" "$work/log" || { echo "mutant '$name' fails otherwise than by '$want':" >&2; tail -20 "$work/log" >&2; return 1; }
  echo "mutant '$name': caught by '$want'"
}

readonly sanitizers=(-fsanitize=address,undefined -fno-sanitize-recover=undefined)
mutant 'no bounds guard' state.cuh 's/live = row < n &&/live =/' 'state.cuh:' "${sanitizers[@]}"
mutant 'no barrier before the slab is read' sampler_fp32.cu '0,/        __syncwarp();$/s///' ' above '
mutant 'one round of Philox too few' device.cuh 's/r < 10/r < 9/' 'on the CPU'
mutant 'wrong half of k' sampler_f16.cu 's/(r & 1) \* 8/(~r \& 1) * 8/' ' above '
