#!/usr/bin/env bash
# Compiles the CUDA kernels to the fatbins that kernels/gpu embeds. Needs nvcc 11.8 (scripts/setup_cuda.sh installs it), and for *_wgmma.cu
# the assembler of CUDA 12.4 (scripts/setup_cuda_hopper.sh unpacks it); the same sources and versions give the same bytes, so CI
# rebuilds and compares.
#   scripts/build_cuda.sh [-o OUTDIR] [NAME...]        default: kernels/gpu, all of kernels/gpu/*.cu
#   scripts/build_cuda.sh --no-hopper ...              all but *_wgmma.cu
#   scripts/build_cuda.sh --check                      compiles nothing: an error unless each committed fatbin is of these sources, by kernels/gpu/sources.sha256
set -euo pipefail
hopper=yes
if [ "${1:-}" = --no-hopper ]; then hopper=no; shift; fi
setup=$(realpath "$(dirname "$0")/setup_cuda_hopper.sh")
script=$(realpath "$0")
cd "$(dirname "$0")/../kernels/gpu"
out=.
if [ "${1:-}" = -o ]; then out=$(cd "$2" && pwd) || exit; shift 2; fi

# digest NAME prints a hash of NAME.cu with all that it includes, and of the compilers' options, which are in this file.
digest() {
  local todo=("$1.cu") seen=' ' f
  while [ ${#todo[@]} -gt 0 ]; do
    f=${todo[0]}
    todo=("${todo[@]:1}")
    case $seen in *" $f "*) continue ;; esac
    seen+="$f "
    mapfile -t -O ${#todo[@]} todo < <(sed -n 's/^ *# *include "\(.*\)".*/\1/p' "$f")
  done
  # The order is that of the includes. Of this file only the lines that compile.
  { cat $seen; sed -n -e '/^arch=/,/^done/p' -e '/^  nvcc -ptx/,/fatbinary/p' "$script"; } | sha256sum | cut -d' ' -f1
}

if [ "${1:-}" = --check ]; then
  bad=0
  for f in *.fatbin; do
    name=${f%.fatbin}
    [ -f "$name.cu" ] || { echo "kernels/gpu/$f has no source" >&2; bad=1; continue; }
    [ "$(awk -v n="$name" '$2 == n {print $1}' sources.sha256)" = "$(digest "$name")" ] || { echo "kernels/gpu/$name.fatbin is of other sources: scripts/build_cuda.sh $name" >&2; bad=1; }
  done
  exit $bad
fi

names=("$@")
[ ${#names[@]} -gt 0 ] || for f in *.cu; do names+=("${f%.cu}"); done
arch=()
for cc in 80 86 89 90; do arch+=(-gencode "arch=compute_$cc,code=sm_$cc"); done
arch+=(-gencode arch=compute_80,code=compute_80)
# No spills, no local memory anywhere. The samplers are float32 and half precision alone; the others use float64 on purpose.
for name in "${names[@]}"; do
  case $name in *_wgmma) continue ;; sampler_*) double=,-warn-double-usage ;; *) double= ;; esac
  echo "-Xptxas -Werror,-warn-spills,-warn-lmem-usage$double $name.cu -o $out/$name.fatbin"
done | xargs -r -P "$(nproc)" -L 1 nvcc -fatbin -O3 -std=c++17 "${arch[@]}" -Werror all-warnings -Xfatbin -compress-all

# note NAME records of which sources NAME.fatbin in this folder is.
note() {
  [ "$out" = . ] || return 0
  { awk -v n="$1" '$2 != n' sources.sha256; echo "$(digest "$1") $1"; } | sort -k2 >sources.tmp
  mv sources.tmp sources.sha256
}
for name in "${names[@]}"; do
  case $name in *_wgmma) ;; *) note "$name" ;; esac
done

# Warpgroup products: PTX by nvcc 11.8, which passes their instructions on, then machine code by ptxas 12.4. Of what ptxas says about
# them (C7510 and others: products that wait for each other) nothing is tolerated.
[ $hopper = yes ] || exit 0
for name in "${names[@]}"; do
  case $name in *_wgmma) ;; *) continue ;; esac
  bin=$("$setup")/usr/bin
  work=$(mktemp -d)
  nvcc -ptx -O3 -std=c++17 -arch=compute_90 -Werror all-warnings "$name.cu" -o "$work/$name.ptx"
  sed -i 's/^\.version 7\..*/.version 8.0/; s/^\.target .*/.target sm_90a/' "$work/$name.ptx"
  case $name in sampler_*) double=-warn-double-usage ;; *) double= ;; esac
  "$bin/ptxas" -arch=sm_90a -O3 -Werror -warn-spills -warn-lmem-usage $double "$work/$name.ptx" -o "$work/$name.cubin" 2>&1 | tee "$work/log" >&2
  if grep -q 'Performance Loss' "$work/log"; then
    echo "$name.cu: products that are serialized" >&2
    exit 1
  fi
  (cd "$work" && "$bin/fatbinary" -64 --compress-all --create="$name.fatbin" "--image3=kind=elf,sm=90a,file=$name.cubin")
  cp "$work/$name.fatbin" "$out/$name.fatbin"
  note "$name"
  rm -r "$work"
done
