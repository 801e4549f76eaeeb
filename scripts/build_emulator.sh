#!/usr/bin/env bash
# Builds the CPU emulator of the CUDA driver and kernels; tests run on it with HBAR_LIBCUDA=OUT.
#   scripts/build_emulator.sh OUT.so [extra compiler flags]
set -euo pipefail
out=$(realpath -m "$1")
shift
cd "$(dirname "$0")/../kernels/cuda/emu"
mkdir -p "$(dirname "$out")"
${CXX:-g++} -std=c++17 -O2 -g -fPIC -shared -Wall -Werror -Wno-unknown-pragmas -include emu.h "$@" emu.cc driver.cc -o "$out"
