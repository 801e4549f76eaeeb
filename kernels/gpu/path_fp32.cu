// The fused path integral: one launch proposes every path and sums the logarithms of its weights, as package infer's
// PathWeights does: states in float32, the proposal's density at the rounded state, weights in float64.
//
// A warp runs 24 paths (chain.cuh); lane i < 24 has the state of path i, in device memory, and its sums.
#include "chain.cuh"
#include "path.cuh"

// x is the state of n paths, prev the one before, squares |z|^2 of the proposal that led from it.
template <bool WS>
__device__ __forceinline__ void path_body(const Net& net, const float* __restrict__ blob, const float* __restrict__ bias0, const PathRow* __restrict__ rows, int nrows,
                                          float* x, float* prev, double* squares, double* logw, int n, uint64_t seed, uint32_t stream, uint64_t first) {
  EXTERN_SHARED(float, sm);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5, tn = lane & 15, tm = lane >> 4, D = net.d;
  if (WS) {
    for (int i = threadIdx.x; i < net.head; i += blockDim.x) sm[i] = blob[i];
    __syncthreads();
  }
  const float* w = WS ? sm : blob;
  float* slab = sm + (WS ? net.head : 0) + warp * chain_slabs(net) * net.width * ROWS;
  const float* head = blob + net.head;
  const float* head_bias = head + net.width * D;
  const int tiles = (n + ROWS - 1) / ROWS;
  for (int tile = warp * gridDim.x + blockIdx.x; tile < tiles; tile += gridDim.x * warps) {  // with few tiles, every block gets one before any gets two
    const int row = tile * ROWS + lane;
    const bool live = lane < ROWS && row < n;
    float *xs = x + (size_t)row * D, *ps = prev + (size_t)row * D;
    double weight = live ? logw[row] : 0.0, zz = live ? squares[row] : 0.0;
    Normals normals(seed, stream, first + (uint64_t)row);
    for (int r = 0; r < nrows; r++) {
      const PathRow rw = rows[r];
      if (lane < ROWS)  // a lane's column of the slab, of which no other lane reads the outputs
        for (int d = 0; d < D; d++) slab[d * ROWS + lane] = live ? rw.cin * xs[d] : 0.0f;
      __syncwarp();
      const float* out = chain<false>(net, w, bias0 + (size_t)r * net.width, slab, 1, tn, tm) + lane;
      if (!live) continue;
      path_step(rw, D, xs, ps, &zz, &weight, normals, [&](int d) { return head_dot(head_bias[d], out, head + d, D, net.width); });
    }
    if (live) logw[row] = weight, squares[row] = zz;
  }
}

#define PATH_FP32(name, WS)                                                                                                   \
  extern "C" __global__ void __launch_bounds__(256, 1) name(Net net, const float* blob, const float* bias0, const PathRow* rows, int nrows, \
      float* x, float* prev, double* squares, double* logw, int n, unsigned long long seed, unsigned stream, unsigned long long first) { \
    path_body<WS>(net, blob, bias0, rows, nrows, x, prev, squares, logw, n, seed, stream, first);                              \
  }                                                                                                                           \
  KERNEL(name)
PATH_FP32(path_fp32_shared, true)
PATH_FP32(path_fp32_stream, false)
