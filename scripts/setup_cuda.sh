#!/usr/bin/env bash
# Installs the CUDA 11.8 toolkit from Debian or Ubuntu: nvcc, cuda.h, cuobjdump. A driver is not needed to build.
set -euo pipefail
if command -v nvcc cuobjdump g++ readelf >/dev/null && [ -f /usr/include/cuda.h ]; then nvcc --version | tail -1; exit 0; fi
if [ -f /etc/apt/sources.list.d/debian.sources ]; then # Debian keeps it in non-free
  sed 's/^Components:.*/Components: contrib non-free/' /etc/apt/sources.list.d/debian.sources >/etc/apt/sources.list.d/hbar-nonfree.sources
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nvidia-cuda-toolkit nvidia-cuda-dev g++ binutils libc6-dev
