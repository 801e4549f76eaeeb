// Matrix products of programs on tensor cores: sums over k of a(m, k) b(n, k), of float32 numbers in memory.
//
// Slices of PARTS times 16 steps of k pass through STAGES buffers in shared memory, copied while others are multiplied. Copies are of 16 bytes
// where memory allows it, along k or along the rows, whichever are neighbours in memory, and a part of an operand has one of two forms:
//   along k: a row is 16 numbers; the four quads of row x lie at quad ^ (x/2 & 3)
//   turned: a step of k is X numbers, one for each row, and 8 unused ones; step k lies at 4 (k % 4) + k/4
// so that copies and reads of fragments meet all banks. A lane's share of a fragment are the steps 4q .. 4q + 3 of a row, which are a whole
// quad: in the products the order of k is another than in memory, the same for both operands, which a sum does not mind.
// Rows and columns that a tile has and the result has not are copies of others, or what was there: nobody reads their sums.
// net_mma.cuh has the arithmetic.
#pragma once
#include "net_mma.cuh"

enum { BK = 16, PARTS = 2, SLICE = PARTS * BK };

template <int BM_, int BN_, int WM_, int WN_, int STAGES_>
struct NetTile {
  enum {
    BM = BM_, BN = BN_, WM = WM_, WN = WN_, STAGES = STAGES_,
    WARPS_N = BN / WN, THREADS = 32 * (BM / WM) * WARPS_N,
    BUFFER = (BM + BN + 16) * SLICE,        // numbers of a stage
    SHARED = STAGES * BUFFER * 4,           // bytes of dynamic shared memory
    LD = BN + 8,                            // distance of a tile's rows of sums
  };
};
typedef NetTile<128, 128, 64, 32, 2> NetLarge;  // 256 threads
typedef NetTile<64, 64, 32, 32, 3> NetSmall;    // 128

__device__ __forceinline__ int slot(int x, int k) { return x * BK + ((k >> 2 ^ (x >> 1 & 3)) << 2) + (k & 3); }

// The two sorts of copies. Along k: a thread copies a quad of each of ROWS rows. Turned: a quad of rows, of each of STEPS steps of k.
template <int X, int THREADS>
struct AlongK {
  enum { TURNED = 0, ROWS = X * 4 / THREADS, STEP = THREADS / 4 };
  static_assert(STEP % 8 == 0, "a thread's rows have their quads in the same order");
  static __device__ __forceinline__ int row(int r) { return threadIdx.x / 4 + r * STEP; }
  static __device__ __forceinline__ int quad() { return threadIdx.x % 4 * 4; }
  static __device__ __forceinline__ float* place(float* shared, int r, int part = 0) { return shared + slot(threadIdx.x / 4, quad()) + (part * X + r * STEP) * BK; }
};
template <int X, int THREADS>
struct Turned {
  enum { TURNED = 1, LD = X + 8, QUADS = X / 4, STEP = THREADS / QUADS, STEPS = SLICE / STEP };
  static_assert(STEP % 4 == 0 && BK % STEP == 0, "a thread's steps are further by whole quads");
  static __device__ __forceinline__ int row() { return threadIdx.x % QUADS * 4; }
  static __device__ __forceinline__ int k(int i) { return threadIdx.x / QUADS + i * STEP; }
  static __device__ __forceinline__ float* place(float* shared, int i) { return shared + (k(0) % 4 * 4 + k(0) / 4 + i * STEP % BK / 4 + i * STEP / BK * BK) * LD + row(); }
};

// Element (x, k) at p[x sx + k sk].
struct Strided {
  const float* p;
  long long sx, sk;
  int wide;  // neighbours are copied 16 bytes at a time: they begin at multiples of 16 bytes and end with whole quads
};

// sk is 1.
template <int X, int THREADS>
struct AlongLoader : AlongK<X, THREADS> {
  typedef AlongK<X, THREADS> L;
  const float* at[L::ROWS];
  int wide;
  __device__ __forceinline__ AlongLoader(const Strided& o, int x0, int limit) : wide(o.wide) {
#pragma unroll
    for (int r = 0; r < L::ROWS; r++) at[r] = o.p + min(x0 + L::row(r), limit - 1) * o.sx + L::quad();
  }
  // Steps k0 ... of the sum are `from` numbers behind the first of a row.
  __device__ __forceinline__ void copy(float* shared, int k0, int end, int from) const {
    const int left = end - k0 - L::quad();
    if (wide) {
#pragma unroll
      for (int r = 0; r < L::ROWS; r++)
#pragma unroll
        for (int h = 0; h < PARTS; h++) copy_async((float4*)L::place(shared, r, h), (const float4*)(at[r] + from + h * BK), left > h * BK);
      return;
    }
#pragma unroll 1
    for (int h = 0; h < SLICE; h += BK)
#pragma unroll
      for (int r = 0; r < L::ROWS; r++)
#pragma unroll
        for (int e = 0; e < 4; e++) copy_async(L::place(shared, r) + h * X + e, at[r] + from + h + e, h + e < left);
  }
  __device__ __forceinline__ void copy(float* shared, int k0, int end) const { copy(shared, k0, end, k0); }
};

// sx is 1.
template <int X, int THREADS>
struct AcrossLoader : Turned<X, THREADS> {
  typedef Turned<X, THREADS> L;
  const float* at;
  long long sk;
  int rows, wide;  // of the four rows
  __device__ __forceinline__ AcrossLoader(const Strided& o, int x0, int limit) : at(o.p + x0 + L::row() + L::k(0) * o.sk), sk(o.sk), rows(limit - x0 - L::row()), wide(o.wide) {}
  __device__ __forceinline__ void copy(float* shared, int k0, int end) const {
    if (rows <= 0) return;
#pragma unroll
    for (int i = 0; i < L::STEPS; i++) {
      const bool there = k0 + L::k(i) < end;
      const float* p = at + (k0 + i * L::STEP) * sk;
      if (wide) {
        copy_async((float4*)L::place(shared, i), (const float4*)p, there);
        continue;
      }
#pragma unroll
      for (int e = 0; e < 4; e++)
        if (e < rows) copy_async(L::place(shared, i) + e, p + e, there);
    }
  }
};

// Any distances, a number at a time.
template <int X, int THREADS>
struct AnyLoader : AlongK<X, THREADS> {
  typedef AlongK<X, THREADS> L;
  const float* at[L::ROWS];
  long long sk;
  __device__ __forceinline__ AnyLoader(const Strided& o, int x0, int limit) : sk(o.sk) {
#pragma unroll
    for (int r = 0; r < L::ROWS; r++) at[r] = o.p + min(x0 + L::row(r), limit - 1) * o.sx + L::quad() * o.sk;
  }
  __device__ __forceinline__ void copy(float* shared, int k0, int end) const {
#pragma unroll 1
    for (int h = 0; h < SLICE; h += BK)
#pragma unroll
      for (int r = 0; r < L::ROWS; r++)
#pragma unroll
        for (int e = 0; e < 4; e++) copy_async(L::place(shared, r) + h * X + e, at[r] + (k0 + h + e) * sk, k0 + h + L::quad() + e < end);
  }
};

// A convolution of images [H][W][C] with kernels of KH x KW taps to results [h][w][O], mirrored by cuda/programs/op_products.go.
struct Convolution {
  const float *x, *w, *g;  // image, weights [O][KH][KW][C], cotangent of the result
  int H, W, C, KH, KW, h, w_, O, stride, top, left;
};

// The tap and channel of a step of k, as k advances by slices. Where channels are whole slices, all taps of a slice of channels follow each other, so
// that neighbouring pixels are read again while they are in the cache; else all channels of a tap.
struct Walk {
  int channels, KH, KW, y, x, channel;
  bool taps_first;
  __device__ __forceinline__ Walk(const Convolution& c, int channels, int k) : channels(channels), KH(c.KH), KW(c.KW), taps_first(channels % SLICE == 0) {
    const int tap = k / channels;
    channel = k - tap * channels, y = tap / KW, x = tap - y * KW;
  }
  __device__ __forceinline__ void one() {
    if (++channel == channels) channel = 0, tap();
  }
  __device__ __forceinline__ void tap() {
    if (++x == KW) x = 0, y++;
  }
  template <int STEPS>
  __device__ __forceinline__ void further() {
    channel += STEPS;
    while (channel >= channels) channel -= channels, tap();
  }
  __device__ __forceinline__ void slice() {
    if (!taps_first) {
      further<SLICE>();
      return;
    }
    tap();
    if (y == KH) y = 0, channel += SLICE;
  }
  __device__ __forceinline__ int at() const { return (y * KW + x) * channels + channel; }
};

// A row and a column of an image in one register; neither has 2^15 pixels.
struct Pixel {
  int both;
  __device__ __forceinline__ void set(int y, int x) { both = y * 65536 + (x & 65535); }
  __device__ __forceinline__ int y() const { return both >> 16; }
  __device__ __forceinline__ int x() const { return (int16_t)both; }
};

// What walks on after a slice; products walk by k alone.
struct Still {
  __device__ __forceinline__ void slice() const {}
};

// left says how many steps there are from the thread's quad on.
template <class L, class Loader>
__device__ __forceinline__ void copy_taps(const Loader& l, const Walk& walk, float* shared, int left) {
  if (walk.taps_first) {
#pragma unroll
    for (int r = 0; r < L::ROWS; r++) {
      const bool there = l.inside(r, walk);
      const float* p = l.pixel(r, walk);
#pragma unroll
      for (int h = 0; h < PARTS; h++) copy_async((float4*)L::place(shared, r, h), (const float4*)(p + h * BK), there);
    }
    return;
  }
  Walk w = walk;
#pragma unroll 1
  for (int h = 0; h < PARTS; h++, w.template further<BK>()) {
    if (w.channels % 4 == 0) {
#pragma unroll
      for (int r = 0; r < L::ROWS; r++) copy_async((float4*)L::place(shared, r, h), (const float4*)l.pixel(r, w), left > h * BK && l.inside(r, w));
      continue;
    }
    Walk v = w;
#pragma unroll 1
    for (int e = 0; e < 4; e++, v.one())
#pragma unroll
      for (int r = 0; r < L::ROWS; r++) copy_async(L::place(shared, r, h) + e, l.pixel(r, v), h * BK + e < left && l.inside(r, v));
  }
}

// Rows are pixels of results, k is (tap, channel) of the image under them.
template <int X, int THREADS>
struct ImageLoader : AlongK<X, THREADS> {
  typedef AlongK<X, THREADS> L;
  const Convolution& c;
  const Walk& walk;
  const float* at[L::ROWS];  // the pixel under the first tap, which may be outside of the image
  Pixel pixels[L::ROWS];
  __device__ __forceinline__ ImageLoader(const Convolution& c, const Walk& walk, int x0, int limit) : c(c), walk(walk) {
#pragma unroll
    for (int r = 0; r < L::ROWS; r++) {
      const int m = min(x0 + L::row(r), limit - 1), all = c.h * c.w_, s = m / all, p = m - s * all, u = p / c.w_;
      const int y = u * c.stride - c.top, x = (p - u * c.w_) * c.stride - c.left;
      pixels[r].set(y, x);
      at[r] = c.x + (((long long)s * c.H + y) * c.W + x) * c.C;
    }
  }
  __device__ __forceinline__ bool inside(int r, const Walk& w) const { return (unsigned)(pixels[r].y() + w.y) < (unsigned)c.H && (unsigned)(pixels[r].x() + w.x) < (unsigned)c.W; }
  __device__ __forceinline__ const float* pixel(int r, const Walk& w) const { return at[r] + (w.y * c.W + w.x) * c.C + w.channel; }
  __device__ __forceinline__ void copy(float* shared, int k0, int end) const { copy_taps<L>(*this, walk, shared, end - k0 - L::quad()); }
};

// Rows are pixels of the image, k is (tap, channel) of the results that they are part of.
template <int X, int THREADS>
struct ResultLoader : AlongK<X, THREADS> {
  typedef AlongK<X, THREADS> L;
  const Convolution& c;
  const Walk& walk;
  const float* at[L::ROWS];  // the pixel of the first tap where the stride is 1, else the sample's first
  Pixel pixels[L::ROWS];
  __device__ __forceinline__ ResultLoader(const Convolution& c, const Walk& walk, int x0, int limit) : c(c), walk(walk) {
#pragma unroll
    for (int r = 0; r < L::ROWS; r++) {
      const int m = min(x0 + L::row(r), limit - 1), all = c.H * c.W, s = m / all, p = m - s * all, u = p / c.W;
      const int y = u + c.top, x = p - u * c.W + c.left;
      pixels[r].set(y, x);
      at[r] = c.g + ((long long)s * c.h * c.w_ + (c.stride == 1 ? (long long)y * c.w_ + x : 0)) * c.O;
    }
  }
  __device__ __forceinline__ bool inside(int r, const Walk& w) const {
    const int y = pixels[r].y() - w.y, x = pixels[r].x() - w.x;
    if (c.stride == 1) return (unsigned)y < (unsigned)c.h && (unsigned)x < (unsigned)c.w_;
    return y >= 0 && x >= 0 && y % c.stride == 0 && x % c.stride == 0 && y / c.stride < c.h && x / c.stride < c.w_;
  }
  __device__ __forceinline__ const float* pixel(int r, const Walk& w) const {
    if (c.stride == 1) return at[r] + (w.channel - (w.y * c.w_ + w.x) * c.O);
    return at[r] + ((pixels[r].y() - w.y) / c.stride * c.w_ + (pixels[r].x() - w.x) / c.stride) * c.O + w.channel;
  }
  __device__ __forceinline__ void copy(float* shared, int k0, int end) const { copy_taps<L>(*this, walk, shared, end - k0 - L::quad()); }
};

// Rows are output channels, k is (tap, channel): the weights as they lie.
template <int X, int THREADS>
struct WeightLoader : AlongLoader<X, THREADS> {
  const Walk& walk;
  __device__ __forceinline__ WeightLoader(const Strided& o, const Walk& walk, int x0, int limit) : AlongLoader<X, THREADS>(o, x0, limit), walk(walk) {}
  // The walk is at the thread's quad.
  __device__ __forceinline__ void copy(float* shared, int k0, int end) const { AlongLoader<X, THREADS>::copy(shared, k0, end, walk.at() - AlongK<X, THREADS>::quad()); }
};

// Rows are input channels, k is (tap, output channel): the weights for the cotangent of the image.
template <int X, int THREADS>
struct TurnedWeightLoader : Turned<X, THREADS> {
  typedef Turned<X, THREADS> L;
  const Convolution& c;
  const Walk& walk;  // at the thread's quad of the other operand
  const float* at;
  int rows;
  __device__ __forceinline__ TurnedWeightLoader(const Convolution& c, const Walk& walk, int x0, int limit) : c(c), walk(walk), at(c.w + x0 + L::row()), rows(limit - x0 - L::row()) {}
  __device__ __forceinline__ void copy(float* shared, int k0, int end) const {
    if (rows <= 0) return;
    Walk w = walk;
    if (w.taps_first) {
      w.channel += L::k(0) - AlongK<X, THREADS>::quad();  // of the same tap
    } else {
      w = Walk(c, c.O, k0 + L::k(0));
    }
#pragma unroll
    for (int i = 0; i < L::STEPS; i++) {
      const bool there = k0 + L::k(i) < end;
      const float* p = at + ((long long)w.channel * (c.KH * c.KW) + w.y * c.KW + w.x) * c.C;
      if (c.C % 4 == 0) {
        copy_async((float4*)L::place(shared, i), (const float4*)p, there);
      } else {
#pragma unroll
        for (int e = 0; e < 4; e++)
          if (e < rows) copy_async(L::place(shared, i) + e, p + e, there);
      }
      if (i + 1 == L::STEPS) break;
      if (w.taps_first) w.channel += L::STEP;
      else w.template further<L::STEP>();
    }
  }
};

// Rows are (tap, channel) of the image, k is a pixel of the results of all samples: the image for the cotangent of the weights.
template <int X, int THREADS>
struct TurnedImageLoader : Turned<X, THREADS> {
  typedef Turned<X, THREADS> L;
  const Convolution& c;
  int rows, y, x, channel;  // the tap, from a pixel on
  int s, i, j;              // sample and pixel of the thread's first step of k
  int ds, di, dj;           // STEP pixels further
  __device__ __forceinline__ TurnedImageLoader(const Convolution& c, int x0, int limit, int begin) : c(c), rows(limit - x0 - L::row()) {
    const int first = x0 + L::row(), tap = first / c.C, k = begin + L::k(0), pixels = c.h * c.w_;
    channel = first - tap * c.C, y = tap / c.KW, x = tap - y * c.KW;
    y -= c.top, x -= c.left;
    s = k / pixels, i = (k - s * pixels) / c.w_, j = k - s * pixels - i * c.w_;
    ds = L::STEP / pixels, di = (L::STEP - ds * pixels) / c.w_, dj = L::STEP - ds * pixels - di * c.w_;
  }
  // Is called for one slice after the other.
  __device__ __forceinline__ void copy(float* shared, int k0, int end) {
    if (rows <= 0) return;
#pragma unroll
    for (int n = 0; n < L::STEPS; n++) {
      const bool some = k0 + L::k(n) < end;
      const int u = i * c.stride + y, v = j * c.stride + x;
      const float* p = c.x + (((long long)s * c.H + u) * c.W + v) * c.C + channel;
      if (c.C % 4 == 0) {
        copy_async((float4*)L::place(shared, n), (const float4*)p, some && (unsigned)u < (unsigned)c.H && (unsigned)v < (unsigned)c.W);
      } else {
        int du = 0, dv = 0, ch = channel;  // of an element: taps further
#pragma unroll
        for (int e = 0; e < 4; e++) {
          const bool there = some && (unsigned)(u + du) < (unsigned)c.H && (unsigned)(v + dv) < (unsigned)c.W;
          if (e < rows) copy_async(L::place(shared, n) + e, p + (du * c.W + dv) * c.C + (ch - channel), there);
          if (++ch == c.C) {
            ch = 0;
            if (x + ++dv + c.left == c.KW) dv = -x - c.left, du++;
          }
        }
      }
      j += dj;
      if (j >= c.w_) j -= c.w_, i++;
      i += di;
      if (i >= c.h) i -= c.h, s++;
      s += ds;
    }
  }
};

// What follows a product, mirrored by cuda/programs/op_products.go. With `rows` rows to a sample and s = m / rows:
//   z = sum + bias[n] + vector[s][n]     pre = z     y = gate[s][n] f(z) + residual[m][n]
// A null pointer leaves its term out, of the gate the factor.
struct Epilogue {
  float *y, *pre;
  const float *bias, *vector, *gate, *residual;
  long long y_row, vector_row, gate_row, residual_row;
  int rows, act;
};

__device__ __forceinline__ void store(const Epilogue& q, int m, int n, float v) {
  const int sample = q.rows > 0 ? m / q.rows : 0;
  if (q.bias) v += q.bias[n];
  if (q.vector) v += q.vector[sample * q.vector_row + n];
  if (q.pre) q.pre[m * q.y_row + n] = v;
  if (q.act) v = program_act(q.act, v);
  if (q.gate) v *= q.gate[sample * q.gate_row + n];
  if (q.residual) v += q.residual[m * q.residual_row + n];
  q.y[m * q.y_row + n] = v;
}

// Where rows allow it, a thread takes quads of neighbouring columns, in EACH rows at once, so that their loads are in flight together.
enum { EACH = 4 };

// Whether quads of columns can be read and written as 16 bytes: no row then begins or ends within one.
__device__ __forceinline__ bool whole_quads(const Epilogue& q, int N) {
  const unsigned long long bytes = (unsigned long long)q.y | (unsigned long long)q.pre | (unsigned long long)q.bias | (unsigned long long)q.vector |
                                   (unsigned long long)q.gate | (unsigned long long)q.residual;
  const long long numbers = q.y_row | q.vector_row | q.gate_row | q.residual_row | N;
  return bytes % 16 == 0 && numbers % 4 == 0;
}
__device__ __forceinline__ void read_quad(float (&v)[4], const float* p) {
  const float4 x = *(const float4*)p;
  v[0] = x.x, v[1] = x.y, v[2] = x.z, v[3] = x.w;
}
__device__ __forceinline__ void write_quad(float* p, const float (&v)[4]) { *(float4*)p = make_float4(v[0], v[1], v[2], v[3]); }

template <class F>
__device__ __forceinline__ void map_quads(float (&v)[EACH][4], F f) {
#pragma unroll
  for (int i = 0; i < EACH; i++)
#pragma unroll
    for (int e = 0; e < 4; e++) v[i][e] = f(v[i][e]);
}
// x sigma(u) for x > -750; the reciprocal is of a number from 1 to 2.
__device__ __forceinline__ float times_sigmoid(float x, float u) {
  const float e = expf(-fabsf(u)), r = rcp_fast(1.0f + e);
  return x * (u < 0 ? e * r : r);
}
// program_act of all, behind one branch for them together.
__device__ __forceinline__ void activate(int act, float (&v)[EACH][4]) {
  switch (act) {
    case ACT_SILU:
      map_quads(v, [](float x) {
        const float c = x < -750.0f ? -750.0f : x;
        return times_sigmoid(c, c);
      });
      break;
    case ACT_GELU_TANH:
      map_quads(v, [](float x) {
        const float c = clamp(x, 40.0f);
        return x > c ? x : times_sigmoid(c, 1.5957691216057308f * fmaf(0.044715f * c * c, c, c));
      });
      break;
    case ACT_GELU: map_quads(v, [](float x) { return program_act(ACT_GELU, x); }); break;
    case ACT_TANH: map_quads(v, [](float x) { return tanhf(x); }); break;
    case ACT_EXP: map_quads(v, [](float x) { return expf(x); }); break;
  }
}

// The samples of a tile's rows by one division; the quotients of further rows are small, and floats give them to within one.
struct Samples {
  int first, rest, rows;
  float inverse;
  __device__ __forceinline__ Samples(int m, int rows) : first(0), rest(0), rows(rows), inverse(0.0f) {
    if (rows > 0) first = m / rows, rest = m - first * rows, inverse = 1.0f / (float)rows;
  }
  // Of the row that is `further` behind the first.
  __device__ __forceinline__ int operator()(int further) const {
    if (rows <= 0) return 0;
    const int at = rest + further, s = (int)((float)at * inverse), left = at - s * rows;
    return first + s + (left >= rows) - (left < 0);
  }
};

// What follows the sums of a tile, which lie in shared memory, rows LD numbers apart, so that rows are read and written whole; a thread's
// rows lie PASS apart.
template <class Tile>
__device__ __forceinline__ void finish(int tile_m, int tile_n, int M, int N, const float* shared, const Epilogue& q) {
  enum { BM = Tile::BM, LD = Tile::LD, QUADS = Tile::BN / 4, PASS = Tile::THREADS / QUADS };
  static_assert(BM % (EACH * PASS) == 0, "a thread has EACH quads at once");
  __syncthreads();
  const int first = tile_m * BM;
  if (!whole_quads(q, N)) {
    const int columns = min(N - tile_n * Tile::BN, (int)Tile::BN), all = columns * min(M - first, (int)BM);
#pragma unroll 1
    for (int e = threadIdx.x; e < all; e += Tile::THREADS) {
      const int r = e / columns, c = e - r * columns;
      store(q, first + r, tile_n * Tile::BN + c, shared[r * LD + c]);
    }
    return;
  }
  const int column = threadIdx.x % QUADS * 4, n = tile_n * Tile::BN + column;
  if (n >= N) return;
  const Samples samples(first, q.vector || q.gate ? q.rows : 0);
  float bias[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  if (q.bias) read_quad(bias, q.bias + n);
#pragma unroll 1
  for (int row = threadIdx.x / QUADS; row < BM && first + row < M; row += EACH * PASS) {
    float v[EACH][4], t[EACH][4], residual[EACH][4];
    if (q.residual) {
#pragma unroll
      for (int p = 0; p < EACH; p++)
        if (first + row + p * PASS < M) read_quad(residual[p], q.residual + (long long)(first + row + p * PASS) * (int)q.residual_row + n);
    }
#pragma unroll
    for (int p = 0; p < EACH; p++) {
      read_quad(v[p], shared + (row + p * PASS) * LD + column);
#pragma unroll
      for (int e = 0; e < 4; e++) v[p][e] += bias[e];
    }
    if (q.vector) {
#pragma unroll
      for (int p = 0; p < EACH; p++)
        if (first + row + p * PASS < M) read_quad(t[p], q.vector + (long long)samples(row + p * PASS) * (int)q.vector_row + n);
#pragma unroll
      for (int p = 0; p < EACH; p++)
#pragma unroll
        for (int e = 0; e < 4; e++) v[p][e] += t[p][e];
    }
    if (q.pre) {
#pragma unroll
      for (int p = 0; p < EACH; p++)
        if (first + row + p * PASS < M) write_quad(q.pre + (long long)(first + row + p * PASS) * (int)q.y_row + n, v[p]);
    }
    if (q.act) activate(q.act, v);
    if (q.gate) {
#pragma unroll
      for (int p = 0; p < EACH; p++)
        if (first + row + p * PASS < M) read_quad(t[p], q.gate + (long long)samples(row + p * PASS) * (int)q.gate_row + n);
#pragma unroll
      for (int p = 0; p < EACH; p++)
#pragma unroll
        for (int e = 0; e < 4; e++) v[p][e] *= t[p][e];
    }
    if (q.residual) {
#pragma unroll
      for (int p = 0; p < EACH; p++)
#pragma unroll
        for (int e = 0; e < 4; e++) v[p][e] += residual[p][e];
    }
#pragma unroll
    for (int p = 0; p < EACH; p++)
      if (first + row + p * PASS < M) write_quad(q.y + (long long)(first + row + p * PASS) * (int)q.y_row + n, v[p]);
  }
}

// A lane's share of 16 rows (g and g + 8) and 16 steps of k. LD: rows of the operand and 8 if it is turned, else 0.
struct Fragment {
  float v[2][4];
  template <int LD>
  __device__ __forceinline__ void load(const float* shared, int row) {
    const int lane = threadIdx.x & 31, g = row + (lane >> 2), q = lane & 3;
    if (LD) {
#pragma unroll
      for (int r = 0; r < 2; r++)
#pragma unroll
        for (int e = 0; e < 4; e++) v[r][e] = shared[(q + 4 * e) * LD + g + 8 * r];
      return;
    }
    const float4 x = *(const float4*)&shared[slot(g, q * 4)], y = *(const float4*)&shared[slot(g + 8, q * 4)];
    v[0][0] = x.x, v[0][1] = x.y, v[0][2] = x.z, v[0][3] = x.w;
    v[1][0] = y.x, v[1][1] = y.y, v[1][2] = y.z, v[1][3] = y.w;
  }
};

template <int ARITH, class Tile, class LoadA, class LoadB, class Walker>
__device__ __forceinline__ void net_gemm(int tile_m, int tile_n, int M, int N, int k_begin, int k_end, LoadA& la, LoadB& lb, Walker&& walk, float* shared, const Epilogue& q) {
  enum {
    BM = Tile::BM, STAGES = Tile::STAGES, BUFFER = Tile::BUFFER, MT = Tile::WM / 16, NT = Tile::WN / 16, BEHIND = (BM + 8) * SLICE,
    LDA = LoadA::TURNED ? BM + 8 : 0, LDB = LoadB::TURNED ? Tile::BN + 8 : 0, PART_A = (LDA ? LDA : (int)BM) * BK, PART_B = (LDB ? LDB : (int)Tile::BN) * BK
  };
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int wm = warp / Tile::WARPS_N * Tile::WM, wn = warp % Tile::WARPS_N * Tile::WN, m0 = tile_m * BM + wm, n0 = tile_n * Tile::BN + wn;
  const bool idle = m0 >= M || n0 >= N;
  float acc[MT][2 * NT][4];
#pragma unroll
  for (int i = 0; i < MT; i++)
#pragma unroll
    for (int j = 0; j < 2 * NT; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) acc[i][j][e] = 0.0f;
#pragma unroll 1
  for (int s = 0; s < STAGES - 1; s++) {
    const int k = k_begin + s * SLICE;
    if (k < k_end) la.copy(shared + s * BUFFER, k, k_end), lb.copy(shared + s * BUFFER + BEHIND, k, k_end), walk.slice();
    copies_commit();
  }
  int at = 0, to = STAGES - 1;
#pragma unroll 1
  for (int k = k_begin; k < k_end; k += SLICE) {
    copies_wait<STAGES - 2>();
    __syncthreads();  // the slice is there, and all are done with the one before
    const int next = k + (STAGES - 1) * SLICE;
    if (next < k_end) la.copy(shared + to * BUFFER, next, k_end), lb.copy(shared + to * BUFFER + BEHIND, next, k_end), walk.slice();
    copies_commit();
#pragma unroll 1
    for (int h = 0; h < PARTS; h++) {
      if (idle) break;
      const float *a = shared + at * BUFFER + h * PART_A, *b = shared + at * BUFFER + BEHIND + h * PART_B;
      Fragment fb[NT];
#pragma unroll
      for (int j = 0; j < NT; j++) fb[j].template load<LDB>(b, wn + j * 16);
      if (ARITH == ARITH_F32) {
        uint32_t bh[NT][2][4], bl[NT][2][4];
#pragma unroll
        for (int j = 0; j < NT; j++)
#pragma unroll
          for (int h = 0; h < 2; h++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
              bh[j][h][e] = to_tf32(fb[j].v[h][e]);
              bl[j][h][e] = to_tf32(fb[j].v[h][e] - from_tf32(bh[j][h][e]));
            }
#pragma unroll
        for (int i = 0; i < MT; i++) {
          Fragment fa;
          fa.template load<LDA>(a, wm + i * 16);
          uint32_t ah[2][4], al[2][4];  // of k step s: rows g, g + 8 of its first element, then of its second
#pragma unroll
          for (int s = 0; s < 2; s++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
              const float v = fa.v[e & 1][2 * s + (e >> 1)];
              ah[s][e] = to_tf32(v), al[s][e] = to_tf32(v - from_tf32(ah[s][e]));
            }
#pragma unroll
          for (int j = 0; j < 2 * NT; j++) {
            float t[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
            for (int s = 0; s < 2; s++) {
              mma_tf32(t, al[s], bh[j / 2][j & 1][2 * s], bh[j / 2][j & 1][2 * s + 1]);
              mma_tf32(t, ah[s], bl[j / 2][j & 1][2 * s], bl[j / 2][j & 1][2 * s + 1]);
            }
#pragma unroll
            for (int s = 0; s < 2; s++) mma_tf32(t, ah[s], bh[j / 2][j & 1][2 * s], bh[j / 2][j & 1][2 * s + 1]);
#pragma unroll
            for (int e = 0; e < 4; e++) acc[i][j][e] += t[e];
          }
        }
      } else if (ARITH == ARITH_TF32) {
#pragma unroll
        for (int i = 0; i < MT; i++) {
          Fragment fa;
          fa.template load<LDA>(a, wm + i * 16);
#pragma unroll
          for (int s = 0; s < 2; s++) {
            uint32_t ah[4];
#pragma unroll
            for (int e = 0; e < 4; e++) ah[e] = to_tf32(fa.v[e & 1][2 * s + (e >> 1)]);
#pragma unroll
            for (int j = 0; j < 2 * NT; j++) mma_tf32(acc[i][j], ah, to_tf32(fb[j / 2].v[j & 1][2 * s]), to_tf32(fb[j / 2].v[j & 1][2 * s + 1]));
          }
        }
      } else {
        uint32_t bb[2 * NT][2];
#pragma unroll
        for (int j = 0; j < 2 * NT; j++)
#pragma unroll
          for (int s = 0; s < 2; s++) bb[j][s] = pack_halves<ARITH>(fb[j / 2].v[j & 1][2 * s], fb[j / 2].v[j & 1][2 * s + 1]);
#pragma unroll
        for (int i = 0; i < MT; i++) {
          Fragment fa;
          fa.template load<LDA>(a, wm + i * 16);
          uint32_t aa[4];
#pragma unroll
          for (int e = 0; e < 4; e++) aa[e] = pack_halves<ARITH>(fa.v[e & 1][e >> 1 << 1], fa.v[e & 1][(e >> 1 << 1) + 1]);
#pragma unroll
          for (int j = 0; j < 2 * NT; j++) mma_halves<ARITH>(acc[i][j], aa, bb[j][0], bb[j][1]);
        }
      }
    }
    at = at + 1 == STAGES ? 0 : at + 1;
    to = to + 1 == STAGES ? 0 : to + 1;
  }
  copies_wait<0>();
  __syncthreads();
  enum { LD = Tile::LD };
  static_assert(BM * LD <= STAGES * BUFFER, "the sums fit where the operands were");
  float* own = shared + (warp / Tile::WARPS_N * Tile::WM + (lane >> 2)) * LD + wn + (lane & 3) * 2;
#pragma unroll
  for (int i = 0; i < MT; i++)
#pragma unroll
    for (int j = 0; j < 2 * NT; j++) {
      *(float2*)&own[i * 16 * LD + j * 8] = *(float2*)&acc[i][j][0];
      *(float2*)&own[(i * 16 + 8) * LD + j * 8] = *(float2*)&acc[i][j][2];
    }
  finish<Tile>(tile_m, tile_n, M, N, shared, q);
}
