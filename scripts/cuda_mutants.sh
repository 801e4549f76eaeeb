#!/usr/bin/env bash
# Do the checks of the CUDA kernels bite? Breaks each kernel file in some way and wants its tests to fail for that reason.
#   scripts/cuda_mutants.sh DIR [NAME...]     NAMEs choose mutants by a part of their name
# DIR has the tests: go test -c -tags gpu -o DIR/ ./cuda/exec ./cuda/chains
set -euo pipefail
cd "$(dirname "$0")/.."
tests=$(realpath "$1")
chosen=("${@:2}")
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# mutant NAME FILE EDIT KERNELS TESTS WANT [FLAG...]: the TESTS on an emulator of KERNELS (.cu files, by their beginnings), where
# the sed script EDIT has changed FILE, must fail and print WANT.
mutant() {
  local name=$1 file=$2 edit=$3 kernels=$4 run=$5 want=$6 k package=chains
  shift 6
  if [ ${#chosen[@]} -gt 0 ]; then
    for k in "${chosen[@]}"; do [[ $name == *$k* ]] && break; done
    [[ $name == *$k* ]] || return 0
  fi
  rm -rf "$work/kernels" "$work/scripts" "$work"/emulator*
  mkdir -p "$work/kernels/gpu" "$work/scripts"
  cp -r kernels/gpu/*.cuh kernels/gpu/emu "$work/kernels/gpu/"
  for k in $kernels; do cp kernels/gpu/"$k"*.cu "$work/kernels/gpu/"; done
  cp scripts/build_emulator.sh "$work/scripts/"
  sed -i "$edit" "$work/kernels/gpu/$file"
  if cmp -s "kernels/gpu/$file" "$work/kernels/gpu/$file"; then
    echo "mutant '$name': the edit changes nothing in $file" >&2
    return 1
  fi
  "$work/scripts/build_emulator.sh" "$work/emulator.so" "$@"
  case $run in TestTrainer*|TestDense*|TestGeneral*) package=exec ;; esac
  local preload=''
  if [ $# -gt 0 ]; then preload="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"; fi
  if (cd "cuda/$package" && LD_PRELOAD=$preload ASAN_OPTIONS=detect_leaks=0 HBAR_EMU_ORDER=3 HBAR_LIBCUDA="$work/emulator.so" timeout 120 "$tests/$package.test" -test.run "^($run)" >"$work/log" 2>&1); then
    echo "mutant '$name' passes the tests" >&2
    return 1
  fi
  if grep -q 'named symbol not found' "$work/log"; then
    echo "mutant '$name': its tests need other kernels too" >&2
    return 1
  fi
  grep -qE -e "$want" "$work/log" || { echo "mutant '$name' fails otherwise than by '$want':" >&2; tail -20 "$work/log" >&2; return 1; }
  echo "mutant '$name': caught by '$(grep -oE -e "$want" "$work/log" | head -1)'"
}

readonly sanitizers=(-fsanitize=address,undefined -fno-sanitize-recover=undefined)
mutant 'sampler: no bounds guard' state.cuh 's/live = row < n &&/live =/' sampler 'TestTrajectory$' 'state\.cuh:' "${sanitizers[@]}"
mutant 'sampler: no barrier before the slab is read' sampler_fp32.cu '0,/        __syncwarp();$/s///' sampler 'TestTrajectory$' ' above '
mutant 'sampler: one round of Philox too few' device.cuh 's/r < 10/r < 9/' sampler 'TestNormals' 'on the CPU'
mutant 'sampler: wrong half of k' sampler_f16.cu 's/(r & 1) \* 8/(~r \& 1) * 8/' sampler 'TestTrajectory$' ' above '
mutant 'sampler, split: what rounding left of the weights is dropped' sampler_split.cu 's/mma_f16(t\[2 \* np\], hi, l\.x, l\.y);//' sampler 'TestTrajectory$' ' above '
mutant 'sampler, split: no barrier before the outputs are read' sampler_split.cu '/^      }$/{n;s/^      __syncwarp();$//}' sampler 'TestTrajectory$' ' above '
mutant 'flow: no bounds guard' flow_fp32.cu 's/if (row >= f\.n) continue;//' 'flow split sampler' 'TestFlow' 'flow_fp32\.cu:' "${sanitizers[@]}"
mutant 'flow: wrong coefficient of a stage' flow_fp32.cu 's/tableau\[i \* stages + j\] \* ks/tableau[i * stages] * ks/' 'flow split sampler' 'TestFlow' '--- FAIL'
mutant 'flow: no barrier before the traces are summed' flow_fp32.cu '/^        __syncwarp();$/{N;s/__syncwarp();\n  *for (int q = lane; q < S \* K/for (int q = lane; q < S * K/}' 'flow split sampler' 'TestFlow' '--- FAIL'
mutant 'flow, split: what rounding left of the inputs is dropped' split.cuh 's/mma_f16(t, al,.*//' 'flow split sampler' 'TestFlow' '--- FAIL'
mutant 'flow, split: no barrier before the inputs are read' flow_split.cu '/team.tid < TILES \* TILE/,/team.sync/s/team\.sync();$//' 'flow split sampler' 'TestFlow' '--- FAIL'
mutant 'path, split: no bounds guard' path_split.cu 's/path < n ? rows/path >= 0 ? rows/' 'path split sampler' 'TestPath' 'path_split\.cu:' "${sanitizers[@]}"
mutant 'path: half of the residual' path.cuh 's/\*logw += 0\.5/*logw += 0.25/' 'path split sampler' 'TestPath' '--- FAIL'
mutant 'path: no bounds guard' path_fp32.cu 's/lane < ROWS && row < n/lane < ROWS/' 'path split sampler' 'TestPath' 'path_fp32\.cu:' "${sanitizers[@]}"
mutant 'taylor: no bounds guard' taylor.cu 's/if (tid < rows) gest\[tid\]/if (tid < S) gest[tid]/' taylor 'TestTaylor$' 'taylor\.cu:' "${sanitizers[@]}"
mutant 'taylor: wrong sign of the spread' taylor.cu 's/return -half \* ((s0 - u0)/return half * ((s0 - u0)/' taylor 'TestTaylor$' '--- FAIL'
mutant 'taylor: no barrier between layers' taylor.cu 's/if (!net.residual) __syncthreads();//' taylor 'TestTaylor$' '--- FAIL'
mutant 'train: no barrier before the gradient is summed' train.cu '/^  __syncthreads();$/{N;s/__syncthreads();\n  double square/double square/}' 'train dense rows steps' 'TestTrainer' '--- FAIL'
mutant 'train: no bounds guard of Adam' train.cu 's/if (o < tile.n \&\& k < tile.k) w = step/if (k < tile.k) w = step/' 'train dense rows steps' 'TestTrainer' '--- FAIL|train\.cu:' "${sanitizers[@]}"
mutant 'train, fused: no residual' train_fused.cu 's/if (net.residual \&\& l) v +=/if (net.residual \&\& l > 9) v +=/' 'train dense rows steps' 'TestTrainer' '--- FAIL'
mutant 'dense: no barrier before a slice is read' gemm.cuh 's/__syncthreads();  .. the slice is there.*//' 'dense rows steps' 'TestDense' '--- FAIL'
mutant 'dense, f16: no barrier before a slice is read' gemm_f16.cuh 's/__syncthreads();  .. the slice is there.*//' 'dense rows steps' 'TestGeneralF16' '--- FAIL'
mutant 'rows: second derivative counted once' rows.cu 's/v\[3\] = 2 \* c\[2\]/v[3] = c[2]/' 'dense rows steps' 'TestGeneral' '--- FAIL'
mutant 'steps: half of the residual' steps.cu 's/logw\[i\] += 0\.5/logw[i] += 0.25/' 'dense rows steps' 'TestGeneralSteps' '--- FAIL'
mutant 'train, fused: no barrier before partial sums are added' train_fused.cu '/read_ahead<R>(ahead, following);/{n;s/__syncthreads();//}' 'train dense rows steps' 'TestTrainer' 'NaN'
mutant 'train: a step though the loss is NaN' train.cu 's/if (bad || !update) return;/if (!update) return;/' 'train dense rows steps' 'TestTrainer' 'before the bad step'
