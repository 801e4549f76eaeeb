#!/usr/bin/env bash
# What can be checked of the CUDA build without a GPU, beyond the compiler's own word (scripts/build_cuda.sh refuses spills):
#   the driver calls that cuda/driver/trampoline.c defines are those that the program makes
#   registers, stack and shared memory of every kernel are those of kernels/gpu/*.resources
#   no kernel touches local memory; every kernel that should multiplies on tensor cores
#   in kernels on warpgroup products few waits serve many products: the assembler has not serialized them
#   a binary with CUDA needs libc and nothing else
# Needs cuobjdump, nm and readelf.
#   scripts/cuda_gates.sh [NAME...]   check the kernels of all fatbins, or of those
#   scripts/cuda_gates.sh --update    write the tables anew
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
update='' names=()
case ${1:-} in
  --update) update=--update ;;
  *) names=("$@") ;;
esac

# table FILE: compares standard input with the file, or replaces the file by it.
table() {
  cat >"$work/table"
  if [ "$update" = --update ]; then cp "$work/table" "$1"; fi
  diff "$1" "$work/table" >&2 || { echo "$1 is out of date: scripts/cuda_gates.sh --update, and look at the change" >&2; return 1; }
}

fatbins=(kernels/gpu/*.fatbin)
if [ ${#names[@]} -gt 0 ]; then
  fatbins=("${names[@]/#/kernels/gpu/}")
  fatbins=("${fatbins[@]/%/.fatbin}")
fi

scripts/driver_symbols.sh | table cuda/driver/driver_symbols.h

for f in "${fatbins[@]}"; do
  cuobjdump -res-usage "$f" 2>&1 | awk '
    /^arch =/ { arch = $3 }
    $1 == "Function" { name = substr($2, 1, length($2) - 1) }
    $1 ~ /^REG:/ { print arch, name, $1, $2, $3, $4 }' | sort | table "${f%.fatbin}.resources"
done

go build -o "$work/sass" ./scripts/sass
# Of sm_80 and sm_90: 86 and 89 have the instructions of 80.
for f in "${fatbins[@]}"; do case $f in *_wgmma.fatbin) echo "$f" ;; *) echo "$f -arch sm_80"; echo "$f -arch sm_90" ;; esac; done |
  xargs -P "$(nproc)" -L 1 bash -c 'set -o pipefail; cuobjdump -sass "${@:2}" "$1" | "$0" >"$0$3-${1##*/}"' "$work/sass"
cat "$work"/sass*-*.fatbin | awk '
  $1 == "arch" { for (i = 1; i <= NF; i++) column[$i] = i; next }
  { kernels++ }
  $column["LOCAL"] != 0 { print "local memory in", $1, $2; bad = 1 }
  $2 ~ /^sampler_f16|^(sampler|flow|path)_split_w|^dense_f16_(large|narrow)|^net_(product|conv|attention|peak)/ && $2 !~ /_wgmma$/ && $column["HMMA"] == 0 { print "no tensor-core instruction in", $1, $2; bad = 1 }
  $2 ~ /^taylor_f64|^dense_f64_tensor/ && $column["DMMA"] == 0 { print "no tensor-core instruction in", $1, $2; bad = 1 }
  $2 ~ /^[a-z0-9]+_[a-z0-9]+_wgmma|^net_.*_wgmma$/ && $2 !~ /^pack/ {
    products = $column["HGMMA"]
    if (products == 0) { print "no product of warpgroups in", $1, $2; bad = 1 }
    if ($column["WGWAIT"] > products / 2) { print "products of warpgroups that wait for each other in", $1, $2; bad = 1 }
  }
  END { if (!kernels) { print "no kernels"; bad = 1 } exit bad }' >&2

go build -tags gpu -o "$work/sample" ./cmd/sample
libraries=$(readelf -d "$work/sample" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
if other=$(grep -vE '^(libc|libdl|libpthread|ld-linux-x86-64)\.so\.[0-9]$' <<<"$libraries"); then
  printf 'a binary with CUDA needs more than libc: %s\n' "$other" >&2
  exit 1
fi
echo "gates: $(wc -l <cuda/driver/driver_symbols.h) driver calls, $(cat "${fatbins[@]/%.fatbin/.resources}" | wc -l) kernels, libraries: $(tr '\n' ' ' <<<"$libraries")"
