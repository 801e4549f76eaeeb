// sampler_split.cu on warpgroup products: float32's accuracy by pairs of halves, with less to issue and tensor cores at their full rate.
//
// See split_wgmma.cuh. What products of a tile do not overlap of its activations runs beside those of the block's other warpgroups, three with 128 units and four with 64.
#include "split_wgmma.cuh"

PACK_WGMMA(pack_split_wgmma_w64, 64, 2)
PACK_WGMMA(pack_split_wgmma_w128, 128, 2)

template <int W, int ACT, bool SMALL, bool RESIDUAL>
__device__ __forceinline__ void sampler_split_wgmma(const Net& net, const uint32_t* __restrict__ packed, const float* __restrict__ bias0, const Row* __restrict__ rows,
                                                    int nrows, float* __restrict__ x, float* __restrict__ mem, int n, const NoiseKey& key) {
  PANELS_SHARED(sm);
  enum { KT = W / 16 };
  const Lane l;
  const Image<W, 2, SMALL> image(net);
  image.fill(sm, packed);
  const int L = net.hidden, D = net.d;
  const uint32_t first = panel_address(shared_address(sm)), weights = first + image.layers / 4;
  const float *bias = image.numbers(sm, image.bias), *factors = image.numbers(sm, image.factors);
  const FirstBias<W> first_bias(image.numbers(sm, image.end), l);
  EACH_TILE(l, n) {
    Tile<SMALL> t;
    t.begin(l, tile, x, mem, n, D);
    first_bias.store(first_bias.load(bias0));
    float cin = rows[0].cin;
#pragma unroll 1
    for (int r = 0; r < nrows; r++) {
      float acc[W / 2];
      first_products<SMALL>(acc, first, image.PANEL / 4, D, [&](int b, float* up, float* down) { *up = cin * t.value(x, 0, 4 * b + l.q), *down = cin * t.value(x, 1, 4 * b + l.q); });
      if (SMALL && noisy(rows[r])) t.draw(l, key, rows[r].step, noise_place<W>(image.numbers(sm, image.end)));
      wg_wait<0>();
      keep(acc);
      uint32_t hi[KT][4], lo[KT][4];
      hidden_split<W, ACT, RESIDUAL>(acc, hi, lo, first_bias, bias, factors, L, weights, l.q);

      // What the end of this step and the beginning of the next one read arrives while the last layer is activated, if there are registers for it.
      const int ahead = r + 1 < nrows ? r + 1 : r;
      Update update;
      float4 bias_ahead;
      const auto fetch = [&] {
        update.load(rows[r]);
        bias_ahead = first_bias.load(bias0 + (size_t)ahead * W);
        cin = rows[ahead].cin;
      };
      if (!RESIDUAL) fetch();
      const uint32_t step = rows[r].step;
      const bool noise = noisy(rows[r]);
      const float4* last_bias = (const float4*)first_bias.of(L - 1, bias) + l.q;
      const float unscale = factors[L - 1], head_unscale = factors[MAX_LAYERS];
      // The thread is read anew: nothing that depends on it takes a register while the layers run.
      const uint2* head = (const uint2*)image.numbers(sm, image.head) + (thread_now() & 31);
      const float* head_bias = image.numbers(sm, image.head_bias) + (thread_now() & 3);
      float z[2] = {0.0f, 0.0f};
      if constexpr (SMALL) {
        if (noise) t.normals(l, step, noise_place<W>(image.numbers(sm, image.end)), &z[0], &z[1]);
        HeadSumsSplit sums;
#pragma unroll
        for (int kt = 0; kt < KT; kt++) {
          activate_halves<ACT, RESIDUAL>(acc + 8 * kt, unscale, last_bias[kt * 4], hi[kt], lo[kt]);
          sums.add(kt, hi[kt], lo[kt], head[kt * 32]);
        }
        if (RESIDUAL) fetch();
#pragma unroll
        for (int up = 0; up < 2; up++) update.apply(&t.x[up], &t.m[up], sums.output(up, head_unscale, head_bias[0]), z[up]);
      } else {
#pragma unroll
        for (int kt = 0; kt < KT; kt++) activate_halves<ACT, RESIDUAL>(acc + 8 * kt, unscale, last_bias[kt * 4], hi[kt], lo[kt]);
        if (RESIDUAL) fetch();
#pragma unroll 1
        for (int o = 0; 4 * o < D; o++) {
          t.load(x, mem, 4 * o + l.q);
          if (noise) t.normals(l, key, step, o, &z[0], &z[1]);
          HeadSumsSplit sums;
#pragma unroll
          for (int kt = 0; kt < KT; kt++) sums.add(kt, hi[kt], lo[kt], head[(o * KT + kt) * 32]);
#pragma unroll
          for (int up = 0; up < 2; up++) update.apply(&t.x[up], &t.m[up], sums.output(up, head_unscale, head_bias[4 * o]), z[up]);
          t.store(x, mem, 4 * o + l.q);
        }
      }
      first_bias.store(bias_ahead);
    }
    if (SMALL) t.store(x, mem, l.q);
  }
}

SAMPLERS_WGMMA(split)
