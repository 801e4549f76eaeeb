// The recurrence of complex modes of programs, z_t = lambda z_{t-1} + u_t, and its cotangents.
#include "net.cuh"

// The recurrence of each sample over its times, mirrored by cuda/programs/op_scan.go. Rows hold the real parts of all modes, then the
// imaginary ones. The times are cut in chunks of SCAN_CHUNK, counted in the order of the recurrence, and a thread takes a mode of a
// chunk: its state before the chunk follows from the states at the ends of the chunks before, each from zero, and powers of lambda.
struct Scan {
  const float *lambda, *u, *z;  // z: for cotangents, what the recurrence in the other direction gave
  float *y, *dlambda;
  double *ends, *sums;  // [samples][chunks][modes] pairs: states at the ends of chunks, and parts of dlambda
  long long samples, lambda_sample, u_sample, z_sample;
  int times, modes, chunks, adjoint;  // adjoint: backwards in time, with the conjugate of lambda
};

enum { SCAN_CHUNK = 64 };

struct ModeOf {
  long long sample, pair;
  int mode, chunk, first, last;
  float lr, li;
  __device__ __forceinline__ ModeOf(const Scan& q, long long i) {
    mode = (int)(i % q.modes), chunk = (int)(i / q.modes % q.chunks), sample = i / q.modes / q.chunks;
    pair = 2 * i;
    first = chunk * SCAN_CHUNK, last = min(first + SCAN_CHUNK, q.times);
    const float* l = q.lambda + sample * q.lambda_sample + mode;
    lr = l[0], li = q.adjoint ? -l[q.modes] : l[q.modes];
  }
  __device__ __forceinline__ void advance(float* sr, float* si, const float* u, int modes) const {
    const float r = fmaf(lr, *sr, fmaf(-li, *si, u[0])), i = fmaf(lr, *si, fmaf(li, *sr, u[modes]));
    *sr = r, *si = i;
  }
};

// The time of a step of the recurrence.
__device__ __forceinline__ int time_of(const Scan& q, int step) { return q.adjoint ? q.times - 1 - step : step; }

__device__ __forceinline__ const float* drive(const Scan& q, const ModeOf& m, int step) {
  return q.u + m.sample * q.u_sample + (long long)time_of(q, step) * 2 * q.modes + m.mode;
}

__device__ __forceinline__ void state_before(const Scan& q, const ModeOf& m, float* sr, float* si) {
  double pr = m.lr, pi = m.li, r = 0, i = 0;
  for (int n = SCAN_CHUNK; n > 1; n /= 2) {
    const double square = pr * pr - pi * pi;
    pi = 2 * pr * pi, pr = square;
  }
  const double* end = q.ends + m.pair - 2LL * m.chunk * q.modes;
  for (int c = 0; c < m.chunk; c++, end += 2 * q.modes) {
    const double next = pr * r - pi * i + end[0];
    i = pr * i + pi * r + end[1], r = next;
  }
  *sr = (float)r, *si = (float)i;
}

// The states at the ends of chunks that begin from zero.
extern "C" __global__ void __launch_bounds__(128) net_scan_ends(Scan q) {
  EACH(at, q.samples * q.chunks * q.modes) {
    const ModeOf m(q, at);
    if (m.chunk == q.chunks - 1) continue;
    float sr = 0, si = 0;
    for (int s = m.first; s < m.last; s++) m.advance(&sr, &si, drive(q, m, s), q.modes);
    q.ends[m.pair] = sr, q.ends[m.pair + 1] = si;
  }
}
KERNEL(net_scan_ends)

extern "C" __global__ void __launch_bounds__(128) net_scan(Scan q) {
  EACH(at, q.samples * q.chunks * q.modes) {
    const ModeOf m(q, at);
    float sr, si;
    state_before(q, m, &sr, &si);
    for (int s = m.first; s < m.last; s++) {
      m.advance(&sr, &si, drive(q, m, s), q.modes);
      float* y = q.y + (m.sample * q.times + time_of(q, s)) * 2 * q.modes + m.mode;
      y[0] = sr, y[q.modes] = si;
    }
  }
}
KERNEL(net_scan)

// The same with the sums of conj(z) y, where z is that of the time before in the order in which it was made: of the step after, here.
extern "C" __global__ void __launch_bounds__(128) net_scan_input(Scan q) {
  EACH(at, q.samples * q.chunks * q.modes) {
    const ModeOf m(q, at);
    float sr, si, ar = 0, ai = 0;
    state_before(q, m, &sr, &si);
    for (int s = m.first; s < m.last; s++) {
      m.advance(&sr, &si, drive(q, m, s), q.modes);
      float* y = q.y + (m.sample * q.times + time_of(q, s)) * 2 * q.modes + m.mode;
      y[0] = sr, y[q.modes] = si;
      if (s + 1 == q.times) continue;
      const float* z = q.z + m.sample * q.z_sample + (long long)time_of(q, s + 1) * 2 * q.modes + m.mode;
      ar = fmaf(z[0], sr, fmaf(z[q.modes], si, ar));
      ai = fmaf(z[0], si, fmaf(-z[q.modes], sr, ai));
    }
    q.sums[m.pair] = ar, q.sums[m.pair + 1] = ai;
  }
}
KERNEL(net_scan_input)

// The cotangent of lambda of each sample: the sums over chunks, conjugate where z ran backwards.
extern "C" __global__ void __launch_bounds__(128) net_scan_sums(Scan q) {
  EACH(at, q.samples * q.modes) {
    const long long sample = at / q.modes;
    const int mode = (int)(at % q.modes);
    double r = 0, i = 0;
    for (int c = 0; c < q.chunks; c++) {
      const double* part = q.sums + 2 * ((sample * q.chunks + c) * q.modes + mode);
      r += part[0], i += part[1];
    }
    q.dlambda[sample * 2 * q.modes + mode] = (float)r;
    q.dlambda[(sample * 2 + 1) * q.modes + mode] = (float)(q.adjoint ? i : -i);
  }
}
KERNEL(net_scan_sums)

// exp of complex numbers: rows of `half` real parts and then as many imaginary ones.
extern "C" __global__ void __launch_bounds__(128) net_complex_exp(float* y, const float* x, long long numbers, int half) {
  EACH(at, numbers) {
    const long long e = at / half * 2 * half + at % half;
    double s, c;
    sincospi(x[e + half] * 0.31830988618379067, &s, &c);  // without the table of large arguments, which is local memory
    const double size = exp((double)x[e]);
    y[e] = (float)(size * c), y[e + half] = (float)(size * s);
  }
}
KERNEL(net_complex_exp)
