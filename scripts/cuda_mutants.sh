#!/usr/bin/env bash
# Do the checks of the CUDA kernels bite? Breaks each kernel file in some way and wants its tests to fail for that reason.
#   scripts/cuda_mutants.sh DIR [NAME...]     NAMEs choose mutants by a part of their name
#   scripts/cuda_mutants.sh --part K M DIR    one of M parts: those whose numbers, from 1 on, leave the rest that K leaves when divided by M
# DIR has the tests: go test -c -tags gpu -o DIR/ ./cuda/exec ./cuda/chains ./cuda/programs
set -euo pipefail
cd "$(dirname "$0")/.."
part=0 parts=1
if [ "$1" = --part ]; then part=$(($2 % $3)) parts=$3; shift 3; fi
tests=$(realpath "$1")
chosen=("${@:2}")
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
# Objects of kernels that a mutant does not change are those of an emulator that is built once.
cp -r kernels scripts "$work/"
find "$work/kernels" -exec touch -d '1 hour ago' {} +
"$work/scripts/build_emulator.sh" "$work/whole.so"

# mutant NAME FILE EDIT KERNELS TESTS WANT [FLAG...]: the TESTS on an emulator of KERNELS (.cu files, by their beginnings), where
# the sed script EDIT has changed FILE, must fail and print WANT. As many mutants as there are cores are tried at one time.
mutants=0 listed=0
mutant() {
  local k hit=yes
  listed=$((listed + 1))
  [ $((listed % parts)) -eq "$part" ] || return 0
  if [ ${#chosen[@]} -gt 0 ]; then
    hit=''
    for k in "${chosen[@]}"; do [[ $1 != *$k* ]] || hit=yes; done
  fi
  [ -n "$hit" ] || return 0
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
  mutants=$((mutants + 1))
  { attempt "$work/$mutants" "$@" || echo "$1" >>"$work/passed"; } &
}

# attempt FOLDER NAME FILE ...: tries a mutant in a folder of its own.
attempt() {
  local work=$1 name=$2 file=$3 edit=$4 kernels=$5 run=$6 want=$7 k package=chains
  shift 7
  local whole=${work%/*}
  mkdir -p "$work/kernels/gpu" "$work/scripts" "$work/emulator.so.objects"
  cp -rp "$whole"/kernels/gpu/*.cuh "$whole/kernels/gpu/emu" "$work/kernels/gpu/"
  for k in $kernels; do cp -p "$whole"/kernels/gpu/"$k"*.cu "$work/kernels/gpu/"; done
  cp -p "$whole/scripts/build_emulator.sh" "$work/scripts/"
  if [ $# -eq 0 ]; then # without flags of its own
    cp -p "$whole"/whole.so.objects/{flags,*.cc.o*} "$work/emulator.so.objects/"
    for k in "$work"/kernels/gpu/*.cu; do cp -p "$whole/whole.so.objects/${k##*/}".o* "$work/emulator.so.objects/"; done
  fi
  sed -i "$edit" "$work/kernels/gpu/$file"
  if cmp -s "$whole/kernels/gpu/$file" "$work/kernels/gpu/$file"; then
    echo "mutant '$name': the edit changes nothing in $file" >&2
    return 1
  fi
  "$work/scripts/build_emulator.sh" "$work/emulator.so" "$@" || return 1
  case $run in TestOps* | TestSizes* | TestLayers*) package=programs ;; esac
  case $run in TestTrainer*|TestTogether*|TestDense*|TestGeneral*) package=exec ;; esac
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
  rm -r "$work"
}

readonly sanitizers=(-fsanitize=address,undefined -fno-sanitize-recover=undefined)
mutant 'sampler: no bounds guard' state.cuh 's/live = row < n &&/live =/' sampler 'TestTrajectory$' 'state\.cuh:' "${sanitizers[@]}"
mutant 'sampler: no barrier before the slab is read' sampler_fp32.cu '0,/        __syncwarp();$/s///' sampler 'TestTrajectory$' ' above '
mutant 'sampler: one round of Philox too few' device.cuh 's/r < 10/r < 9/' sampler 'TestNormals' 'on the CPU'
mutant 'sampler: wrong half of k' sampler_f16.cu 's/(r & 1) \* 8/(~r \& 1) * 8/' sampler 'TestTrajectory$' ' above '
mutant 'sampler, split: what rounding left of the weights is dropped' sampler_split.cu 's/mma_f16(t\[2 \* np\], hi, l\.x, l\.y);//' sampler 'TestTrajectory$' ' above '
mutant 'sampler, split: no barrier before the outputs are read' sampler_split.cu '/^      }$/{n;s/^      __syncwarp();$//}' sampler 'TestTrajectory$' ' above '
readonly f16_warpgroups='TestTrajectory)/(paper)/(f16$' split_warpgroups='TestTrajectory)/(paper)/(fp32$'
mutant 'sampler of warpgroups: no wait for a layer' sampler_f16_wgmma.cu '/^template.*ACT>$/,/^}/s/wg_wait<0>();//' sampler_f16_wgmma "$f16_warpgroups" 'before its products|lanes have left'
mutant 'sampler of warpgroups: the bias of the first row in all rows' sampler_f16_wgmma.cu 's/first_bias\.store(bias_ahead);/first_bias.store(first_bias.load(bias0)), (void)bias_ahead;/' sampler_f16_wgmma "$f16_warpgroups" ' above '
mutant 'sampler of warpgroups: two rows with the same noise' sampler_wgmma.cuh 's/from\[4\]/from[0]/' 'sampler_f16_wgmma sampler_split_wgmma' 'TestNormals' 'on the CPU'
mutant 'sampler of warpgroups: what rounding left of the inputs is dropped' sampler_wgmma.cuh 's/ | lo << 16,/,/' sampler_split_wgmma "$split_warpgroups" ' above '
mutant 'sampler of warpgroups: no fence before products' sampler_f16_wgmma.cu 's/wg_fence();//' sampler_f16_wgmma "$f16_warpgroups" 'without a fence'
mutant 'sampler of warpgroups: shared memory is not handed over' sampler_wgmma.cuh 's/shared_to_async();//' sampler_f16_wgmma "$f16_warpgroups" ' above '
mutant 'sampler of warpgroups: panels without swizzle' wgmma.cuh 's/ ^ (row & 7)) \* 8/) * 8/' sampler_f16_wgmma "$f16_warpgroups" ' above '
mutant 'sampler of warpgroups: the next tile is another one' sampler_wgmma.cuh 's/(l)\.group \* gridDim\.x; tile/(l).group; tile/' sampler_split_wgmma 'TestTrajectory)/(many_tiles)/(fp32$' ' above '
mutant 'sampler of warpgroups, split: no wait' split_wgmma.cuh 's/wg_wait<0>();//' sampler_split_wgmma "$split_warpgroups" 'before its products|lanes have left'
mutant 'sampler of warpgroups, split: small products are forgotten' split_wgmma.cuh 's/(b + panel_offset<W>(0, kt)), kt > 0)/(b + panel_offset<W>(0, kt)), 0)/' sampler_split_wgmma "$split_warpgroups" ' above '
mutant 'flow: no bounds guard' flow_fp32.cu 's/if (row >= f\.n) continue;//' 'flow split sampler' 'TestFlow$)/()/(plain$' 'flow_fp32\.cu:' "${sanitizers[@]}"
mutant 'flow: wrong coefficient of a stage' flow_fp32.cu 's/tableau\[i \* stages + j\] \* ks/tableau[i * stages] * ks/' 'flow split sampler' 'TestFlow' '--- FAIL'
mutant 'flow: no barrier before the traces are summed' flow_fp32.cu '/^        __syncwarp();$/{N;s/__syncwarp();\n  *for (int q = lane; q < S \* K/for (int q = lane; q < S * K/}' 'flow split sampler' 'TestFlow' '--- FAIL'
mutant 'flow, split: what rounding left of the inputs is dropped' split.cuh 's/mma_f16(t, al,.*//' 'flow split sampler' 'TestFlow' '--- FAIL'
mutant 'flow, split: no barrier before the inputs are read' flow_split.cu '/team.tid < TILES \* TILE/,/team.sync/s/team\.sync();$//' 'flow split sampler' 'TestFlow' '--- FAIL'
readonly flow_triple='TestFlow$)/(three_probes)/(warpgroups$' flow_alone='TestFlow$)/(three_probes)/(warpgroups_alone$' flow_kernels='flow_split_wgmma flow_fp32 sampler_split_wgmma'
mutant 'flow of warpgroups: tangents without the slope' flow_split_wgmma.cu 's/FIRST ? slope : slope \* unscale/FIRST ? slope : unscale/' "$flow_kernels" "$flow_alone" '--- FAIL'
mutant 'flow of warpgroups: no barrier before the outputs are read' flow_split_wgmma.cu '/head_rows<W>(shared/{n;s/__syncwarp();//}' "$flow_kernels" "$flow_alone" '--- FAIL'
mutant 'flow of three warpgroups: no barrier before the slopes are read' flow_triple.cuh 's/__syncthreads();  .. the slopes are written, and.*//' "$flow_kernels" "$flow_triple" '--- FAIL'
mutant 'flow of three warpgroups: slopes of the other layer' flow_triple.cuh 's/slopes + (layer & 1) \* 16 \* 128/slopes/' "$flow_kernels" "$flow_triple" '--- FAIL'
mutant 'flow of three warpgroups: no bounds guard' flow_triple.cuh 's/if (s >= f\.n) continue;//' "$flow_kernels" "$flow_triple" 'flow_triple\.cuh:' "${sanitizers[@]}"
mutant 'path, split: no bounds guard' path_split.cu 's/path < n ? rows/path >= 0 ? rows/' 'path split sampler' 'TestPath' 'path_split\.cu:' "${sanitizers[@]}"
mutant 'path of warpgroups: a lane updates another path' path_split_wgmma.cu 's/(thread_now() >> 5 & 3) \* 16 + lane/(thread_now() >> 5 \& 3) * 8 + lane/' 'path_split_wgmma sampler_split_wgmma' 'TestPath)/(paper)/(warpgroups' '--- FAIL'
mutant 'path: half of the residual' path.cuh 's/\*logw += 0\.5/*logw += 0.25/' 'path split sampler' 'TestPath' '--- FAIL'
mutant 'path: no bounds guard' path_fp32.cu 's/lane < ROWS && row < n/lane < ROWS/' 'path split sampler' 'TestPath' 'path_fp32\.cu:' "${sanitizers[@]}"
mutant 'taylor: no bounds guard' taylor.cu 's/if (tid < rows) gest\[tid\]/if (tid < S) gest[tid]/' taylor 'TestTaylor$' 'taylor\.cu:' "${sanitizers[@]}"
mutant 'taylor: wrong sign of the spread' taylor.cu 's/return -half \* ((s0 - u0)/return half * ((s0 - u0)/' taylor 'TestTaylor$' '--- FAIL'
mutant 'taylor: no barrier between layers' taylor.cu 's/if (!net.residual) __syncthreads();//' taylor 'TestTaylor$' '--- FAIL'
mutant 'train: no barrier before the gradient is summed' train.cu '/^  __syncthreads();$/{N;s/__syncthreads();\n  double square/double square/}' 'train dense rows steps' 'TestTrainer' '--- FAIL'
mutant 'train: no bounds guard of Adam' train.cu 's/if (o < tile.n \&\& k < tile.k) w = step/if (k < tile.k) w = step/' 'train dense rows steps' 'TestTrainer' '--- FAIL|train\.cu:' "${sanitizers[@]}"
mutant 'train, fused: no residual' train_fused.cu 's/if (net.residual \&\& l) v +=/if (net.residual \&\& l > 9) v +=/' 'train dense rows steps' 'TestTrainer' '--- FAIL'
mutant 'dense: no barrier before a slice is read' gemm.cuh 's/__syncthreads();  .. the slice is complete.*//' 'dense rows steps' 'TestDense' '--- FAIL'
mutant 'dense, f16: no barrier before a slice is read' gemm_f16.cuh 's/__syncthreads();  .. the slice is complete.*//' 'dense rows steps' 'TestGeneralF16' '--- FAIL'
mutant 'wide layers: a stage is loaded before it was read' dense_wgmma.cu 's/barrier_wait(empty + 8 \* stage, phase ^ 1);//' 'dense rows steps' 'TestGeneralWide)/(residual)/(fp32$' '--- FAIL|more arrivals|deadlock'
mutant 'wide layers: results are replaced before they are stored' dense_wgmma.cu 's/if (PARTS == 1 \&\& p) bulk/if (PARTS == 1) bulk/' 'dense rows steps' 'TestGeneralWide)/(odd)/(f16$' 'has been overwritten'
mutant 'wide layers: results are not handed over' dense_wgmma.cu 's/shared_to_async();//' 'dense rows steps' 'TestGeneralWide)/(residual)/(f16$' '--- FAIL'
mutant 'wide layers: no wait for products' dense_wgmma.cu 's/wg_wait<1>();//' 'dense rows steps' 'TestGeneralWide)/(residual)/(fp32$' '--- FAIL|before its products'
mutant 'wide layers, split: what rounding left of the weights is dropped' dense_wgmma.cu 's/panel_descriptor(b + T::B_PART .* 2 \* k), 1);/panel_descriptor(b + 2 * k), 0);/' 'dense rows steps' 'TestGeneralWide)/(residual)/(fp32$' '--- FAIL'
mutant 'wide layers: another scale than the weights have' dense_wgmma.cu 's/#define WIDE_SCALE 16.0f/#define WIDE_SCALE 15.0f/' 'dense rows steps' 'TestGeneralWide)/(residual)/(fp32$' '--- FAIL'
mutant 'rows: second derivative counted once' rows.cu 's/v\[3\] = 2 \* c\[2\]/v[3] = c[2]/' 'dense rows steps' 'TestGeneral' '--- FAIL'
mutant 'steps: half of the residual' steps.cu 's/logw\[i\] += 0\.5/logw[i] += 0.25/' 'dense rows steps' 'TestGeneralSteps' '--- FAIL'
mutant 'train, fused: no barrier before partial sums are added' train_fused.cu '/read_ahead<R>(ahead, following);/{n;s/__syncthreads();//}' 'train dense rows steps' 'TestTrainer' 'NaN'
mutant 'train: all processes have the first rows of a batch' train.cuh 's/ + draw\.first;/;/' 'train dense rows steps' 'TestTogether$' 'the first loss is'
mutant 'train: the norm of sums leaves out the last elements of a tile' train.cu 's/e < UNITS \* (INPUTS + 1); e += GRAD_THREADS)$/e < UNITS * INPUTS; e += GRAD_THREADS)/' 'train dense rows steps' 'TestTogether$' 'one process with NCCL has'
mutant 'train: a step though the loss is NaN' train.cu 's/if (bad || !update) return;/if (!update) return;/' 'train dense rows steps' 'TestTrainer' 'before the bad step'
mutant 'products: no barrier before a slice is read' net_gemm.cuh 's/__syncthreads();  .. the slice is there.*//' 'net_products net_elements' 'TestSizes$)/(0_dense' '--- FAIL'
mutant 'products: what rounding left of the factors is dropped' net_gemm.cuh 's/al\[s\]\[e\] = to_tf32.*/al[s][e] = 0;/' 'net_products net_elements' 'TestSizes$)/(1_dense' '--- FAIL'
mutant 'products of warpgroups: shared memory is not handed over' net_products_wgmma.cu 's/shared_to_async();//' 'net_products_wgmma net_products net_elements' 'TestLayers$)/(11$' '--- FAIL'
mutant 'products of warpgroups: no fence before products' net_products_wgmma.cu 's/wg_fence();//' 'net_products_wgmma net_products net_elements' 'TestLayers$)/(11$' 'without a fence'
mutant 'products of warpgroups: weights without swizzle' net_products_wgmma.cu 's/(c ^ (row & 7))/c/' 'net_products_wgmma net_products net_elements' 'TestLayers$)/(11$' '--- FAIL'
readonly halves_kernels='net_products_wgmma net_products net_elements net_norms net_attention'
mutant 'products of halves: both halves of a slice are the first' net_products_wgmma.cu 's/if (Chunks::chunk() \/ 4) walk.slice();//' "$halves_kernels" 'TestLayersHalves)/(groupnorm$' '--- FAIL'
mutant 'products of halves: operands without swizzle' net_products_wgmma.cu 's/(chunk() ^ (row(0) & 7))/chunk()/' "$halves_kernels" 'TestLayersHalves)/(layernorm$' '--- FAIL'
mutant 'products of halves: a stage is overwritten while products read it' net_products_wgmma.cu 's/next = HALF_STAGES - 1;/next = HALF_STAGES - 2;/' "$halves_kernels" 'TestLayersHalves)/(layer$' '--- FAIL'
mutant 'products of halves: no barrier before results are packed' net_products_wgmma.cu '/^  if (!halves) return;$/{n;s/__syncthreads();//}' "$halves_kernels" 'TestLayersHalves)/(layer$' '--- FAIL'
mutant 'products in f16: weights are packed in bf16' net_products_wgmma.cu 's/p\.f16 ? pack_f16(lo, hi) : //' 'net_products_wgmma net_products net_elements' 'TestLayers$)/(11$' '--- FAIL'
mutant 'attention in f16: two numbers of a quad are swapped' net_strips.cuh 's/unpack_f16(v\.x, &x\.x, &x\.y)/unpack_f16(v.x, \&x.y, \&x.x)/' "$halves_kernels" 'TestLayersHalves)/(attention$' '--- FAIL'
readonly weights_kernels='net_weights_wgmma net_products net_elements net_norms'
mutant 'gradients of weights: a stage is overwritten while products read it' net_weights_wgmma.cu 's/, (s + 2) % STAGES)/, s % STAGES)/' "$weights_kernels" 'TestLayersWeights)/(dense,_halves$' '--- FAIL'
mutant 'gradients of weights: leaving a row of the result leaves no row of the image' net_weights_wgmma.cu 's/further += row;/further += 0;/' "$weights_kernels" 'TestLayersWeights)/(conv,_parts$' '--- FAIL'
mutant 'scan: what came before a chunk is forgotten' net_scan.cu 's/\*sr = (float)r, \*si = (float)i;/*sr = 0, *si = 0;/' 'net_scan net_elements' 'TestSizesScan' '--- FAIL'
mutant 'attention: the running sum does not fade' net_attention.cu 's/fmaf(sum\[i\], fade\[i\], row_sum/fmaf(sum[i], 1.0f, row_sum/' 'net_attention net_elements' 'TestSizes$)/(6_attention' '--- FAIL'
mutant 'attention: no barrier before the values are read' net_attention.cu 's/__syncthreads();  .. the values are there//' 'net_attention net_elements' 'TestSizes$)/(6_attention' '--- FAIL'
mutant 'attention: what rounding left of the factors is dropped' net_heads.cuh 's/lo = to_tf32(x - from_tf32(hi))/lo = 0/' 'net_attention net_elements' 'TestSizes$)/(6_attention' '--- FAIL'
mutant 'attention by strips: no barrier before the next tiles are read' net_attention_strips.cu 's/__syncthreads();  .. the next tiles are there//' 'net_attention net_elements' 'TestSizes$)/(6_attention' '--- FAIL'
mutant 'norms: no bounds guard' net_norms.cu 's/if (lane || c >= q.channels) return;/if (lane) return;/' 'net_norms net_elements' 'TestSizes$)/(5_layer_norm' 'net_norms\.cu:|--- FAIL' "${sanitizers[@]}"

wait
if [ -e "$work/passed" ]; then
  echo "mutants that were not caught as wanted: $(paste -sd';' "$work/passed")" >&2
  exit 1
fi
