#!/usr/bin/env bash
# Installs the CUDA toolkit of Debian or Ubuntu, 11.8 in Debian 12: nvcc, cuda.h, cuobjdump. As root. A driver is not needed to build.
set -euo pipefail
missing=no
for tool in nvcc cuobjdump g++ readelf; do command -v "$tool" >/dev/null || missing=$tool; done
[ -f /usr/include/cuda.h ] || [ -f /usr/local/cuda/include/cuda.h ] || missing=cuda.h
if [ $missing = no ]; then nvcc --version | tail -1; exit 0; fi
command -v apt-get >/dev/null || { echo "$missing is missing, and there is no apt-get: install CUDA 11.8 by hand" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "$missing is missing: run $0 as root" >&2; exit 1; }
# Debian keeps it in non-free: the same sources again, with other components.
if [ -f /etc/apt/sources.list.d/debian.sources ]; then
  sed 's/^Components:.*/Components: contrib non-free/' /etc/apt/sources.list.d/debian.sources >/etc/apt/sources.list.d/hbar-nonfree.sources
elif grep -qs '^deb .*debian' /etc/apt/sources.list; then
  sed -nE 's/^(deb .*) main( .*)?$/\1 contrib non-free/p' /etc/apt/sources.list >/etc/apt/sources.list.d/hbar-nonfree.list
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nvidia-cuda-toolkit nvidia-cuda-dev g++ binutils libc6-dev
nvcc --version | tail -1
