// The hidden layers of a network on tensor cores at float32's accuracy: every number of their products is the sum of two halves
// (f16), x = hi + lo to 22 bits, and a product is lo·hi + hi·lo + hi·hi. Sums of 16 products are made by the tensor cores,
// which round towards zero, and added up in float32 outside of them (Ootomo and Yokota 2022, arXiv:2203.03341, section 3).
// Powers of two keep the halves away from f16's smallest numbers.
//
// A team of four warps takes three tiles of 16 rows through the network at a time, each warp a quarter of the units, so that
// weights are read once for 48 rows. The tiles are values of 48 samples, or of 16 samples the values and two tangents, which
// are then in the same place of the same thread. Activations pass from layer to layer in shared memory, in the order in
// which tensor cores take them; barriers are those of the team alone.
#pragma once
#include "activations.cuh"
#include "mma.cuh"

enum { TILES = 3, TILE = 16, TEAM = 128 };  // tiles, rows of one, threads of four warps

// The network in natural order: first layer [D][W], biases of the others [hidden - 1][W], head [W][D] and its bias [D]. scale
// is what the weights of layer 1.. are multiplied by in halves.
struct SplitNet {
  int d, hidden, act, residual;
  int team;  // words of shared memory of a team: its activations, or the parts of its outputs
  float scale[MAX_LAYERS];
};

#define ACTIVATIONS 16.0f  // what activations are multiplied by in halves: up to 4094 of them fit

// Two numbers as halves and what is left of them.
__device__ __forceinline__ void split(float a, float b, uint32_t* hi, uint32_t* lo) {
  float x, y;
  *hi = pack_f16(a, b);
  unpack_f16(*hi, &x, &y);
  *lo = pack_f16(a - x, b - y);
}

// Words of one hidden layer's weights: [W/16 inputs][W/16 pairs of unit tiles][hi, lo][lane][4].
template <int W>
__device__ __forceinline__ int layer_words() { return W * W; }

// TANGENTS: tile 0 is values, the others are derivatives of theirs.
template <int W, bool TANGENTS>
struct Team {
  static const int NT = W / 32;  // tiles of 8 units that a warp has
  int lane, warp, id, tid;  // of this thread; the barrier of the team; the thread in the team
  uint32_t* a;              // activations: [tile][hi, lo][W/16][lane][4]

  // all are the arrays of the block's teams.
  __device__ __forceinline__ Team(uint32_t* all, const SplitNet& net) {
    const int i = thread_now();
    lane = i & 31, tid = i % TEAM, warp = tid >> 5, id = 1 + i / TEAM, a = all + i / TEAM * net.team;
  }

  __device__ __forceinline__ void sync() const { part_sync(id, TEAM); }

  // acc = in times the weights of one layer, both as halves.
  __device__ __forceinline__ void product(float acc[TILES][NT][4], const uint32_t* __restrict__ words) const {
#pragma unroll 1
    for (int kt = 0; kt < W / 16; kt++) {
      uint4 bh[NT / 2], bl[NT / 2];
#pragma unroll
      for (int p = 0; p < NT / 2; p++) {
        const uint4* b = (const uint4*)(words + (kt * (W / 16) + warp * (NT / 2) + p) * 256) + lane;
        bh[p] = b[0], bl[p] = b[32];
      }
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) {
        uint32_t ah[4], al[4];
        *(uint4*)ah = ((const uint4*)(a + (tile * 2 * (W / 16) + kt) * 128))[lane];
        *(uint4*)al = ((const uint4*)(a + ((tile * 2 + 1) * (W / 16) + kt) * 128))[lane];
#pragma unroll
        for (int nt = 0; nt < NT; nt++) {
          const uint4 h = bh[nt / 2], l = bl[nt / 2];
          float t[4] = {0.0f, 0.0f, 0.0f, 0.0f};
          mma_f16(t, al, nt & 1 ? h.z : h.x, nt & 1 ? h.w : h.y);
          mma_f16(t, ah, nt & 1 ? l.z : l.x, nt & 1 ? l.w : l.y);
          mma_f16(t, ah, nt & 1 ? h.z : h.x, nt & 1 ? h.w : h.y);
#pragma unroll
          for (int e = 0; e < 4; e++) acc[tile][nt][e] += t[e];
        }
      }
    }
  }

  // The first layer, of inputs [tile][row][D] at the start of a.
  __device__ __forceinline__ void first(float acc[TILES][NT][4], const float* __restrict__ w, int dims) const {
    const float* in = (const float*)a + (lane >> 2) * dims;
#pragma unroll 1
    for (int d = 0; d < dims; d++) {
      float x[TILES][2];
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) x[tile][0] = in[tile * TILE * dims + d], x[tile][1] = in[(tile * TILE + 8) * dims + d];
#pragma unroll
      for (int nt = 0; nt < NT; nt++) {
        const float2 v = *(const float2*)(w + d * W + unit(nt));
#pragma unroll
        for (int tile = 0; tile < TILES; tile++)
#pragma unroll
          for (int e = 0; e < 4; e++) acc[tile][nt][e] = fmaf(x[tile][e >> 1], e & 1 ? v.y : v.x, acc[tile][nt][e]);
      }
    }
  }

  // The first of the two neighbouring units of this thread in tile nt.
  __device__ __forceinline__ int unit(int nt) const { return (warp * NT + nt) * 8 + (lane & 3) * 2; }

  // Sums, times unscale, become activations times ACTIVATIONS.
  template <int ACT>
  __device__ __forceinline__ void activations(float acc[TILES][NT][4], float unscale, const float* __restrict__ bias) const {
#pragma unroll
    for (int nt = 0; nt < NT; nt++) {
      const float2 b = *(const float2*)(bias + unit(nt));
#pragma unroll
      for (int e = 0; e < 4; e++) {
        if (!TANGENTS) {
#pragma unroll
          for (int tile = 0; tile < TILES; tile++) acc[tile][nt][e] = activate<ACT>(fmaf(acc[tile][nt][e], unscale, e & 1 ? b.y : b.x)) * ACTIVATIONS;
          continue;
        }
        const float x = fmaf(acc[0][nt][e], unscale, e & 1 ? b.y : b.x);
        float slope;
        if (ACT == ACT_SILU) {
          const float s = sigmoid_fast(x), v = x < -87.0f ? 0.0f : x * s;
          slope = fmaf(v, 1.0f - s, s);
          acc[0][nt][e] = v * ACTIVATIONS;
        } else {
          acc[0][nt][e] = act_value(ACT, x, true, &slope) * ACTIVATIONS;
        }
        slope *= unscale * ACTIVATIONS;
        acc[1][nt][e] *= slope, acc[2][nt][e] *= slope;
      }
    }
  }

  // This thread's words of tile and pair p of its tiles of units: those of hi, and of lo (W/16)*128 further on.
  __device__ __forceinline__ uint4* own(int tile, int p) const { return (uint4*)(a + (tile * 2 * (W / 16) + warp * (NT / 2) + p) * 128) + lane; }

  // Adds the activations that this thread's store wrote.
  __device__ __forceinline__ void add_own(float acc[TILES][NT][4]) const {
#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
      for (int p = 0; p < NT / 2; p++) {
        uint32_t hi[4], lo[4];
        *(uint4*)hi = *own(tile, p), *(uint4*)lo = own(tile, p)[W / 16 * 32];
#pragma unroll
        for (int j = 0; j < 4; j++) {
          float x, y, u, v;
          unpack_f16(hi[j], &x, &y), unpack_f16(lo[j], &u, &v);
          float* c = acc[tile][2 * p + (j >> 1)] + (j & 1) * 2;
          c[0] += x + u, c[1] += y + v;
        }
      }
  }

  __device__ __forceinline__ void store(const float acc[TILES][NT][4]) const {
#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
      for (int p = 0; p < NT / 2; p++) {
        uint32_t hi[4], lo[4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
          const float* c = acc[tile][2 * p + (j >> 1)] + (j & 1) * 2;
          split(c[0], c[1], &hi[j], &lo[j]);
        }
        *own(tile, p) = *(uint4*)hi, own(tile, p)[W / 16 * 32] = *(uint4*)lo;
      }
  }

  // Output o of tile's rows, this warp's quarter of the sum, to parts [warp][tile][row][D] at the start of a.
  __device__ __forceinline__ void head(const float acc[NT][4], int tile, const float* __restrict__ w, int o, int dims) const {
    float s0 = 0.0f, s1 = 0.0f;
#pragma unroll
    for (int nt = 0; nt < NT; nt++) {
      const float x = w[unit(nt) * dims + o], y = w[(unit(nt) + 1) * dims + o];
      s0 = fmaf(acc[nt][0], x, fmaf(acc[nt][1], y, s0)), s1 = fmaf(acc[nt][2], x, fmaf(acc[nt][3], y, s1));
    }
    s0 += __shfl_xor_sync(~0u, s0, 1), s1 += __shfl_xor_sync(~0u, s1, 1);
    s0 += __shfl_xor_sync(~0u, s0, 2), s1 += __shfl_xor_sync(~0u, s1, 2);
    float* part = (float*)a + ((warp * TILES + tile) * TILE + (lane >> 2)) * dims + o;
    if ((lane & 3) == 0) part[0] = s0, part[8 * dims] = s1;
  }

  // Takes the inputs at the start of a through the network; parts of the outputs that are needed replace them. With tangents
  // those of the values if last, of tangents t0 and t0 + 1 all outputs for probes and their own for unit vectors.
  static __device__ __forceinline__ void pass(uint32_t* all, const SplitNet& net, const float* __restrict__ blob, const uint32_t* __restrict__ layers, const float* __restrict__ bias0, int evaluation, int t0, bool last, bool probes) {
    float acc[TILES][NT][4];
#pragma unroll 1
    for (int layer = 0; layer < net.hidden; layer++) {
#pragma unroll
      for (int q = 0; q < TILES * NT * 4; q++) acc[q / 4 / NT][q / 4 % NT][q % 4] = 0.0f;
      float unscale = 1.0f;
      const float* bias;
      if (layer == 0) {
        Team(all, net).first(acc, blob, net.d);
        bias = bias0 + (size_t)(zero_now() + evaluation) * W;
      } else {
        Team(all, net).product(acc, layers + (layer - 1) * layer_words<W>());
        unscale = 1.0f / (ACTIVATIONS * net.scale[layer]);
        bias = blob + (net.d + layer - 1) * W;
      }
      const Team team(all, net);
      if (net.act == ACT_SILU) team.template activations<ACT_SILU>(acc, unscale, bias);
      else if (net.act == ACT_GELU) team.template activations<ACT_GELU>(acc, unscale, bias);
      else team.template activations<ACT_TANH>(acc, unscale, bias);
      if (net.residual && layer) team.add_own(acc);
      team.sync();  // what the layer read may be overwritten
      if (layer < net.hidden - 1) {
        team.store(acc);
        team.sync();
      }
    }
    const Team team(all, net);
    const float* w = blob + (zero_now() + net.d + net.hidden - 1) * W;
    for (int o = 0; o < net.d; o++) {
      if (!TANGENTS || last) team.head(acc[0], 0, w, o, net.d);
      if (!TANGENTS || probes || t0 == o) team.head(acc[1], 1, w, o, net.d);
      if (!TANGENTS || probes || t0 + 1 == o) team.head(acc[2], 2, w, o, net.d);
    }
    team.sync();
  }

  // The sum of the four quarters.
  __device__ __forceinline__ float output(int tile, int s, int o, int dims) const {
    const float* part = (const float*)a + (tile * TILE + s) * dims + o;
    const int step = TILES * TILE * dims;
    return ((part[0] + part[step]) + (part[2 * step] + part[3 * step])) * (1.0f / ACTIVATIONS);
  }
};
