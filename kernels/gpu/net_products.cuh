// Arguments of products of programs, mirrored by cuda/programs/op_products.go.
#pragma once
#include "net_gemm.cuh"

// For item z of `items` batches of products: a and b further by z times their steps, y by z times its own. Two levels: z = outer
// inner_items + inner. With `split` > 0, z is a part of the sum instead: k from z split to (z + 1) split.
struct Product {
  Strided a, b;
  Epilogue q;
  long long a_outer, a_inner, b_outer, b_inner, y_outer, y_inner;
  int M, N, K, inner_items, split;
};

// A gradient of weights or of an image, or a convolution: y is [M][N].
struct ConvProduct {
  Convolution c;
  Epilogue q;
  int M, N, K, split;
  long long part;  // numbers of a part of a split sum
};

struct Place {
  int m, n, z;
};
template <class Tile>
__device__ __forceinline__ Place place_of(int M, int N) {
  const unsigned columns = (N + Tile::BN - 1) / Tile::BN, rows = (M + Tile::BM - 1) / Tile::BM, tile = blockIdx.x % (columns * rows);
  return Place{(int)(tile / columns), (int)(tile % columns), (int)(blockIdx.x / (columns * rows))};
}
