// Products of programs: dense layers, convolutions as products of implicit matrices, batched products, and their gradients, in three
// arithmetics and two sizes of tiles. Dense layers and convolutions are there in a fourth, F16, too.
#include "net_products.cuh"

template <int ARITH, class Tile, template <int, int> class A, template <int, int> class B>
__device__ __forceinline__ void product(Product p) {
  EXTERN_SHARED(float4, shared);
  const Place at = place_of<Tile>(p.M, p.N);
  int begin = 0, end = p.K;
  if (p.split) {
    begin = at.z * p.split, end = min(p.K, begin + p.split);
    p.q.y += at.z * p.y_inner;
  } else {
    const int outer = at.z / p.inner_items, inner = at.z % p.inner_items;
    p.a.p += outer * p.a_outer + inner * p.a_inner;
    p.b.p += outer * p.b_outer + inner * p.b_inner;
    p.q.y += outer * p.y_outer + inner * p.y_inner;
  }
  A<Tile::BM, Tile::THREADS> a(p.a, at.m * Tile::BM, p.M);
  B<Tile::BN, Tile::THREADS> b(p.b, at.n * Tile::BN, p.N);
  net_gemm<ARITH, Tile>(at.m, at.n, p.M, p.N, begin, end, a, b, Still(), (float*)shared, p.q);
}

template <int ARITH, class Tile>
__device__ __forceinline__ void convolve(const ConvProduct& p) {
  EXTERN_SHARED(float4, shared);
  const Place at = place_of<Tile>(p.M, p.N);
  const Strided w = {p.c.w, (long long)p.K, 1, p.K % 4 == 0};
  Walk walk(p.c, p.c.C, AlongK<Tile::BM, Tile::THREADS>::quad());
  ImageLoader<Tile::BM, Tile::THREADS> a(p.c, walk, at.m * Tile::BM, p.M);
  WeightLoader<Tile::BN, Tile::THREADS> b(w, walk, at.n * Tile::BN, p.N);
  net_gemm<ARITH, Tile>(at.m, at.n, p.M, p.N, 0, p.K, a, b, walk, (float*)shared, p.q);
}

template <int ARITH, class Tile>
__device__ __forceinline__ void convolve_input(const ConvProduct& p) {
  EXTERN_SHARED(float4, shared);
  const Place at = place_of<Tile>(p.M, p.N);
  Walk walk(p.c, p.c.O, AlongK<Tile::BM, Tile::THREADS>::quad());
  ResultLoader<Tile::BM, Tile::THREADS> a(p.c, walk, at.m * Tile::BM, p.M);
  TurnedWeightLoader<Tile::BN, Tile::THREADS> b(p.c, walk, at.n * Tile::BN, p.N);
  net_gemm<ARITH, Tile>(at.m, at.n, p.M, p.N, 0, p.K, a, b, walk, (float*)shared, p.q);
}

template <int ARITH, class Tile>
__device__ __forceinline__ void convolve_weight(ConvProduct p) {
  EXTERN_SHARED(float4, shared);
  const Place at = place_of<Tile>(p.M, p.N);
  const int begin = at.z * p.split, end = min(p.K, begin + p.split);
  p.q.y += at.z * p.part;
  const Strided g = {p.c.g, 1, (long long)p.c.O, p.c.O % 4 == 0};
  AcrossLoader<Tile::BM, Tile::THREADS> a(g, at.m * Tile::BM, p.M);
  TurnedImageLoader<Tile::BN, Tile::THREADS> b(p.c, at.n * Tile::BN, p.N, begin);
  net_gemm<ARITH, Tile>(at.m, at.n, p.M, p.N, begin, end, a, b, Still(), (float*)shared, p.q);
}

#define ENTRY(name, threads, BLOCKS, Args, body) \
  extern "C" __global__ void __launch_bounds__(threads, BLOCKS) name(Args p) { body; } \
  KERNEL(name)
// Dense layers and convolutions. BLOCKS of products and CONVOLUTIONS fit on a multiprocessor.
#define LAYERS(arith, ARITH, size, Tile, BLOCKS, CONVOLUTIONS)                                                                        \
  ENTRY(net_product_##arith##_##size, Tile::THREADS, BLOCKS, Product, (product<ARITH, Tile, AlongLoader, AlongLoader>(p)))            \
  ENTRY(net_conv_##arith##_##size, Tile::THREADS, CONVOLUTIONS, ConvProduct, (convolve<ARITH, Tile>(p)))
// With products of which the second or both operands lie across k, and with gradients of convolutions.
#define PRODUCTS(arith, ARITH, size, Tile, BLOCKS, CONVOLUTIONS)                                                                      \
  LAYERS(arith, ARITH, size, Tile, BLOCKS, CONVOLUTIONS)                                                                              \
  ENTRY(net_product_input_##arith##_##size, Tile::THREADS, BLOCKS, Product, (product<ARITH, Tile, AlongLoader, AcrossLoader>(p)))     \
  ENTRY(net_product_weight_##arith##_##size, Tile::THREADS, BLOCKS, Product, (product<ARITH, Tile, AcrossLoader, AcrossLoader>(p)))   \
  ENTRY(net_conv_input_##arith##_##size, Tile::THREADS, CONVOLUTIONS, ConvProduct, (convolve_input<ARITH, Tile>(p)))                  \
  ENTRY(net_conv_weight_##arith##_##size, Tile::THREADS, BLOCKS, ConvProduct, (convolve_weight<ARITH, Tile>(p)))

PRODUCTS(f32, ARITH_F32, large, NetLarge, 1, 1)
PRODUCTS(f32, ARITH_F32, small, NetSmall, 3, 3)
PRODUCTS(tf32, ARITH_TF32, large, NetLarge, 2, 1)
PRODUCTS(tf32, ARITH_TF32, small, NetSmall, 3, 3)
PRODUCTS(bf16, ARITH_BF16, large, NetLarge, 2, 2)
PRODUCTS(bf16, ARITH_BF16, small, NetSmall, 3, 3)
LAYERS(f16, ARITH_F16, large, NetLarge, 2, 2)
LAYERS(f16, ARITH_F16, small, NetSmall, 3, 3)

// Operands of any distances.
ENTRY(net_product_any_f32_small, NetSmall::THREADS, 3, Product, (product<ARITH_F32, NetSmall, AnyLoader, AnyLoader>(p)))
ENTRY(net_product_any_tf32_small, NetSmall::THREADS, 3, Product, (product<ARITH_TF32, NetSmall, AnyLoader, AnyLoader>(p)))
ENTRY(net_product_any_bf16_small, NetSmall::THREADS, 3, Product, (product<ARITH_BF16, NetSmall, AnyLoader, AnyLoader>(p)))
