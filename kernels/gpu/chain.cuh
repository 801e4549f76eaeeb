// The hidden layers of a network for 24 rows at a time, by one warp. The rows are the values of 24 samples, or the values and
// directional derivatives of fewer samples.
//
// lane = tn + 16 tm holds rows 12 tm .. 12 tm + 11 of units tn + 16 j. Rows lie in a slab [unit][24] of shared memory that
// belongs to the warp, so there are no barriers with other warps. A layer is a product of 128 (or 64) units at a time, its sums
// in registers; wider or residual layers need a second slab. Of 101 instructions of the product's loop 96 are multiply-adds.
//
// Rows come in groups: with tangents, the first row of a group is a sample's value and the others are derivatives, which a
// layer multiplies by the slope that the value's activation has; without, every row is a value.
#pragma once
#include "activations.cuh"

enum { ROWS = 24, HALF = 12 };

// Slabs that a warp needs. With two, inputs and outputs of a layer are in memory at the same time, as residuals and wide layers require.
__device__ __forceinline__ int chain_slabs(const Net& net) { return net.width > 128 || net.residual ? 2 : 1; }

// acc[j][i] = sum_k w[k][u] in[k][row i] of the units u = u0 + tn + 16 j.
template <int J>
__device__ __forceinline__ void rows_product(float acc[J][HALF], const float* __restrict__ w, int width, const float* in, int k, int u0, int tn, int tm) {
#pragma unroll
  for (int j = 0; j < J; j++)
#pragma unroll
    for (int i = 0; i < HALF; i++) acc[j][i] = 0.0f;
  const float* wp = w + u0 + tn * 4;
  const float* ip = in + tm * HALF;
#pragma unroll 4
  for (int kk = 0; kk < k; kk++) {
    float a[HALF], b[J];
#pragma unroll
    for (int v = 0; v < HALF / 4; v++) *(float4*)&a[4 * v] = *(const float4*)&ip[4 * v];
#pragma unroll
    for (int v = 0; v < J / 4; v++) *(float4*)&b[4 * v] = *(const float4*)&wp[64 * v];
#pragma unroll
    for (int j = 0; j < J; j++)
#pragma unroll
      for (int i = 0; i < HALF; i++) acc[j][i] = fmaf(a[i], b[j], acc[j][i]);
    ip += ROWS;
    wp += width;
  }
}

// f(x) and its slope.
template <int ACT>
__device__ __forceinline__ float value_slope(float x, float* slope) {
  if (ACT == ACT_SILU) {
    const float s = sigmoid_fast(x), v = x < -87.0f ? 0.0f : x * s;
    *slope = fmaf(v, 1.0f - s, s);
    return v;
  }
  return act_value(ACT, x, true, slope);
}

// Twelve sums of one unit become its outputs.
template <int ACT, int G>
__device__ __forceinline__ void activate_groups(float r[HALF], float bias) {
#pragma unroll
  for (int s = 0; s < HALF; s += G) {
    if (G == 1) {
      r[s] = activate<ACT>(r[s] + bias);
      continue;
    }
    float slope;
    r[s] = value_slope<ACT>(r[s] + bias, &slope);
#pragma unroll
    for (int t = 1; t < G; t++) r[s + t] *= slope;
  }
}

// The branches are the same for all threads.
template <bool TANGENTS, int ACT>
__device__ __forceinline__ void activate_rows(float r[HALF], int group, float bias) {
  if (!TANGENTS) return activate_groups<ACT, 1>(r, bias);
  switch (group) {
    case 2: return activate_groups<ACT, 2>(r, bias);
    case 3: return activate_groups<ACT, 3>(r, bias);
    case 4: return activate_groups<ACT, 4>(r, bias);
    case 6: return activate_groups<ACT, 6>(r, bias);
    default: return activate_groups<ACT, 12>(r, bias);
  }
}

__device__ __forceinline__ void load_rows(float r[HALF], const float* p) {
#pragma unroll
  for (int v = 0; v < HALF / 4; v++) *(float4*)&r[4 * v] = *(const float4*)&p[4 * v];
}

__device__ __forceinline__ void store_rows(float* p, const float r[HALF]) {
#pragma unroll
  for (int v = 0; v < HALF / 4; v++) *(float4*)&p[4 * v] = *(const float4*)&r[4 * v];
}

// Bias, activation and residual of a pass, to the out slab; without a residual that may be the in slab. Each lane reads and
// writes only its own elements. The sums go through the slab so that the activation's code is compiled once instead of J times.
template <bool TANGENTS, int J>
__device__ __forceinline__ void rows_finish(float acc[J][HALF], const Net& net, int group, const float* bias, float* out, const float* in, bool residual, int u0, int tn, int tm) {
  const int at = (u0 + tn) * ROWS + tm * HALF;
#pragma unroll
  for (int j = 0; j < J; j++) store_rows(out + at + 16 * j * ROWS, acc[j]);
#pragma unroll 1
  for (int j = 0; j < J; j++) {
    float r[HALF];
    float* p = out + at + 16 * j * ROWS;
    const float b = bias[u0 + tn + 16 * j];
    load_rows(r, p);
    if (net.act == ACT_SILU) activate_rows<TANGENTS, ACT_SILU>(r, group, b);
    else if (net.act == ACT_GELU) activate_rows<TANGENTS, ACT_GELU>(r, group, b);
    else activate_rows<TANGENTS, ACT_TANH>(r, group, b);
    if (residual) {
      float old[HALF];
      load_rows(old, in + at + 16 * j * ROWS);
#pragma unroll
      for (int i = 0; i < HALF; i++) r[i] += old[i];
    }
    store_rows(p, r);
  }
}

// Takes the inputs [D][24] at the start of the slab through the hidden layers; returns the slab of the last one's outputs.
// w has the layers' weights, bias0 is the first one's bias. The caller synchronises the warp before and after.
template <bool TANGENTS>
__device__ __forceinline__ const float* chain(const Net& net, const float* w, const float* __restrict__ bias0, float* slab, int group, int tn, int tm) {
  const int width = net.width;
  float* in = slab;
  float* out = slab + (chain_slabs(net) - 1) * width * ROWS;
  int k = net.d;
  for (int layer = 0; layer < net.hidden; layer++) {
    const float* b = layer ? w + net.b[layer] : bias0;
    const bool residual = net.residual && layer;
    int u0 = 0;
    for (; u0 + 128 <= width; u0 += 128) {
      float acc[8][HALF];
      rows_product<8>(acc, w + net.w[layer], width, in, k, u0, tn, tm);
      __syncwarp();  // with one slab, out is in
      rows_finish<TANGENTS, 8>(acc, net, group, b, out, in, residual, u0, tn, tm);
    }
    if (u0 < width) {
      float acc[4][HALF];
      rows_product<4>(acc, w + net.w[layer], width, in, k, u0, tn, tm);
      __syncwarp();
      rows_finish<TANGENTS, 4>(acc, net, group, b, out, in, residual, u0, tn, tm);
    }
    __syncwarp();
    float* t = in;
    in = out;
    out = t;
    k = width;
  }
  return in;
}

// start + sum_u w[u][o] h[u][row], of a head w [width][D] for its output o, with h and w at the row and the output.
__device__ __forceinline__ float head_dot(float start, const float* h, const float* __restrict__ w, int dims, int width) {
  float s0 = start, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
#pragma unroll 4
  for (int u = 0; u < width; u += 4) {
    s0 = fmaf(h[u * ROWS], w[u * dims], s0);
    s1 = fmaf(h[(u + 1) * ROWS], w[(u + 1) * dims], s1);
    s2 = fmaf(h[(u + 2) * ROWS], w[(u + 2) * dims], s2);
    s3 = fmaf(h[(u + 3) * ROWS], w[(u + 3) * dims], s3);
  }
  return (s0 + s1) + (s2 + s3);
}
