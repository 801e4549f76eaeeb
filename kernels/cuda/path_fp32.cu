// The fused path integral: one launch proposes every path and sums the logarithms of its weights, as package infer's
// PathWeights does: states in float32, the proposal's density at the rounded state, weights in float64.
//
// A warp owns 24 paths (chain.cuh); lane i < 24 has the state of path i, in device memory, and its sums.
#include "chain.cuh"

// One state of the path (infer.PathRow): its residuals against the row before, then the proposal of the next.
struct PathRow {
  float cin, a, b, c;
  double e, f, invc, invc2, logc;  // invc = 1/c, invc2 = 1/variance of the reverse step
  uint32_t step;
  uint32_t weigh, propose;
  uint32_t pad;
};

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
  for (int tile = warp * gridDim.x + blockIdx.x; tile < tiles; tile += gridDim.x * warps) {  // few tiles: all blocks first
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
      double residual[4] = {0.0, 0.0, 0.0, 0.0}, proposed[4] = {0.0, 0.0, 0.0, 0.0};
      for (int d0 = 0; d0 < D; d0 += 4) {
#pragma unroll
        for (int q = 0; q < 4; q++) {
          const int d = d0 + q;
          if (d >= D) break;
          const float y = head_dot(head_bias[d], out, head + d, D, net.width), x0 = xs[d];
          if (rw.weigh) {
            const double v = (double)ps[d] - (rw.e * (double)x0 + rw.f * (double)y);
            residual[q] += v * v;
          }
          if (rw.propose) {
            const float x1 = fmaf(rw.a, x0, fmaf(rw.b, y, rw.c * normals(rw.step, D, d)));
            const double v = (double)x1 - ((double)rw.a * (double)x0 + (double)rw.b * (double)y);
            proposed[q] += v * v;
            ps[d] = x0, xs[d] = x1;
          }
        }
      }
      if (rw.weigh) weight += 0.5 * (zz - ((residual[0] + residual[1]) + (residual[2] + residual[3])) * rw.invc2) + rw.logc;
      if (rw.propose) zz = ((proposed[0] + proposed[1]) + (proposed[2] + proposed[3])) * rw.invc * rw.invc;
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
