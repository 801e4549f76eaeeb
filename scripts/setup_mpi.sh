#!/usr/bin/env bash
# Installs what `go build -tags mpi` needs on Debian: OpenMPI with its headers, and a C compiler.
set -euo pipefail
if command -v mpirun >/dev/null && command -v gcc >/dev/null && pkg-config --exists ompi-c 2>/dev/null; then exit 0; fi
command -v apt-get >/dev/null || { echo 'setup_mpi: install OpenMPI with headers, pkg-config and a C compiler' >&2; exit 1; }
apt-get update -q
apt-get install -qy --no-install-recommends gcc libc6-dev pkg-config libopenmpi-dev openmpi-bin >/dev/null
