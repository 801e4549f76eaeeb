// What the samplers on warpgroup products share: the image of shared memory, the first layer, the tile of samples, the head. A warpgroup takes
// 64 samples, a warp 16 of them: lane (g = lane/4, q = lane%4) has rows g and g + 8 of its warp, and of each layer's 16 columns 2q, 2q + 1,
// 2q + 8 and 2q + 9. Activations, inputs and outputs of the network stay in their lane. Warps only wait for each other where a warpgroup's
// products do.
//
// The first layer is a product of halves too. Of four inputs, lane q has the one of index q. It stands in k = 2q and 2q + 8 as the half hi that it rounds to,
// and in k = 2q + 1 as the half lo that is left of it; the weights in these places are Whi, Wlo and Whi. So 16 inputs of a product are four of the network.
//
// The head is made by mma.sync, four outputs at a time: columns 2o and 2o + 1 are hi and lo of output o's weights, so lane q's sums of the two are
// output q, in the lane that has this coordinate as an input.
#pragma once
#include <string.h>
#include "halves.cuh"
#include "wgmma.cuh"

// Factors of the weights, mirrored by cuda/chains/sampler_warpgroups.go. Those of a layer and of the head are powers of two, or half of one for SiLU in f16.
// Inputs of the network are multiplied by input.
struct Scales {
  float layer[MAX_LAYERS], head, input;
};

// Vectors of units are stored so that the four numbers of a lane's 16 columns are one 16-byte load: slot 16 kt + 4 q + i is this unit.
__device__ __forceinline__ int lane_unit(int slot) { return (slot & ~15) + (slot >> 2 & 3) * 2 + (slot & 1) + (slot >> 1 & 1) * 8; }

struct Lane {
  int lane, g, q, warp, group;  // warp and warpgroup of the block
  __device__ __forceinline__ Lane() : lane(threadIdx.x & 31), g(lane >> 2), q(lane & 3), warp(threadIdx.x >> 5), group(threadIdx.x >> 7) {}
};

// The image, in words: panels of the first layer, 16 inputs of the network in each; of layers 1.., PARTS times; then
//   the head [D/4 rounded up][W/16][32 lanes][2]: a lane's fragment for mma.sync; its bias
//   biases of the layers [hidden][W] in the order of lane_unit. With two parts that of layer 0 is zero; with one it is not used.
//   MAX_LAYERS + 2 numbers: what sums of a layer and of the head are multiplied by, and the inputs
//
// SMALL, in all that follows: at most two dimensions.
template <int W, int PARTS, bool SMALL>
struct Image {
  enum { PANEL = W * 32, LAYER = PARTS * W * W / 2 };
  int layers, head, head_bias, bias, factors, end;  // where they begin
  __device__ __forceinline__ explicit Image(const Net& net) {
    const int outputs = SMALL ? 1 : (net.d + 3) / 4;
    layers = SMALL ? (int)PANEL : (net.d + 15) / 16 * PANEL;
    head = layers + (net.hidden - 1) * LAYER;
    head_bias = head + outputs * W * 4;
    bias = head_bias + outputs * 4;
    factors = bias + net.hidden * W;
    end = factors + MAX_LAYERS + 4;
  }
  __device__ __forceinline__ float* numbers(unsigned char* sm, int at) const { return (float*)(sm + 4 * at); }

  // Word i.
  __device__ __forceinline__ uint32_t word(const Net& net, const float* blob, const Scales& scale, int i) const {
    uint32_t hi, lo;
    int k, u;
    if (i < layers) {  // places 2q, 2q + 1 or 2q + 8, 2q + 9 of 16
      panel_place<W>(i % PANEL, &k, &u);
      const int d = i / PANEL * 16 + k / 16 * 4 + k % 8 / 2;
      split_f16(d < net.d ? scale.layer[0] * blob[net.w[0] + d * W + unit_slot(u)] : 0.0f, 0.0f, &hi, &lo);
      return k & 8 ? lo : hi | hi << 16;
    }
    if (i < head) {
      const int layer = 1 + (i - layers) / LAYER, at = (i - layers) % LAYER;
      panel_place<W>(at % (W * W / 2), &k, &u);
      const float *w = blob + net.w[layer] + k * W + unit_slot(u), s = scale.layer[layer];
      split_f16(s * w[0], s * w[W], &hi, &lo);
      return at < W * W / 2 ? hi : lo;
    }
    if (i < head_bias) {  // half r of k, column lane/4
      const int at = i - head, r = at & 1, lane = at >> 1 & 31, o = at / (W * 4) * 4 + lane / 8;
      k = (at >> 6) % (W / 16) * 16 + r * 8 + (lane & 3) * 2;
      const float* w = blob + net.head + k * net.d + o;
      split_f16(o < net.d ? scale.head * w[0] : 0.0f, o < net.d ? scale.head * w[net.d] : 0.0f, &hi, &lo);
      return lane & 4 ? lo : hi;
    }
    float v = 0.0f;
    if (i < bias) {
      if (i - head_bias < net.d) v = blob[net.head + W * net.d + i - head_bias];
    } else if (i < factors) {
      const int layer = (i - bias) / W;
      if (layer > 0) v = (PARTS == 1 ? scale.layer[layer] : 1.0f) * blob[net.b[layer] + lane_unit((i - bias) % W)];
    } else {
      const int f = i - factors;
      v = f < MAX_LAYERS ? 1.0f / scale.layer[f] : f == MAX_LAYERS ? 1.0f / scale.head : f == MAX_LAYERS + 1 ? scale.input : 0.0f;
    }
    memcpy(&hi, &v, 4);
    return hi;
  }

  __device__ __forceinline__ void fill(unsigned char* sm, const uint32_t* __restrict__ image) const {
    for (int i = threadIdx.x; i < end / 4; i += blockDim.x) ((uint4*)sm)[i] = ((const uint4*)image)[i];
    shared_to_async();
    __syncthreads();
  }
};

// Makes the image, once for all blocks.
#define PACK_WGMMA(name, W, PARTS)                                                                                               \
  extern "C" __global__ void __launch_bounds__(256) name(Net net, Scales scale, const float* blob, unsigned* out) {              \
    const Image<W, PARTS, false> image(net);                                                                                           \
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < image.end; i += gridDim.x * blockDim.x) out[i] = image.word(net, blob, scale, i); \
  }                                                                                                                              \
  KERNEL(name)

// Columns 16 kt ... of eight sums of a lane, from a vector in the order of lane_unit.
__device__ __forceinline__ void spread(float* c, float4 b) {
  c[0] = c[2] = b.x, c[1] = c[3] = b.y, c[4] = c[6] = b.z, c[5] = c[7] = b.w;
}

// A warp's own copy of the first layer's bias, which each row of the table has, behind the image. The next row's is asked for before the copy is made.
template <int W>
struct FirstBias {
  float* own;
  int lane;
  __device__ __forceinline__ FirstBias(float* all, const Lane& l) : own(all + (threadIdx.x >> 5) * W), lane(l.lane) {}
  __device__ __forceinline__ float4 load(const float* bias) const { return lane < W / 4 ? ((const float4*)bias)[lane] : make_float4(0.0f, 0.0f, 0.0f, 0.0f); }
  __device__ __forceinline__ void store(float4 b) const {
    __syncwarp();
    if (lane < W / 4) ((float4*)own)[lane] = b;
    __syncwarp();
  }
  // The bias of a layer; others [layer][W] has those of the layers after the first.
  __device__ __forceinline__ const float* of(int layer, const float* others) const { return layer ? others + layer * W : own; }
};

// An input of rows g (up) and g + 8 (down) as the A operand.
__device__ __forceinline__ void input_operand(float up, float down, uint32_t (&a)[4]) {
  uint32_t hi, lo;
  split_f16(up, down, &hi, &lo);
  a[0] = (hi & 0xffffu) | lo << 16, a[1] = hi >> 16 | (lo & 0xffff0000u), a[2] = hi & 0xffffu, a[3] = hi >> 16;
}

// The first layer's sums without their bias; input(b, &up, &down) gives input 4 b + q of the lane's two rows. first and panel are the place of its weights and the
// distance of the next 16 inputs. A wait follows in the caller.
template <bool SMALL, int R, class Input>
__device__ __forceinline__ void first_products(float (&sums)[R], uint32_t first, uint32_t panel, int D, const Input& input) {
  float up, down;
  uint32_t a[4];
  input(0, &up, &down);
  input_operand(up, down, a);
  wg_fence();
  wgmma(sums, a, panel_descriptor(first), 0);
  wg_commit();
  if constexpr (!SMALL) {
#pragma unroll 1
    for (int b = 1; 4 * b < D; b++) {
      input(b, &up, &down);
      wg_wait<0>();
      input_operand(up, down, a);
      wg_fence();
      wgmma(sums, a, panel_descriptor(first + (b >> 2) * panel + (b & 3) * 2), 1);
      wg_commit();
    }
  }
}

// Both normals of a pair of words, those of normal().
__device__ __forceinline__ void normal_pair(uint32_t a, uint32_t b, float* z0, float* z1) {
  const float u = fmaf((float)(a >> 1), 4.65661287e-10f, 2.32830644e-10f);
  float s, c;
  sincospif((float)(int32_t)b * 4.65661287e-10f, &s, &c);
  const float r = sqrtf(-2.0f * logf(fminf(u, 1.0f)));
  *z0 = r * c, *z1 = r * s;
}

// What a row of the table does to a coordinate.
struct Update {
  float a, b, m, c, g, h, j, k;
  __device__ __forceinline__ void load(const Row& r) { a = r.a, b = r.b, m = r.m, c = r.c, g = r.g, h = r.h, j = r.j, k = r.k; }
  __device__ __forceinline__ void apply(float* x, float* mem, float net, float z) const {
    const float x0 = *x, m0 = *mem;
    *x = fmaf(a, x0, fmaf(b, net, fmaf(m, m0, c * z)));
    *mem = fmaf(g, x0, fmaf(h, net, fmaf(k, m0, j * z)));
  }
};
__device__ __forceinline__ bool noisy(const Row& r) { return r.c != 0.0f || r.j != 0.0f; }

struct NoiseKey {
  uint64_t seed, first;
  uint32_t stream;
};

// A lane's samples: rows g and g + 8 of its warp, coordinates q, q + 4, ... SMALL: the state stays in registers for the whole trajectory, else in device
// memory. mem may be null: then the rows do not use it. Rows beyond the last sample hold zeros, and coordinates beyond the last dimension stay zero.
template <bool SMALL>
struct Tile {
  float x[2], m[2];
  int first, n, D;  // first: the tile's first sample
  uint32_t known;  // the step whose normals, and those of the next three, are in shared memory

  // The lane's row g, from the thread that is read anew: nothing of it takes a register while the layers run.
  __device__ __forceinline__ int row() const {
    const int thread = thread_now();
    return first + (thread >> 5 & 3) * 16 + (thread >> 2 & 7);
  }
  __device__ __forceinline__ bool live(int up, int d) const { return row() + 8 * up < n && d < D; }
  __device__ __forceinline__ size_t at(int up, int d) const { return (size_t)(row() + 8 * up) * D + d; }
  __device__ __forceinline__ void begin(const Lane& l, int tile, const float* xs, const float* mem, int samples, int dims) {
    first = tile * 64, n = samples, D = dims, known = 1;  // no multiple of four: no step
    if (SMALL) load(xs, mem, l.q);
  }
  // Coordinate d of the two rows.
  __device__ __forceinline__ void load(const float* xs, const float* mem, int d) {
#pragma unroll
    for (int up = 0; up < 2; up++) {
      x[up] = live(up, d) ? xs[at(up, d)] : 0.0f;
      m[up] = mem && live(up, d) ? mem[at(up, d)] : 0.0f;
    }
  }
  __device__ __forceinline__ void store(float* xs, float* mem, int d) const {
#pragma unroll
    for (int up = 0; up < 2; up++)
      if (live(up, d)) {
        xs[at(up, d)] = x[up];
        if (mem) mem[at(up, d)] = m[up];
      }
  }
  __device__ __forceinline__ float value(const float* xs, int up, int d) const { return SMALL ? x[up] : live(up, d) ? xs[at(up, d)] : 0.0f; }

  // SMALL: makes the normals of four steps, unless they are there; z is the lane's place for them. Lane q makes those of row g + 8 (q & 1) and of two of the steps. All
  // lanes of a warp have the same step.
  __device__ __forceinline__ void draw(const Lane& l, const NoiseKey& key, uint32_t step, float4* z) {
    if ((step & ~3u) == known) return;
    known = step & ~3u;
    const U4 words = noise_block(key.seed, key.stream, key.first + (uint64_t)(row() + 8 * (l.q & 1)), (known >> 1) + (uint32_t)(l.q >> 1));
    float4 made;
    normal_pair(words.x, words.y, &made.x, &made.y);
    normal_pair(words.z, words.w, &made.z, &made.w);
    __syncwarp();
    *z = made;
    __syncwarp();
  }
  // The normals of the step for coordinate q of the two rows.
  __device__ __forceinline__ void normals(const Lane& l, uint32_t step, const float4* z, float* up, float* down) const {
    const float* from = (const float*)(z - l.q + (step & 2)) + (step & 1) * 2 + (l.q & 1);
    *up = l.q < D ? from[0] : 0.0f, *down = l.q < D ? from[4] : 0.0f;
  }
  // Not SMALL: the same for coordinate 4 b + q. Two lanes share a pair of normals of each row; each makes one row's.
  __device__ __forceinline__ void normals(const Lane& l, const NoiseKey& key, uint32_t step, int b, float* up, float* down) const {
    const uint64_t pair = (uint64_t)step * (uint64_t)((D + 1) / 2) + (uint64_t)(2 * b + (l.q >> 1));
    const U4 words = noise_block(key.seed, key.stream, key.first + (uint64_t)(row() + 8 * (l.q & 1)), (uint32_t)(pair / 2));
    float z0, z1;
    normal_pair(pair & 1 ? words.z : words.x, pair & 1 ? words.w : words.y, &z0, &z1);
    const float other = __shfl_xor_sync(0xffffffffu, l.q & 1 ? z0 : z1, 1);
    *up = l.q & 1 ? other : z0, *down = l.q & 1 ? z1 : other;
  }
};

// SMALL: where a thread's four normals are, behind the warps' biases.
template <int W>
__device__ __forceinline__ float4* noise_place(float* biases) { return (float4*)(biases + (blockDim.x >> 5) * W) + thread_now(); }

// The loop over a block's tiles: samples of a launch are dealt out to blocks tile by tile, so that few of them spread over all multiprocessors.
#define EACH_TILE(l, n) for (int tile = blockIdx.x + (l).group * gridDim.x; tile < ((n) + 63) / 64; tile += gridDim.x * (blockDim.x >> 7))

// The kernels of sampler_f16_wgmma.cu and sampler_split_wgmma.cu: by units, activation, at most two dimensions or more, residual connections.
#define SAMPLER_WGMMA(kind, name, W, ACT, SMALL, RESIDUAL, THREADS)                                                                  \
  extern "C" __global__ void __launch_bounds__(THREADS, 1) name(Net net, const unsigned* packed, const float* bias0, const Row* rows, int nrows, float* x, \
      float* mem, int n, unsigned long long seed, unsigned stream, unsigned long long first) {                                       \
    sampler_##kind##_wgmma<W, ACT, SMALL, RESIDUAL>(net, packed, bias0, rows, nrows, x, mem, n, NoiseKey{seed, first, stream});      \
  }                                                                                                                                  \
  KERNEL(name)
#define SAMPLERS_OF_WGMMA(kind, W, ACT, act, THREADS)                                                          \
  SAMPLER_WGMMA(kind, sampler_##kind##_wgmma_w##W##_##act##_d2, W, ACT, true, false, THREADS)                  \
  SAMPLER_WGMMA(kind, sampler_##kind##_wgmma_w##W##_##act##_d2_residual, W, ACT, true, true, THREADS)          \
  SAMPLER_WGMMA(kind, sampler_##kind##_wgmma_w##W##_##act##_d32, W, ACT, false, false, THREADS)                \
  SAMPLER_WGMMA(kind, sampler_##kind##_wgmma_w##W##_##act##_d32_residual, W, ACT, false, true, THREADS)
#define SAMPLERS_WGMMA(kind)                            \
  SAMPLERS_OF_WGMMA(kind, 64, ACT_SILU, silu, 512)      \
  SAMPLERS_OF_WGMMA(kind, 64, ACT_GELU, gelu, 512)      \
  SAMPLERS_OF_WGMMA(kind, 64, ACT_TANH, tanh, 512)      \
  SAMPLERS_OF_WGMMA(kind, 128, ACT_SILU, silu, 384)     \
  SAMPLERS_OF_WGMMA(kind, 128, ACT_GELU, gelu, 384)     \
  SAMPLERS_OF_WGMMA(kind, 128, ACT_TANH, tanh, 384)
