// Products of programs in bf16 on warpgroup products, for compute capability 9.0: dense layers, convolutions and the cotangents of their inputs,
// whose second operand are weights. These are packed to bf16 first, in the order in which products read them.
//
// Two warpgroups of 64 rows share a tile of 128 x 128. Slices of 64 steps of k pass through two stages of shared memory: the first operand in
// float32, rounded on its way into the registers of the lanes that have it as a fragment, and a panel of weights (wgmma.cuh). Half a slice of a
// convolution are 32 channels of a tap. The taps of the same channels follow each other, so that most pixels are still in the cache of the
// multiprocessor, which the weights go past. In each 16 steps of k, steps 4q .. 4q + 3 are
// those of lane q, 2q, 2q + 1, 2q + 8 and 2q + 9 of a fragment; weights are packed in that order.
#include "net_products.cuh"
#include "wgmma.cuh"

typedef NetLarge WarpgroupTile;
enum { DEEP = 64, PANEL_BYTES = 128 * DEEP * 2, STAGE_BYTES = PANEL_BYTES + 128 * DEEP * 4, WARPGROUP_STAGES = 2 };

// Weight (n, tap, k) at w[n sn + tap st + k sk], k < channels. Mirrored by cuda/programs/op_products.go, as the following are.
struct Pack {
  const float* w;
  uint4* to;  // [tiles of 128 n][slices][PANEL_BYTES]
  long long sn, st, sk;
  int N, channels, taps, chunks;  // chunks of 16 bytes in all
};
struct PackedProduct {
  Product p;
  const uint4* weights;
};
struct PackedConvProduct {
  ConvProduct p;
  const uint4* weights;
};

extern "C" __global__ void net_pack_weights(Pack p) {
  const int slices = ((p.channels + SLICE - 1) / SLICE * p.taps + 1) / 2;
  EACH(i, p.chunks) {
    const int panel = (int)i / (PANEL_BYTES / 16), j = (int)i % (PANEL_BYTES / 16), slice = panel % slices;
    const int row = p.sn == 1 ? j % 128 : j / 8, c = p.sn == 1 ? j / 128 : j % 8;  // neighbouring threads read neighbours
    const int n = panel / slices * 128 + row, half = 2 * slice + c / 4, k = half / p.taps * SLICE + c / 2 % 2 * 16 + c % 2 * 2;
    const float* w = p.w + n * p.sn + half % p.taps * p.st;
    uint32_t v[4];
#pragma unroll
    for (int q = 0; q < 4; q++) {
      const int at = k + 4 * q;
      v[q] = pack_bf16(n < p.N && at < p.channels ? w[at * p.sk] : 0.0f, n < p.N && at + 1 < p.channels ? w[(at + 1) * p.sk] : 0.0f);
    }
    p.to[panel * (PANEL_BYTES / 16) + row * 8 + (c ^ (row & 7))] = uint4{v[0], v[1], v[2], v[3]};
  }
}
KERNEL(net_pack_weights)

typedef AlongK<128, 256> Rows;

// Two taps of SLICE channels, of which a thread has a quad of each 16; the second one of the last slice may not be there.
template <class Loader>
__device__ __forceinline__ void copy_taps_of_slice(const Loader& l, Walk& walk, float* shared) {
#pragma unroll
  for (int half = 0; half < DEEP / SLICE; half++) {
#pragma unroll
    for (int r = 0; r < Rows::ROWS; r++) {
      const bool there = walk.channel < walk.channels && l.inside(r, walk);
      const float* p = l.pixel(r, walk);
#pragma unroll
      for (int h = 0; h < PARTS; h++) copy_async((float4*)Rows::place(shared + (half * PARTS + h) * 128 * BK, r), (const float4*)(p + h * BK), there);
    }
    walk.slice();
  }
}

// operand(to) copies the next slice of the first operand.
template <class Copy>
__device__ __forceinline__ void packed_gemm(const Place& at, int M, int N, int slices, Copy operand, const uint4* weights, unsigned char* shared, const Epilogue& q) {
  const int tid = threadIdx.x, lane = tid & 31, first = (tid >> 5) * 16;  // of the warp's 16 rows
  float sums[64];
#pragma unroll
  for (int i = 0; i < 64; i++) sums[i] = 0.0f;
  const uint4* from = weights + (long long)at.n * slices * (PANEL_BYTES / 16) + tid;
  const auto copy = [&](int stage) {
    unsigned char* to = shared + stage * STAGE_BYTES;
#pragma unroll
    for (int i = 0; i < PANEL_BYTES / 16 / 256; i++) copy_async_once((float4*)to + tid + i * 256, (const float4*)from + i * 256);
    operand((float*)(to + PANEL_BYTES));
    from += PANEL_BYTES / 16;
  };
  copy(0);
  copies_commit();
#pragma unroll 1
  for (int s = 0; s < slices; s++) {
    const int stage = s & 1;
    const uint32_t place = panel_address(shared_address(shared + stage * STAGE_BYTES));
    const float* a = (const float*)(shared + stage * STAGE_BYTES + PANEL_BYTES);
    copies_wait<0>();
    shared_to_async();
    __syncthreads();  // the slice is there, and all are done with the one before
    uint32_t words[DEEP / BK][4];
#pragma unroll
    for (int h = 0; h < DEEP / BK; h++) {
      Fragment f;
      f.template load<0>(a + h * 128 * BK, first);
#pragma unroll
      for (int e = 0; e < 4; e++) words[h][e] = pack_bf16(f.v[e & 1][e >> 1 << 1], f.v[e & 1][(e >> 1 << 1) + 1]);
    }
    wg_fence();
#pragma unroll
    for (int h = 0; h < DEEP / BK; h++) wgmma_bf16(sums, words[h], panel_descriptor(place + 2 * h), 1);
    wg_commit();
    if (s + 1 < slices) copy(stage ^ 1);
    copies_commit();
    wg_wait<0>();
    keep(sums);
  }
  copies_wait<0>();
  __syncthreads();
  enum { LD = WarpgroupTile::LD };
  static_assert(128 * LD * 4 <= WARPGROUP_STAGES * STAGE_BYTES, "the sums fit where the operands were");
  float* own = (float*)shared + (first + (lane >> 2)) * LD + (lane & 3) * 2;
#pragma unroll
  for (int j = 0; j < 16; j++) {
    *(float2*)&own[j * 8] = float2{sums[4 * j], sums[4 * j + 1]};
    *(float2*)&own[j * 8 + 8 * LD] = float2{sums[4 * j + 2], sums[4 * j + 3]};
  }
  finish<WarpgroupTile>(at.m, at.n, M, N, (const float*)shared, q);
}

extern "C" __global__ void __launch_bounds__(256, 2) net_product_bf16_wgmma(PackedProduct p) {
  PANELS_SHARED(shared);
  const Place at = place_of<WarpgroupTile>(p.p.M, p.p.N);
  const AlongLoader<128, 256> l(p.p.a, at.m * 128, p.p.M);
  int k = 0;
  packed_gemm(at, p.p.M, p.p.N, (p.p.K + DEEP - 1) / DEEP, [&](float* to) {
#pragma unroll
    for (int h = 0; h < DEEP; h += SLICE) l.copy(to + h * 128, k + h, p.p.K);
    k += DEEP;
  }, p.weights, shared, p.p.q);
}
KERNEL(net_product_bf16_wgmma)

template <template <int, int> class Loader>
__device__ __forceinline__ void packed_convolution(const PackedConvProduct& p, int channels, unsigned char* shared) {
  const Place at = place_of<WarpgroupTile>(p.p.M, p.p.N);
  Walk walk(p.p.c, channels, Rows::quad());
  const Loader<128, 256> l(p.p.c, walk, at.m * 128, p.p.M);
  packed_gemm(at, p.p.M, p.p.N, (p.p.K + DEEP - 1) / DEEP, [&](float* to) { copy_taps_of_slice(l, walk, to); }, p.weights, shared, p.p.q);
}
extern "C" __global__ void __launch_bounds__(256, 2) net_conv_bf16_wgmma(PackedConvProduct p) {
  PANELS_SHARED(shared);
  packed_convolution<ImageLoader>(p, p.p.c.C, shared);
}
KERNEL(net_conv_bf16_wgmma)
extern "C" __global__ void __launch_bounds__(256, 2) net_conv_input_bf16_wgmma(PackedConvProduct p) {
  PANELS_SHARED(shared);
  packed_convolution<ResultLoader>(p, p.p.c.O, shared);
}
KERNEL(net_conv_input_bf16_wgmma)
