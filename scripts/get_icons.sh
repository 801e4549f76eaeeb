#!/usr/bin/env bash
# Puts the 32×32 icons of four of Debian's icon themes into a folder, datasets/icons unless another is named, one sub-folder for each
# kind of icon (actions, apps, devices, …). The packages are downloaded and unpacked, not installed.
# Licences: Oxygen LGPL-3+, MATE and GNOME CC-BY-SA-3.0 or LGPL-3, Tango public domain.
set -euo pipefail
out=${1:-datasets/icons}
packages="oxygen-icon-theme mate-icon-theme gnome-icon-theme tango-icon-theme"
for tool in apt-get dpkg-deb od sha256sum; do
  command -v $tool >/dev/null || { echo "get_icons: $tool is missing; this needs Debian or one of its kin" >&2; exit 1; }
done
[ ! -e "$out" ] || [ -z "$(ls -A "$out")" ] || { echo "get_icons: $out holds files already; name another folder" >&2; exit 1; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt downloads as a user of its own
mkdir "$work/debs" "$work/icons"
for p in $packages; do
  (cd "$work/debs" && apt-get download -qq "$p" 2>/dev/null) || echo "get_icons: there is no package $p here; going on without" >&2
done
ls "$work"/debs/*.deb >/dev/null 2>&1 || { echo "get_icons: no package could be downloaded; does 'apt-get download oxygen-icon-theme' work?" >&2; exit 1; }
for deb in "$work"/debs/*.deb; do
  p=$(basename "$deb"); p=${p%%_*}
  mkdir "$work/$p" && dpkg-deb -x "$deb" "$work/$p"
  find "$work/$p" -type f -path '*/32x32/*' -name '*.png' | LC_ALL=C sort >"$work/list"
  while IFS= read -r f; do
    # The header says the size: width and height, each of four bytes.
    [ "$(od -An -tu1 -j16 -N8 "$f" | tr -s ' ')" = " 0 0 0 32 0 0 0 32" ] || continue
    sum=$(sha256sum <"$f")
    [ ! -e "$work/seen-${sum%% *}" ] || continue # the same icon under another name
    : >"$work/seen-${sum%% *}"
    kind=${f##*/32x32/}; kind=${kind%%/*}
    mkdir -p "$work/icons/$kind"
    cp "$f" "$work/icons/$kind/${p%-icon-theme}-$(basename "$f")"
  done <"$work/list"
done
# A kind with a handful of icons is no class to learn.
for kind in "$work"/icons/*/; do
  [ "$(ls "$kind" | wc -l)" -ge 40 ] || rm -r "$kind"
done
n=$(find "$work/icons" -name '*.png' | wc -l)
[ "$n" -gt 0 ] || { echo "get_icons: the packages hold no 32×32 icons" >&2; exit 1; }
mkdir -p "$out"
mv "$work"/icons/* "$out/"
echo "$out: $n icons of $(ls "$out" | wc -l) kinds; go run ./cmd/train --data $out"
