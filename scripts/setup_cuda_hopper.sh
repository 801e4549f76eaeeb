#!/usr/bin/env bash
# Unpacks CUDA 12.4's assembler beside the installed toolkit, for kernels/gpu/*_wgmma.cu: CUDA 11.8 compiles them to PTX, but cannot assemble
# sm_90a. The package is that of Debian 13, downloaded (87 MB) and unpacked into a folder; nothing is installed or upgraded. Any user may
# run it who may write to the folder.
#   scripts/setup_cuda_hopper.sh      prints the folder: $HBAR_CUDA12 if it is set, else /opt/hbar-cuda-12.4
set -euo pipefail
folder=${HBAR_CUDA12:-/opt/hbar-cuda-12.4}
works() { # grep -q would end before ptxas has written all, and pipefail would take that for a failure
  local version
  version=$("$folder/usr/bin/ptxas" --version 2>/dev/null) && [[ $version == *'release 12.4'* ]]
}
if works; then echo "$folder"; exit 0; fi
for tool in apt-get dpkg; do command -v $tool >/dev/null || { echo "no $tool here: unpack CUDA 12.4's ptxas, fatbinary and cuobjdump into $folder/usr/bin by hand" >&2; exit 1; }; done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial" "$folder"
# This machine's Debian sources with another suite, for apt processes with folders of their own.
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$suite" ] || { echo 'no VERSION_CODENAME in /etc/os-release: this is no Debian' >&2; exit 1; }
for f in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
  [ -f "$f" ] || continue
  case $f in
    *.sources) sed -E "s/\b$suite\b/trixie/g; s/^Components:.*/Components: non-free/" "$f" >"$work/sources/trixie.sources" ;;
    *) grep -E '^deb .*debian' "$f" | sed -E "s/\b$suite\b/trixie/g; s/^(deb .*) main( .*)?$/\1 non-free/" >"$work/sources/trixie.list" || true ;;
  esac
done
apt=(-qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/sources" -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
apt-get "${apt[@]}" update >&2
(cd "$work" && apt-get "${apt[@]}" download nvidia-cuda-toolkit=12.4.131* >&2)
dpkg -x "$work"/nvidia-cuda-toolkit_*.deb "$folder"
works || { echo "$folder/usr/bin/ptxas is not CUDA 12.4's" >&2; exit 1; }
echo "$folder"
