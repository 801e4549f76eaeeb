// The fused path integral of path_fp32.cu on tensor cores (split.cuh). A team runs 48 paths. Thread i < 48 of it has path i,
// whose state and sums are in device memory.
#include "path.cuh"
#include "split.cuh"

template <int W, bool WS>
__device__ __forceinline__ void path_split_body(const SplitNet& net, int held, const float* __restrict__ blob, const uint32_t* __restrict__ words,
                                                const float* __restrict__ bias0, const PathRow* __restrict__ rows, int nrows, float* x, float* prev,
                                                double* squares, double* logw, int n, uint64_t seed, uint32_t stream, uint64_t first) {
  EXTERN_SHARED(uint32_t, sm);
  const int teams = blockDim.x / TEAM, &D = net.d;
  if (WS) {
    for (int i = threadIdx.x; i < held / 4; i += blockDim.x) ((uint4*)sm)[i] = ((const uint4*)words)[i];
    __syncthreads();
  }
  // turn counts the rows of all tiles: one counter takes fewer registers than two.
  for (int turn = 0;; turn++) {
    const int tile = (turn / nrows * teams + thread_now() / TEAM) * gridDim.x + blockIdx.x;  // with few tiles, every block gets one before any gets two
    if (tile * TILES * TILE >= n) break;
    {
      const Team<W, false> team(sm + held, net);
      const int path = tile * TILES * TILE + team.tid;
      team.sync();  // the parts of the row before have been read
      if (team.tid < TILES * TILE)
        for (int d = 0; d < D; d++) ((float*)team.a)[team.tid * D + d] = path < n ? rows[turn % nrows].cin * x[(size_t)path * D + d] : 0.0f;
      team.sync();
    }
    Team<W, false>::pass(sm + held, net, blob, WS ? sm : words, bias0, turn % nrows, 0, true, false);
    const Team<W, false> team(sm + held, net);
    const int path = ((zero_now() + turn) / nrows * teams + thread_now() / TEAM) * gridDim.x * TILES * TILE + blockIdx.x * TILES * TILE + team.tid;
    if (team.tid >= TILES * TILE || path >= n) continue;
    const float* head_bias = blob + (zero_now() + D + net.hidden - 1) * W + W * D;
    Normals normals(seed, stream, first + (uint64_t)path);
    path_step(rows[(zero_now() + turn) % nrows], D, x + (size_t)path * D, prev + (size_t)path * D, squares + path, logw + path, normals,
              [&](int d) { return team.output(team.tid / TILE, team.tid % TILE, d, D) + head_bias[d]; });
  }
}

#define PATH_SPLIT(name, W, WS)                                                                                                \
  extern "C" __global__ void __launch_bounds__(512, 1) name(SplitNet net, int held, const float* blob, const uint32_t* words, const float* bias0, \
      const PathRow* rows, int nrows, float* x, float* prev, double* squares, double* logw, int n, unsigned long long seed, unsigned stream, \
      unsigned long long first) {                                                                                               \
    path_split_body<W, WS>(net, held, blob, words, bias0, rows, nrows, x, prev, squares, logw, n, seed, stream, first);           \
  }                                                                                                                            \
  KERNEL(name)
PATH_SPLIT(path_split_w64_shared, 64, true)
PATH_SPLIT(path_split_w128_shared, 128, true)
PATH_SPLIT(path_split_w128_stream, 128, false)
