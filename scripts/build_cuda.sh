#!/usr/bin/env bash
# Compiles the CUDA kernels to the fatbins that kernels/cuda embeds. Needs nvcc 11.8 (scripts/setup_cuda.sh installs it);
# the same sources and version give the same bytes, so CI rebuilds and compares.
#   scripts/build_cuda.sh [OUTDIR]        default: kernels/cuda
set -euo pipefail
cd "$(dirname "$0")/../kernels/cuda"
out=$(cd "${1:-.}" && pwd)
arch=()
for cc in 80 86 89 90; do arch+=(-gencode "arch=compute_$cc,code=sm_$cc"); done
arch+=(-gencode arch=compute_80,code=compute_80)
for k in sampler_fp32 sampler_f16; do
  nvcc -fatbin -O3 -std=c++17 "${arch[@]}" -Werror all-warnings -Xptxas -Werror,-warn-spills,-warn-lmem-usage,-warn-double-usage \
    -Xfatbin -compress-all "$k.cu" -o "$out/$k.fatbin" &
done
for job in $(jobs -p); do wait "$job"; done
