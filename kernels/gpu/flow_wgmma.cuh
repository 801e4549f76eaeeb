// What the probability flows on warpgroup products share: activations with their slopes, the head, the end of a step of the Runge-Kutta method.
#pragma once
#include "flow.cuh"
#include "split_wgmma.cuh"

#define TANGENT 16.0f  // what tangents are multiplied by, which keeps what their halves leave away from f16's smallest numbers: up to 4094 fits

// Shared memory: panels of layers 1.., PARTS times; words of the head [H][KT][32][4], H = D/8 rounded up, KT = W/16: words 0, 1 of a lane
// are its fragments for mma.sync and words 2, 3 what rounding left of them; its bias [8 H]; biases of layers 1.. and first weights
// [D][W] in the order of lane_unit; MAX_LAYERS numbers of the kernel's own; then per warp the scaled state [16][D].
template <int W, int PARTS>
struct SamplerShared {
  uint32_t* head;
  float *head_bias, *bias, *w1, *extra, *xs;
  __device__ __forceinline__ SamplerShared(unsigned char* sm, const Net& net, int warp) {
    const int H = (net.d + 7) / 8, layers = net.hidden - 1;
    head = (uint32_t*)(sm + layers * PARTS * layer_bytes<W>());
    head_bias = (float*)head + H * W * 8;
    bias = head_bias + 8 * H;
    w1 = bias + layers * W;
    extra = w1 + net.d * W;
    xs = extra + MAX_LAYERS + warp * 16 * net.d;
  }
  // scale is of all weights and biases before an activation that panels do not hold, head_scale of the head's weights.
  __device__ __forceinline__ void fill(unsigned char* sm, const Net& net, const uint32_t* panels, const float* blob, float scale, float head_scale) const {
    const int D = net.d, H = (D + 7) / 8, layers = net.hidden - 1, tid = threadIdx.x, threads = blockDim.x;
    for (int i = tid; i < layers * PARTS * layer_bytes<W>() / 16; i += threads) ((uint4*)sm)[i] = ((const uint4*)panels)[i];
    for (int i = tid; i < H * W * 4; i += threads) {  // half r of k
      const int r = i & 1, lane = i >> 1 & 31, kt = (i >> 6) % (W / 16), nt = (i >> 6) / (W / 16), k = kt * 16 + r * 8 + (lane & 3) * 2, o = nt * 8 + (lane >> 2);
      const float* w = blob + net.head + k * D + o;
      uint32_t* to = head + (i >> 6) * 128 + lane * 4 + r;
      split_f16(o < D ? head_scale * w[0] : 0.0f, o < D ? head_scale * w[D] : 0.0f, to, to + 2);
    }
    for (int i = tid; i < 8 * H; i += threads) head_bias[i] = i < D ? blob[net.head + W * D + i] : 0.0f;
    for (int i = tid; i < layers * W; i += threads) bias[i] = scale * blob[net.b[1 + i / W] + lane_unit(i % W)];
    for (int i = tid; i < D * W; i += threads) w1[i] = scale * blob[net.w[0] + i / W * W + unit_slot(lane_unit(i % W))];
    shared_to_async();
    __syncthreads();
  }
};

// c += a coordinate's weights w times its value in rows g (up) and g + 8 (down).
__device__ __forceinline__ void add_input(float* c, float4 w, float up, float down) {
  c[0] = fmaf(w.x, up, c[0]), c[1] = fmaf(w.y, up, c[1]), c[2] = fmaf(w.x, down, c[2]), c[3] = fmaf(w.y, down, c[3]);
  c[4] = fmaf(w.z, up, c[4]), c[5] = fmaf(w.w, up, c[5]), c[6] = fmaf(w.z, down, c[6]), c[7] = fmaf(w.w, down, c[7]);
}

// Eight numbers become an operand, with the layer's input added for a residual connection, which the operand holds.
__device__ __forceinline__ void operand(float (&v)[8], uint32_t (&hi)[4], uint32_t (&lo)[4], bool residual) {
  if (residual) {
#pragma unroll
    for (int e = 0; e < 4; e++) add_pairs(v[2 * e], v[2 * e + 1], hi[e], lo[e]);
  }
#pragma unroll
  for (int e = 0; e < 4; e++) split_f16(v[2 * e], v[2 * e + 1], &hi[e], &lo[e]);
}

// f(x) and its slope. Infinite arguments may give NaN, because such samples are computed again.
template <int ACT>
__device__ __forceinline__ float activate_slope(float x, float* slope) {
  if (ACT == ACT_SILU) {
    const float s = sigmoid_fast(x), y = x * s;
    *slope = fmaf(y, 1.0f - s, s);
    return y;
  }
  if (ACT == ACT_GELU) {  // as in activate; the density has the same exponential
    const float u = fabsf(x) * 0.70710678118f, t = rcp_fast(fmaf(0.3275911f, u, 1.0f)), e = exp_fast(-u * u);
    const float p = t * fmaf(t, fmaf(t, fmaf(t, fmaf(t, 1.061405429f, -1.453152027f), 1.421413741f), -0.284496736f), 0.254829592f);
    const float tail = 0.5f * p * e, phi = x < 0.0f ? tail : 1.0f - tail;
    *slope = fmaf(x, 0.39894228040f * e, phi);
    return x * phi;
  }
  const float y = tanhf(x);
  *slope = fmaf(-y, y, 1.0f);
  return y;
}

// Outputs of the warp's rows, without bias, to the rows [16][D]: tiles nt0 to nt1 - 1 of eight outputs.
template <int W>
__device__ __forceinline__ void head_rows(const SamplerShared<W, 2>& sm, float* rows, const uint32_t (&hi)[W / 16][4], const uint32_t (&lo)[W / 16][4], float unscale, int D, int nt0, int nt1, const Lane& l) {
#pragma unroll 1
  for (int nt = nt0; nt < nt1; nt++) {
    const int o = nt * 8 + l.q * 2;
    const uint4* w = (const uint4*)sm.head + nt * W * 2 + l.lane;
    float acc[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
    for (int kt = 0; kt < W / 16; kt++) {
      const uint4 h = w[kt * 32];
      float t[4] = {0.0f, 0.0f, 0.0f, 0.0f};
      mma_f16(t, hi[kt], h.z, h.w);
      mma_f16(t, lo[kt], h.x, h.y);
      mma_f16(t, hi[kt], h.x, h.y);
#pragma unroll
      for (int i = 0; i < 4; i++) acc[i] += t[i];
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
      if (o + (i & 1) < D) rows[(l.g + 8 * (i >> 1)) * D + o + (i & 1)] = acc[i] * unscale;
  }
}

// The network into shared memory.
template <int W>
__device__ __forceinline__ void fill_shared(const SamplerShared<W, 2>& shared, unsigned char* sm, const Net& net, const SplitScale& scale, const uint32_t* panels, const float* blob) {
  if (threadIdx.x == 0) {
#pragma unroll
    for (int i = 0; i < MAX_LAYERS; i++) shared.extra[i] = 1.0f / scale.w[i];  // an index that is not constant would take local memory here
  }
  shared.fill(sm, net, panels, blob, 1.0f, scale.w[0]);
}

// The end of a step for numbers first, first + every, ...; rows of comps numbers are states, stages, squared errors of two kinds.
__device__ __forceinline__ void flow_step(const Flow& f, double h, const double* __restrict__ tableau, double* rows, int comps, int first, int every) {
  const int& stages = f.stages;
  const double *B = tableau + (zero_now() + stages) * stages, *E = B + stages, *E3 = E + stages;
#pragma unroll 1
  for (int c = first; c < comps; c += every) {
    double next = 0.0, e = 0.0, e3 = 0.0;
    for (int j = 0; j < stages; j++) {
      const double v = rows[(1 + j) * comps + c];
      next += B[j] * v, e += E[j] * v, e3 += E3[j] * v;
    }
    const double y0 = rows[c], y1 = y0 + h * next, unit = f.tol * (1.0 + fmax(fabs(y0), fabs(y1)));
    e /= unit, e3 /= unit;
    rows[c] = y1, rows[(stages + 1) * comps + c] = e * e, rows[(stages + 2) * comps + c] = e3 * e3;
  }
}

// A sample's estimate becomes that of this step, if it is larger or NaN, from the squared errors of its components.
__device__ __forceinline__ void flow_estimate(const Flow& f, double h, const double* first, const double* second, double* est) {
  const double worst = *est;
  double e = 0.0, e3 = 0.0;
  for (int j = 0; j < f.components; j++) e += first[j], e3 += second[j];
  double err = fabs(h) * sqrt(e / f.components);
  if (f.estimate == 2 && e != 0.0) err = fabs(h) * e / sqrt((e + 0.01 * e3) * f.components);
  if (worst == worst && !(err <= worst)) *est = err;  // keeps NaN
}
