#!/usr/bin/env bash
# Builds the CPU emulator of the CUDA driver and kernels; tests run on it with HBAR_LIBCUDA=OUT.
#   scripts/build_emulator.sh OUT.so [extra compiler flags]
# Objects stay in OUT.so.objects and are made again when their source or a header that it includes is newer.
set -euo pipefail
out=$(realpath -m "$1")
shift
cd "$(dirname "$0")/../kernels/gpu/emu"
objects=$out.objects
mkdir -p "$objects"
flags=(-std=c++17 -O2 -g -fPIC -Wall -Werror -Wno-unknown-pragmas -include registry.h "$@")
echo "${flags[*]}" | cmp -s - "$objects/flags" || { rm -f "$objects"/*.o; echo "${flags[*]}" >"$objects/flags"; }
old() { # OBJECT: whether it is older than what it was made of
  local from
  [ -e "$1" ] && [ -e "$1.d" ] || return 0
  for from in $(sed 's/^[^:]*://; s/\\$//' "$1.d"); do
    [ "$1" -nt "$from" ] || return 0
  done
  return 1
}
for source in emu.cc wgmma.cc driver.cc blas.cc nccl.cc ../*.cu; do
  object=$objects/$(basename "$source").o
  if old "$object"; then echo "$source $object"; fi
done | xargs -r -P "$(nproc)" -L 1 sh -c 'source=$1 object=$2; shift 2; '"${CXX:-g++}"' '"$(printf '%q ' "${flags[@]}")"' -MMD -MF "$object.d" -x c++ -c "$source" -o "$object"' sh
${CXX:-g++} -shared "$@" "$objects"/*.o -o "$out.new" # in one step: others may be running tests on the old one
mv "$out.new" "$out"
