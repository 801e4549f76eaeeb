// Products of programs in halves, BF16 or F16, on warpgroup products, for compute capability 9.0: dense layers, convolutions and, in BF16, the cotangents of
// their inputs, whose second operand are weights. These are packed to halves first, in the order in which products read them.
//
// Two warpgroups of 64 rows share a tile of 128 x 128. Slices of 64 steps of k pass through two stages of shared memory: the first operand in
// float32, rounded on its way into the registers of the lanes that have it as a fragment, and a panel of weights (wgmma.cuh). Half a slice of a
// convolution are 32 channels of a tap. The taps of the same channels follow each other, so that most pixels are still in the cache of the
// multiprocessor, which the weights go past. In each 16 steps of k, steps 4q .. 4q + 3 are
// those of lane q, 2q, 2q + 1, 2q + 8 and 2q + 9 of a fragment; weights are packed in that order.
//
// Where the first operand is halves in memory (net_product_halves_wgmma and others), it lies in panels of shared memory too, in the order of memory, as its weights are
// then, and products read both there. Slices pass through three stages.
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
  int plain;                      // steps of k are in the order of memory
  int f16;                        // the halves are f16, else bf16
};
// With `halves` the result is halves, and goes there and not to y of the epilogue. Then it has whole chunks of 8 columns.
struct Packed {
  const uint4* weights;
  uint16_t* halves;
};
struct PackedProduct {
  Product p;
  Packed with;
};
struct PackedConvProduct {
  ConvProduct p;
  Packed with;
};

extern "C" __global__ void net_pack_weights(Pack p) {
  const int slices = ((p.channels + SLICE - 1) / SLICE * p.taps + 1) / 2;
  EACH(i, p.chunks) {
    const int panel = (int)i / (PANEL_BYTES / 16), j = (int)i % (PANEL_BYTES / 16), slice = panel % slices;
    const int row = p.sn == 1 ? j % 128 : j / 8, c = p.sn == 1 ? j / 128 : j % 8;  // neighbouring threads read neighbours
    const int n = panel / slices * 128 + row, half = 2 * slice + c / 4;
    const int k = half / p.taps * SLICE + (p.plain ? c % 4 * 8 : c / 2 % 2 * 16 + c % 2 * 2), further = p.plain ? 2 : 4;
    const float* w = p.w + n * p.sn + half % p.taps * p.st;
    uint32_t v[4];
#pragma unroll
    for (int q = 0; q < 4; q++) {
      const int at = k + further * q;
      const float lo = n < p.N && at < p.channels ? w[at * p.sk] : 0.0f, hi = n < p.N && at + 1 < p.channels ? w[(at + 1) * p.sk] : 0.0f;
      v[q] = p.f16 ? pack_f16(lo, hi) : pack_bf16(lo, hi);
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

// What follows the sums of a tile: they pass through shared memory. Results in halves do so too: a thread puts each number back where it took the sum.
template <int ARITH = ARITH_BF16>
__device__ __forceinline__ void finish_sums(const Place& at, int M, int N, const float (&sums)[64], unsigned char* shared, const Epilogue& q, uint16_t* halves) {
  const int lane = threadIdx.x & 31, first = (threadIdx.x >> 5) * 16;  // of the warp's 16 rows
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
  // Values before the activation pass once more: rows of memory are further apart than those of results that go back to shared memory.
#pragma unroll 1
  for (int pass = halves && q.pre ? 0 : 1; pass < 2; pass++) {
    Epilogue to = q;
    if (pass == 0) to.y = q.pre, to.act = 0, to.gate = to.residual = nullptr;
    else if (halves) to.y = (float*)shared - ((long long)at.m * 128 * LD + at.n * 128), to.y_row = LD;
    if (halves) to.pre = nullptr;
    finish<WarpgroupTile>(at.m, at.n, M, N, (const float*)shared, to);
  }
  if (!halves) return;
  __syncthreads();
  const int column = threadIdx.x % 16 * 8;
  if (at.n * 128 + column >= N) return;
#pragma unroll 2
  for (int row = threadIdx.x / 16; row < 128 && at.m * 128 + row < M; row += 16) {
    const float4 *v = (const float4*)((const float*)shared + row * LD + column), a = v[0], b = v[1];
    *(uint4*)(halves + ((long long)at.m * 128 + row) * N + at.n * 128 + column) = uint4{pack_halves<ARITH>(a.x, a.y), pack_halves<ARITH>(a.z, a.w), pack_halves<ARITH>(b.x, b.y), pack_halves<ARITH>(b.z, b.w)};
  }
}

// d += a b, of halves.
template <int ARITH>
__device__ __forceinline__ void wgmma_halves(float (&d)[64], const uint32_t (&a)[4], uint64_t b) {
  if constexpr (ARITH == ARITH_F16) wgmma(d, a, b, 1);
  else wgmma_bf16(d, a, b, 1);
}

// operand(to) copies the next slice of the first operand.
template <int ARITH = ARITH_BF16, class Copy>
__device__ __forceinline__ void packed_gemm(const Place& at, int M, int N, int slices, Copy operand, const Packed& with, unsigned char* shared, const Epilogue& q) {
  const int tid = threadIdx.x, first = (tid >> 5) * 16;  // of the warp's 16 rows
  float sums[64];
#pragma unroll
  for (int i = 0; i < 64; i++) sums[i] = 0.0f;
  const uint4* from = with.weights + (long long)at.n * slices * (PANEL_BYTES / 16) + tid;
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
      for (int e = 0; e < 4; e++) words[h][e] = pack_halves<ARITH>(f.v[e & 1][e >> 1 << 1], f.v[e & 1][(e >> 1 << 1) + 1]);
    }
    wg_fence();
#pragma unroll
    for (int h = 0; h < DEEP / BK; h++) wgmma_halves<ARITH>(sums, words[h], panel_descriptor(place + 2 * h));
    wg_commit();
    if (s + 1 < slices) copy(stage ^ 1);
    copies_commit();
    wg_wait<0>();
    keep(sums);
  }
  finish_sums<ARITH>(at, M, N, sums, shared, q, with.halves);
}

template <int ARITH>
__device__ __forceinline__ void packed_product(const PackedProduct& p, unsigned char* shared) {
  const Place at = place_of<WarpgroupTile>(p.p.M, p.p.N);
  const AlongLoader<128, 256> l(p.p.a, at.m * 128, p.p.M);
  int k = 0;
  packed_gemm<ARITH>(at, p.p.M, p.p.N, (p.p.K + DEEP - 1) / DEEP, [&](float* to) {
#pragma unroll
    for (int h = 0; h < DEEP; h += SLICE) l.copy(to + h * 128, k + h, p.p.K);
    k += DEEP;
  }, p.with, shared, p.p.q);
}

template <int ARITH, template <int, int> class Loader>
__device__ __forceinline__ void packed_convolution(const PackedConvProduct& p, int channels, unsigned char* shared) {
  const Place at = place_of<WarpgroupTile>(p.p.M, p.p.N);
  Walk walk(p.p.c, channels, Rows::quad());
  const Loader<128, 256> l(p.p.c, walk, at.m * 128, p.p.M);
  packed_gemm<ARITH>(at, p.p.M, p.p.N, (p.p.K + DEEP - 1) / DEEP, [&](float* to) { copy_taps_of_slice(l, walk, to); }, p.with, shared, p.p.q);
}

#define ENTRY(name, Args, body)                                          \
  extern "C" __global__ void __launch_bounds__(256, 2) name(Args p) { \
    PANELS_SHARED(shared);                                               \
    body;                                                                \
  }                                                                      \
  KERNEL(name)
ENTRY(net_product_bf16_wgmma, PackedProduct, packed_product<ARITH_BF16>(p, shared))
ENTRY(net_product_f16_wgmma, PackedProduct, packed_product<ARITH_F16>(p, shared))
ENTRY(net_conv_bf16_wgmma, PackedConvProduct, (packed_convolution<ARITH_BF16, ImageLoader>(p, p.p.c.C, shared)))
ENTRY(net_conv_f16_wgmma, PackedConvProduct, (packed_convolution<ARITH_F16, ImageLoader>(p, p.p.c.C, shared)))
ENTRY(net_conv_input_bf16_wgmma, PackedConvProduct, (packed_convolution<ARITH_BF16, ResultLoader>(p, p.p.c.O, shared)))

// The first operand in halves: a thread copies a chunk of 16 bytes, 8 numbers, of each of ROWS rows of 128 bytes.
struct Chunks {
  enum { ROWS = 4, STEP = 32 };
  static __device__ __forceinline__ int row(int r) { return threadIdx.x / 8 + r * STEP; }
  static __device__ __forceinline__ int chunk() { return threadIdx.x % 8; }
  static __device__ __forceinline__ float4* place(unsigned char* panel, int r) { return (float4*)panel + row(r) * 8 + (chunk() ^ (row(0) & 7)); }
};
#ifdef __CUDACC__
// d += a b, both by descriptors (wgmma.cuh), of bf16.
__device__ __forceinline__ void wgmma_bf16(float (&d)[64], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{ .reg .pred p;\n setp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
      "{" NAMES64 "}, "
      "%64, %65, p, 1, 1, 0, 0;\n}"
      : SUMS64(d, 0)
      : "l"(a), "l"(b), "r"(add));
}
#endif
template <int ARITH>
__device__ __forceinline__ void wgmma_halves(float (&d)[64], uint64_t a, uint64_t b) {
  if constexpr (ARITH == ARITH_F16) wgmma(d, a, b, 1);
  else wgmma_bf16(d, a, b, 1);
}
enum { HALF_STAGES = 3, HALF_STAGE_BYTES = 2 * PANEL_BYTES };

// operand(to) copies the next slice of the first operand.
template <int ARITH = ARITH_BF16, class Copy>
__device__ __forceinline__ void halves_gemm(const Place& at, int M, int N, int slices, Copy operand, const Packed& with, unsigned char* shared, const Epilogue& q) {
  const int tid = threadIdx.x;
  float sums[64];
#pragma unroll
  for (int i = 0; i < 64; i++) sums[i] = 0.0f;
  const uint4* from = with.weights + (long long)at.n * slices * (PANEL_BYTES / 16) + tid;
  const auto copy = [&](int stage) {
    unsigned char* to = shared + stage * HALF_STAGE_BYTES;
#pragma unroll
    for (int i = 0; i < PANEL_BYTES / 16 / 256; i++) copy_async_once((float4*)to + tid + i * 256, (const float4*)from + i * 256);
    operand(to + PANEL_BYTES);
    from += PANEL_BYTES / 16;
  };
#pragma unroll 1
  for (int s = 0; s < HALF_STAGES - 1; s++) {
    if (s < slices) copy(s);
    copies_commit();
  }
  const uint32_t first = panel_address(shared_address(shared)), rows = (PANEL_BYTES + (tid >> 7) * (PANEL_BYTES / 2)) >> 4;  // of this warpgroup
  int stage = 0, next = HALF_STAGES - 1;
#pragma unroll 1
  for (int s = 0; s < slices; s++) {
    copies_wait<HALF_STAGES - 2>();
    shared_to_async();
    __syncthreads();  // the slice is there, and all are done with the one before
    const uint32_t place = first + stage * (HALF_STAGE_BYTES >> 4);
    wg_fence();
#pragma unroll
    for (int h = 0; h < DEEP / BK; h++) wgmma_halves<ARITH>(sums, panel_descriptor(place + rows + 2 * h), panel_descriptor(place + 2 * h));
    wg_commit();
    if (s + HALF_STAGES - 1 < slices) copy(next);
    copies_commit();
    wg_wait<0>();
    keep(sums);
    stage = stage + 1 == HALF_STAGES ? 0 : stage + 1;
    next = next + 1 == HALF_STAGES ? 0 : next + 1;
  }
  static_assert(128 * WarpgroupTile::LD * 4 <= HALF_STAGES * HALF_STAGE_BYTES, "the sums fit where the operands were");
  finish_sums<ARITH>(at, M, N, sums, shared, q, with.halves);
}

// Rows have whole chunks.
template <int ARITH>
__device__ __forceinline__ void halves_product(const PackedProduct& p, unsigned char* shared) {
  const Place at = place_of<WarpgroupTile>(p.p.M, p.p.N);
  const uint16_t* rows[Chunks::ROWS];
#pragma unroll
  for (int r = 0; r < Chunks::ROWS; r++) rows[r] = (const uint16_t*)p.p.a.p + min(at.m * 128 + Chunks::row(r), p.p.M - 1) * p.p.a.sx + Chunks::chunk() * 8;
  int k = 0;
  halves_gemm<ARITH>(at, p.p.M, p.p.N, (p.p.K + DEEP - 1) / DEEP, [&](unsigned char* to) {
    const bool there = k + Chunks::chunk() * 8 < p.p.K;
#pragma unroll
    for (int r = 0; r < Chunks::ROWS; r++) copy_async(Chunks::place(to, r), (const float4*)(rows[r] + k), there);
    k += DEEP;
  }, p.with, shared, p.p.q);
}
ENTRY(net_product_halves_wgmma, PackedProduct, halves_product<ARITH_BF16>(p, shared))
ENTRY(net_product_halves_f16_wgmma, PackedProduct, halves_product<ARITH_F16>(p, shared))

// Where the pixels of an image are that a thread copies, as ImageLoader (net_gemm.cuh) has them.
struct ImageChunks {
  const Convolution& c;
  const uint16_t* at[Chunks::ROWS];  // the pixel under the first tap, which may be outside of the image
  Pixel pixels[Chunks::ROWS];
  __device__ __forceinline__ ImageChunks(const Convolution& c, int x0, int limit) : c(c) {
#pragma unroll
    for (int r = 0; r < Chunks::ROWS; r++) {
      const int m = min(x0 + Chunks::row(r), limit - 1), all = c.h * c.w_, s = m / all, p = m - s * all, u = p / c.w_;
      const int y = u * c.stride - c.top, x = (p - u * c.w_) * c.stride - c.left;
      pixels[r].set(y, x);
      at[r] = (const uint16_t*)c.x + (((long long)s * c.H + y) * c.W + x) * c.C;
    }
  }
  __device__ __forceinline__ bool inside(int r, const Walk& w) const { return (unsigned)(pixels[r].y() + w.y) < (unsigned)c.H && (unsigned)(pixels[r].x() + w.x) < (unsigned)c.W; }
  __device__ __forceinline__ const uint16_t* pixel(int r, const Walk& w) const { return at[r] + (w.y * c.W + w.x) * c.C + w.channel; }
};

// A thread's chunk is of the first or of the second half of each slice, a tap of SLICE channels.
template <int ARITH>
__device__ __forceinline__ void halves_convolution(const PackedConvProduct& p, unsigned char* shared) {
  const Place at = place_of<WarpgroupTile>(p.p.M, p.p.N);
  Walk walk(p.p.c, p.p.c.C, Chunks::chunk() % 4 * 8);
  if (Chunks::chunk() / 4) walk.slice();
  const ImageChunks l(p.p.c, at.m * 128, p.p.M);
  halves_gemm<ARITH>(at, p.p.M, p.p.N, (p.p.K + DEEP - 1) / DEEP, [&](unsigned char* to) {
    const bool some = walk.channel < p.p.c.C;  // the last slice may have one half
#pragma unroll
    for (int r = 0; r < Chunks::ROWS; r++) copy_async(Chunks::place(to, r), (const float4*)l.pixel(r, walk), some && l.inside(r, walk));
    walk.slice(), walk.slice();
  }, p.with, shared, p.p.q);
}
ENTRY(net_conv_halves_wgmma, PackedConvProduct, halves_convolution<ARITH_BF16>(p, shared))
ENTRY(net_conv_halves_f16_wgmma, PackedConvProduct, halves_convolution<ARITH_F16>(p, shared))
