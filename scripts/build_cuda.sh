#!/usr/bin/env bash
# Compiles the CUDA kernels to the fatbins that kernels/gpu embeds. Needs nvcc 11.8 (scripts/setup_cuda.sh installs it);
# the same sources and version give the same bytes, so CI rebuilds and compares.
#   scripts/build_cuda.sh [-o OUTDIR] [NAME...]        default: kernels/gpu, all of kernels/gpu/*.cu
set -euo pipefail
cd "$(dirname "$0")/../kernels/gpu"
out=.
if [ "${1:-}" = -o ]; then out=$(cd "$2" && pwd) || exit; shift 2; fi
names=("$@")
[ ${#names[@]} -gt 0 ] || for f in *.cu; do names+=("${f%.cu}"); done
arch=()
for cc in 80 86 89 90; do arch+=(-gencode "arch=compute_$cc,code=sm_$cc"); done
arch+=(-gencode arch=compute_80,code=compute_80)
# No spills, no local memory anywhere. The samplers are float32 and half precision alone; the others use float64 on purpose.
for name in "${names[@]}"; do
  case $name in sampler_*) double=,-warn-double-usage ;; *) double= ;; esac
  echo "-Xptxas -Werror,-warn-spills,-warn-lmem-usage$double $name.cu -o $out/$name.fatbin"
done | xargs -P "$(nproc)" -L 1 nvcc -fatbin -O3 -std=c++17 "${arch[@]}" -Werror all-warnings -Xfatbin -compress-all
