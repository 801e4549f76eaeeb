#!/usr/bin/env bash
# Runs sample.slurm as a job array on a Slurm of one node that it starts for the purpose, loses a shard, runs that task of the array again,
# and compares the merged samples with those of one process. Without Slurm (Debian: apt-get install slurm-wlm munge), or not as root, a
# stand-in starts the tasks with the variables that Slurm sets. The last line says which it was.
#   scripts/cluster/check.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PATH:/usr/sbin"
dir=$(mktemp -d)
pids=()
trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; wait; rm -rf "$dir"' EXIT

mkdir "$dir/bin"
go build -o "$dir/bin/" ./cmd/sample ./cmd/merge
export HBAR="$dir/bin" CHECKPOINT="$PWD/checkpoint/testdata/sr_simple.safetensors" N=2000 SHARDS=4
script="$PWD/scripts/cluster/sample.slurm"

# start_slurm starts munged, slurmctld and slurmd with all of their files in $dir.
start_slurm() {
	for tool in munged slurmctld slurmd sbatch; do command -v "$tool" >/dev/null || return 1; done
	[ "$(id -u)" = 0 ] || return 1
	mkdir -p "$dir/state" "$dir/spool"
	chmod 755 "$dir"
	head -c 1024 /dev/urandom >"$dir/munge.key"
	chmod 400 "$dir/munge.key"
	munged --force --foreground --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
		--log-file="$dir/munged.log" --seed-file="$dir/munge.seed" >"$dir/munged.out" 2>&1 &
	pids+=($!)
	local host
	host=$(hostname -s)
	cat >"$dir/slurm.conf" <<-CONF
		ClusterName=hbar
		SlurmctldHost=$host(127.0.0.1)
		SlurmctldPort=16817
		SlurmdPort=16818
		AuthInfo=socket=$dir/munge.socket
		SlurmUser=root
		SlurmdUser=root
		StateSaveLocation=$dir/state
		SlurmdSpoolDir=$dir/spool
		SlurmctldPidFile=$dir/slurmctld.pid
		SlurmdPidFile=$dir/slurmd.pid
		SlurmctldLogFile=$dir/slurmctld.log
		SlurmdLogFile=$dir/slurmd.log
		ProctrackType=proctrack/pgid
		TaskPlugin=task/none
		MpiDefault=none
		ReturnToService=2
		SelectType=select/cons_tres
		NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=4096 State=UNKNOWN
		PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
	CONF
	export SLURM_CONF="$dir/slurm.conf"
	slurmctld -D >"$dir/slurmctld.out" 2>&1 &
	pids+=($!)
	slurmd -D >"$dir/slurmd.out" 2>&1 &
	pids+=($!)
	local try
	for try in $(seq 20); do
		if sinfo -h -o %t 2>/dev/null | grep -E 'idle|mix' >/dev/null; then return 0; fi
		sleep 0.5
	done
	return 1
}

# array runs tasks of the job array, as --array takes them.
if start_slurm; then
	how="Slurm $(sbatch --version | cut -d ' ' -f 2) on one node"
	array() { (cd "$dir" && sbatch --wait --mem=200M --array="$1" "$script"); }
else
	how="a stand-in that sets Slurm's variables"
	array() {
		local list task
		list=$(eval "echo $(sed -E 's/([0-9]+)-([0-9]+)/{\1..\2}/g; s/,/ /g' <<<"$1")")
		local tasks=($list)
		for task in "${tasks[@]}"; do
			(cd "$dir" && SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_COUNT=${#tasks[@]} SLURM_ARRAY_TASK_MIN=${tasks[0]} SLURM_ARRAY_TASK_MAX=${tasks[-1]} \
				SLURM_CPUS_PER_TASK=1 bash "$script" >"task-$task.log" 2>&1)
		done
	}
fi
echo "array of 4 tasks by $how"
array 0-3
grep -h '^shard' "$dir"/*.log
rm "$dir"/samples-shard2of4.*
if "$HBAR/merge" --out "$dir/all.npy" "$dir"/samples-shard*of4.npy 2>"$dir/missing"; then
	echo 'merge did not miss the lost shard' >&2
	exit 1
fi
grep 'shard 2 of 4 missing' "$dir/missing"
array 2
"$HBAR/merge" --out "$dir/all.npy" "$dir"/samples-shard*of4.npy
"$HBAR/sample" --checkpoint "$CHECKPOINT" --n "$N" --seed 0 --out "$dir/one.npy" >/dev/null 2>&1
cmp "$dir/all.npy" "$dir/one.npy"
echo "the shards are what one process draws, byte for byte; run by $how"
