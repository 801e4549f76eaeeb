// Layers of wide networks on warpgroup products: f16 operands with float32 sums, or float32's accuracy by pairs of halves (PARTS 2: a
// number times a power of two is hi + lo to 22 bits, a product lo hi + hi lo + hi hi).
//
// A matrix of halves lies in memory as products read it in shared memory, in panels of 64 rows and 64 columns, 8 KB that are copied whole:
// panel (row / 64, column / 64), of PARTS parts, hi first; row r of a panel is 128 bytes, whose chunk c of eight columns is stored
// at chunk c ^ (r % 8). Activations have a row for each sample, weights one for each unit. Columns are multiples of 64. Rows behind the
// last, up to a multiple of 64, hold anything: each row of a product depends on one row of either operand.
//
// As many blocks as there are multiprocessors go through the tiles of BM rows and BN units. A third warpgroup loads slices of 64
// inputs into a ring of stages; two warpgroups multiply, 64 rows each. A sum runs over its inputs in an order that depends on nothing else.
#include "activations.cuh"
#include "bulk.cuh"
#include "gemm.cuh"
#include "halves.cuh"

#define WIDE_SCALE 16.0f  // what activations are multiplied by in pairs of halves: up to 4094 of them fit

// With s = unscale * sum_k a(m, k) b(n, k) + bias(n): f(s) + add(m, n), as panels to out, or to out32, or in parts of the products with the weights of
// the next layer, of one or two units, which is the last: parts[tile of units][row][unit of two]. Mirrored by cuda/exec/general_wide.go.
struct WideLayer {
  const unsigned char *a, *b;
  unsigned char* out;    // null: out32
  float* out32;          // null: parts
  int64_t out_row;
  float* parts;
  const float* head;     // weights of the last layer, head_units rows of N
  const float* bias;
  const unsigned char* add;  // null: nothing
  float unscale;             // of sums
  int M, N, K, head_units;
};

enum { PANEL = 8192, CONSUMERS = 256, LOADERS = 4, WIDE_THREADS = CONSUMERS + 32 * LOADERS };

__device__ __forceinline__ int64_t panel_at(int row64, int col64, int columns, int parts) { return ((int64_t)row64 * (columns >> 6) + col64) * (parts * PANEL); }
// Bytes from the beginning of a panel to row r and even column c.
__device__ __forceinline__ int in_panel(int r, int c) { return r * 128 + (((c >> 3) ^ (r & 7)) << 4) + (c & 7) * 2; }

// Fast versions, as in dense_f16.cu: their errors are below those of rounding to halves. Pairs of halves need the accurate ones.
template <int PARTS, int ACT>
__device__ __forceinline__ float wide_value(float s) {
  if (ACT == ACT_IDENTITY) return s;
  if (PARTS == 1 && ACT == ACT_SILU) return fmaf(0.5f * s, tanh_fast(0.5f * s), 0.5f * s);
  if (PARTS == 1 && ACT == ACT_TANH) return tanh_fast(s);
  return activate<ACT>(s);
}
template <int PARTS>
__device__ __forceinline__ float wide_value(int act, float s) {
  switch (act) {
    case ACT_SILU: return wide_value<PARTS, ACT_SILU>(s);
    case ACT_GELU: return wide_value<PARTS, ACT_GELU>(s);
    case ACT_TANH: return wide_value<PARTS, ACT_TANH>(s);
  }
  return s;
}

template <int PARTS>
struct WideTile {
  enum {
    BM = 128, BN = PARTS == 1 ? 256 : 128, STAGES = PARTS == 1 ? 4 : 3,
    A_PART = BM * 128, B_PART = BN * 128,  // bytes of a part of a slice
    STAGE = PARTS * (A_PART + B_PART),
    OUT = 2 * PANEL,  // of each warpgroup, for results on their way to memory
    BARRIERS = STAGES * STAGE + 2 * OUT,
    SHARED = BARRIERS + 16 * STAGES,
    GROUP = 2048 / BN,  // tiles of neighbouring units that are made one after the other, so that 132 of them share rows and units
    SUMS = BN / 2,      // of a thread
  };
};

template <int PARTS>
struct WideOrder {
  typedef WideTile<PARTS> T;
  int tiles_m, tiles_n, tiles;
  __device__ __forceinline__ WideOrder(const WideLayer& q) : tiles_m((q.M + T::BM - 1) / T::BM), tiles_n((q.N + T::BN - 1) / T::BN), tiles(tiles_m * tiles_n) {}
  __device__ __forceinline__ void tile(int t, int* m, int* n) const {
    const int first = t / (T::GROUP * tiles_m) * T::GROUP, r = t - first * tiles_m, wide = min((int)T::GROUP, tiles_n - first);
    *m = r / wide, *n = first + r % wide;
  }
};

// The threads that load, one of each warp of the third warpgroup: copies of panels are dealt out to them, because it takes some instructions to start one.
template <int PARTS>
__device__ __forceinline__ void wide_load(const WideLayer& q, int loader, uint32_t ring, uint32_t full, uint32_t empty) {
  typedef WideTile<PARTS> T;
  enum { OF_A = T::BM / 64 * PARTS, COPIES = OF_A + T::BN / 64 * PARTS, MINE = (COPIES + LOADERS - 1) / LOADERS };
  const WideOrder<PARTS> order(q);
  const int slices = q.K / 64;
  int stage = 0;
  uint32_t phase = 0, to[MINE];
#pragma unroll
  for (int i = 0; i < MINE; i++) {
    const int c = loader + i * LOADERS, of_b = c - OF_A;
    to[i] = ring + (c < OF_A ? c % PARTS * T::A_PART + c / PARTS * PANEL : PARTS * T::A_PART + of_b % PARTS * T::B_PART + of_b / PARTS * PANEL);
  }
  for (int t = blockIdx.x; t < order.tiles; t += gridDim.x) {
    int m, n, bytes = 0;
    order.tile(t, &m, &n);
    const unsigned char* from[MINE];
#pragma unroll
    for (int i = 0; i < MINE; i++) {
      const int c = loader + i * LOADERS, of_b = c - OF_A;
      const bool a = c < OF_A;
      const int panel = a ? m * (T::BM / 64) + c / PARTS : n * (T::BN / 64) + of_b / PARTS;
      const bool there = c < COPIES && panel * 64 < (a ? q.M : q.N);
      from[i] = there ? (a ? q.a : q.b) + panel_at(panel, 0, q.K, PARTS) + (a ? c : of_b) % PARTS * PANEL : nullptr;
      bytes += there ? PANEL : 0;
    }
#pragma unroll 1
    for (int s = 0; s < slices; s++) {
      barrier_wait(empty + 8 * stage, phase ^ 1);
      const uint32_t bar = full + 8 * stage;
      barrier_expect(bar, bytes);
#pragma unroll
      for (int i = 0; i < MINE; i++) {
        if (from[i]) bulk_load(to[i] + stage * T::STAGE, from[i], PANEL, bar), from[i] += PARTS * PANEL;
      }
      if (++stage == T::STAGES) stage = 0, phase ^= 1;
    }
  }
}

// A warpgroup's place in the ring.
template <int PARTS>
struct WideRing {
  typedef WideTile<PARTS> T;
  uint32_t ring, full, empty, phase;
  int stage, last;  // the stage at hand, and the one before it
  __device__ __forceinline__ void next() {
    last = stage;
    if (++stage == T::STAGES) stage = 0, phase ^= 1;
  }
  // The products of the slice at hand, when it has arrived, as one group into d. More: add to what d holds.
  __device__ __forceinline__ void products(float (&d)[T::SUMS], int group, bool more) {
    barrier_wait(full + 8 * stage, phase);
    const uint32_t at = ring + stage * T::STAGE;
    const uint32_t a = panel_address(at + group * PANEL), b = panel_address(at + PARTS * T::A_PART);
    wg_fence();
    if (PARTS == 1) {
#pragma unroll
      for (int k = 0; k < 4; k++) wgmma(d, panel_descriptor(a + 2 * k), panel_descriptor(b + 2 * k), more || k > 0);
    } else {  // small ones first, so that tensor cores round towards zero at full size four times
#pragma unroll
      for (int k = 0; k < 4; k++) {
        wgmma(d, panel_descriptor(a + T::A_PART / 16 + 2 * k), panel_descriptor(b + 2 * k), more || k > 0);
        wgmma(d, panel_descriptor(a + 2 * k), panel_descriptor(b + T::B_PART / 16 + 2 * k), 1);
      }
#pragma unroll
      for (int k = 0; k < 4; k++) wgmma(d, panel_descriptor(a + 2 * k), panel_descriptor(b + 2 * k), 1);
    }
    wg_commit();
    next();
  }
  // The stage's bytes have been read by this warp's products; eight warps say so.
  __device__ __forceinline__ void release(int which, int lane) const {
    if (lane == 0) barrier_arrive(empty + 8 * which);
  }
};

// The epilogue of a warpgroup's 64 rows.
template <int PARTS, int ACT>
__device__ __forceinline__ void wide_finish(const WideLayer& q, const float (&sums)[WideTile<PARTS>::SUMS], unsigned char* staging, int m, int n, int group) {
  typedef WideTile<PARTS> T;
  const int thread = threadIdx.x & 127, lane = thread & 31, g = lane >> 2, c2 = (lane & 3) * 2;
  const int panel_row = m * (T::BM / 64) + group, r = (thread >> 5) * 16 + g;  // and row r + 8
  if (panel_row * 64 >= q.M) return;
  const float scale = PARTS == 1 ? 1.0f : WIDE_SCALE;
  float parts[2][2] = {};  // of rows r and r + 8, of two units
#pragma unroll
  for (int p = 0; p < T::BN / 64; p++) {
    const int panel_col = n * (T::BN / 64) + p;
    if (panel_col * 64 >= q.N) continue;
    unsigned char* stage = staging + (PARTS == 1 ? (p & 1) * PANEL : 0);
    if (q.out) {  // what was here has been read; the tile before may have ended with either of two panels
      if (thread == 0) {
        if (PARTS == 1 && p) bulk_wait_read<1>();
        else bulk_wait_read<0>();
      }
      part_sync(1 + group, 128);
    }
    const unsigned char* add = q.add ? q.add + panel_at(panel_row, panel_col, q.N, PARTS) : nullptr;
#pragma unroll
    for (int j = 0; j < 8; j++) {
      const float* s = &sums[(p * 8 + j) * 4];
      const float2 bias = *(const float2*)(q.bias + panel_col * 64 + j * 8 + c2);
      const int up = in_panel(r, j * 8 + c2), down = up + 8 * 128;
      float v[4];
#pragma unroll
      for (int e = 0; e < 4; e++) v[e] = wide_value<PARTS, ACT>(PARTS == 1 ? s[e] + (e & 1 ? bias.y : bias.x) : fmaf(s[e], q.unscale, e & 1 ? bias.y : bias.x)) * scale;
      if (add) {
#pragma unroll
        for (int h = 0; h < 2; h++)
#pragma unroll
          for (int part = 0; part < PARTS; part++) {
            float x, y;
            unpack_f16(*(const uint32_t*)(add + part * PANEL + (h ? down : up)), &x, &y);
            v[2 * h] += x, v[2 * h + 1] += y;
          }
      }
      if (q.out) {
        if (PARTS == 1) {
          *(uint32_t*)(stage + up) = pack_f16(v[0], v[1]), *(uint32_t*)(stage + down) = pack_f16(v[2], v[3]);
        } else {
          split_f16(v[0], v[1], (uint32_t*)(stage + up), (uint32_t*)(stage + PANEL + up));
          split_f16(v[2], v[3], (uint32_t*)(stage + down), (uint32_t*)(stage + PANEL + down));
        }
      } else if (q.parts) {
#pragma unroll
        for (int o = 0; o < 2; o++) {
          const float2 w = *(const float2*)(q.head + min(o, q.head_units - 1) * q.N + panel_col * 64 + j * 8 + c2);
          parts[0][o] = fmaf(v[0], w.x, fmaf(v[1], w.y, parts[0][o])), parts[1][o] = fmaf(v[2], w.x, fmaf(v[3], w.y, parts[1][o]));
        }
      } else {
        const int row = panel_row * 64 + r;
        float* to = q.out32 + row * q.out_row + panel_col * 64 + j * 8 + c2;
        const float inverse = 1.0f / scale;
        if (row < q.M) *(float2*)to = float2{v[0] * inverse, v[1] * inverse};
        if (row + 8 < q.M) *(float2*)(to + 8 * q.out_row) = float2{v[2] * inverse, v[3] * inverse};
      }
    }
    if (q.out) {
      shared_to_async();
      part_sync(1 + group, 128);
      if (thread == 0) bulk_store(q.out + panel_at(panel_row, panel_col, q.N, PARTS), shared_address(stage), PARTS * PANEL), bulk_commit();
    }
  }
  if (!q.parts) return;
#pragma unroll
  for (int h = 0; h < 2; h++) {
#pragma unroll
    for (int o = 0; o < 2; o++) {
      parts[h][o] += __shfl_xor_sync(~0u, parts[h][o], 1);
      parts[h][o] += __shfl_xor_sync(~0u, parts[h][o], 2);
    }
    const int row = panel_row * 64 + r + 8 * h;
    if ((lane & 3) == 0 && row < q.M) *(float2*)(q.parts + ((int64_t)n * q.M + row) * 2) = float2{parts[h][0], parts[h][1]};
  }
}

template <int PARTS, int ACT>
__device__ __forceinline__ void wide_layer(const WideLayer& q) {
  typedef WideTile<PARTS> T;
  PANELS_SHARED(sm);
  const uint32_t ring = shared_address(sm), full = ring + T::BARRIERS, empty = full + 8 * T::STAGES;
  const int group = threadIdx.x >> 7, lane = threadIdx.x & 31;
  if (threadIdx.x == 0) {
    for (int s = 0; s < T::STAGES; s++) barrier_init(full + 8 * s, LOADERS), barrier_init(empty + 8 * s, CONSUMERS / 32);
    barriers_made();
  }
  __syncthreads();
  if (group == CONSUMERS / 128) {
    registers_at_most<40>();
    if (lane == 0) wide_load<PARTS>(q, (threadIdx.x - CONSUMERS) >> 5, ring, full, empty);
    return;
  }
  registers_at_least<232>();
  const WideOrder<PARTS> order(q);
  const int slices = q.K / 64;
  WideRing<PARTS> at{ring, full, empty, 0, 0, 0};
  for (int t = blockIdx.x; t < order.tiles; t += gridDim.x) {
    int m, n;
    order.tile(t, &m, &n);
    float sums[T::SUMS];
    if constexpr (PARTS == 1) {
      at.products(sums, group, false);
      for (int s = 1; s < slices; s++) {
        const int before = at.last;
        at.products(sums, group, true);
        wg_wait<1>();
        at.release(before, lane);
      }
      wg_wait<0>();
      keep(sums);
      at.release(at.last, lane);
    } else {  // tensor cores add up a slice; slices are added up here, rounded to nearest
      float d0[T::SUMS], d1[T::SUMS];
#pragma unroll
      for (int i = 0; i < T::SUMS; i++) sums[i] = 0.0f;
      int s = 0;
#pragma unroll 1
      for (; s + 1 < slices; s += 2) {
        at.products(d0, group, false);
        const int before = at.last;
        at.products(d1, group, false);
        wg_wait<1>();
        keep(d0);
        at.release(before, lane);
#pragma unroll
        for (int i = 0; i < T::SUMS; i++) sums[i] += d0[i];
        wg_wait<0>();
        keep(d1);
        at.release(at.last, lane);
#pragma unroll
        for (int i = 0; i < T::SUMS; i++) sums[i] += d1[i];
      }
      if (s < slices) {
        at.products(d0, group, false);
        wg_wait<0>();
        keep(d0);
        at.release(at.last, lane);
#pragma unroll
        for (int i = 0; i < T::SUMS; i++) sums[i] += d0[i];
      }
    }
    wide_finish<PARTS, ACT>(q, sums, sm + T::STAGES * T::STAGE + group * T::OUT, m, n, group);
  }
  if (q.out && (threadIdx.x & 127) == 0) bulk_wait_read<0>();
}

#define WIDE_LAYER(name, PARTS, ACT)                                                                                       \
  extern "C" __global__ void __launch_bounds__(WIDE_THREADS, 1) name(WideLayer q) { wide_layer<PARTS, ACT>(q); } \
  KERNEL(name)
WIDE_LAYER(dense_f16_wgmma_identity, 1, ACT_IDENTITY)
WIDE_LAYER(dense_f16_wgmma_silu, 1, ACT_SILU)
WIDE_LAYER(dense_f16_wgmma_gelu, 1, ACT_GELU)
WIDE_LAYER(dense_f16_wgmma_tanh, 1, ACT_TANH)
WIDE_LAYER(dense_split_wgmma_identity, 2, ACT_IDENTITY)
WIDE_LAYER(dense_split_wgmma_silu, 2, ACT_SILU)
WIDE_LAYER(dense_split_wgmma_gelu, 2, ACT_GELU)
WIDE_LAYER(dense_split_wgmma_tanh, 2, ACT_TANH)

// Eight numbers as halves, to a chunk of a panel.
template <int PARTS>
__device__ __forceinline__ void put_chunk(unsigned char* to, const float (&v)[8]) {
  uint32_t hi[4], lo[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (PARTS == 1) hi[i] = pack_f16(v[2 * i], v[2 * i + 1]);
    else split_f16(v[2 * i], v[2 * i + 1], &hi[i], &lo[i]);
  }
  *(uint4*)to = uint4{hi[0], hi[1], hi[2], hi[3]};
  if (PARTS == 2) *(uint4*)(to + PANEL) = uint4{lo[0], lo[1], lo[2], lo[3]};
}

// Weights (rows x columns) times scale as panels, a thread for eight of them.
template <int PARTS>
__device__ __forceinline__ void wide_pack(unsigned char* out, const float* __restrict__ w, float scale, int rows, int columns) {
  const int64_t all = (int64_t)rows * (columns / 8), step = (int64_t)gridDim.x * blockDim.x;
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
    const int r = (int)(i / (columns / 8)), c = (int)(i % (columns / 8)) * 8;
    float v[8];
#pragma unroll
    for (int e = 0; e < 8; e++) v[e] = scale * w[(int64_t)r * columns + c + e];
    put_chunk<PARTS>(out + panel_at(r >> 6, c >> 6, columns, PARTS) + in_panel(r & 63, c & 63), v);
  }
}
extern "C" __global__ void __launch_bounds__(256) pack_f16_wide(unsigned char* out, const float* w, float scale, int rows, int columns) { wide_pack<1>(out, w, scale, rows, columns); }
KERNEL(pack_f16_wide)
extern "C" __global__ void __launch_bounds__(256) pack_split_wide(unsigned char* out, const float* w, float scale, int rows, int columns) { wide_pack<2>(out, w, scale, rows, columns); }
KERNEL(pack_split_wide)

// A layer on the input or of few outputs, in float32. Mirrored by cuda/exec/general_wide.go.
struct WideEdge {
  const float* x;  // the input, of rows x_row
  int64_t x_row;
  const float* w;  // [N][w_row], from its first input on
  int64_t w_row;
  const float* bias;  // bias_row 0: one for all rows
  int64_t bias_row;
  unsigned char* panels;  // of the layer on the input the output, of the other one the input
  float* out;
  int64_t out_row;
  int M, N, K, act;
};

// A layer on the input of few dimensions K: a warp makes panels of 64 rows and 64 units, a thread eight units of a row at a time.
template <int PARTS, int ACT>
__device__ __forceinline__ void wide_first(const WideEdge& q) {
  enum { ROWS = 4 };
  const int lane = threadIdx.x & 31, chunk = lane & 7, own = lane >> 3;
  const int panels = (q.M + 63) / 64 * (q.N / 64), warps = gridDim.x * (blockDim.x >> 5);
  const float scale = PARTS == 1 ? 1.0f : WIDE_SCALE;
  for (int p = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5); p < panels; p += warps) {
    const int pm = p / (q.N / 64), pn = p % (q.N / 64), unit = pn * 64 + chunk * 8;
    const float* w = q.w + unit * q.w_row;
    unsigned char* out = q.panels + panel_at(pm, pn, q.N, PARTS);
#pragma unroll 1
    for (int i = 0; i < 16; i += ROWS) {
      float acc[ROWS][8];
      int row[ROWS];  // of the matrix; those behind the last are computed as the last
#pragma unroll
      for (int j = 0; j < ROWS; j++) {
        row[j] = min(pm * 64 + (i + j) * 4 + own, q.M - 1);
        const float4* b = (const float4*)(q.bias + row[j] * q.bias_row + unit);
        *(float4*)&acc[j][0] = b[0], *(float4*)&acc[j][4] = b[1];
      }
#pragma unroll 1
      for (int d = 0; d < q.K; d++) {
        float x[ROWS];
#pragma unroll
        for (int j = 0; j < ROWS; j++) x[j] = q.x[row[j] * q.x_row + d];
#pragma unroll
        for (int e = 0; e < 8; e++) {
          const float v = w[e * q.w_row + d];
#pragma unroll
          for (int j = 0; j < ROWS; j++) acc[j][e] = fmaf(x[j], v, acc[j][e]);
        }
      }
#pragma unroll
      for (int j = 0; j < ROWS; j++) {
#pragma unroll
        for (int e = 0; e < 8; e++) acc[j][e] = scale * wide_value<PARTS, ACT>(acc[j][e]);
        put_chunk<PARTS>(out + in_panel((i + j) * 4 + own, chunk * 8), acc[j]);
      }
    }
  }
}
template <int PARTS>
__device__ __forceinline__ void wide_first_by_act(const WideEdge& q) {
  switch (q.act) {
    case ACT_SILU: return wide_first<PARTS, ACT_SILU>(q);
    case ACT_GELU: return wide_first<PARTS, ACT_GELU>(q);
    case ACT_TANH: return wide_first<PARTS, ACT_TANH>(q);
  }
  wide_first<PARTS, ACT_IDENTITY>(q);
}
extern "C" __global__ void __launch_bounds__(256, 3) first_f16_wide(WideEdge q) { wide_first_by_act<1>(q); }
KERNEL(first_f16_wide)
extern "C" __global__ void __launch_bounds__(256, 3) first_split_wide(WideEdge q) { wide_first_by_act<2>(q); }
KERNEL(first_split_wide)

// A layer on the input of more dimensions, by float32 tiles: numbers go one by one.
template <int PARTS>
struct WideEach {
  const WideEdge& q;
  int m;
  __device__ __forceinline__ WideEach row(int of) const { return WideEach{q, of}; }
  __device__ __forceinline__ void operator()(int n, float s) const {
    unsigned char* to = q.panels + panel_at(m >> 6, n >> 6, q.N, PARTS) + in_panel(m & 63, n & 63);
    uint32_t hi, lo = 0;
    split_f16((PARTS == 1 ? 1.0f : WIDE_SCALE) * wide_value<PARTS>(q.act, s + q.bias[m * q.bias_row + n]), 0.0f, &hi, &lo);
    *(uint16_t*)to = (uint16_t)hi;
    if (PARTS == 2) *(uint16_t*)(to + PANEL) = (uint16_t)lo;
  }
};
template <int PARTS>
__device__ __forceinline__ void wide_input(const WideEdge& q) {
  EXTERN_SHARED(uint4, operands);
  const int tiles = (q.N + TileF32Small::BN - 1) / TileF32Small::BN;
  gemm_tile<TileF32Small>(blockIdx.x / tiles, blockIdx.x % tiles, q.M, q.N, q.K, Matrix<float>{q.x, q.x_row, 1}, Matrix<float>{q.w, 1, q.w_row}, (float*)operands, WideEach<PARTS>{q, 0});
}
extern "C" __global__ void __launch_bounds__(256, 3) input_f16_wide(WideEdge q) { wide_input<1>(q); }
KERNEL(input_f16_wide)
extern "C" __global__ void __launch_bounds__(256, 3) input_split_wide(WideEdge q) { wide_input<2>(q); }
KERNEL(input_split_wide)

// The outputs of a last layer of one or two units, N, from K parts of their sums.
template <int PARTS>
__device__ __forceinline__ void wide_sum(const WideEdge& q) {
  const int step = gridDim.x * blockDim.x;
  for (int m = blockIdx.x * blockDim.x + threadIdx.x; m < q.M; m += step) {
    float2 s = float2{0.0f, 0.0f};
    for (int i = 0; i < q.K; i++) {
      const float2 part = *(const float2*)(q.x + ((int64_t)i * q.M + m) * 2);
      s.x += part.x, s.y += part.y;
    }
    for (int o = 0; o < q.N; o++) q.out[m * q.out_row + o] = wide_value<2>(q.act, fmaf(o ? s.y : s.x, PARTS == 1 ? 1.0f : 1.0f / WIDE_SCALE, q.bias[o]));
  }
}
extern "C" __global__ void __launch_bounds__(256) sum_f16_wide(WideEdge q) { wide_sum<1>(q); }
KERNEL(sum_f16_wide)
extern "C" __global__ void __launch_bounds__(256) sum_split_wide(WideEdge q) { wide_sum<2>(q); }
KERNEL(sum_split_wide)

// A layer of few outputs N from panels of K inputs. Four rows of panels have a warp's 32 lanes, each a chunk of eight inputs; a thread has ROWS such rows.
template <int PARTS, int OUTPUTS>
__device__ __forceinline__ void wide_head(const WideEdge& q) {
  enum { ROWS = 4 };
  const int lane = threadIdx.x & 31, chunk = lane & 7;
  const int row0 = (blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5)) * (4 * ROWS) + (lane >> 3);  // the first; the next are four further each
  if (row0 - (lane >> 3) >= q.M) return;
  const unsigned char* a = q.panels + panel_at(row0 >> 6, 0, q.K, PARTS);
#pragma unroll 1
  for (int o0 = 0; o0 < q.N; o0 += OUTPUTS) {
    float acc[ROWS][OUTPUTS];
#pragma unroll
    for (int i = 0; i < ROWS * OUTPUTS; i++) acc[i / OUTPUTS][i % OUTPUTS] = 0.0f;
    const float* w[OUTPUTS];
#pragma unroll
    for (int o = 0; o < OUTPUTS; o++) w[o] = q.w + min(o0 + o, q.N - 1) * q.w_row + chunk * 8;
#pragma unroll 2
    for (int k = 0; k < q.K / 64; k++) {
      uint4 part[ROWS][PARTS];
#pragma unroll
      for (int i = 0; i < ROWS; i++)
#pragma unroll
        for (int p = 0; p < PARTS; p++) part[i][p] = *(const uint4*)(a + (k * PARTS + p) * PANEL + in_panel((row0 + 4 * i) & 63, chunk * 8));
      float v[OUTPUTS][8];
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) *(float4*)&v[o][0] = ((const float4*)(w[o] + k * 64))[0], *(float4*)&v[o][4] = ((const float4*)(w[o] + k * 64))[1];
#pragma unroll
      for (int i = 0; i < ROWS; i++) {
        float x[8];
        unpack_f16(part[i][0].x, &x[0], &x[1]), unpack_f16(part[i][0].y, &x[2], &x[3]), unpack_f16(part[i][0].z, &x[4], &x[5]), unpack_f16(part[i][0].w, &x[6], &x[7]);
        if (PARTS == 2) {
          const uint4 low = part[i][PARTS - 1];
          float y[8];
          unpack_f16(low.x, &y[0], &y[1]), unpack_f16(low.y, &y[2], &y[3]), unpack_f16(low.z, &y[4], &y[5]), unpack_f16(low.w, &y[6], &y[7]);
#pragma unroll
          for (int e = 0; e < 8; e++) x[e] += y[e];
        }
#pragma unroll
        for (int o = 0; o < OUTPUTS; o++)
#pragma unroll
          for (int e = 0; e < 8; e++) acc[i][o] = fmaf(x[e], v[o][e], acc[i][o]);
      }
    }
#pragma unroll
    for (int i = 0; i < ROWS; i++)
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) {
        float s = acc[i][o];
        s += __shfl_xor_sync(~0u, s, 1), s += __shfl_xor_sync(~0u, s, 2), s += __shfl_xor_sync(~0u, s, 4);
        const int row = row0 + 4 * i;
        if (chunk == 0 && row < q.M && o0 + o < q.N) q.out[row * q.out_row + o0 + o] = wide_value<2>(q.act, fmaf(s, PARTS == 1 ? 1.0f : 1.0f / WIDE_SCALE, q.bias[o0 + o]));
      }
  }
}
extern "C" __global__ void __launch_bounds__(256, 2) head_f16_wide(WideEdge q) { wide_head<1, 2>(q); }
KERNEL(head_f16_wide)
extern "C" __global__ void __launch_bounds__(256, 2) head_split_wide(WideEdge q) { wide_head<2, 2>(q); }
KERNEL(head_split_wide)
