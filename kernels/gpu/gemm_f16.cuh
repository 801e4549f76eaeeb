// A tiled matrix product on tensor cores: half-precision A (rows x K) and B (columns x K), both with k contiguous, sums in
// float32. For m < M and pairs of columns n, n + 1 with n even and n < columns: epilogue(m, n, sum(m, n), sum(m, n + 1)).
//
// A warp has WM x WN sums in accumulators. Slices of BK steps of k pass through STAGES buffers in shared memory, copied
// while others are multiplied; rows there are 16 bytes longer than BK, so that the eight rows of a matrix lie in different
// banks. Rows of A and B are multiples of 8 long, filled with zeros behind K; rows outside are taken as zeros.
#pragma once
#include "async.cuh"
#include "mma.cuh"

#ifdef __CUDACC__
// Four 8x8 matrices of halves: lane l gives the address of row l % 8 of matrix l / 8, and gets of each matrix the word
// l % 4 of row l / 4.
__device__ __forceinline__ void load_matrices(uint32_t r[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"((uint32_t)__cvta_generic_to_shared(row))
               : "memory");
}
#endif

template <int BM_, int BN_, int WM_, int WN_>
struct TileF16 {
  enum {
    BM = BM_, BN = BN_, WM = WM_, WN = WN_,
    BK = 32, STAGES = 3,
    ROW = BK + 8,                            // halves of a row in shared memory
    BUFFER = (BM + BN) * ROW,                // halves of a buffer
    SHARED = STAGES * BUFFER * 2,            // bytes of dynamic shared memory
    WARPS_N = BN / WN, THREADS = 32 * (BM / WM) * WARPS_N,
    SLICE = BM / WM * 16,                    // rows of sums that the epilogue takes at a time
  };
  static_assert(WM % 16 == 0 && WN % 16 == 0 && BM * (BK / 8) % THREADS == 0, "fragments and copies come out even");
  static_assert(SLICE * (BN + 8) * 4 <= SHARED, "a slice of sums fits where the operands were");
};
typedef TileF16<128, 128, 64, 64> TileF16Large;  // 128 threads each
typedef TileF16<128, 16, 32, 16> TileF16Narrow;

// A thread's copies of a slice of X rows of an operand: 16 bytes each.
template <class Tile, int X>
struct SliceCopierF16 {
  enum { CHUNKS = Tile::BK / 8, COUNT = (X * CHUNKS + Tile::THREADS - 1) / Tile::THREADS, STEP = Tile::THREADS / CHUNKS };
  const uint16_t* p;
  int64_t step;
  int x, k, limit;
  __device__ __forceinline__ SliceCopierF16(const uint16_t* base, int64_t row, int x0, int limit, int t) : limit(limit) {
    x = x0 + t / CHUNKS, k = t % CHUNKS * 8;
    p = base + x * row + k;
    step = STEP * row;
  }
  __device__ __forceinline__ void copy(uint16_t* shared, int left, int t) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
      if (X % STEP && t / CHUNKS + i * STEP >= X) break;
      copy_async((uint4*)(shared + (t / CHUNKS + i * STEP) * Tile::ROW + k), (const uint4*)(p + i * step), x + i * STEP < limit && k < left);
    }
    p += Tile::BK;
  }
};

template <class Tile, class Epilogue>
__device__ __forceinline__ void gemm_f16_tile(int tile_m, int tile_n, int M, int N, int columns, int K, const uint16_t* a, int64_t a_row, const uint16_t* b, int64_t b_row,
                                              uint16_t* shared, const Epilogue& epilogue) {
  enum { BM = Tile::BM, BN = Tile::BN, BK = Tile::BK, ROW = Tile::ROW, BUFFER = Tile::BUFFER, STAGES = Tile::STAGES, MT = Tile::WM / 16, NT = Tile::WN / 8 };
  const int t = threadIdx.x, lane = t & 31, warp = t >> 5, m0 = tile_m * BM, n0 = tile_n * BN;
  const int wm = warp / Tile::WARPS_N * Tile::WM, wn = warp % Tile::WARPS_N * Tile::WN;
  SliceCopierF16<Tile, BM> ca(a, a_row, m0, M, t);
  SliceCopierF16<Tile, BN> cb(b, b_row, n0, N, t);
  float acc[MT][NT][4];
#pragma unroll
  for (int i = 0; i < MT; i++)
#pragma unroll
    for (int j = 0; j < NT; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) acc[i][j][e] = 0.0f;

#pragma unroll
  for (int s = 0; s < STAGES - 1; s++) {
    ca.copy(shared + s * BUFFER, K - s * BK, t);
    cb.copy(shared + s * BUFFER + BM * ROW, K - s * BK, t);
    copies_commit();
  }
  // the row of a fragment that this lane's address is for
  const int fa = (wm + (lane & 15)) * ROW + (lane >> 4) * 8;
  const int fb = BM * ROW + (wn + (lane >> 4) * 8 + (lane & 7)) * ROW + (lane >> 3 & 1) * 8;
  int at = 0, to = STAGES - 1;
  for (int k0 = 0; k0 < K; k0 += BK) {
    copies_wait<STAGES - 2>();
    __syncthreads();  // the slice is complete, and no thread reads the one before any more
    ca.copy(shared + to * BUFFER, K - k0 - (STAGES - 1) * BK, t);
    cb.copy(shared + to * BUFFER + BM * ROW, K - k0 - (STAGES - 1) * BK, t);
    copies_commit();
    const uint16_t* s = shared + at * BUFFER;
#pragma unroll
    for (int k = 0; k < BK; k += 16) {
      uint32_t af[MT][4], bf[NT / 2][4];
#pragma unroll
      for (int i = 0; i < MT; i++) load_matrices(af[i], s + fa + i * 16 * ROW + k);
#pragma unroll
      for (int j = 0; j < NT / 2; j++) load_matrices(bf[j], s + fb + j * 16 * ROW + k);
#pragma unroll
      for (int i = 0; i < MT; i++)
#pragma unroll
        for (int j = 0; j < NT; j++) mma_f16(acc[i][j], af[i], bf[j / 2][j % 2 * 2], bf[j / 2][j % 2 * 2 + 1]);
    }
    at = at + 1 == STAGES ? 0 : at + 1;
    to = to + 1 == STAGES ? 0 : to + 1;
  }
  copies_wait<0>();
  __syncthreads();

  // Sixteen rows of every warp at a time, through shared memory.
  float* sums = (float*)shared;
  enum { LD = BN + 8 };
#pragma unroll 1
  for (int i = 0; i < MT; i++) {
    float* own = sums + (warp / Tile::WARPS_N * 16 + (lane >> 2)) * LD + wn + (lane & 3) * 2;
#pragma unroll
    for (int q = 0; q < MT; q++) {
      if (q != i) continue;
#pragma unroll
      for (int j = 0; j < NT; j++) {
        *(float2*)&own[j * 8] = *(float2*)&acc[q][j][0];
        *(float2*)&own[j * 8 + 8 * LD] = *(float2*)&acc[q][j][2];
      }
    }
    __syncthreads();
#pragma unroll 1
    for (int e = t; e < Tile::SLICE * BN / 2; e += Tile::THREADS) {
      const int r = e / (BN / 2), c = e % (BN / 2) * 2;
      const int m = m0 + r / 16 * Tile::WM + i * 16 + r % 16, n = n0 + c;
      if (m < M && n < columns) epilogue(m, n, sums[r * LD + c], sums[r * LD + c + 1]);
    }
    __syncthreads();
  }
}
