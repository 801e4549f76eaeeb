// The layers of a network in float32's accuracy on warpgroup products: numbers are pairs of halves. Shared by the sampler and the path
// integral.
//
// A layer's products go into one array of sums: first lo hi and hi lo, which are small, then hi hi, so that tensor cores round towards
// zero at full size W/16 times. Weights come times a power of two, as in sampler_split.cu, and sums are multiplied by its inverse when they get their bias.
#pragma once
#include "sampler_wgmma.cuh"

// Infinite arguments may give NaN, because such samples are computed again. SiLU is kept by the compiler where it stands among the products.
template <int ACT>
__device__ __forceinline__ float activate_finite(float x) {
#ifdef __CUDACC__
  if (ACT == ACT_SILU) {
    float y;
    asm volatile("{ .reg .f32 t;\n mul.ftz.f32 t, %1, 0fBFB8AA3B;\n ex2.approx.ftz.f32 t, t;\n add.ftz.f32 t, t, 0f3F800000;\n rcp.approx.ftz.f32 %0, t; }" : "=f"(y) : "f"(x));
    return x * y;
  }
#endif
  return ACT == ACT_SILU ? x * sigmoid_fast(x) : activate<ACT>(x);
}

// Adds the numbers that a word of an operand holds.
__device__ __forceinline__ void add_pairs(float& v0, float& v1, uint32_t hi, uint32_t lo) {
  float h0, h1, l0, l1;
  unpack_f16(hi, &h0, &h1), unpack_f16(lo, &l0, &l1);
  v0 += h0 + l0, v1 += h1 + l1;
}

// Eight sums times unscale, with their biases, activated and, for a residual connection, with the layer's input added, which the operand holds, become an operand.
template <int ACT, bool ADD>
__device__ __forceinline__ void activate_halves(const float* c, float unscale, float4 b, uint32_t (&hi)[4], uint32_t (&lo)[4]) {
#pragma unroll
  for (int e = 0; e < 4; e++) {
    float v0 = activate_finite<ACT>(fmaf(c[2 * e], unscale, e < 2 ? b.x : b.z)), v1 = activate_finite<ACT>(fmaf(c[2 * e + 1], unscale, e < 2 ? b.y : b.w));
    if (ADD) add_pairs(v0, v1, hi[e], lo[e]);
    split_f16(v0, v1, &hi[e], &lo[e]);
  }
}

// Small products of 16 inputs, and large ones of all inputs; hi and lo of the weights are at b and LAYER further.
template <int W>
__device__ __forceinline__ void small_products(float (&to)[W / 2], const uint32_t (&hi)[4], const uint32_t (&lo)[4], uint32_t b, int kt) {
  enum { LAYER = layer_bytes<W>() >> 4 };
  wgmma(to, lo, panel_descriptor(b + panel_offset<W>(0, kt)), kt > 0);
  wgmma(to, hi, panel_descriptor(b + LAYER + panel_offset<W>(0, kt)), 1);
}
template <int W>
__device__ __forceinline__ void large_products(float (&to)[W / 2], const uint32_t (&hi)[W / 16][4], uint32_t b) {
#pragma unroll
  for (int kt = 0; kt < W / 16; kt++) wgmma(to, hi[kt], panel_descriptor(b + panel_offset<W>(0, kt)), 1);
  wg_commit();
}

// The next layer's sums to, from those of a layer, its bias and unscale; the next one's weights are at b. The small products follow the activations, 16 columns at a time.
template <int W, int ACT>
__device__ __forceinline__ void next_layer_split(const float (&from)[W / 2], float (&to)[W / 2], const float* bias, float unscale, uint32_t b, int q) {
  uint32_t hi[W / 16][4], lo[W / 16][4];
#pragma unroll
  for (int kt = 0; kt < W / 16; kt++) {
    activate_halves<ACT, false>(from + 8 * kt, unscale, ((const float4*)bias)[kt * 4 + q], hi[kt], lo[kt]);
    wg_fence();
    small_products<W>(to, hi[kt], lo[kt], b, kt);
    wg_commit();
  }
  wg_fence();
  large_products<W>(to, hi, b);
  wg_wait<0>();
  keep(to);
}

// The same in place, for want of registers for other sums: with a residual connection, ADD, hi and lo are the layer's input before and the next one's after; and GELU needs
// registers itself.
template <int W, int ACT, bool ADD>
__device__ __forceinline__ void next_layer_in_place(float (&acc)[W / 2], uint32_t (&hi)[W / 16][4], uint32_t (&lo)[W / 16][4], const float* bias, float unscale, uint32_t b, int q) {
#pragma unroll
  for (int kt = 0; kt < W / 16; kt++) activate_halves<ACT, ADD>(acc + 8 * kt, unscale, ((const float4*)bias)[kt * 4 + q], hi[kt], lo[kt]);
  wg_fence();
#pragma unroll
  for (int kt = 0; kt < W / 16; kt++) small_products<W>(acc, hi[kt], lo[kt], b, kt);
  large_products<W>(acc, hi, b);
  wg_wait<0>();
  keep(acc);
}

// The last hidden layer's sums, from those of the first, in acc. bias and factors are those of the image, weights is the place of layer 1's. hi and lo are the last layer's
// input, if there are residual connections.
template <int W, int ACT, bool RESIDUAL>
__device__ __forceinline__ void hidden_split(float (&acc)[W / 2], uint32_t (&hi)[W / 16][4], uint32_t (&lo)[W / 16][4], const FirstBias<W>& first_bias, const float* bias, const float* factors, int L, uint32_t weights, int q) {
  enum { LAYER = 2 * layer_bytes<W>() >> 4 };
  if constexpr (RESIDUAL) {  // around none but the first layer, whose input counts as zero
#pragma unroll
    for (int i = 0; i < W / 4; i++) hi[i / 4][i % 4] = lo[i / 4][i % 4] = 0;
  }
#pragma unroll 1
  for (int layer = 0; layer + 1 < L; layer++) {
    const float* b = first_bias.of(layer, bias);
    if constexpr (RESIDUAL || ACT == ACT_GELU) {
      next_layer_in_place<W, ACT, RESIDUAL>(acc, hi, lo, b, factors[layer], weights + layer * LAYER, q);
    } else {
      float next[W / 2];
      next_layer_split<W, ACT>(acc, next, b, factors[layer], weights + layer * LAYER, q);
#pragma unroll
      for (int i = 0; i < W / 2; i++) acc[i] = next[i];
    }
  }
}

// The head's sums of the lane's rows for output 4 o + q.
struct HeadSumsSplit {
  float h[4][4];
  __device__ __forceinline__ HeadSumsSplit() {
#pragma unroll
    for (int i = 0; i < 16; i++) h[i / 4][i % 4] = 0.0f;
  }
  __device__ __forceinline__ void add(int kt, const uint32_t (&hi)[4], const uint32_t (&lo)[4], uint2 w) {
    mma_f16(h[kt & 1], hi, w.x, w.y);
    mma_f16(h[2 + (kt & 1)], lo, w.x, w.y);
  }
  __device__ __forceinline__ float output(int up, float unscale, float bias) const {
    const int i = 2 * up;
    return fmaf((h[0][i] + h[1][i]) + ((h[0][i + 1] + h[1][i + 1]) + ((h[2][i] + h[3][i]) + (h[2][i + 1] + h[3][i + 1]))), unscale, bias);
  }
};
