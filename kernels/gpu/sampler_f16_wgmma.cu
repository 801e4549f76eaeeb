// sampler_f16.cu on warpgroup products: the same rounding of weights and activations, with less to issue and tensor cores at their full rate.
//
// Each 16 columns of a layer, once activated, are multiplied by the next layer's weights while the next 16 are activated; so there are two arrays of sums. The rest
// of the overlap comes from the other warpgroups of the block, three with 128 units and four with 64.
#include "sampler_wgmma.cuh"

PACK_WGMMA(pack_f16_wgmma_w64, 64, 1)
PACK_WGMMA(pack_f16_wgmma_w128, 128, 1)

// tanh_fast, kept by the compiler where it stands among the products.
__device__ __forceinline__ float tanh_pinned(float x) {
#ifdef __CUDACC__
  float y;
  asm volatile("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return tanh_fast(x);
#endif
}

// An activation in two parts, of which the first is a special function, or nothing. SiLU's weights come halved, as in sampler_f16.cu.
template <int ACT>
__device__ __forceinline__ float begin_activation(float u) {
  return ACT == ACT_GELU ? 0.0f : tanh_pinned(u);
}
template <int ACT>
__device__ __forceinline__ float end_activation(float u, float t) {
  return ACT == ACT_SILU ? u : ACT == ACT_GELU ? activate<ACT>(u) : t;
}
// silu(2 u) of eight numbers, from u and t = tanh(u), in place. The condition always holds; it makes these multiply-adds
// follow the special function that gave next. Left to itself the assembler lets each follow its own, and the warp then waits for each.
__device__ __forceinline__ void finish_silu(float (&u)[8], const float (&t)[8], float next) {
#ifdef __CUDACC__
  asm volatile(
      "{ .reg .pred p; .reg .b32 x;\n mov.b32 x, %16;\n setp.ne.u32 p, x, 0xffffffff;\n"
      "@p fma.rn.f32 %0, %0, %8, %0;\n@p fma.rn.f32 %1, %1, %9, %1;\n@p fma.rn.f32 %2, %2, %10, %2;\n@p fma.rn.f32 %3, %3, %11, %3;\n"
      "@p fma.rn.f32 %4, %4, %12, %4;\n@p fma.rn.f32 %5, %5, %13, %5;\n@p fma.rn.f32 %6, %6, %14, %6;\n@p fma.rn.f32 %7, %7, %15, %7;\n}"
      : "+f"(u[0]), "+f"(u[1]), "+f"(u[2]), "+f"(u[3]), "+f"(u[4]), "+f"(u[5]), "+f"(u[6]), "+f"(u[7])
      : "f"(t[0]), "f"(t[1]), "f"(t[2]), "f"(t[3]), "f"(t[4]), "f"(t[5]), "f"(t[6]), "f"(t[7]), "f"(next));
#else
  for (int i = 0; i < 8; i++) u[i] = fmaf(u[i], t[i], u[i]);
#endif
}

// Eight sums get their biases.
template <int ACT>
__device__ __forceinline__ void begin_activations(const float* c, float4 b, float (&u)[8], float (&t)[8]) {
  spread(u, b);
#pragma unroll
  for (int i = 0; i < 8; i++) u[i] += c[i], t[i] = begin_activation<ACT>(u[i]);
}

// They become an A operand; with the layer's input, which a holds, added for a residual connection.
template <int ACT, bool ADD>
__device__ __forceinline__ void end_activations(float (&u)[8], const float (&t)[8], float next, uint32_t (&a)[4]) {
  if (ACT == ACT_SILU) finish_silu(u, t, next);
#pragma unroll
  for (int e = 0; e < 4; e++) {
    float v0 = end_activation<ACT>(u[2 * e], t[2 * e]), v1 = end_activation<ACT>(u[2 * e + 1], t[2 * e + 1]);
    if (ADD) {
      float o0, o1;
      unpack_f16(a[e], &o0, &o1);
      v0 += o0, v1 += o1;
    }
    a[e] = pack_f16(v0, v1);
  }
}

// Activates a layer's sums from, to a, and each(kt) follows the 16 columns kt. The special functions of the next 16 columns are asked for before.
template <int W, int ACT, bool ADD, class Each>
__device__ __forceinline__ void activate_columns(const float (&from)[W / 2], const float* bias, uint32_t (&a)[W / 16][4], int q, const Each& each) {
  float u[2][8], t[2][8];
  t[1][7] = 0.0f;
  const float4* biases = (const float4*)bias + q;
  float4 ahead = biases[4];
  begin_activations<ACT>(from, biases[0], u[0], t[0]);
#pragma unroll
  for (int kt = 0; kt < W / 16; kt++) {
    const int now = kt & 1, then = now ^ 1;
    if (kt + 1 < W / 16) begin_activations<ACT>(from + 8 * (kt + 1), ahead, u[then], t[then]);
    if (kt + 2 < W / 16) ahead = biases[(kt + 2) * 4];
    end_activations<ACT, ADD>(u[now], t[now], t[then][7], a[kt]);
    each(kt);
  }
}

// The next layer's sums to, from those of a layer and its bias; the next one's weights are at b.
template <int W, int ACT>
__device__ __forceinline__ void next_layer(const float (&from)[W / 2], float (&to)[W / 2], const float* bias, uint32_t b, int q) {
  uint32_t a[W / 16][4];
  activate_columns<W, ACT, false>(from, bias, a, q, [&](int kt) {
    wg_fence();
    wgmma(to, a[kt], panel_descriptor(b + panel_offset<W>(0, kt)), kt > 0);
    wg_commit();
  });
  wg_wait<0>();
  keep(to);
}

// The same with a residual connection, in place. a is the layer's input before and the next one's after. There are no registers for other sums beside it, so
// products only run beside other warpgroups' activations.
template <int W, int ACT>
__device__ __forceinline__ void next_residual_layer(float (&acc)[W / 2], uint32_t (&a)[W / 16][4], const float* bias, uint32_t b, int q) {
  activate_columns<W, ACT, true>(acc, bias, a, q, [](int) {});
  wg_fence();
#pragma unroll
  for (int kt = 0; kt < W / 16; kt++) wgmma(acc, a[kt], panel_descriptor(b + panel_offset<W>(0, kt)), kt > 0);
  wg_commit();
  wg_wait<0>();
  keep(acc);
}

// The head's sums of the lane's rows for output 4 o + q; its weights and bias of output 4 o are at head and bias.
struct HeadSums {
  float h[2][4];
  __device__ __forceinline__ HeadSums() : h{{0.0f, 0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f, 0.0f}} {}
  __device__ __forceinline__ void add(int kt, const uint32_t (&a)[4], uint2 w) { mma_f16(h[kt & 1], a, w.x, w.y); }
  __device__ __forceinline__ float output(int up, float bias) const { return ((h[0][2 * up] + h[1][2 * up]) + (h[0][2 * up + 1] + h[1][2 * up + 1])) + bias; }
};

template <int W, int ACT, bool SMALL, bool RESIDUAL>
__device__ __forceinline__ void sampler_f16_wgmma(const Net& net, const uint32_t* __restrict__ packed, const float* __restrict__ bias0, const Row* __restrict__ rows,
                                                  int nrows, float* __restrict__ x, float* __restrict__ mem, int n, const NoiseKey& key) {
  PANELS_SHARED(sm);
  enum { KT = W / 16, LAYER = layer_bytes<W>() >> 4 };
  const Lane l;
  const Image<W, 1, SMALL> image(net);
  image.fill(sm, packed);
  const int L = net.hidden, D = net.d;
  const uint32_t first = panel_address(shared_address(sm)), weights = first + image.layers / 4;
  const float *bias = image.numbers(sm, image.bias), *head_bias = image.numbers(sm, image.head_bias) + l.q, scale = image.numbers(sm, image.factors)[MAX_LAYERS + 1];
  const uint2* head = (const uint2*)image.numbers(sm, image.head) + l.lane;
  FirstBias<W> first_bias(image.numbers(sm, image.end), l);
  EACH_TILE(l, n) {
    Tile<SMALL> t;
    t.begin(l, tile, x, mem, n, D);
    first_bias.store(first_bias.load(bias0));
    float cin = scale * rows[0].cin;
    uint32_t step = rows[0].step;
    bool noise = noisy(rows[0]);
#pragma unroll 1
    for (int r = 0; r < nrows; r++) {
      float acc[W / 2];
      first_products<SMALL>(acc, first, image.PANEL / 4, D, [&](int b, float* up, float* down) { *up = cin * t.value(x, 0, 4 * b + l.q), *down = cin * t.value(x, 1, 4 * b + l.q); });
      if (SMALL && noise) t.draw(l, key, step, noise_place<W>(image.numbers(sm, image.end)));
      wg_wait<0>();
      keep(acc);
      uint32_t a[KT][4];
      if constexpr (RESIDUAL) {  // around none but the first layer, whose input counts as zero
#pragma unroll
        for (int i = 0; i < KT * 4; i++) a[i / 4][i % 4] = 0;
#pragma unroll 1
        for (int layer = 0; layer + 1 < L; layer++) next_residual_layer<W, ACT>(acc, a, first_bias.of(layer, bias), weights + layer * LAYER, l.q);
      } else {
        float next[W / 2];
        int layer = 0;
#pragma unroll 1
        for (; layer + 2 < L; layer += 2) {
          next_layer<W, ACT>(acc, next, first_bias.of(layer, bias), weights + layer * LAYER, l.q);
          next_layer<W, ACT>(next, acc, bias + (layer + 1) * W, weights + (layer + 1) * LAYER, l.q);
        }
        if (layer + 1 < L) {
          next_layer<W, ACT>(acc, next, first_bias.of(layer, bias), weights + layer * LAYER, l.q);
#pragma unroll
          for (int i = 0; i < W / 2; i++) acc[i] = next[i];
        }
      }

      // What the end of this step and the beginning of the next one read arrives while the last layer is activated.
      Update update;
      update.load(rows[r]);
      const int ahead = r + 1 < nrows ? r + 1 : r;
      const float4 bias_ahead = first_bias.load(bias0 + (size_t)ahead * W);
      cin = scale * rows[ahead].cin;
      const uint32_t step_ahead = rows[ahead].step;
      const bool noise_ahead = noisy(rows[ahead]);
      float z[2] = {0.0f, 0.0f};
      if constexpr (SMALL) {
        if (noise) t.normals(l, step, noise_place<W>(image.numbers(sm, image.end)), &z[0], &z[1]);
        HeadSums sums;
        activate_columns<W, ACT, RESIDUAL>(acc, first_bias.of(L - 1, bias), a, l.q, [&](int kt) { sums.add(kt, a[kt], head[kt * 32]); });
#pragma unroll
        for (int up = 0; up < 2; up++) update.apply(&t.x[up], &t.m[up], sums.output(up, head_bias[0]), z[up]);
      } else {
        activate_columns<W, ACT, RESIDUAL>(acc, first_bias.of(L - 1, bias), a, l.q, [](int) {});
#pragma unroll 1
        for (int o = 0; 4 * o < D; o++) {
          t.load(x, mem, 4 * o + l.q);
          if (noise) t.normals(l, key, step, o, &z[0], &z[1]);
          HeadSums sums;
#pragma unroll
          for (int kt = 0; kt < KT; kt++) sums.add(kt, a[kt], head[(o * KT + kt) * 32]);
#pragma unroll
          for (int up = 0; up < 2; up++) update.apply(&t.x[up], &t.m[up], sums.output(up, head_bias[4 * o]), z[up]);
          t.store(x, mem, 4 * o + l.q);
        }
      }
      first_bias.store(bias_ahead);
      noise = noise_ahead, step = step_ahead;
    }
    if (SMALL) t.store(x, mem, l.q);
  }
}

SAMPLERS_WGMMA(f16)
