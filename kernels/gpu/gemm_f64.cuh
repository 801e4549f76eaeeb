// The product of gemm.cuh in float64 on tensor cores, which have twice the rate of the other units on GPUs with fast
// float64. A warp has WM x WN sums in fragments of 16 x 8; slices of BK steps of k pass through two buffers in shared memory.
// The order within a sum is the tensor cores' own: eight steps of k at a time, whatever the shape.
#pragma once
#include "gemm.cuh"
#include "mma.cuh"

struct TileF64Tensor {
  typedef double Element;
  enum {
    BM = 64, BN = 64, BK = 16, WM = 32, WN = 32,
    LD = BM + 4,                           // row stride in shared memory: a fragment's numbers lie in different banks
    BUFFER = BK * 2 * LD,                  // numbers of one buffer
    SHARED = 2 * BUFFER * 8,               // bytes of dynamic shared memory
    WARPS_N = BN / WN, THREADS = 32 * (BM / WM) * WARPS_N,
    MT = WM / 16, NT = WN / 8,
  };
};

// gemm_tile (gemm.cuh) by tensor cores.
template <class Tile, class Epilogue>
__device__ __forceinline__ void gemm_tensor_tile(int tile_m, int tile_n, int M, int N, int K, Matrix<double> a, Matrix<double> b, double* shared, const Epilogue& epilogue) {
  enum { BM = Tile::BM, BN = Tile::BN, BK = Tile::BK, LD = Tile::LD, MT = Tile::MT, NT = Tile::NT };
  const int t = threadIdx.x, lane = t & 31, warp = t >> 5, g = lane >> 2, q = lane & 3, m0 = tile_m * BM, n0 = tile_n * BN;
  const int wm = warp / Tile::WARPS_N * Tile::WM, wn = warp % Tile::WARPS_N * Tile::WN;
  SliceLoader<double, BM, BK, Tile::THREADS, LD> la(a.p, a.row, a.col, m0, M, t);
  SliceLoader<double, BN, BK, Tile::THREADS, LD> lb(b.p, b.col, b.row, n0, N, t);
  double acc[MT][NT][4];
#pragma unroll
  for (int i = 0; i < MT; i++)
#pragma unroll
    for (int j = 0; j < NT; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) acc[i][j][e] = 0;

  la.copy(shared, K);
  lb.copy(shared + BK * LD, K);
  int at = 0;
  for (int left = K; left > 0; left -= BK) {
    copies_commit();
    copies_wait<0>();
    __syncthreads();  // the slice is complete, and no thread reads the one before any more
    const double* sa = shared + at * Tile::BUFFER + q * LD + wm + g;
    const double* sb = shared + at * Tile::BUFFER + (BK + q) * LD + wn + g;
    at ^= 1;
    if (left > BK) {
      la.copy(shared + at * Tile::BUFFER, left - BK);
      lb.copy(shared + at * Tile::BUFFER + BK * LD, left - BK);
    }
#pragma unroll
    for (int k = 0; k < BK; k += 8) {
      double fa[MT][4], fb[NT][2];
#pragma unroll
      for (int i = 0; i < MT; i++)
#pragma unroll
        for (int e = 0; e < 4; e++) fa[i][e] = sa[(k + e / 2 * 4) * LD + i * 16 + e % 2 * 8];
#pragma unroll
      for (int j = 0; j < NT; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) fb[j][e] = sb[(k + e * 4) * LD + j * 8];
#pragma unroll
      for (int i = 0; i < MT; i++)
#pragma unroll
        for (int j = 0; j < NT; j++) mma_f64(acc[i][j], fa[i], fb[j][0], fb[j][1]);
    }
  }
  copies_commit();
  copies_wait<0>();
  __syncthreads();

  // Sixteen rows of every warp at a time, through shared memory.
#pragma unroll 1
  for (int i = 0; i < MT; i++) {
    double* own = shared + (warp / Tile::WARPS_N * 16 + g) * LD + wn + q * 2;
#pragma unroll
    for (int r = 0; r < MT; r++) {
      if (r != i) continue;
#pragma unroll
      for (int j = 0; j < NT; j++) {
        *(double2*)&own[j * 8] = *(double2*)&acc[r][j][0];
        *(double2*)&own[j * 8 + 8 * LD] = *(double2*)&acc[r][j][2];
      }
    }
    __syncthreads();
    const int first = m0 + i * 16;
    finish_rows<BN, LD, Tile::THREADS>(shared, BM / Tile::WM * 16, [=](int r) { return first + r / 16 * Tile::WM + r % 16; }, M, n0, N, epilogue);
    __syncthreads();
  }
}
