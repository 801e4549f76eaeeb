// Gradients of weights of programs in bf16 on warpgroup products, for compute capability 9.0: of dense layers and of convolutions. They are sums over
// all rows of all samples of a cotangent times an input, in parts that net_join adds up.
//
// In memory neighbours of both operands lie along the rows and columns of the result, and not along k, the rows that are summed over. They pass through shared memory in
// that order too, and products read them turned. Two warpgroups of 64 rows share a tile of 128 x 256. Slices of 64 steps of k pass through four stages. A slice of an operand
// is panels of 64 columns: step k of a panel is 128 bytes, the numbers of 64 columns, whose 16-byte chunk c is stored at chunk c ^ (k % 8). In
// PTX's words: M-major and N-major with 128-byte swizzle, 1024 bytes between groups of eight steps of k, and 8192 between panels.
//
// Cotangents are float32 in memory. They are read into registers one slice ahead and rounded on their way to shared memory. Inputs that are bf16 in memory are copied
// as they are, two slices ahead. The products of a slice begin before those of the one before it have ended.
#include "net_products.cuh"
#include "wgmma.cuh"

struct WeightTile {
  enum { BM = 128, BN = 256 };
};
enum { DEEP = 64, PANEL_BYTES = 64 * DEEP * 2, OPERAND_BYTES = 2 * PANEL_BYTES, STAGE_BYTES = 3 * OPERAND_BYTES, STAGES = 4 };

#ifdef __CUDACC__
// d += a b, both of bf16 by descriptors of turned panels.
__device__ __forceinline__ void wgmma_bf16_turned(float (&d)[128], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{ .reg .pred p;\n setp.ne.b32 p, %130, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 "
      "{" NAMES128 "}, "
      "%128, %129, p, 1, 1, 1, 1;\n}"
      : SUMS64(d, 0), SUMS64(d, 64)
      : "l"(a), "l"(b), "r"(add));
}
#endif
__device__ __forceinline__ uint64_t turned_descriptor(uint32_t place) { return descriptor_words(place | (PANEL_BYTES >> 4) << 16, (1024 >> 4) | 1u << 30); }

// What a thread has of a slice of 128 columns of an operand of numbers T: 16 bytes of memory of each of STEPS steps of k.
template <class T_>
struct Share {
  typedef T_ T;
  enum { EACH = 16 / sizeof(T), ACROSS = 128 / EACH, STEP = 256 / ACROSS, STEPS = DEEP / STEP };
  static_assert(STEP % 8 == 0, "a thread's steps have their chunks in the same order");
  static __device__ __forceinline__ int column() { return threadIdx.x % ACROSS * EACH; }
  static __device__ __forceinline__ int k(int i) { return threadIdx.x / ACROSS + i * STEP; }
  static __device__ __forceinline__ int place(int i) {
    return column() / 64 * PANEL_BYTES + k(i) * 128 + ((column() / 8 & 7) ^ (k(0) & 7)) * 16 + column() % 8 * 2;
  }
};

// An operand whose steps of k are rows of memory. Rows end with whole shares.
template <class T>
struct RowsOf : Share<T> {
  typedef Share<T> S;
  const T* at;
  int row;  // numbers
  bool inside;
  __device__ __forceinline__ RowsOf(const void* p, int row, int x0, int begin) : at((const T*)p + (long long)(begin + S::k(0)) * row + x0 + S::column()), row(row), inside(x0 + S::column() < row) {}
  // f(i, address, whether there is something) for the thread's steps of a slice, one slice after the other; `left` steps are left.
  template <class F>
  __device__ __forceinline__ void slice(int left, F f) {
#pragma unroll
    for (int i = 0; i < S::STEPS; i++) f(i, at + (long long)(i * S::STEP) * row, inside && S::k(i) < left);
    at += (long long)DEEP * row;
  }
};

// An operand whose columns are (tap, channel) of images, and whose steps of k are pixels of the results of all samples. A tap's channels are whole shares.
template <class T>
struct PixelsOf : Share<T> {
  typedef Share<T> S;
  const Convolution& c;
  const T* at;             // the thread's channels of the pixel under its tap, which may be outside of the image
  int y, x, rows;          // of that pixel; rows of the image, none if the thread has no column
  int y_end, x_end;        // of the pixel behind a result's last row and column
  int dy, dx;              // STEP pixels of the result further, in whole rows and the rest
  int step, row, image;    // what to add to `at` for that, and where it leaves a row and an image of the result
  __device__ __forceinline__ PixelsOf(const Convolution& c, int first, int columns, int begin) : c(c) {
    const int column = first + S::column(), tap = column / c.C, ty = tap / c.KW, tx = tap - ty * c.KW;
    const int k = begin + S::k(0), pixels = c.h * c.w_, s = k / pixels, p = k - s * pixels, i = p / c.w_;
    y = i * c.stride - c.top + ty, x = (p - i * c.w_) * c.stride - c.left + tx;
    at = (const T*)c.x + (((long long)s * c.H + y) * c.W + x) * c.C + (column - tap * c.C);
    rows = column < columns ? c.H : 0;
    y_end = c.h * c.stride - c.top + ty, x_end = c.w_ * c.stride - c.left + tx;
    const int ds = S::STEP / pixels, rest = S::STEP - ds * pixels, di = rest / c.w_;
    dy = di * c.stride, dx = (rest - di * c.w_) * c.stride;
    step = ((ds * c.H + dy) * c.W + dx) * c.C;
    row = c.stride * (c.W - c.w_) * c.C;
    image = (c.H - c.h * c.stride) * c.W * c.C;
  }
  template <class F>
  __device__ __forceinline__ void slice(int left, F f) {
#pragma unroll
    for (int n = 0; n < S::STEPS; n++) {
      f(n, at, S::k(n) < left && (unsigned)y < (unsigned)rows && (unsigned)x < (unsigned)c.W);
      int further = step;
      x += dx, y += dy;
      if (x >= x_end) x -= c.w_ * c.stride, y += c.stride, further += row;
      if (y >= y_end) y -= c.h * c.stride, further += image;
      at += further;
    }
  }
};

// A thread's float32 numbers of a slice on their way to shared memory.
struct Rounded {
  typedef Share<float> S;
  float4 v[S::STEPS];
  template <class Operand>
  __device__ __forceinline__ void load(Operand& o, int left) {
    o.slice(left, [&](int i, const float* p, bool there) { v[i] = there ? *(const float4*)p : make_float4(0.0f, 0.0f, 0.0f, 0.0f); });
  }
  __device__ __forceinline__ void store(unsigned char* operand) const {
#pragma unroll
    for (int i = 0; i < S::STEPS; i++) *(uint2*)(operand + S::place(i)) = uint2{pack_bf16(v[i].x, v[i].y), pack_bf16(v[i].z, v[i].w)};
  }
};

// Sums over k steps of a(k, m) b(k, n), to y[M][N]. b and b_right are the halves of the tile's columns.
template <class B>
__device__ __forceinline__ void weight_gemm(const Place& at, int M, int N, int k, RowsOf<float> a, B b, B b_right, unsigned char* shared, float* y) {
  enum { COPIED = sizeof(typename B::T) == 2 };
  const int tid = threadIdx.x, slices = (k + DEEP - 1) / DEEP;
  float sums[128];
#pragma unroll
  for (int i = 0; i < 128; i++) sums[i] = 0.0f;
  Rounded ahead;
  // Half of the columns of the second operand in a slice.
  const auto columns = [&](B& b, int left, unsigned char* to) {
    if constexpr (COPIED) {
      b.slice(left, [&](int i, const uint16_t* p, bool there) { copy_async((float4*)(to + B::S::place(i)), (const float4*)p, there); });
    } else {
      ahead.load(b, left);
      ahead.store(to);
    }
  };
  // The second operand of slice s.
  const auto second = [&](int s, int stage) {
    unsigned char* to = shared + stage * STAGE_BYTES + OPERAND_BYTES;
    columns(b, k - s * DEEP, to);
    columns(b_right, k - s * DEEP, to + OPERAND_BYTES);
  };
  second(0, 0);
  copies_commit();
  if (COPIED && slices > 1) second(1, 1);
  copies_commit();
  ahead.load(a, k);
  ahead.store(shared);
  if (slices > 1) ahead.load(a, k - DEEP);
  const uint32_t first = panel_address(shared_address(shared)), rows = (tid >> 7) * (PANEL_BYTES >> 4);  // of this warpgroup
#pragma unroll 1
  for (int s = 0; s < slices; s++) {
    const int stage = s % STAGES, next = (s + 1) % STAGES;
    copies_wait<1>();
    shared_to_async();
    __syncthreads();  // the slice is there, and all are done with the one before the last
    const uint32_t place = first + stage * (STAGE_BYTES >> 4);
    wg_fence();
#pragma unroll
    for (int h = 0; h < DEEP / BK; h++)
      wgmma_bf16_turned(sums, turned_descriptor(place + rows + h * (BK * 128 >> 4)), turned_descriptor(place + (OPERAND_BYTES >> 4) + h * (BK * 128 >> 4)), 1);
    wg_commit();
    if (COPIED && s + 2 < slices) second(s + 2, (s + 2) % STAGES);
    copies_commit();
    if (s + 1 < slices) {
      ahead.store(shared + next * STAGE_BYTES);
      if (!COPIED) second(s + 1, next);
      if (s + 2 < slices) ahead.load(a, k - (s + 2) * DEEP);
    }
    wg_wait<1>();
  }
  wg_wait<0>();
  keep(sums);
  const int lane = tid & 31, row = at.m * WeightTile::BM + (tid >> 5) * 16 + (lane >> 2), column = at.n * WeightTile::BN + (lane & 3) * 2;
#pragma unroll
  for (int j = 0; j < 32; j++) {
    if (column + 8 * j >= N) break;
    float* to = y + (long long)row * N + column + 8 * j;
    if (row < M) *(float2*)to = float2{sums[4 * j], sums[4 * j + 1]};
    if (row + 8 < M) *(float2*)(to + 8 * N) = float2{sums[4 * j + 2], sums[4 * j + 3]};
  }
}

// Rows of both operands follow each other: a.sk is M, and b.sk is N.
template <class T>
__device__ __forceinline__ void product_weight(const Product& p, unsigned char* shared) {
  const Place at = place_of<WeightTile>(p.M, p.N);
  const int begin = at.z * p.split, end = min(p.K, begin + p.split);
  const RowsOf<float> a(p.a.p, p.M, at.m * 128, begin);
  const RowsOf<T> b(p.b.p, p.N, at.n * 256, begin), right(p.b.p, p.N, at.n * 256 + 128, begin);
  weight_gemm(at, p.M, p.N, end - begin, a, b, right, shared, p.q.y + at.z * p.y_inner);
}
template <class T>
__device__ __forceinline__ void convolve_weight(const ConvProduct& p, unsigned char* shared) {
  const Place at = place_of<WeightTile>(p.M, p.N);
  const int begin = at.z * p.split, end = min(p.K, begin + p.split);
  const RowsOf<float> a(p.c.g, p.M, at.m * 128, begin);
  const PixelsOf<T> b(p.c, at.n * 256, p.N, begin), right(p.c, at.n * 256 + 128, p.N, begin);
  weight_gemm(at, p.M, p.N, end - begin, a, b, right, shared, p.q.y + at.z * p.part);
}

#define WEIGHTS(name, Args, body)                                                  \
  extern "C" __global__ void __launch_bounds__(256, 1) name(Args p) {              \
    PANELS_SHARED(shared);                                                         \
    body(p, shared);                                                               \
  }                                                                                \
  KERNEL(name)
WEIGHTS(net_product_weight_bf16_wgmma, Product, product_weight<float>)
WEIGHTS(net_product_weight_halves_wgmma, Product, product_weight<uint16_t>)
WEIGHTS(net_conv_weight_bf16_wgmma, ConvProduct, convolve_weight<float>)
WEIGHTS(net_conv_weight_halves_wgmma, ConvProduct, convolve_weight<uint16_t>)
