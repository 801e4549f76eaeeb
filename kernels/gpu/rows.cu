// Kernels for the rows of a network between its products: inputs, time features, and the rules of derivatives that
// no product's epilogue can apply because they join several rows of a sample. A thread takes one element of a sample at
// a time; grids may have any size.
#include "activations.cuh"

#define EACH(i, all) for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (all); i += (int64_t)gridDim.x * blockDim.x)

// ---- inputs -------------------------------------------------------------------------------------------------------------

// phi(tau) of each of n times: the time itself, or sines and cosines of 2 pi f tau, the phase reduced in float64.
template <class T>
__device__ __forceinline__ void features(T* dst, const double* tau, const float* freqs, int nfreq, int n) {
  if (!freqs) {
    EACH(i, n) dst[i] = (T)tau[i];
    return;
  }
  EACH(i, (int64_t)n * nfreq) {
    const int64_t r = i / nfreq;
    const int f = (int)(i % nfreq);
    const double turn = (double)freqs[f] * tau[r];
    double s, c;
    sincospi(2 * (turn - rint(turn)), &s, &c);
    dst[r * 2 * nfreq + f] = (T)s;
    dst[r * 2 * nfreq + nfreq + f] = (T)c;
  }
}

// The kinds of the rows of a sample, of which it has group.
enum { ROWS_GIVEN = 0, ROWS_UNIT = 1, ROWS_JET = 2 };

// Rows of buffer 0, width columns of which d are coordinates: given (rows x d), the unit vectors (row r: number r mod d),
// or the expansion of x + delta (the values x of the sample, the unit vectors, zeros). The first row of each group has
// the time features phi (row stride phi_row; 0: the same for all) unless null; all else is zero.
template <class T>
__device__ __forceinline__ void input_rows(T* dst, int width, const T* x, int d, int kind, int group, const T* phi, int64_t phi_row, int64_t rows) {
  EACH(i, rows * width) {
    const int64_t r = i / width, sample = r / group;
    const int j = (int)(i % width), c = (int)(r % group);
    T v = 0;
    if (j >= d) {
      if (phi && c == 0) v = phi[sample * phi_row + j - d];
    } else if (kind == ROWS_GIVEN) {
      v = x[r * d + j];
    } else if (kind == ROWS_UNIT) {
      v = r % d == j;
    } else {
      v = c == 0 ? x[sample * d + j] : T(c == j + 1);
    }
    dst[i] = v;
  }
}

// ---- adjoints: rows of the coefficients 1, tau, eps, tau eps, g = 1, 2 or 4 of them to a sample (kernels/infer, Adjoint) ----

// y = f(z) + add in the algebra: y0 = f, y1 = f' z1, y2 = f' z2, y3 = f'' z1 z2 + f' z3.
template <class T>
__device__ __forceinline__ void adjoint_forward(const T* z, T* y, const T* add, int64_t samples, int width, int g, int act) {
  EACH(i, samples * width) {
    const int64_t at = i / width * g * width + i % width;
    T c[3];
    act_taylor<2>(act, z[at], c);
    T v[4] = {c[0], 0, 0, 0};
    if (g > 1) v[1] = c[1] * z[at + width];
    if (g > 2) {
      v[2] = c[1] * z[at + 2 * width];
      v[3] = 2 * c[2] * z[at + width] * z[at + 2 * width] + c[1] * z[at + 3 * width];
    }
#pragma unroll
    for (int r = 0; r < 4; r++)
      if (r < g) y[at + r * width] = add ? v[r] + add[at + r * width] : v[r];
  }
}

// The adjoint a of f(z) becomes that of z, in place:
//   a3' = f' a3    a2' = f' a2 + f'' z1 a3    a1' = f' a1 + f'' z2 a3
//   a0' = f' a0 + f'' (z1 a1 + z2 a2 + z3 a3) + f''' z1 z2 a3
template <class T>
__device__ __forceinline__ void adjoint_reverse(const T* z, T* a, int64_t samples, int width, int g, int act) {
  EACH(i, samples * width) {
    const int64_t at = i / width * g * width + i % width;
    T c[4];
    act_taylor<3>(act, z[at], c);
    const T f1 = c[1], f2 = 2 * c[2];
    T a0 = f1 * a[at];
    if (g == 2) {
      const T a1 = a[at + width];
      a0 += f2 * z[at + width] * a1;
      a[at + width] = f1 * a1;
    } else if (g == 4) {
      const T z1 = z[at + width], z2 = z[at + 2 * width], z3 = z[at + 3 * width];
      const T a1 = a[at + width], a2 = a[at + 2 * width], a3 = a[at + 3 * width];
      a0 += f2 * (z1 * a1 + z2 * a2 + z3 * a3) + 6 * c[3] * z1 * z2 * a3;
      a[at + width] = f1 * a1 + f2 * z2 * a3;
      a[at + 2 * width] = f1 * a2 + f2 * z1 * a3;
      a[at + 3 * width] = f1 * a3;
    }
    a[at] = a0;
  }
}

// dst(r, j) = src(r, j), or += if accumulate, for j < width.
template <class T>
__device__ __forceinline__ void add_rows(T* dst, int64_t dst_row, const T* src, int64_t src_row, int64_t rows, int width, int accumulate) {
  EACH(i, rows * width) {
    const int64_t r = i / width, j = i % width;
    T* p = dst + r * dst_row + j;
    *p = accumulate ? *p + src[r * src_row + j] : src[r * src_row + j];
  }
}

// ---- divergences --------------------------------------------------------------------------------------------------------

// div = sum over k directions of v.(J v) from jv, samples x k x d; without v the directions are the d unit vectors.
template <class T>
__device__ __forceinline__ void trace(double* div, const T* jv, const T* v, int k, int d, int64_t samples) {
  EACH(i, samples) {
    double sum = 0;
    for (int j = 0; j < k; j++) {
      const int64_t row = (i * k + j) * d;
      double s = 0;
      if (v) {
        for (int c = 0; c < d; c++) s += (double)v[row + c] * (double)jv[row + c];
      } else {
        s = (double)jv[row + j];
      }
      sum += s;
    }
    div[i] = sum;
  }
}

// ---- Taylor expansions ----------------------------------------------------------------------------------------------------

// f composed with an expansion, in place: the nj rows of a sample hold its coefficients (package jet's order). With
// delta the expansion without its constant term, Horner's scheme r <- delta r + c_k runs over the coefficients c_k of f;
// a coefficient of delta r needs only lower ones of r, so that going downwards r is its own result.
//
// table: the number of coefficients of degree <= s, for s <= order; for each coefficient of the product and one more, where
// in the table its list of terms starts; these terms, 256 (index in delta) + (index in r). A block has 64 threads and
// 2 nj + 6 doubles of shared memory for each.
enum { JET_THREADS = 64, JET_ORDER = 5 };

extern "C" __global__ void __launch_bounds__(JET_THREADS) jet_compose_f64(double* z, const double* add, const int* table, int nj, int order, long long samples, int width, int act) {
  EXTERN_SHARED(double, shared);
  double* delta = shared + threadIdx.x;
  double* r = delta + nj * JET_THREADS;
  double* c = r + nj * JET_THREADS;
  EACH(i, samples * width) {
    double* row = z + i / width * nj * width + i % width;
    for (int k = 0; k < nj; k++) delta[k * JET_THREADS] = row[(int64_t)k * width], r[k * JET_THREADS] = 0;
    double f[JET_ORDER + 1];
    act_taylor<JET_ORDER>(act, delta[0], f);
#pragma unroll
    for (int k = 0; k <= JET_ORDER; k++) c[k * JET_THREADS] = f[k];
    r[0] = c[order * JET_THREADS];
    for (int s = 1; s <= order; s++) {
      for (int out = table[s] - 1; out > 0; out--) {
        double sum = 0;
        for (int t = table[order + 1 + out]; t < table[order + 2 + out]; t++) {
          const int pair = table[t];
          sum = fma(delta[(pair >> 8) * JET_THREADS], r[(pair & 255) * JET_THREADS], sum);
        }
        r[out * JET_THREADS] = sum;
      }
      r[0] = c[(order - s) * JET_THREADS];
    }
    const double* a = add ? add + (row - z) : nullptr;
    for (int k = 0; k < nj; k++) row[(int64_t)k * width] = a ? r[k * JET_THREADS] + a[(int64_t)k * width] : r[k * JET_THREADS];
  }
}
KERNEL(jet_compose_f64)

// ---- in float32 and float64 -----------------------------------------------------------------------------------------------

#define BOTH(T, F)                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(256) features_##F(T* dst, const double* tau, const float* freqs, int nfreq, int n) {      \
    features<T>(dst, tau, freqs, nfreq, n);                                                                                             \
  }                                                                                                                                    \
  KERNEL(features_##F)                                                                                                                 \
  extern "C" __global__ void __launch_bounds__(256) input_rows_##F(T* dst, int width, const T* x, int d, int kind, int group, const T* phi, long long phi_row, long long rows) { \
    input_rows<T>(dst, width, x, d, kind, group, phi, phi_row, rows);                                                                    \
  }                                                                                                                                    \
  KERNEL(input_rows_##F)                                                                                                               \
  extern "C" __global__ void __launch_bounds__(256) adjoint_forward_##F(const T* z, T* y, const T* add, long long samples, int width, int g, int act) { \
    adjoint_forward<T>(z, y, add, samples, width, g, act);                                                                               \
  }                                                                                                                                    \
  KERNEL(adjoint_forward_##F)                                                                                                          \
  extern "C" __global__ void __launch_bounds__(256) adjoint_reverse_##F(const T* z, T* a, long long samples, int width, int g, int act) { \
    adjoint_reverse<T>(z, a, samples, width, g, act);                                                                                    \
  }                                                                                                                                    \
  KERNEL(adjoint_reverse_##F)                                                                                                          \
  extern "C" __global__ void __launch_bounds__(256) add_rows_##F(T* dst, long long dst_row, const T* src, long long src_row, long long rows, int width, int accumulate) { \
    add_rows<T>(dst, dst_row, src, src_row, rows, width, accumulate);                                                                    \
  }                                                                                                                                    \
  KERNEL(add_rows_##F)                                                                                                                 \
  extern "C" __global__ void __launch_bounds__(256) trace_##F(double* div, const T* jv, const T* v, int k, int d, long long samples) {    \
    trace<T>(div, jv, v, k, d, samples);                                                                                                 \
  }                                                                                                                                    \
  KERNEL(trace_##F)
BOTH(float, f32)
BOTH(double, f64)
