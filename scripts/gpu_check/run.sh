#!/usr/bin/env bash
# Checks and measures hbar on this machine's GPU: parity tests, compute-sanitizer, benchmarks, PyTorch and JAX beside, and a
# table. Made by `make gpu-check`; needs a driver, and nothing else that it does not say.
#   run.sh [--quick] [RESULTS]      default: results beside this file; --quick: tiny sizes, as on the emulated driver
# Exit status 1 if a test fails or no test ran on a device.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
quick=()
if [ "${1:-}" = --quick ]; then quick=(-test.short); shift; fi
mkdir -p "${1:-$here/results}"
results=$(cd "${1:-$here/results}" && pwd)
rm -f "$results"/*.txt "$results"/*.tsv "$results"/*.jsonl
export PATH="$PATH:/usr/local/cuda/bin" PYTHONDONTWRITEBYTECODE=1
began=$SECONDS

say() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - began)); }

# tested NAME LOG COMMAND...: runs a test, at most two and a half minutes long, and notes how it ended.
tested() {
  local name=$1 log=$2 from=$SECONDS status
  shift 2
  timeout 150 "$@" >"$log" 2>&1 </dev/null
  status=$?
  printf '%s\t%d\t%d\t%s\n' "$name" $status $((SECONDS - from)) "$log" >>"$results/tests.tsv"
  [ $status -eq 0 ] || tail -n 30 "$log"
}

say 'machine'
{
  cat "$here/version"
  uname -sr
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader 2>/dev/null || echo 'no nvidia-smi'
} | tee "$results/machine.txt"
device=$("$here/commands/sample" --checkpoint "$here/model.safetensors" --device cuda --n 64 --steps 2 --out "$results/first.npy" 2>&1 | grep -E '^(device|sample:)')
echo "${device:-no device line}" | tee -a "$results/machine.txt"
case $device in device*) ;; *) echo "$device" >"$results/nodevice.txt" ;; esac

say 'parity'
while read -r package; do
  tested "$package" "$results/test-${package//\//-}.txt" env -C "$here/tree/$package" "$here/tree/$package/${package##*/}.test" -test.v "${quick[@]}"
done <"$here/packages"

say 'compute-sanitizer'
if command -v compute-sanitizer >/dev/null && [ ${#quick[@]} -eq 0 ]; then
  for tool in memcheck racecheck; do for package in chains exec; do
    log=$results/$tool-$package.txt from=$SECONDS
    cases='Trajectory/(paper|gelu|tanh|deep)|Normals|Train|Flow|Path|Taylor|General|Gemm|Dense'
    [ $tool = memcheck ] || cases='Trajectory/paper|Normals|TrainerErrors|Gemm' # racecheck did not end in 30 s with all
    timeout 30 env -C "$here/tree/cuda/$package" compute-sanitizer --tool $tool --error-exitcode 9 ./$package.test -test.v -test.short \
      -test.run "$cases" >"$log" 2>&1
    status=$?
    if [ $status -eq 124 ]; then # slow is no fault; what it found until then is
      status=0
      grep -qE '^========= (Invalid|Error|Race|Warning|Program hit)' "$log" && status=9
    fi
    printf '%s\t%d\t%d\t%s\n' "compute-sanitizer $tool $package" $status $((SECONDS - from)) "$log" >>"$results/tests.tsv"
  done; done
else
  echo 'compute-sanitizer: not run (not installed, or --quick)' | tee -a "$results/machine.txt"
fi

say 'benchmarks'
if [ ${#quick[@]} -gt 0 ]; then often=(-test.benchtime 1x -test.count 1); else often=(-test.benchtime 300ms -test.count 3); fi
from=$SECONDS
for package in cuda/chains cuda/exec cuda; do
  [ -x "$here/tree/$package/${package##*/}.test" ] || continue # a build of some packages only
  left=$((150 - (SECONDS - from)))
  [ $left -gt 0 ] || { echo "benchmarks of $package: no time left"; continue; }
  timeout $left env -C "$here/tree/$package" "./${package##*/}.test" -test.run '^$' -test.bench . "${often[@]}" "${quick[@]}" 2>&1 | tee -a "$results/bench.txt" | grep -E '^Benchmark'
done

say 'PyTorch and JAX'
# Both ask the same network for the same work; a peer that is not there says so in one line.
python=''
for candidate in python3 python /usr/bin/python3; do
  command -v "$candidate" >/dev/null || continue
  python=${python:-$candidate}
  if "$candidate" -c 'import torch' 2>/dev/null; then python=$candidate; break; fi
done
peer() {
  local line left=$((560 - (SECONDS - began))) # all must end before ten minutes are over
  [ $left -gt 10 ] || { echo "$1 $2: no time left" | tee -a "$results/peers.jsonl"; return; }
  [ $left -lt 75 ] || left=75
  line=$(timeout $left "$python" "$here/$@" 2>&1 </dev/null | tail -n 1)
  echo "${line:-$1 $2: no answer within $left s}" | tee -a "$results/peers.jsonl"
}
if [ -z "$python" ]; then
  echo 'no python3: no peers' | tee -a "$results/peers.jsonl"
elif [ ${#quick[@]} -gt 0 ]; then
  peer torch_peer.py sample --checkpoint "$here/model.safetensors" --n 64 --steps 2
  peer jax_peer.py sample --checkpoint "$here/model.safetensors" --n 64 --steps 2
else
  model=(--checkpoint "$here/model.safetensors")
  for how in eager graphed compiled; do peer torch_peer.py sample "${model[@]}" --device cuda --how $how --n 1000000 --steps 100; done
  for how in eager graphed; do peer torch_peer.py train --device cuda --how $how --batch 512 --steps 100; done
  for how in eager compiled; do peer torch_peer.py scorediv "${model[@]}" --device cuda --how $how --n 65536 --steps 20; done
  for how in loop fused; do peer jax_peer.py sample "${model[@]}" --how $how --n 1000000 --steps 1000; done
  peer jax_peer.py wkb "${model[@]}" --n 32 --repeats 1
  peer jax_peer.py flow "${model[@]}" --n 4096
fi

say 'results'
"$here/report" "$results" | tee "$results/report.txt"
exit "${PIPESTATUS[0]}"
