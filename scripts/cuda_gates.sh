#!/usr/bin/env bash
# What can be checked of the CUDA build without a GPU, beyond the compiler's own word (scripts/build_cuda.sh refuses spills):
#   the driver calls that cuda/driver/trampoline.c defines are those that the program makes
#   registers, stack and shared memory of every kernel are those of kernels/gpu/*.resources
#   no kernel touches local memory; every f16 sampler multiplies on tensor cores
#   a binary with CUDA needs libc and nothing else
# Needs cuobjdump, nm and readelf.
#   scripts/cuda_gates.sh             check
#   scripts/cuda_gates.sh --update    write the tables anew
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
update=${1:-}

# table FILE: compares standard input with the file, or replaces the file by it.
table() {
  cat >"$work/table"
  if [ "$update" = --update ]; then cp "$work/table" "$1"; fi
  diff "$1" "$work/table" >&2 || { echo "$1 is out of date: scripts/cuda_gates.sh --update, and look at the change" >&2; return 1; }
}

fatbins=(kernels/gpu/*.fatbin)

scripts/driver_symbols.sh | table cuda/driver/driver_symbols.h

for f in "${fatbins[@]}"; do
  cuobjdump -res-usage "$f" 2>&1 | awk '
    /^arch =/ { arch = $3 }
    $1 == "Function" { name = substr($2, 1, length($2) - 1) }
    $1 ~ /^REG:/ { print arch, name, $1, $2, $3, $4 }' | sort | table "${f%.fatbin}.resources"
done

for f in "${fatbins[@]}"; do cuobjdump -sass "$f" | go run ./scripts/sass; done | awk '
  $1 == "arch" { for (i = 1; i <= NF; i++) column[$i] = i; next }
  { kernels++ }
  $column["LOCAL"] != 0 { print "local memory in", $1, $2; bad = 1 }
  $2 ~ /^sampler_f16|^(sampler|flow|path)_split_w|^dense_f16_(large|narrow)/ && $column["HMMA"] == 0 { print "no tensor-core instruction in", $1, $2; bad = 1 }
  $2 ~ /^taylor_f64|^dense_f64_tensor/ && $column["DMMA"] == 0 { print "no tensor-core instruction in", $1, $2; bad = 1 }
  END { if (!kernels) { print "no kernels"; bad = 1 } exit bad }' >&2

go build -tags gpu -o "$work/sample" ./cmd/sample
libraries=$(readelf -d "$work/sample" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
if other=$(grep -vE '^(libc|libdl|libpthread|ld-linux-x86-64)\.so\.[0-9]$' <<<"$libraries"); then
  printf 'a binary with CUDA needs more than libc: %s\n' "$other" >&2
  exit 1
fi
echo "gates: $(wc -l <cuda/driver/driver_symbols.h) driver calls, $(cat kernels/gpu/*.resources | wc -l) kernels, libraries: $(tr '\n' ' ' <<<"$libraries")"
