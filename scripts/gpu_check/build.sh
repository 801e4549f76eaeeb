#!/usr/bin/env bash
# Packs what a machine with a GPU needs to check and measure hbar, and nothing else: neither Go nor a network is needed there.
#   scripts/gpu_check/build.sh [OUTDIR]                         default: bin/gpu-check; the archive is OUTDIR.tar.xz
#   scripts/gpu_check/build.sh --unpacked OUTDIR [PACKAGE...]   no archive; the tests of these packages only
# There:  tar xf gpu-check.tar.xz && gpu-check/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
archive=yes
if [ "${1:-}" = --unpacked ]; then archive=no; shift; fi
out=${1:-bin/gpu-check}
packages=("${@:2}")
rm -rf "$out"
mkdir -p "$out/commands" "$out/tree"
out=$(cd "$out" && pwd)
flags=(-ldflags '-s -w')
[ $archive = no ] || flags+=(-trimpath) # which compiles everything anew

go build "${flags[@]}" -tags gpu -o "$out/commands/" ./cmd/train ./cmd/sample ./cmd/likelihood ./cmd/sweep
CGO_ENABLED=0 go build "${flags[@]}" -o "$out/report" ./scripts/gpu_check/report

# Every test binary that can use a device, where its package lies, beside all test data.
if [ ${#packages[@]} -gt 0 ]; then
  printf '%s\n' "${packages[@]}"
else
  module=$(go list -m)
  go list -tags gpu -test -f '{{.ImportPath}} {{join .Deps " "}}' ./... |
    awk -v driver="$module/cuda/driver" '$1 ~ /\.test$/ { for (i = 1; i <= NF; i++) if ($i == driver) { print substr($1, 1, length($1) - 5); next } }' |
    grep -v '/cmd/paper$' | sed "s|^$module$|.|; s|^$module/||" # . is the package at the top
fi >"$out/packages"
while read -r package; do
  mkdir -p "$out/tree/$package"
  go test -c "${flags[@]}" -tags gpu -o "$out/tree/$package/${package##*/}.test" "./$package"
done <"$out/packages"
git ls-files | grep -E '(^|/)testdata/' | while read -r f; do mkdir -p "$out/tree/${f%/*}" && cp "$f" "$out/tree/$f"; done

cp scripts/torch_peer.py scripts/torch_nets.py scripts/torch_nets_gpu_peer.py scripts/jax_peer.py scripts/gpu_check/run.sh "$out/"
"$out/commands/train" --device cpu --prediction score --steps 2000 --out "$out/network" >"$out/network.log"
mv "$out/network/model.safetensors" "$out/model.safetensors"
rm -r "$out/network" "$out/network.log"
{ git describe --always --dirty 2>/dev/null || echo 'no version'; go version; } >"$out/version"

if [ $archive = yes ]; then # the binaries share most of their bytes: a long window finds them
  tar -C "${out%/*}" -cf - "${out##*/}" | xz -T0 --lzma2=preset=6,dict=192MiB >"$out.tar.xz"
  ls -l "$out.tar.xz"
fi
