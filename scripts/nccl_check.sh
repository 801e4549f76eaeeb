#!/usr/bin/env bash
# Trains on emulated GPUs with several processes under mpirun: against one process, twice, killed, stopped and resumed, and what is refused. First a
# transformer, then a chain of dense layers.
# Needs scripts/setup_mpi.sh, and the emulator that scripts/build_emulator.sh has built:
#   scripts/nccl_check.sh EMULATOR.so
# Prints one line for each check; ends with 1 at the first that fails.
set -euo pipefail
emulator=$(realpath "$1")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=hbnccl$$ # of the program: its processes are found by it
go build -tags 'gpu mpi' -o "$work/$name" ./cmd/train
cd "$work"
export HBAR_LIBCUDA=$emulator HBAR_LIBNCCL=$emulator HBAR_EMU_DEVICES=2 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

processes() { # N OPTIONS…
  local n=$1; shift
  if [ "$n" = 1 ]; then "./$name" "$@"; else mpirun --oversubscribe --bind-to none -n "$n" "./$name" "$@"; fi
}
say() { printf 'ok   %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
good() { # LOG WHAT N OPTIONS…
  local log=$1 what=$2; shift 2
  processes "$@" >"$log" 2>&1 || { cat "$log"; fail "$what"; }
}
trained() { # LOG WHAT N OPTIONS…: a chain of dense layers to its last step. Samples for its picture would take an emulated device long.
  local log=$1 what=$2 job; shift 2
  rm -f "$log" # of an earlier run: a line that is waited for must be this one's
  processes "$@" >"$log" 2>&1 &
  job=$!
  until grep -q '^loss ' "$log" 2>/dev/null; do
    sleep 0.05
    kill -0 $job 2>/dev/null || grep -q '^loss ' "$log" || { cat "$log"; fail "$what"; }
  done
  kill -TERM $(pgrep -x "$name") 2>/dev/null || true
  wait $job || true
  while pgrep -x "$name" >/dev/null; do sleep 0.05; done
}
refused() { # WORDS N OPTIONS…
  local words=$1; shift
  if processes "$@" >refused.log 2>&1; then fail "accepted: $*"; fi
  named "$words"
}
other() { # WORDS OPTIONS -- OPTIONS: of process 0, and of process 1
  local words=$1 first=(); shift
  while [ "$1" != -- ]; do first+=("$1"); shift; done
  shift
  if mpirun --oversubscribe --bind-to none -n 1 "./$name" "${first[@]}" : -n 1 "./$name" "$@" >refused.log 2>&1; then fail "accepted: ${first[*]} and $*"; fi
  named "$words"
}
named() { # WORDS: in the line of refused.log that says why
  local words=$1
  grep '^train: ' refused.log | grep -q "$words" || { cat refused.log; fail "no line with: $words"; }
  say "refused: $(grep "$words" refused.log | head -1)"
}
ends() { # JOB WHAT: a run that has failed, with all its processes
  local began=$SECONDS
  if wait $1; then fail "$2 ended with 0"; fi
  while pgrep -x "$name" >/dev/null; do
    [ $((SECONDS - began)) -lt 30 ] || { ps -ef | grep "$name"; fail "$2: a process lives on"; }
    sleep 0.2
  done
}
same() { # DIR DIR
  local f
  for f in model.safetensors state.safetensors; do cmp "$1/$f" "$2/$f" || fail "$1/$f is not $2/$f"; done
}
losses() { sed -n 's/.*"loss":\([-+.e0-9]*\).*/\1/p' "$1/train.jsonl"; }
ranked() { # RANK: the process with this number
  local pid
  for pid in $(pgrep -x "$name"); do
    if tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$1"; then echo "$pid"; fi
  done
}

net=(--data digits --n-data 32 --net dit --width 8 --depth 1 --heads 1 --patch 4 --batch 6 --clip 1 --no-grids --workers 1 --device cuda)
run=("${net[@]}" --steps 8 --log-every 1)
good one.log 'one process' 1 "${run[@]}" --out one
good two.log 'two processes' 2 "${run[@]}" --out two
good again.log 'two processes again' 2 "${run[@]}" --out again
grep -q '^processes 2 GPUs, NCCL' two.log || { cat two.log; fail 'no word of NCCL'; }
same two again
[ "$(losses one | head -1)" = "$(losses two | head -1)" ] || fail "first losses $(losses one | head -1) and $(losses two | head -1)"
# Sums in another order differ in the last digits, which Adam makes larger where a gradient is nothing but rounding.
paste <(losses one) <(losses two) | awk '{ d = ($1 - $2) / $1; if (d < 0) d = -d; if (d > 1e-4) bad = 1 } END { exit bad || NR != 8 }' ||
  { paste <(losses one) <(losses two); fail 'the losses of one process and of two'; }
say "two processes have one's first loss, $(losses two | head -1), and its last but for rounding: $(losses one | tail -1), $(losses two | tail -1); and twice the same bytes"

# A process that is killed ends all within 30 s. The last checkpoint is whole, and the run goes on to the bytes of one that was never killed.
long=("${net[@]}" --steps 60 --save-every 10)
good whole.log 'two processes, 60 steps' 2 "${long[@]}" --out whole
for victim in 0 1; do
  rm -rf killed
  processes 2 "${long[@]}" --out killed >killed.log 2>&1 &
  job=$!
  until [ -e killed/state.safetensors ]; do sleep 0.05; kill -0 $job 2>/dev/null || { cat killed.log; fail 'the run ended by itself'; }; done
  kill -9 "$(ranked $victim)"
  ends $job 'a run whose process was killed'
  good killed.log 'no resume after the kill' 2 --resume --workers 1 --device cuda --out killed
  same whole killed
  say "kill -9 of process $victim of 2: all end, and two go on to the bytes of a run that was not killed"
done

# All stop after one step when one is asked to.
rm -rf killed
processes 2 "${long[@]}" --out killed >killed.log 2>&1 &
job=$!
until [ -e killed/state.safetensors ]; do sleep 0.05; done
kill -TERM "$(ranked 1)"
if wait $job; then fail 'an interrupted run ended with 0'; fi
grep -q 'train: interrupted after step' killed.log || { cat killed.log; fail 'no word of the interrupt'; }
cp -r killed stopped
good killed.log 'no resume after the interrupt' 2 --resume --workers 1 --device cuda --out killed
same whole killed
good stopped.log 'no resume with one process' 1 --resume --workers 1 --device cuda --out stopped
say 'SIGTERM to process 1 of 2: both stop after one step, and go on to the same bytes; one goes on, too'

HBAR_LIBNCCL=/nowhere/libnccl.so.2 refused 'by NCCL, and there is none' 2 "${run[@]}" --out other
HBAR_EMU_DEVICES=1 refused 'are on one GPU' 2 "${run[@]}" --out other
refused 'start one process a GPU' 3 "${run[@]}" --out other
refused 'each takes at least one' 2 "${net[@]}" --batch 1 --steps 4 --out other
other 'process 1 has other options, other data or another checkpoint' "${run[@]}" --out other -- "${run[@]}" --seed 5 --out other

# The same for a chain of dense layers, whose steps are enqueued many at a time.
net=(--data swissroll --n-data 64 --net mlp --width 8 --depth 1 --batch 6 --clip 1 --workers 1 --device cuda)
run=("${net[@]}" --steps 24 --log-every 3)
trained one.log 'mlp: one process' 1 "${run[@]}" --out mlp-one
trained two.log 'mlp: two processes' 2 "${run[@]}" --out mlp-two
trained again.log 'mlp: two processes again' 2 "${run[@]}" --out mlp-again
grep -q '^processes 2 GPUs, NCCL' two.log || { cat two.log; fail 'mlp: no word of NCCL'; }
same mlp-two mlp-again
[ "$(wc -l <mlp-two/train.jsonl)" = 8 ] || fail "mlp: $(wc -l <mlp-two/train.jsonl) reports of 24 steps, every 3"
# As above, but the first report is the mean of three steps.
paste <(losses mlp-one) <(losses mlp-two) | awk '{ d = ($1 - $2) / $1; if (d < 0) d = -d; if (d > 1e-4) bad = 1 } END { exit bad || NR != 8 }' ||
  { paste <(losses mlp-one) <(losses mlp-two); fail 'mlp: the losses of one process and of two'; }
say "mlp: two processes have one's losses but for rounding, the last $(losses mlp-one | tail -1) and $(losses mlp-two | tail -1); and twice the same bytes"

long=("${net[@]}" --steps 60 --save-every 10)
trained whole.log 'mlp: two processes, 60 steps' 2 "${long[@]}" --out mlp-whole
for event in KILL TERM; do
  rm -rf killed
  processes 2 "${long[@]}" --out killed >killed.log 2>&1 &
  job=$!
  until [ -e killed/state.safetensors ]; do sleep 0.02; kill -0 $job 2>/dev/null || { cat killed.log; fail 'mlp: the run ended by itself'; }; done
  kill -$event "$(ranked 1)"
  ends $job "mlp: a run with a process that got SIG$event"
  [ $event = KILL ] || grep -q 'train: interrupted after step' killed.log || { cat killed.log; fail 'mlp: no word of the interrupt'; }
  rm -rf stopped
  cp -r killed stopped
  trained killed.log "mlp: no resume after SIG$event" 2 --resume --workers 1 --device cuda --out killed
  same mlp-whole killed
  say "mlp: SIG$event to process 1 of 2: all end, and two go on to the bytes of a run that went through"
done
trained stopped.log 'mlp: no resume with one process' 1 --resume --workers 1 --device cuda --out stopped
say 'mlp: one process goes on, too'
refused 'each takes at least one' 2 "${net[@]}" --batch 1 --steps 4 --out other
other 'process 1 has other options, other data or another checkpoint' "${run[@]}" --out other -- "${run[@]}" --seed 5 --out other
