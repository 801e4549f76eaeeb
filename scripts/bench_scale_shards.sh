#!/usr/bin/env bash
# How much faster two processes are than one: the same samples, and the same likelihoods, by one process on one core, and by two shards on
# a core each, which merge joins. Starting, writing and merging are in the time, and the share of merging is printed. The joined
# files must be those of one process. The medians of REPEATS runs each (3), in turn. Other load makes the figures useless.
#   [REPEATS=3] [SAMPLES=200000] [POINTS=2000] scripts/bench_scale_shards.sh
set -euo pipefail
cd "$(dirname "$0")/.."
command -v taskset >/dev/null || { echo 'taskset (util-linux) is needed, to give each process a core' >&2; exit 1; }
mapfile -t cores < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' | awk -F- '{ for (i = $1; i <= (NF > 1 ? $2 : $1); i++) print i }')
[ ${#cores[@]} -ge 2 ] || { echo "two cores are needed, and there is ${#cores[@]}" >&2; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go build -o "$dir/" ./cmd/sample ./cmd/likelihood ./cmd/merge
model=checkpoint/testdata/sr_simple.safetensors

on() { # CORE COMMAND…: on one core; it prints only if it fails
	local log
	log=$(mktemp -p "$dir")
	taskset -c "$1" "${@:2}" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}
seconds() { # COMMAND…: its wall time
	local began=$EPOCHREALTIME
	"$@"
	awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'
}
median() { sort -g "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

sample() { on "$1" "$dir/sample" --checkpoint $model --workers 1 --n "${SAMPLES:-200000}" --steps 200 --out "$dir/one.npy" "${@:2}"; }
likelihood() {
	on "$1" "$dir/likelihood" --checkpoint $model --device cpu --workers 1 --data swissroll --n "${POINTS:-2000}" --h 0,1 --method flow,pathintegral --paths 100 --steps 200 --out "$dir/one.csv" "${@:2}"
}

one() { "$1" "${cores[0]}"; }
two() { # WORK ENDING OF SHARDS, ENDING OF THE WHOLE
	"$1" "${cores[0]}" --shard 0/2 &
	local first=$!
	"$1" "${cores[1]}" --shard 1/2
	wait $first
	seconds on "${cores[0]}" "$dir/merge" --out "$dir/all.$3" "$dir"/one-shard*of2."$2" >>"$dir/$1-merge"
}
compare() { # WORK ENDING OF SHARDS, ENDING OF THE WHOLE
	for _ in $(seq "${REPEATS:-3}"); do
		seconds one "$1" >>"$dir/$1-one"
		seconds two "$@" >>"$dir/$1-two"
	done
	cmp "$dir/one.$3" "$dir/all.$3"
	awk -v name="$1" -v a="$(median "$dir/$1-one")" -v b="$(median "$dir/$1-two")" -v m="$(median "$dir/$1-merge")" \
		'BEGIN { printf "%-12s %.2f s by one process, %.2f s by two and merge: %.2f times; merging takes %.1f %% of that time\n", name, a, b, a / b, 100 * m / b }'
	rm -f "$dir"/one* "$dir"/all*
}
compare sample npy npy
compare likelihood json csv
