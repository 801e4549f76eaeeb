#!/usr/bin/env bash
# What can happen to shards, done to them: kill -9 in the middle of the work, a full disk, two jobs that write the same names. After each the
# shard is run again, and what merge makes of all is what one process writes, byte for byte. Prints one line for each check; ends with 1 at
# the first that fails.
#   scripts/shards_check.sh
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
jobs_=()
cleanup() {
	for p in "${jobs_[@]}"; do kill -9 "$p" 2>/dev/null || true; done
	if mountpoint -q "$dir/small"; then umount "$dir/small"; fi
	rm -rf "$dir"
}
trap cleanup EXIT
go build -o "$dir/" ./cmd/sample ./cmd/likelihood ./cmd/merge
model=$PWD/checkpoint/testdata/sr_simple.safetensors
cd "$dir"
say() { printf 'ok   %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
sample() { ./sample --checkpoint "$model" --device cpu --workers 1 --n 3000 --steps 20 "$@"; }
slow() { exec ./sample --checkpoint "$model" --device cpu --workers 1 --n 3000 --steps 50000 "$@"; } # minutes, in the background: it is stopped

sample --out one.npy >log 2>&1 || { cat log; fail 'one process'; }
whole() { # FOLDER: joins its shards and compares
	./merge --out all.npy "$1"/x-shard*of3.npy >log 2>&1 || { cat log; fail "merge after $2"; }
	cmp all.npy one.npy || fail "after $2 the whole is not what one process writes"
}
wait_for() { # PID, PATTERN: until a file matches
	until compgen -G "$2" >/dev/null; do
		kill -0 "$1" 2>/dev/null || { cat log; fail "the job ended before there was $2"; }
		sleep 0.02
	done
}

# A shard that is killed while it draws leaves neither a shard nor the appearance of one.
mkdir killed
for i in 0 2; do sample --out killed/x.npy --shard $i/3 >log 2>&1 || { cat log; fail "shard $i"; }; done
slow --out killed/x.npy --shard 1/3 >log 2>&1 &
job=$!
jobs_+=($job)
wait_for $job 'killed/.x-shard1of3.npy.tmp-*'
kill -9 $job
wait $job 2>/dev/null || true
[ -z "$(compgen -G 'killed/x-shard1of3*')" ] || fail "a killed shard leaves $(ls killed)"
if ./merge --out all.npy killed/x-shard*of3.npy 2>log; then fail 'merge did not miss the killed shard'; fi
grep -q 'shard 1 of 3 missing; run again: ' log || { cat log; fail 'no word of the killed shard'; }
sample --out killed/x.npy --shard 1/3 >log 2>&1 || { cat log; fail 'the killed shard cannot be run again'; }
[ -z "$(compgen -G 'killed/.x-shard1*')" ] || fail "the shard that was run again leaves $(ls -A killed)"
whole killed 'kill -9'
say 'kill -9 of a shard of samples: nothing is left that could be taken for it, and run again it completes the whole'

# A shard of likelihoods that is killed goes on where it was.
points=(--checkpoint "$model" --device cpu --workers 1 --data swissroll --n 480 --method pathintegral --h 1 --paths 2000 --steps 25) # some eight blocks a shard: one is kept while others are to come
likelihood() { ./likelihood "${points[@]}" "$@"; }
likelihood --out one.csv >log 2>&1 || { cat log; fail 'likelihood by one process'; }
mkdir points
likelihood --out points/x.json --shard 0/2 >log 2>&1 || { cat log; fail 'the first shard of likelihoods'; }
./likelihood "${points[@]}" --out points/x.json --shard 1/2 >log 2>&1 &
job=$!
jobs_+=($job)
wait_for $job points/x-shard1of2.json.part
until [ "$(wc -l <points/x-shard1of2.json.part)" -ge 2 ]; do kill -0 $job || fail 'the job ended by itself'; sleep 0.02; done
kill -9 $job
wait $job 2>/dev/null || true
[ ! -e points/x-shard1of2.json ] || fail 'the shard was complete before it was killed'
likelihood --out points/x.json --shard 1/2 --resume >log 2>&1 || { cat log; fail 'no resume of a shard'; }
grep -q '^resume ' log || { cat log; fail 'the shard began anew'; }
./merge --out all.csv points/x-shard*of2.json >log 2>&1 || { cat log; fail 'merge of likelihoods'; }
cmp all.csv one.csv || fail 'after kill -9 and resume the likelihoods are not those of one process'
say "kill -9 of a shard of likelihoods: it goes on from its blocks ($(ls points | wc -l) files are left), and the whole is that of one process"

# Two jobs that write the same names at one time: the second is refused, the first is not disturbed.
mkdir twice
slow --out twice/x.npy --shard 0/3 >log 2>&1 &
job=$!
jobs_+=($job)
wait_for $job 'twice/.x-shard0of3.npy.tmp-*'
if sample --out twice/x.npy --seed 1 --shard 0/3 >second 2>&1; then fail 'two jobs write the same names'; fi
grep -q "x-shard0of3.npy is being written by process $job; wait for it to end, or take another --out" second || { cat second; fail 'no word of the other job'; }
kill -9 $job
wait $job 2>/dev/null || true
for i in 0 1 2; do sample --out twice/x.npy --shard $i/3 >log 2>&1 || { cat log; fail 'the names of a job that ended are not free'; }; done
whole twice 'two jobs'
sample --out twice/x.npy --seed 1 --shard 1/3 >log 2>&1 || { cat log; fail 'the other job, afterwards'; }
if ./merge --out all.npy twice/x-shard*of3.npy 2>log; then fail 'shards of two jobs were joined'; fi
grep -q 'do not belong together: --seed is 0 in the one and 1 in the other' log || { cat log; fail 'no word of the other seed'; }
say 'two jobs into the same names: the second is refused while the first works, and their shards are not joined'

# A full disk: one error, no shard, and no half of one.
mkdir small
if mount -t tmpfs -o size=64k tmpfs small 2>/dev/null; then
	head -c 60000 /dev/zero >small/other
	full() { # OUT MESSAGE
		if sample --out "small/$1" --shard 0/3 >log 2>second; then fail 'a full disk ended with 0'; fi
		grep -q "^sample: .*$2" second && [ "$(grep -vc '^ *[0-9]*%' second)" = 1 ] || { cat second; fail 'not one line of the full disk'; }
		[ "$(ls -A small)" = other ] || fail "a full disk leaves $(ls -A small)"
	}
	full x.npy 'samples take .*, and its disk has'
	head -c 52000 /dev/zero >small/other # there is room for the shortest table, and not for this one
	full x.csv 'no space left'
	rm small/other
	for i in 0 1 2; do sample --out small/x.npy --shard $i/3 >log 2>&1 || { cat log; fail "shard $i with room"; }; done
	whole small 'a full disk'
	say "a full disk: $(tail -1 second)"
else
	echo 'skip a full disk: no right to mount a tmpfs'
fi
