#!/usr/bin/env bash
# Training by one and by two processes of one core each, on the same machine: steps a second, their ratio, and the share of the time
# in communication. REPEATS runs (3), a line each. Other load makes the figures useless. Needs scripts/setup_mpi.sh.
#   [REPEATS=3] [MLP_STEPS=600] [UNET_STEPS=12] [MNIST=train-images-idx3-ubyte.gz] scripts/bench_scale_train.sh
# Without MNIST's file the U-Net learns noise of the same size, which takes the same time.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v mpirun >/dev/null || { echo 'mpirun is needed: scripts/setup_mpi.sh' >&2; exit 1; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
go build -tags mpi -o "$work/train" ./cmd/train
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
images=${MNIST:-datasets/mnist/train-images-idx3-ubyte.gz}
if [ ! -e "$images" ]; then # 2000 images in the format of idx: 00 00, bytes, 3 dimensions, their sizes
  images=$work/noise-idx3-ubyte
  { printf '\0\0\x08\x03\0\0\x07\xd0\0\0\0\x1c\0\0\0\x1c'; head -c $((2000 * 28 * 28)) /dev/urandom; } >"$images"
  echo 'the U-Net learns noise: MNIST=FILE is not given'
fi
measure() { # NAME STEPS OPTIONS…
  local name=$1 steps=$2 rate=() n log=$work/log; shift 2
  for n in 1 2; do
    mpirun --bind-to core -n $n "$work/train" "$@" --steps "$steps" --save-every "$steps" --workers 1 --no-grids --overwrite --out "$work/run" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
    rate[n]=$(sed -n 's/.* \([0-9.]*\) *\(k\?\) steps\/s$/\1 \2/p' "$log" | tail -1 | awk '{ print $1 * ($2 == "k" ? 1000 : 1) }')
    [ -n "${rate[n]}" ] || { cat "$log" >&2; echo 'no rate in the output of train' >&2; exit 1; }
  done
  awk -v name="$name" -v a="${rate[1]}" -v b="${rate[2]}" 'BEGIN { printf "%-22s %8.4g and %8.4g steps/s: %.2f times\n", name, a, b, b / a }'
  sed -n 's/^processes computed/    they computed/p' "$log"
}
for _ in $(seq "${REPEATS:-3}"); do
  measure 'mlp, batch 4096' "${MLP_STEPS:-600}" --data swissroll --batch 4096
  measure 'unet 28x28, batch 64' "${UNET_STEPS:-12}" --data "$images" --n-data 2000 --net unet --channels 64,128,128 --batch 64
done
