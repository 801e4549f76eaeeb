// path_split.cu on warpgroup products, for compute capability 9.0. A warp has 16 paths, whose states and sums are in device memory, one for each of
// its lanes 0 to 15. Behind the image and the first layer's biases in shared memory are the inputs of a warp's paths, later the outputs: [16][D]. The
// network is packed by sampler_split_wgmma.cu.
#include "path.cuh"
#include "split_wgmma.cuh"

template <int W, int ACT, bool RESIDUAL>
__device__ __forceinline__ void path_split_wgmma(const Net& net, const uint32_t* __restrict__ packed, const float* __restrict__ bias0, const PathRow* __restrict__ rows,
                                                 int nrows, float* x, float* prev, double* squares, double* logw, int n, uint64_t seed, uint32_t stream, uint64_t first) {
  PANELS_SHARED(sm);
  enum { KT = W / 16 };
  const Lane l;
  const Image<W, 2, false> image(net);
  image.fill(sm, packed);
  const int L = net.hidden, D = net.d;
  const uint32_t panels = panel_address(shared_address(sm)), weights = panels + image.layers / 4;
  const float *bias = image.numbers(sm, image.bias), *factors = image.numbers(sm, image.factors);
  const FirstBias<W> first_bias(image.numbers(sm, image.end), l);
  EACH_TILE(l, n) {
#pragma unroll 1
    for (int r = 0; r < nrows; r++) {
      float* xs = image.numbers(sm, image.end + (blockDim.x >> 5) * W) + (threadIdx.x >> 5) * 16 * D;
      first_bias.store(first_bias.load(bias0 + (size_t)r * W));
      if (l.lane < 16) {
        const int path = tile * 64 + (l.warp & 3) * 16 + l.lane;
        for (int d = 0; d < D; d++) xs[l.lane * D + d] = path < n ? rows[r].cin * x[(size_t)path * D + d] : 0.0f;
      }
      __syncwarp();
      float acc[W / 2];
      first_products<false>(acc, panels, image.PANEL / 4, D, [&](int b, float* up, float* down) {
        const int d = 4 * b + l.q;
        *up = d < D ? xs[l.g * D + d] : 0.0f, *down = d < D ? xs[(l.g + 8) * D + d] : 0.0f;
      });
      wg_wait<0>();
      keep(acc);
      uint32_t hi[KT][4], lo[KT][4];
      hidden_split<W, ACT, RESIDUAL>(acc, hi, lo, first_bias, bias, factors, L, weights, l.q);
      const float4* last_bias = (const float4*)first_bias.of(L - 1, bias) + l.q;
#pragma unroll
      for (int kt = 0; kt < KT; kt++) activate_halves<ACT, RESIDUAL>(acc + 8 * kt, factors[L - 1], last_bias[kt * 4], hi[kt], lo[kt]);
      const uint2* head = (const uint2*)image.numbers(sm, image.head) + l.lane;
      __syncwarp();
#pragma unroll 1
      for (int o = 0; 4 * o < D; o++) {
        HeadSumsSplit sums;
#pragma unroll
        for (int kt = 0; kt < KT; kt++) sums.add(kt, hi[kt], lo[kt], head[(o * KT + kt) * 32]);
        const int d = 4 * o + l.q;
#pragma unroll
        for (int up = 0; up < 2; up++)
          if (d < D) xs[(l.g + 8 * up) * D + d] = sums.output(up, factors[MAX_LAYERS], image.numbers(sm, image.head_bias)[d]);
      }
      __syncwarp();
      // The thread is read anew: nothing that depends on it takes a register while the layers run.
      const int lane = thread_now() & 31, path = tile * 64 + (thread_now() >> 5 & 3) * 16 + lane;
      if (lane < 16 && path < n) {
        const float* outputs = image.numbers(sm, image.end + (blockDim.x >> 5) * W) + ((thread_now() >> 5) * 16 + lane) * D;
        Normals normals(seed, stream, first + (uint64_t)path);
        path_step(rows[r], D, x + (size_t)path * D, prev + (size_t)path * D, squares + path, logw + path, normals, [&](int d) { return outputs[d]; });
      }
    }
  }
}

#define PATH_SPLIT_WGMMA(name, W, ACT, RESIDUAL, THREADS)                                                                        \
  extern "C" __global__ void __launch_bounds__(THREADS, 1) name(Net net, const unsigned* packed, const float* bias0, const PathRow* rows, int nrows, float* x, \
      float* prev, double* squares, double* logw, int n, unsigned long long seed, unsigned stream, unsigned long long first) {   \
    path_split_wgmma<W, ACT, RESIDUAL>(net, packed, bias0, rows, nrows, x, prev, squares, logw, n, seed, stream, first);         \
  }                                                                                                                              \
  KERNEL(name)
#define PATHS_SPLIT_WGMMA(W, ACT, act, THREADS)                                           \
  PATH_SPLIT_WGMMA(path_split_wgmma_w##W##_##act, W, ACT, false, THREADS)                 \
  PATH_SPLIT_WGMMA(path_split_wgmma_w##W##_##act##_residual, W, ACT, true, THREADS)
PATHS_SPLIT_WGMMA(64, ACT_SILU, silu, 512)
PATHS_SPLIT_WGMMA(64, ACT_GELU, gelu, 512)
PATHS_SPLIT_WGMMA(64, ACT_TANH, tanh, 512)
PATHS_SPLIT_WGMMA(128, ACT_SILU, silu, 384)
PATHS_SPLIT_WGMMA(128, ACT_GELU, gelu, 384)
PATHS_SPLIT_WGMMA(128, ACT_TANH, tanh, 384)
