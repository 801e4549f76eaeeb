#!/usr/bin/env bash
# Checks and measures hbar on this machine's GPU: parity tests, benchmarks, PyTorch and JAX beside, compute-sanitizer, and a
# table with the goals. Made by `make gpu-check`; needs a driver, and nothing else that it does not say.
#   run.sh [--quick] [--only PART] [RESULTS]     default: results beside this file; --quick: tiny sizes, as on the emulated driver
# PART is one of parity, bench, peers, sanitizer, which is their order. All together end within eight minutes: what is left then is skipped,
# and --only PART runs it in a call of its own. Results are written as they come, the table after every part; the table of a call with --only
# has the results of earlier calls too.
# Exit status 1 if a test fails or no test ran on a device.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
quick=()
only=''
while true; do
  case ${1:-} in
    --quick) quick=(-test.short); shift ;;
    --only)
      only=${2:-}
      case $only in parity | sanitizer | bench | peers) ;; *) echo "run.sh: --only '$only'; have parity, bench, peers, sanitizer" >&2; exit 2 ;; esac
      shift 2 ;;
    *) break ;;
  esac
done
wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }
mkdir -p "${1:-$here/results}"
results=$(cd "${1:-$here/results}" && pwd)
export PATH="$PATH:/usr/local/cuda/bin" PYTHONDONTWRITEBYTECODE=1
readonly began=$SECONDS limit=$([ ${#quick[@]} -gt 0 ] && echo 3600 || echo 470) # seconds for all parts; the emulator takes its time

say() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - began)); }

# part NAME TITLE SECONDS FILE...: whether a part is to run, at most so long; then its files of an earlier call go.
part() {
  local name=$1 title=$2 most=$3
  shift 3
  wanted "$name" || return 1
  say "$title"
  end=$((SECONDS + most))
  if [ -n "$only" ] || [ ${#quick[@]} -gt 0 ] || [ $end -gt $((began + limit)) ]; then end=$((began + limit)); fi
  rm -f "$@"
}
left() { echo $((end - SECONDS)); }

# tested NAME LOG SECONDS COMMAND...: runs a test, at most so long, and notes how it ended.
tested() {
  local name=$1 log=$2 most=$3 from=$SECONDS status
  shift 3
  [ "$(left)" -gt 0 ] || { echo "$name: no time left"; return; }
  [ "$most" -le "$(left)" ] || most=$(left)
  timeout "$most" "$@" >"$log" 2>&1 </dev/null
  status=$?
  case $name in compute-sanitizer*) # slow is no fault; what it found end then is
    [ $status -ne 124 ] || status=$(grep -qE '^========= (Invalid|Error|Race|Warning|Program hit)' "$log" && echo 9 || echo 0) ;;
  esac
  printf '%s\t%d\t%d\t%s\n' "$name" "$status" $((SECONDS - from)) "$log" >>"$results/tests-$of.tsv"
  [ "$status" -eq 0 ] || tail -n 30 "$log"
}

# table writes what is known so far, for a run that is cut short.
table() {
  "$here/report" "$results" >"$results/report.new"
  mv "$results/report.new" "$results/report.txt"
}

say 'machine'
rm -f "$results"/nodevice.txt
{
  cat "$here/version"
  uname -sr
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader 2>/dev/null || echo 'no nvidia-smi'
} | tee "$results/machine.txt"
device=$("$here/commands/sample" --checkpoint "$here/model.safetensors" --device cuda --n 64 --steps 2 --out "$results/first.npy" 2>&1 | grep -E '^(device|sample:)')
echo "${device:-no device line}" | tee -a "$results/machine.txt"
case $device in device*) ;; *) echo "$device" >"$results/nodevice.txt" ;; esac

if part parity 'parity' 120 "$results"/tests-parity.tsv "$results"/test-*.txt; then
  of=parity
  while read -r package; do # what has the kernels first
    tested "$package" "$results/test-${package//\//-}.txt" $([ ${#quick[@]} -gt 0 ] && echo 600 || echo 90) env -C "$here/tree/$package" "$here/tree/$package/${package##*/}.test" -test.v "${quick[@]}"
  done < <(grep '^cuda/' "$here/packages"; grep -v '^cuda/' "$here/packages")
  table
fi

# What the goals are about first. Each line: package, benchmarks, seconds at most.
if part bench 'benchmarks' 130 "$results/bench.txt"; then
  if [ ${#quick[@]} -gt 0 ]; then often=(-test.benchtime 1x -test.count 1); else often=(-test.benchtime 200ms -test.count 3); fi
  while read -r package names most; do
    [ -x "$here/tree/$package/${package##*/}.test" ] || continue # a build of some packages only
    [ "$(left)" -gt 0 ] || { echo "benchmarks $names of $package: no time left"; continue; }
    if [ ${#quick[@]} -gt 0 ] || [ "$most" -gt "$(left)" ]; then most=$(left); fi
    timeout "$most" env -C "$here/tree/$package" "./${package##*/}.test" -test.run '^$' -test.bench "$names" "${often[@]}" "${quick[@]}" 2>&1 </dev/null | tee -a "$results/bench.txt" | grep -E '^Benchmark'
    table
  done <<'END'
cuda/programs Networks/.*/.*/bf16 45
cuda/chains Sampler|Flow 60
cuda/exec TrainStep|General 30
cuda Likelihood/(flow|wkb) 30
cuda/programs Networks/.*/.*/(fp32|tf32|^f16) 30
cuda/chains Path|Taylor 20
cuda Likelihood/path 20
END
fi

# Both peers ask the same network for the same work; a peer that is not there says so in one line.
peer() {
  local line most
  most=$(left)
  [ "$most" -gt 10 ] || { echo "$1 $2: no time left" | tee -a "$results/peers.jsonl"; return; }
  [ "$most" -lt 90 ] || most=90
  line=$(timeout "$most" "$python" "$here/$@" 2>&1 </dev/null | tail -n 1)
  echo "${line:-$1 $2: no answer within $most s}" | tee -a "$results/peers.jsonl"
}
nets() { for net in unet-cifar10 dit-s2; do for job in sample train; do peer torch_nets_gpu_peer.py --net $net --job $job --precision "$1" --how "$2" --batch 256; done; done; }
# flow NAME OPTION...: hbar's values at points that JAX gets too.
flow() {
  local most=30
  [ "$most" -le "$(left)" ] || most=$(left)
  [ "$most" -gt 0 ] || return
  timeout "$most" "$here/commands/likelihood" --checkpoint "$here/tree/solver/likelihood/testdata/sr_simple.safetensors" --data swissroll --first 1048576 --seed 1 \
    --method flow --device cuda --out "$results/flow-$1.csv" "${@:2}" >"$results/flow-$1.txt" 2>&1 || tail -n 3 "$results/flow-$1.txt"
}
if part peers 'PyTorch and JAX' 290 "$results/peers.jsonl"; then
  model=(--checkpoint "$here/model.safetensors")
  python=''
  for candidate in python3 python /usr/bin/python3; do
    command -v "$candidate" >/dev/null || continue
    python=${python:-$candidate}
    if "$candidate" -c 'import torch' 2>/dev/null; then python=$candidate; break; fi
  done
  if [ -z "$python" ]; then
    echo 'no python3: no peers' | tee -a "$results/peers.jsonl"
  elif [ ${#quick[@]} -gt 0 ]; then
    flow ours --n 8
    flow truth --n 4 --precision fp64 --tol 1e-6
    peer torch_peer.py sample "${model[@]}" --n 64 --steps 2
    peer jax_peer.py sample "${model[@]}" --n 64 --steps 2
    peer jax_peer.py flow --checkpoint "$here/tree/solver/likelihood/testdata/sr_simple.safetensors" --points "$results/flow-ours.csv" --truth "$results/flow-truth.csv" --repeats 1
  else
    nets bf16 compiled
    peer torch_peer.py sample "${model[@]}" --device cuda --how compiled --n 1000000 --steps 100
    peer torch_peer.py train --device cuda --how compiled --batch 512 --steps 100
    peer torch_peer.py scorediv "${model[@]}" --device cuda --how compiled --n 65536 --steps 20
    peer jax_peer.py sample "${model[@]}" --how fused --n 1000000 --steps 1000
    flow ours --n 65536
    flow truth --n 2048 --precision fp64 --tol 1e-7
    peer jax_peer.py flow --checkpoint "$here/tree/solver/likelihood/testdata/sr_simple.safetensors" --points "$results/flow-ours.csv" --truth "$results/flow-truth.csv"
    nets bf16 eager
    peer jax_peer.py wkb "${model[@]}" --n 32 --repeats 1
    nets tf32 compiled
    for how in graphed eager; do peer torch_peer.py sample "${model[@]}" --device cuda --how $how --n 1000000 --steps 100; done
    for how in graphed eager; do peer torch_peer.py train --device cuda --how $how --batch 512 --steps 100; done
    peer torch_peer.py scorediv "${model[@]}" --device cuda --how eager --n 65536 --steps 20
    peer jax_peer.py sample "${model[@]}" --how loop --n 1000000 --steps 1000
  fi
  table
fi

if part sanitizer 'compute-sanitizer' 470 "$results"/tests-sanitizer.tsv "$results"/memcheck-*.txt "$results"/racecheck-*.txt; then
  of=sanitizer
  if command -v compute-sanitizer >/dev/null && [ ${#quick[@]} -eq 0 ]; then
    for tool in memcheck racecheck; do for package in programs chains exec; do
      # racecheck follows every access to shared memory: a case of each kind of kernel that has barriers, and none that is long.
      case $tool/$package in
        memcheck/*) cases='Trajectory/(paper|gelu|tanh|deep)|Normals|Train|Flow|Path|Taylor|General|Gemm|Dense|Ops' ;;
        racecheck/programs) cases='Ops/.*_(dense|conv2d|attention|group_norm|softmax|sum)$' ;;
        racecheck/chains) cases='Trajectory/paper|Normals' ;;
        racecheck/exec) cases='TrainerErrors|Gemm' ;;
      esac
      tested "compute-sanitizer $tool $package" "$results/$tool-$package.txt" 30 env -C "$here/tree/cuda/$package" compute-sanitizer --tool $tool --error-exitcode 9 \
        "./$package.test" -test.v -test.short -test.run "$cases"
    done; done
  else
    echo 'compute-sanitizer: not run (not installed, or --quick)' | tee -a "$results/machine.txt"
  fi
fi

say 'results'
"$here/report" "$results" | tee "$results/report.txt"
exit "${PIPESTATUS[0]}"
