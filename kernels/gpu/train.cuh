// Code that the training kernels share: the state of a run and the batch drawn on the device.
//
// A step is three launches: the batch through the network and back (train_rows, or layer by layer), train_grad for the
// gradient of every parameter, train_adam for the update. Of several processes each has some rows of the batch: then train_grad is
// launched for some layers at a time, whose gradients NCCL sums over the processes, and train_squares follows the sums. The number of the step is in device memory, and train_adam
// increments it, so the launches are the same in every step and can be captured once. If a loss or gradient is not finite, the number
// stays, and the steps that follow repeat the same step and change nothing.
#pragma once
#include "activations.cuh"

// ---- a run's state on the device, mirrored by cuda/exec/trainer.go ----------------------------------------------------------
struct TrainControl {
  long long step;  // steps taken
  long long now;   // the step at hand: written by train_grad, for train_adam, which counts step on
  long long base;  // step of row 0 of the tables of rates, losses and norms
  double loss;     // of the step at hand, before the update
  double norm;     // of its gradient, before clipping
  int bad;         // BAD_*: the step at hand could not be taken
  int pad;
};
enum { BAD_LOSS = 1, BAD_GRADIENT = 2 };

// ---- the batch ----------------------------------------------------------------------------------------------------------
// kernels.TimeTable: u in [0, 1) to the coefficients of a training example.
enum { COEFFICIENTS = 6, COEF_X0 = 0, COEF_Z, COEF_TARGET_X0, COEF_TARGET_Z, COEF_WEIGHT, COEF_TAU };
enum { CURVE_TERMS = 8, CURVE_OCTAVES = 40, CURVE_SIDE = 8 * (CURVE_OCTAVES - 1) + 1 };

struct TimeTable {
  const double* cumulative;  // probability of cells 0 .. k; null: all cells alike
  const double* ratios;      // of the cells
  const int* guide;          // the first cell that u in [i, i+1) / guides can be in; guides is a power of two
  const double* values;      // [cells][6], or curves [2 CURVE_SIDE][8][6]
  int guides, cells, curves, pad;
};

// kernels.Batches, or a batch that the host has drawn: then data is null, the network's input is there already, and
// target and weight are read.
struct Draw {
  TimeTable times;
  const float* data;  // [n][d]
  const float* freqs;
  const float* target;  // [rows][d]
  const float* weight;  // [rows]
  unsigned long long n, seed;
  unsigned long long batch, first;  // rows of a batch, and the number of row 0 in it: several processes share a batch
  int d, nfreqs;
};

enum { STREAM_BATCH = 3 };

__device__ __forceinline__ unsigned long long bits_of(double x) {
  unsigned long long u;
  memcpy(&u, &x, 8);
  return u;
}
__device__ __forceinline__ double double_of(unsigned long long u) {
  double x;
  memcpy(&x, &u, 8);
  return x;
}

// kernels.TimeTable.At, one coefficient of it.
__device__ __forceinline__ double coefficient(const TimeTable& t, double u, int which) {
  double f = u, ratio = 1.0;
  int k;
  if (t.cumulative) {
    k = t.guide[(int)(u * t.guides)];
    while (k < t.cells - 1 && t.cumulative[k] < u) k++;
    const double low = k ? t.cumulative[k - 1] : 0.0;
    const double rest = (u - low) / (t.cumulative[k] - low);
    f = (k + fmax(0.0, fmin(rest, 1.0 - 0x1p-53))) / t.cells;
    ratio = t.ratios[k];
  } else {
    k = (int)(u * t.cells);
  }
  if (!t.curves) return t.values[(size_t)k * COEFFICIENTS + which];
  // Cells are eighths of octaves of f in the lower half of [0, 1) and of 1 - f in the upper; s runs from -1 to 1 in one.
  const bool upper = f >= 0.5;
  const double g = upper ? 1.0 - f : f;
  const unsigned long long b = bits_of(g);
  int cell = 0;
  double s = g * (double)(1ull << (CURVE_OCTAVES + 1)) - 1.0;
  if (g >= 1.0 / (double)(1ull << CURVE_OCTAVES)) {
    cell = (int)(b >> 49) - ((1023 - CURVE_OCTAVES) << 3) + 1;
    s = (g - double_of(b >> 49 << 49)) * double_of((2050 - (b >> 52)) << 52) - 1.0;
    if (cell >= CURVE_SIDE) cell = CURVE_SIDE - 1, s = 1.0;  // g = 1/2
  }
  const double* c = t.values + (size_t)((upper ? CURVE_SIDE : 0) + cell) * CURVE_TERMS * COEFFICIENTS + which;
  double v = c[(CURVE_TERMS - 1) * COEFFICIENTS];
#pragma unroll
  for (int i = CURVE_TERMS - 2; i >= 0; i--) v = fma(v, s, c[i * COEFFICIENTS]);
  return which == COEF_WEIGHT ? v * ratio : v;
}

// Sine and cosine of 2 pi x as kernels.TimeFeature has them.
__device__ __forceinline__ void sincos_turns(double x, float* sine, float* cosine) {
  const double quarter = rint(4.0 * x);
  const double a = 6.283185307179586 * (x - quarter * 0.25), b = a * a;
  const double s = a * (1 - b * (1. / 6) * (1 - b * (1. / 20) * (1 - b * (1. / 42) * (1 - b * (1. / 72) * (1 - b * (1. / 110))))));
  const double c = 1 - b * (1. / 2) * (1 - b * (1. / 12) * (1 - b * (1. / 30) * (1 - b * (1. / 56) * (1 - b * (1. / 90)))));
  const long long q = (long long)quarter;
  const double u = q & 1 ? c : s, v = q & 1 ? s : c;
  *sine = (float)(q & 2 ? -u : u);
  *cosine = (float)((q + 1) & 2 ? -v : v);
}

// The number of row 0 among all samples of the training.
__device__ __forceinline__ unsigned long long first_sample(const Draw& draw, const TrainControl* control) {
  return (unsigned long long)control->step * draw.batch + draw.first;
}

// The numbers of a row of the batch that its columns depend on: for which < COEFFICIENTS a coefficient of its time, else its data row.
__device__ __forceinline__ void draw_row(const Draw& draw, unsigned long long sample, int which, double* coef, unsigned long long* pick) {
  const U4 w = noise_block(draw.seed, STREAM_BATCH, sample, 0x80000000u);
  if (which < COEFFICIENTS) {
    const double u = (double)(((unsigned long long)w.z << 32 | w.w) >> 11) * 0x1p-53;
    coef[which] = coefficient(draw.times, u, which);
  } else if (which == COEFFICIENTS) {
    *pick = __umul64hi((unsigned long long)w.x << 32 | w.y, draw.n);
  }
}

struct Example { float input, target; };

// Coordinate d of a row.
__device__ __forceinline__ Example draw_coordinate(const Draw& draw, unsigned long long sample, const double* coef, unsigned long long pick, int d) {
  const float v = draw.data[pick * draw.d + d];
  const float z = Normals(draw.seed, STREAM_BATCH, sample)(0, draw.d, d);
  return Example{(float)coef[COEF_X0] * v + (float)coef[COEF_Z] * z, (float)coef[COEF_TARGET_X0] * v + (float)coef[COEF_TARGET_Z] * z};
}

// Column i of a row's time features: the time, or sines and then cosines.
__device__ __forceinline__ float draw_feature(const Draw& draw, double tau, int i) {
  if (!draw.nfreqs) return (float)tau;
  float s, c;
  sincos_turns((double)draw.freqs[i < draw.nfreqs ? i : i - draw.nfreqs] * tau, &s, &c);
  return i < draw.nfreqs ? s : c;
}
__device__ __forceinline__ int features(const Draw& draw) { return draw.nfreqs ? 2 * draw.nfreqs : 1; }
