// A tiled matrix product: for m < M, n < N   epilogue.row(m)(n, sum over k < K of A(m, k) B(k, n)).
//
// A block of Tile::THREADS threads makes one tile of BM x BN sums; a thread has TM x TN of them in registers. Slices of
// BK steps of k pass through two buffers in shared memory: while one is multiplied the next is copied from device
// memory. A sum runs over k = 0, 1, 2, ... with one fused multiply-add each, in every tile shape, so it
// does not depend on shapes, on the rows around it, or on the grid. Any M, N, K >= 0: what lies outside is not touched.
//
// Finished sums go through shared memory. The epilogue then gets them row by row, 32 neighbours for a warp, and is compiled once and
// not once for each register.
#pragma once
#include "async.cuh"

// Element (i, j) lies at p[i row + j col]; the loads are coalesced where row or col is 1.
template <class T>
struct Matrix {
  const T* p;
  int64_t row, col;
};

__device__ __forceinline__ float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
__device__ __forceinline__ double multiply_add(double a, double b, double c) { return fma(a, b, c); }

template <class T> struct Vector16;  // 16 bytes of T
template <> struct Vector16<float> { typedef float4 type; };
template <> struct Vector16<double> { typedef double2 type; };

template <class T, int BM_, int BN_, int BK_, int TM_, int TN_>
struct Tile {
  typedef T Element;
  enum {
    BM = BM_, BN = BN_, BK = BK_, TM = TM_, TN = TN_,
    V = 16 / sizeof(T),                        // elements of a vector load
    AX = BM + V, BX = BN + V,                  // row strides in shared memory: 16 bytes of skew
    THREADS = (BM / TM) * (BN / TN),
    BUFFER = BK * (AX + BX),                   // elements of one buffer
    SHARED = 2 * BUFFER * (int)sizeof(T),      // bytes of dynamic shared memory
  };
  static_assert(TM % V == 0 && TN % V == 0 && BM * BK % THREADS == 0 && BN * BK % THREADS == 0 && THREADS % BK == 0, "a thread loads and multiplies whole vectors");
  static_assert(BM / TM * BN <= 2 * BUFFER, "a slice of sums fits where the operands were");
};

// The tiles: large products, small ones, and those with few columns (a network's last layer). 256 threads each. Float64
// products with more columns are tensor cores' (gemm_f64.cuh).
typedef Tile<float, 128, 128, 8, 8, 8> TileF32Large;
typedef Tile<float, 64, 64, 16, 4, 4> TileF32Small;
typedef Tile<float, 256, 16, 16, 4, 4> TileF32Narrow;
typedef Tile<double, 128, 16, 16, 4, 2> TileF64Narrow;

// A thread's share of an operand's slice: COUNT elements, step apart along the index that is not contiguous. x runs over
// rows of A or columns of B, k over the sum.
template <class T, int X, int BK, int THREADS, int LD>
struct SliceLoader {
  enum { COUNT = X * BK / THREADS };
  static_assert(X <= THREADS && THREADS % X == 0, "a row of the slice has no more elements than there are threads");
  const T* p;         // the first in the slice at hand
  int step, advance;  // from one element to the next, from slice to slice
  int k, dk;          // k of the first, and of the next after it
  int slot, jump;     // where they go in shared memory
  uint32_t valid;     // which of them have an x below the limit

  // The slice begins at x0; strides sx and sk, one of both 1.
  __device__ __forceinline__ SliceLoader(const T* base, int64_t sx, int64_t sk, int x0, int limit, int t) {
    const bool along = sk == 1;  // threads run along k
    const int x = along ? t / BK : t % X, dx = along ? THREADS / BK : 0;
    k = along ? t % BK : t / X, dk = along ? 0 : THREADS / X;
    slot = k * LD + x, jump = dk * LD + dx;
    p = base + (x0 + x) * sx + k * sk;
    step = (int)(dx * sx + dk * sk), advance = (int)(BK * sk);
    valid = 0;
#pragma unroll
    for (int i = 0; i < COUNT; i++) valid |= (uint32_t)(x0 + x + i * dx < limit) << i;
  }
  // Starts the copy of the next slice; of the sum there are left steps from it on.
  __device__ __forceinline__ void copy(T* shared, int left) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) copy_async(shared + slot + i * jump, p + i * step, (valid >> i & 1) && k + i * dk < left);
    p += advance;
  }
};

// Hands rows of BN sums, LD apart in shared memory, to the epilogue; row_of(r) is the row of the product that r is.
template <int BN, int LD, int THREADS, class T, class RowOf, class Epilogue>
__device__ __forceinline__ void finish_rows(const T* sums, int rows, const RowOf& row_of, int M, int n0, int N, const Epilogue& epilogue) {
  enum { LANES = BN < 32 ? BN : 32 };
#pragma unroll 1
  for (int r = threadIdx.x / LANES; r < rows; r += THREADS / LANES) {
    const int m = row_of(r);
    if (m >= M) break;
    const auto row = epilogue.row(m);
#pragma unroll 1
    for (int c = threadIdx.x % LANES; c < BN && n0 + c < N; c += LANES) row(n0 + c, sums[r * LD + c]);
  }
}

// Tile (tile_m, tile_n) of the product; shared has Tile::SHARED bytes, 16-byte aligned. All threads of the block call it.
template <class Tile, class Epilogue>
__device__ __forceinline__ void gemm_tile(int tile_m, int tile_n, int M, int N, int K, Matrix<typename Tile::Element> a, Matrix<typename Tile::Element> b,
                                          typename Tile::Element* shared, const Epilogue& epilogue) {
  typedef typename Tile::Element T;
  typedef typename Vector16<T>::type Vec;
  enum { BM = Tile::BM, BN = Tile::BN, BK = Tile::BK, TM = Tile::TM, TN = Tile::TN, V = Tile::V, AX = Tile::AX, BX = Tile::BX, THREADS = Tile::THREADS };
  const int t = threadIdx.x, m0 = tile_m * BM, n0 = tile_n * BN;
  // Thread (ty, tx) of BM/TM x BN/TN; a warp covers 4 x 8 of them (8 x 4 if there are but 4 columns), so that its reads
  // of shared memory are few and wide.
  enum { LX = BN / TN < 8 ? BN / TN : 8, LY = 32 / LX, WX = BN / TN / LX };
  const int lane = t & 31, warp = t >> 5;
  const int tx = warp % WX * LX + lane % LX, ty = warp / WX * LY + lane / LX;

  SliceLoader<T, BM, BK, THREADS, AX> la(a.p, a.row, a.col, m0, M, t);
  SliceLoader<T, BN, BK, THREADS, BX> lb(b.p, b.col, b.row, n0, N, t);
  T acc[TM][TN];
#pragma unroll
  for (int i = 0; i < TM; i++)
#pragma unroll
    for (int j = 0; j < TN; j++) acc[i][j] = T(0);

  la.copy(shared, K);
  lb.copy(shared + BK * AX, K);
  int at = 0;
  for (int left = K; left > 0; left -= BK) {
    copies_commit();
    copies_wait<0>();
    __syncthreads();  // the slice is complete, and no thread reads the one before any more
    const T* sa = shared + at * Tile::BUFFER + ty * V;
    const T* sb = shared + at * Tile::BUFFER + BK * AX + tx * V;
    at ^= 1;
    if (left > BK) {
      la.copy(shared + at * Tile::BUFFER, left - BK);
      lb.copy(shared + at * Tile::BUFFER + BK * AX, left - BK);
    }
#pragma unroll
    for (int k = 0; k < BK; k++) {
      T fa[TM], fb[TN];
#pragma unroll
      for (int i = 0; i < TM / V; i++) *(Vec*)&fa[i * V] = *(const Vec*)&sa[k * AX + i * (BM / (TM / V))];
#pragma unroll
      for (int j = 0; j < TN / V; j++) *(Vec*)&fb[j * V] = *(const Vec*)&sb[k * BX + j * (BN / (TN / V))];
#pragma unroll
      for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) acc[i][j] = multiply_add(fa[i], fb[j], acc[i][j]);
    }
  }
  copies_commit();
  copies_wait<0>();
  __syncthreads();

  // One row of every thread at a time: BM/TM rows of BN.
#pragma unroll 1
  for (int i = 0; i < TM; i++) {
#pragma unroll
    for (int q = 0; q < TM; q++) {
      if (q != i) continue;
#pragma unroll
      for (int j = 0; j < TN / V; j++) *(Vec*)&shared[ty * BN + j * (BN / (TN / V)) + tx * V] = *(Vec*)&acc[q][j * V];
    }
    __syncthreads();
    const int first = m0 + i / V * (BM / (TM / V)) + i % V;
    finish_rows<BN, BN, THREADS>(shared, BM / TM, [=](int r) { return first + r * V; }, M, n0, N, epilogue);
    __syncthreads();
  }
}
