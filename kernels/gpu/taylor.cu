// The WKB expansion along paths in two dimensions (kernels/taylor.go): one launch carries states through some steps of a
// Runge-Kutta table. A state and its derivatives are float64; the network's Taylor jets are of type T.
//
// A block has S samples and one warp for every 16 hidden units. A jet has C coefficients (10 to degree 3 for an expansion
// of order 1, 21 to degree 5 for order 2; for a path alone, order 0, it is the value),
// and a dense layer acts on each alike, so a layer is one product of the weights and a slab [unit][C S columns] of shared
// memory, column c S + s for coefficient c of sample s. The warp's part of the sums stays in registers until all
// warps have read the slab, then replaces it; the activation composes in place with the polynomials of each unit and
// sample. Weights stream from L2 straight to the registers of the one warp of the block that needs them. In float64 the
// products run on tensor cores. Residual networks have two slabs.
//
// One-dimensional networks are given as two-dimensional ones that ignore their second coordinate.
#include "mma.cuh"
#include "taylor_jets.cuh"

// The description of a table's method, in doubles: A [stages][stages], B, E, E3 [stages], then the weights of the error norm
// over its tolerance [numbers of a state]. No estimate: E and the weights are zero.
struct TaylorMethod {
  const double* table;
  int stages;
  int second;      // E3 counts
  double counted;  // components in the norm, at least 1
};

// One evaluation; mirrored by cuda/chains/taylor.go.
struct TaylorStage { double h, cin, p, q, drift, half; };

// The network's blob, in floats: the first layer's weights [2][width], the head's [2][width] and its bias [2] + 2 of padding,
// the hidden layers' biases [hidden-1][width], then their weights in fragments, which are the A of mma_f64:
// [16 units][8 inputs][lane][4].
__device__ __forceinline__ int head_at(const Net& net) { return 2 * net.width; }
__device__ __forceinline__ int bias_at(const Net& net) { return 4 * net.width + 4; }
__device__ __forceinline__ int weights_at(const Net& net) { return bias_at(net) + (net.hidden - 1) * net.width; }

// The thread's index in its block, read anew each time: the products need all registers.
#ifdef __CUDACC__
__device__ __forceinline__ int thread_index() {
  int t;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(t));
  return t;
}
#else
inline int thread_index() { return threadIdx.x; }
#endif

// ---- the network ---------------------------------------------------------------------------------------------------------
// acc[n][0..3] += this warp's 16 units of a layer times columns 8 n .. of the slab, in the layout of mma_f64.
template <int NT>
__device__ __forceinline__ void product(double acc[NT][4], const float4* __restrict__ w, const double* in, int width, int lane) {
  enum { LD = 8 * NT + 4 };
  const double* b = in + (lane & 3) * LD + (lane >> 2);
  float4 next = w[lane];
#pragma unroll 1
  for (int k = 0; k < width; k += 8) {
    const double a[4] = {next.x, next.y, next.z, next.w};
    w += 32;
    if (k + 8 < width) next = w[lane];
#pragma unroll
    for (int n = 0; n < NT; n++) mma_f64(acc[n], a, b[8 * n], b[4 * LD + 8 * n]);
    b += 8 * LD;
  }
}

template <int NT>
__device__ __forceinline__ void product(float acc[NT][4], const float4* __restrict__ w, const float* in, int width, int lane) {
  enum { LD = 8 * NT + 4 };
  const float* b = in + 2 * (lane & 3);
  w += lane & ~3;
#pragma unroll 1
  for (int k = 0; k < width; k += 8) {
#pragma unroll
    for (int q = 0; q < 4; q++) {
      const float4 a = w[q];
#pragma unroll
      for (int n = 0; n < NT; n++) {
        const float2 lo = *(const float2*)&b[q * LD + 8 * n], hi = *(const float2*)&b[(q + 4) * LD + 8 * n];
        acc[n][0] = fmaf(a.z, hi.x, fmaf(a.x, lo.x, acc[n][0]));
        acc[n][1] = fmaf(a.z, hi.y, fmaf(a.x, lo.y, acc[n][1]));
        acc[n][2] = fmaf(a.w, hi.x, fmaf(a.y, lo.x, acc[n][2]));
        acc[n][3] = fmaf(a.w, hi.y, fmaf(a.y, lo.y, acc[n][3]));
      }
    }
    w += 32;
    b += 8 * LD;
  }
}

__device__ __forceinline__ void store_pair(double* p, double x, double y) { *(double2*)p = double2{x, y}; }
__device__ __forceinline__ void store_pair(float* p, float x, float y) { *(float2*)p = float2{x, y}; }

// ---- the field -----------------------------------------------------------------------------------------------------------
// A polynomial whose coefficients lie stride apart.
struct Poly {
  const double* p;
  int stride;
  __device__ __forceinline__ double operator()(int a, int b) const { return p[jet_at(a, b) * stride]; }
  __device__ __forceinline__ double dx(int a, int b) const { return (a + 1) * (*this)(a + 1, b); }  // coefficients of derivatives
  __device__ __forceinline__ double dy(int a, int b) const { return (b + 1) * (*this)(a, b + 1); }
  __device__ __forceinline__ double laplacian(int a, int b) const {
    return (a + 2) * (a + 1) * (*this)(a + 2, b) + (b + 2) * (b + 1) * (*this)(a, b + 2);
  }
};

// Number c of the derivative of a state y (kernels.TaylorState for D = 2), s the jets of the score: infer.TaylorField.
template <int ORDER>
__device__ __forceinline__ double taylor_field(int c, const double* y, const Poly s[2], int d, double drift, double half) {
  enum { L = 2, L1 = L + jet_size(2 * ORDER), SPREAD = L1 + jet_size(2 * ORDER - 2) };
  if (ORDER == 0 || c < L) return drift * y[c] - half * (c == 0 ? s[0] : s[1])(0, 0);
  const Poly l{y + L, 1}, l1{y + L1, 1};
  const double u0 = l.dx(0, 0), u1 = l.dy(0, 0), s0 = s[0](0, 0), s1 = s[1](0, 0);
  if (c == SPREAD) return half * (s[0].dx(0, 0) + s[1].dy(0, 0) - l.laplacian(0, 0));
  if (c == SPREAD + 1) return -half * ((s0 - u0) * (s0 - u0) + (s1 - u1) * (s1 - u1));
  if (c == SPREAD + 2)
    return half * ((s0 - 2 * u0) * l1.dx(0, 0) + (s1 - 2 * u1) * l1.dy(0, 0) - l1.laplacian(0, 0));
  const bool first = c >= L1;  // a coefficient of l1, else of L
  const int k = first ? c - L1 : c - L;
  int m = 0;
#pragma unroll 1
  while (jet_size(m) <= k) m++;
  const int b = k - m * (m + 1) / 2, a = m - b;
  double v = half * (s[0].dx(a, b) + s[1].dy(a, b));  // -div F
  if (first) v -= half * l.laplacian(a, b);
  else if (k == 0) v -= d * drift;
#pragma unroll 1
  for (int i = 0; i <= a; i++)
#pragma unroll 1
    for (int j = 0; j <= b; j++) {
      const double si = s[0](i, j), sj = s[1](i, j);
      if (i + j > 0 && (ORDER == 2 || !first)) {  // -(F(x + delta) - F(x)) . grad
        const double f0 = (i == 1 && j == 0 ? drift : 0.0) - half * si, f1 = (i == 0 && j == 1 ? drift : 0.0) - half * sj;
        const Poly& g = first ? l1 : l;
        v -= f0 * g.dx(a - i, b - j) + f1 * g.dy(a - i, b - j);
      }
      if (first) v += half * ((si - l.dx(i, j)) * l.dx(a - i, b - j) + (sj - l.dy(i, j)) * l.dy(a - i, b - j));
    }
  return v;
}

// The part of the work that goes unit by unit: the warp's 16 S pairs of a unit and a sample, one for each lane at a time. With eight samples, units
// are taken in an order that lets half a warp meet each bank once; with others the natural one does (but with one).
template <int S>
struct Pair {
  int unit, sample;
  __device__ __forceinline__ Pair(int i) : unit(i / S), sample(i % S) {
    if (S == 8) unit = (unit & 12) + (unit & 1) * 2 + (unit >> 1 & 1);
  }
};

// ---- one block -------------------------------------------------------------------------------------------------------------
template <class T, int ORDER, int S, int NT>
__device__ __forceinline__ void taylor_body(const Net& net, const float* __restrict__ blob, const double* __restrict__ bias0, const TaylorStage* __restrict__ stages,
                                            int steps, const TaylorMethod& method, double* __restrict__ gy, double* __restrict__ gest, int n) {
  enum {
    N = ORDER ? 2 * ORDER + 1 : 0, C = jet_size(N), LD = 8 * NT + 4,
    WIDTH = ORDER ? 2 + jet_size(2 * ORDER) + jet_size(2 * ORDER - 2) + 1 + ORDER : 2,  // of a state
    STATE = S * WIDTH,
  };
  static_assert(C * S <= 8 * NT && LD % 8 == 4, "the columns fit, and rows of four lanes meet different banks");
  EXTERN_SHARED(double, sm);
  const int width = net.width;
  double* ks = sm;                                  // [stages][STATE]
  double* ys = ks + method.stages * STATE;          // [2][STATE]: the states of even and odd evaluations
  double* jets = ys + 2 * STATE;                    // [2][C][S]: of the score
  double* errors = jets + 2 * C * S;                // [2][STATE]
  double* y = errors + 2 * STATE;                   // [STATE]: at the start of the step
  double* worst = y + STATE;                        // [S]: the largest error norm so far
  TaylorStage* evaluations = (TaylorStage*)(worst + S);  // [2]: even and odd
  T* slab0 = (T*)((double*)(evaluations + 2) + (((method.stages + 5) * STATE + S) & 1));  // 16-byte aligned; [width][LD]
  const int other = net.residual ? width * LD : 0;  // where the second slab is from the first

  const int rows = min(S, n - (int)blockIdx.x * S);  // samples of the block
  gy += (size_t)blockIdx.x * STATE;
  gest += (size_t)blockIdx.x * S;
  const int tid = thread_index();  // this thread's number of the states, if below STATE
  if (tid < STATE) y[tid] = tid < rows * WIDTH ? gy[tid] : 0.0;
  if (tid < S) worst[tid] = tid < rows ? gest[tid] : 0.0;
  const double* mb = method.table + method.stages * method.stages;

  int evaluation = 0;
  for (int step = 0; step < steps; step++) {
    for (int stage = 0; stage < method.stages; stage++, evaluation++) {
      TaylorStage& now = evaluations[evaluation & 1];
      double* ye = ys + (evaluation & 1) * STATE;
      const int tid = thread_index();
      if (tid == 0) now = stages[evaluation];
      if (tid < STATE) {
        const double h = stages[evaluation].h;
        double v = y[tid];
#pragma unroll 4
        for (int j = 0; j < stage; j++) v = fma(h * method.table[stage * method.stages + j], ks[j * STATE + tid], v);
        ye[tid] = v;
      }
      __syncthreads();

      // the first layer: a linear function of the coordinates under the activation
      const double* b0 = bias0 + (size_t)evaluation * width;
      {
        const int t = thread_index();
#pragma unroll 1
        for (int i = t & 31; i < 16 * S; i += 32) {
          const Pair<S> mine(i);
          const int u = (t >> 5) * 16 + mine.unit;
          const T x0 = (T)(now.cin * ye[mine.sample * WIDTH]), x1 = (T)(now.cin * ye[mine.sample * WIDTH + 1]);
          const T w0 = blob[u], w1 = blob[width + u];
          T c[N + 1];
          activation_series<T, N>(c, net.act, fma(w0, x0, fma(w1, x1, (T)b0[u])));
          T* out = slab0 + u * LD + mine.sample;
          T p = T(1);
          double binomial = 1;  // exact
#pragma unroll
          for (int a = 0; a <= N; a++) {  // row by row of Pascal's triangle: w0^a w1^b (a + b over b)
            T r = p;
            binomial = 1;
#pragma unroll
            for (int b = 0; a + b <= N; b++) {
              out[jet_at(a, b) * S] = c[a + b] * (T(binomial) * r);
              r *= w1;
              binomial = binomial * (a + b + 1) / (b + 1);
            }
            p *= w0;
          }
        }
      }
      __syncthreads();

#pragma unroll 1
      for (int layer = 1; layer < net.hidden; layer++) {
        const T* in = slab0 + (layer & 1 ? 0 : other);
        T* out = slab0 + (layer & 1 ? other : 0);
        const int lane = thread_index() & 31, warp = thread_index() >> 5;
        T acc[NT][4];
#pragma unroll
        for (int i = 0; i < NT; i++) acc[i][0] = acc[i][1] = acc[i][2] = acc[i][3] = T(0);
        product<NT>(acc, (const float4*)(blob + weights_at(net) + ((layer - 1) * width + 16 * warp) * width), in, width, lane);
        if (!net.residual) __syncthreads();
        T* o = out + (16 * warp + (lane >> 2)) * LD + 2 * (lane & 3);
#pragma unroll
        for (int i = 0; i < NT; i++) {
          store_pair(o + 8 * i, acc[i][0], acc[i][1]);
          store_pair(o + 8 * LD + 8 * i, acc[i][2], acc[i][3]);
        }
        __syncwarp();
        {
          const int t = thread_index();
#pragma unroll 1
          for (int i = t & 31; i < 16 * S; i += 32) {
            const Pair<S> mine(i);
            const int u = (t >> 5) * 16 + mine.unit;
            T *p = out + u * LD + mine.sample, x[C], r[C], c[N + 1];
#pragma unroll
            for (int k = 0; k < C; k++) x[k] = p[k * S];
            activation_series<T, N>(c, net.act, x[0] + (T)blob[bias_at(net) + (layer - 1) * width + u]);
            compose<T, N>(r, c, x);
            if (net.residual) {
              const T* old = in + u * LD + mine.sample;
#pragma unroll
              for (int k = 0; k < C; k++) r[k] += old[k * S];
            }
#pragma unroll
            for (int k = 0; k < C; k++) p[k * S] = r[k];
          }
        }
        __syncthreads();
      }

      // the head, and the jets of s = P x + Q n(Cin x)
#pragma unroll 1
      for (int i = thread_index(); i < 2 * C * S; i += blockDim.x) {
        const int output = i / (C * S), column = i - output * (C * S), c = column / S;
        const float* w = blob + head_at(net) + output * width;
        T sum[4] = {T(0), T(0), T(0), T(0)};
        const T* p = slab0 + (net.hidden & 1 ? 0 : other) + column;
#pragma unroll 4
        for (int u = 0; u < width; u += 4, p += 4 * LD)
#pragma unroll
          for (int j = 0; j < 4; j++) sum[j] = fma((T)w[u + j], p[j * LD], sum[j]);
        double v = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        if (c == 0) v += blob[head_at(net) + 2 * width + output];
        v *= now.q;
        for (int size = 1, degree = 1; c >= size; size += ++degree) v *= now.cin;
        if (output < net.d) {
          if (c == 0) v += now.p * ye[(column - c * S) * WIDTH + output];
          if (c == 1 + output) v += now.p;
        }
        jets[i] = v;
      }
      __syncthreads();
      const int number = thread_index();
      if (number < STATE) {
        const int sample = number / WIDTH;
        const Poly s[2] = {{jets + sample, S}, {jets + C * S + sample, S}};
        ks[stage * STATE + number] = taylor_field<ORDER>(number - sample * WIDTH, ye + sample * WIDTH, s, net.d, now.drift, now.half);
      }
    }

    const double h = stages[evaluation - 1].h;
    const int tid = thread_index();
    if (tid < STATE) {
      double next = y[tid], e5 = 0, e3 = 0;
#pragma unroll 4
      for (int j = 0; j < method.stages; j++) {
        const double k = ks[j * STATE + tid];
        next = fma(h * mb[j], k, next);
        e5 = fma(mb[method.stages + j], k, e5);
        e3 = fma(mb[2 * method.stages + j], k, e3);
      }
      const double scale = mb[3 * method.stages + tid % WIDTH] / (1 + fmax(fabs(y[tid]), fabs(next)));
      errors[tid] = e5 * scale * (e5 * scale);
      errors[STATE + tid] = e3 * scale * (e3 * scale);
      y[tid] = next;
    }
    __syncthreads();
    if (tid < S) {  // kernels.TaylorTable.ErrorNorm
      double sum5 = 0, sum3 = 0;
#pragma unroll 1
      for (int i = 0; i < WIDTH; i++) sum5 += errors[tid * WIDTH + i], sum3 += errors[STATE + tid * WIDTH + i];
      double norm = sum5 == 0 ? 0.0 : fabs(h) * sqrt(sum5 / method.counted);
      if (method.second && sum5 != 0) norm *= sqrt(sum5 / (sum5 + 0.01 * sum3));
      if (!(norm <= worst[tid])) worst[tid] = norm;
    }
  }
  if (tid < rows * WIDTH) gy[tid] = y[tid];
  if (tid < rows) gest[tid] = worst[tid];
}

#define TAYLOR(name, T, ORDER, S, NT)                                                                                       \
  extern "C" __global__ void __launch_bounds__(512, 1) name(Net net, const float* blob, const double* bias0, const TaylorStage* stages, int steps, \
                                                            TaylorMethod method, double* y, double* est, int n) {            \
    taylor_body<T, ORDER, S, NT>(net, blob, bias0, stages, steps, method, y, est, n);                                         \
  }                                                                                                                         \
  KERNEL(name)
TAYLOR(taylor_f64_path_s64, double, 0, 64, 8)
TAYLOR(taylor_f64_path_s16, double, 0, 16, 2)
TAYLOR(taylor_f64_order1_s8, double, 1, 8, 10)
TAYLOR(taylor_f64_order1_s4, double, 1, 4, 5)
TAYLOR(taylor_f64_order2_s4, double, 2, 4, 11)
TAYLOR(taylor_f64_order2_s1, double, 2, 1, 3)
TAYLOR(taylor_f32_order1_s8, float, 1, 8, 10)
TAYLOR(taylor_f32_order2_s4, float, 2, 4, 11)
