#!/usr/bin/env bash
# Trains with 1 to 4 processes under mpirun, and compares their files byte for byte; kills processes, fills a disk, and resumes on
# other numbers of processes. Needs scripts/setup_mpi.sh. Prints one line for each check; ends with 1 at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
name=hbmpi$$ # of the program: its processes are found by it
cleanup() { mountpoint -q "$work/small" && umount "$work/small"; rm -rf "$work"; }
trap cleanup EXIT
go build -tags mpi -o "$work/$name" ./cmd/train
cd "$work"

processes() { # N OPTIONS…
  local n=$1; shift
  if [ "$n" = 1 ]; then "./$name" "$@"; else
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe --bind-to none -n "$n" "./$name" "$@"; fi
}
say() { printf 'ok   %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
same() { # DIR DIR
  local f
  for f in model.safetensors state.safetensors; do cmp "$1/$f" "$2/$f" || fail "$1/$f is not $2/$f"; done
}

common=(--workers 1 --no-grids)
mlp=(--data swissroll --width 64 --depth 2 --batch 600 --clip 5 "${common[@]}")
unet=(--data digits --n-data 200 --net unet --channels 8,8 --layers 1 --groups 4 --dropout 0.1 --batch 50 --clip 1 "${common[@]}")
dit=(--data digits --n-data 200 --net dit --width 32 --depth 1 --heads 2 --patch 2 --batch 50 "${common[@]}")

for net in mlp unet dit; do
  declare -n options=$net
  processes 1 "${options[@]}" --steps 6 --out $net-1 >"$net.log" 2>&1 || { cat "$net.log"; fail "$net, one process"; }
  for n in 2 3 4; do
    processes $n "${options[@]}" --steps 6 --out $net-$n >"$net.log" 2>&1 || { cat "$net.log"; fail "$net, $n processes"; }
    same $net-1 $net-$n
  done
  say "$net: 2, 3 and 4 processes leave the bytes of one"
done

# A run that is killed in the middle of a step or a save leaves a whole checkpoint, and goes on with another number of processes.
long=("${mlp[@]}" --steps 6000 --save-every 100)
processes 1 "${long[@]}" --out whole >whole.log 2>&1 || { cat whole.log; fail 'one process, 6000 steps'; }
for victim in 0 1; do
  rm -rf killed
  began=$SECONDS
  processes 2 "${long[@]}" --out killed >killed.log 2>&1 &
  job=$!
  until [ -e killed/state.safetensors ]; do sleep 0.05; kill -0 $job 2>/dev/null || { cat killed.log; fail 'the run ended by itself'; }; done
  sleep 0.1
  for pid in $(pgrep -x "$name"); do
    if tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$victim"; then kill -9 "$pid"; fi
  done
  if wait $job; then fail 'a run whose process was killed ended with 0'; fi
  [ $((SECONDS - began)) -lt 60 ] || fail "it took $((SECONDS - began)) s to end"
  while pgrep -x "$name" >/dev/null; do
    [ $((SECONDS - began)) -lt 60 ] || { ps -ef | grep "$name"; fail 'a process lives on'; }
    sleep 0.2
  done
  processes $((victim + 2)) --resume --workers 1 --out killed >killed.log 2>&1 || { cat killed.log; fail 'no resume after the kill'; }
  same whole killed
  say "kill -9 of process $victim of 2: all end, and $((victim + 2)) processes go on to the bytes of one"
done

# The same in the middle of a save: a large network, killed while a temporary file of the checkpoint is there. The checkpoint before stays.
large=(--data swissroll --width 512 --depth 3 --batch 128 "${common[@]}" --steps 12 --save-every 2)
processes 1 "${large[@]}" --out whole-large >whole.log 2>&1 || { cat whole.log; fail 'one process, a large network'; }
for try in {1..21}; do
  [ $try -le 20 ] || fail 'no kill fell into a save'
  rm -rf killed
  processes 2 "${large[@]}" --out killed >killed.log 2>&1 &
  job=$!
  until [ -e killed/state.safetensors ]; do sleep 0.01; kill -0 $job 2>/dev/null || { cat killed.log; fail 'the run ended by itself'; }; done
  mapfile -t victims < <(pgrep -x "$name") # now, because a save is over before pgrep is
  until compgen -G 'killed/.state.safetensors.tmp-*' >/dev/null; do kill -0 $job 2>/dev/null || break; done
  kill -9 "${victims[@]}" 2>/dev/null || true
  wait $job 2>/dev/null || true
  if compgen -G 'killed/.state.safetensors.tmp-*' >/dev/null; then break; fi
done
while pgrep -x "$name" >/dev/null; do sleep 0.1; done
processes 3 --resume --workers 1 --out killed >killed.log 2>&1 || { cat killed.log; fail 'no resume after a kill in a save'; }
same whole-large killed
[ -z "$(compgen -G 'killed/.*.tmp-*')" ] || fail "the half of a checkpoint stays: $(ls -A killed)"
say 'kill -9 while a checkpoint is written: the one before is whole, and 3 processes go on from it to the bytes of one'

# Two jobs into one folder: the second is refused in one line, and the first goes on.
rm -rf killed
processes 2 "${long[@]}" --out killed >killed.log 2>&1 &
job=$!
until [ -e killed/state.safetensors ]; do sleep 0.05; kill -0 $job 2>/dev/null || { cat killed.log; fail 'the run ended by itself'; }; done
first=$(pgrep -x "$name")
kill -STOP $first # so that it is still there, however fast the machine is
if processes 2 "${long[@]}" --overwrite --out killed >second.log 2>&1; then fail 'two jobs wrote one folder'; fi
kill -CONT $first
grep '^train: ' second.log | grep -v 'stopping in order' >errors || true
[ "$(wc -l <errors)" = 1 ] && grep -q 'run directory killed is in use by process' errors || { cat second.log; fail 'not one error of the other job'; }
wait $job || { cat killed.log; fail 'the first job was disturbed'; }
same whole killed
say "two jobs into one folder: $(cat errors)"

# All stop in order when one is asked to.
rm -rf killed
processes 3 "${long[@]}" --out killed >killed.log 2>&1 &
job=$!
until [ -e killed/state.safetensors ]; do sleep 0.05; done
for pid in $(pgrep -x "$name"); do
  if tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qx 'OMPI_COMM_WORLD_RANK=1'; then kill -TERM "$pid"; fi
done
if wait $job; then fail 'an interrupted run ended with 0'; fi
grep -q 'train: interrupted after step' killed.log || { cat killed.log; fail 'no word of the interrupt'; }
processes 1 --resume --workers 1 --out killed >killed.log 2>&1 || { cat killed.log; fail 'no resume after the interrupt'; }
same whole killed
say 'SIGTERM to process 1 of 3: all stop after one step, and one process goes on to the same bytes'

# A full disk on the side of process 0: one error, and the last checkpoint is whole.
mkdir small
if mount -t tmpfs -o size=800k tmpfs small 2>/dev/null; then
  if processes 2 --data swissroll --width 128 --depth 3 --batch 600 --steps 400 --save-every 100 "${common[@]}" --out small/run >full.log 2>&1; then fail 'a full disk ended with 0'; fi
  grep '^train: ' full.log | grep -v 'stopping in order' >errors || true # mpirun asks the others to end
  [ "$(wc -l <errors)" = 1 ] && grep -q 'no space left' errors || { cat full.log; fail 'not one error of a full disk'; }
  say "a full disk on process 0: $(cat errors)"
else
  echo 'skip a full disk: no right to mount a tmpfs'
fi

# What was not started alike is refused; so is a build without MPI.
printf '%s\n' '#!/bin/sh' "exec ./$name --data swissroll --steps 10 --workers 1 --batch 600 --seed \"\$OMPI_COMM_WORLD_RANK\" --out other" >unlike && chmod +x unlike
if OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe -n 2 ./unlike >unlike.log 2>&1; then fail 'different seeds were accepted'; fi
grep -q 'all must be started alike' unlike.log || { cat unlike.log; fail 'no word of different seeds'; }
say 'processes with different seeds are refused'
(cd "$OLDPWD" && go build -o "$work/plain" ./cmd/train)
if OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 ./plain --steps 10 --out plain-run >plain.log 2>&1; then fail 'a build without MPI ran as one of two'; fi
grep -q 'built without MPI' plain.log || { cat plain.log; fail 'no word of the missing tag'; }
say 'a build without tag mpi says so'
