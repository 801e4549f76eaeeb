// A training step: the gradient of every parameter, Adam, and the forward and backward pass layer by layer, for networks that
// train_fused.cu does not take.
//
// The order of every sum depends on the size of the batch alone, neither on the grid nor on the device.
#include "train.cuh"

// ---- gradients of parameters -----------------------------------------------------------------------------------------------
enum { UNITS = 16, INPUTS = 32, GRAD_WARPS = 16, GRAD_THREADS = 32 * GRAD_WARPS, ADAM_THREADS = UNITS * INPUTS };

// UNITS x INPUTS weights of a layer, mirrored by cuda/exec/trainer_layout.go. Parameters, gradients, moments and averages are vectors of one
// layout: weights [n][ldk] of each layer, then its biases.
struct ParamTile {
  const float* x;   // the layer's input, [rows][ldk], at the tile's first input; null where the weights' gradient is there already
  const float* dz;  // gradient of the layer's sums, [rows][ldn], at the tile's first unit
  int ldk, ldn;
  int k, n;        // inputs and units of the tile that exist
  int w, b;        // offsets of its first weight, and of its first bias or -1 for the tiles that have none
  long long copy;  // offset of the first weight in the transposed copy [k][ldn] of the weights, or -1
};

__device__ __forceinline__ bool is_finite(double x) { return x - x == 0.0; }

// The block's sum of v: over lanes by halves, then over warps in order. All threads get it. scratch: a double a warp.
__device__ __forceinline__ double block_sum(double v, double* scratch) {
#pragma unroll
  for (int m = 16; m; m >>= 1) v += __shfl_xor_sync(~0u, v, m);
  __syncthreads();
  if ((threadIdx.x & 31) == 0) scratch[threadIdx.x >> 5] = v;
  __syncthreads();
  double s = 0.0;
  for (int w = 0; w < (int)blockDim.x / 32; w++) s += scratch[w];
  return s;
}

__device__ __forceinline__ double strided_sum(const double* __restrict__ v, int n) {
  double s = 0.0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) s += v[i];
  return s;
}

// The loss of the batch from that of its rows, by one block; it begins the step.
__device__ __forceinline__ void note_loss(const double* __restrict__ row_loss, int rows, double outputs, TrainControl* control, double* scratch) {
  const double s = block_sum(strided_sum(row_loss, rows), scratch);
  if (threadIdx.x == 0) {
    control->loss = s / outputs;
    control->now = control->step;
  }
}

// Where element e of a tile and its biases is in the gradient: null if it does not exist. Column INPUTS is the bias.
template <class T>
__device__ __forceinline__ T* tile_element(T* g, const ParamTile& tile, int e) {
  const int o = e / (INPUTS + 1), k = e % (INPUTS + 1);
  if (o >= tile.n || (k < INPUTS ? k >= tile.k : tile.b < 0)) return nullptr;
  return g + (k < INPUTS ? tile.w + (size_t)o * tile.ldk + k : (size_t)tile.b + o);
}

// Block b < tiles: the gradient of tile b, dzT x and the column sums of dz over the n rows, and the sum of its squares. A
// warp takes a 16th of the rows, in order; lane (i, j) of it units 4 i .. 4 i + 3 and inputs 4 j .. 4 j + 3. The warps'
// sums are added in order. Another block, if there is one, sums the loss.
extern "C" __global__ void __launch_bounds__(GRAD_THREADS) train_grad(const ParamTile* __restrict__ tiles, int ntiles, int n, double outputs, float* __restrict__ g,
    double* __restrict__ squares, const double* __restrict__ row_loss, TrainControl* control) {
  EXTERN_SHARED(float, sm);
  enum { COLS = INPUTS + 1, PART = UNITS * COLS };  // the last column is the bias
  double* scratch = (double*)sm;                    // [GRAD_WARPS]
  float* part = sm + 2 * GRAD_WARPS;                // [GRAD_WARPS][UNITS][COLS]
  const int t = threadIdx.x, lane = t & 31, warp = t >> 5;
  if ((int)blockIdx.x == ntiles) return note_loss(row_loss, n, outputs, control, scratch);
  const ParamTile tile = tiles[blockIdx.x];
  const int i = lane >> 3, j = lane & 7, run = (n + GRAD_WARPS - 1) / GRAD_WARPS;
  const int first = min(n, warp * run), last = min(n, first + run);
  float acc[4][4], bias[4];
#pragma unroll
  for (int a = 0; a < 4; a++) {
    bias[a] = 0.0f;
#pragma unroll
    for (int c = 0; c < 4; c++) acc[a][c] = 0.0f;
  }
  if (!tile.x) {
    if (4 * i < tile.n && j == 0 && tile.b >= 0) {
#pragma unroll 8
      for (int row = first; row < last; row++) {
        float d[4];
        *(float4*)d = __ldg((const float4*)&tile.dz[(size_t)row * tile.ldn + 4 * i]);
#pragma unroll
        for (int a = 0; a < 4; a++) bias[a] += d[a];
      }
    }
  } else if (4 * i < tile.n && 4 * j < tile.k) {  // what is read beyond n and k is within the row, and dropped below
    const float* dz = tile.dz + (size_t)first * tile.ldn + 4 * i;
    const float* x = tile.x + (size_t)first * tile.ldk + 4 * j;
    enum { GROUP = 8 };  // rows whose loads are in flight at the same time
#pragma unroll 1
    for (int row = first; row < last; row += GROUP) {
      float4 d[GROUP], v[GROUP];
#pragma unroll
      for (int q = 0; q < GROUP; q++) {
        if (row + q < last) d[q] = __ldg((const float4*)dz), v[q] = __ldg((const float4*)x);
        dz += tile.ldn, x += tile.ldk;
      }
#pragma unroll
      for (int q = 0; q < GROUP; q++) {
        if (row + q >= last) break;  // a branch, so that the loads above are not put off to here
        const float u[4] = {d[q].x, d[q].y, d[q].z, d[q].w};
#pragma unroll
        for (int a = 0; a < 4; a++) {
          acc[a][0] = fmaf(u[a], v[q].x, acc[a][0]);
          acc[a][1] = fmaf(u[a], v[q].y, acc[a][1]);
          acc[a][2] = fmaf(u[a], v[q].z, acc[a][2]);
          acc[a][3] = fmaf(u[a], v[q].w, acc[a][3]);
          bias[a] += u[a];
        }
      }
    }
  }
  float* mine = part + warp * PART + 4 * i * COLS;
#pragma unroll
  for (int a = 0; a < 4; a++) {
#pragma unroll
    for (int c = 0; c < 4; c++) mine[a * COLS + 4 * j + c] = acc[a][c];
    if (j == 0) mine[a * COLS + INPUTS] = bias[a];
  }
  __syncthreads();
  double square = 0.0;
  for (int e = t; e < PART; e += GRAD_THREADS) {
    float* to = tile_element(g, tile, e);
    if (!to) continue;
    float s = 0.0f;
    if (!tile.x && e % COLS < INPUTS) {
      s = *to;
    } else {
#pragma unroll
      for (int w = 0; w < GRAD_WARPS; w++) s += part[w * PART + e];
      *to = s;
    }
    square += (double)s * (double)s;
  }
  square = block_sum(square, scratch);
  if (t == 0) squares[blockIdx.x] = square;
}
KERNEL(train_grad)

// What train_grad leaves besides the gradient, once several processes have summed that and the losses of all rows of the batch: block
// b < tiles the sum of squares of tile b, in the same order, and the last block the loss.
extern "C" __global__ void __launch_bounds__(GRAD_THREADS) train_squares(const ParamTile* __restrict__ tiles, int ntiles, int rows, double outputs, const float* __restrict__ g,
    double* __restrict__ squares, const double* __restrict__ row_loss, TrainControl* control) {
  EXTERN_SHARED(double, scratch);  // [GRAD_WARPS]
  if ((int)blockIdx.x == ntiles) return note_loss(row_loss, rows, outputs, control, scratch);
  const ParamTile tile = tiles[blockIdx.x];
  double square = 0.0;
  for (int e = threadIdx.x; e < UNITS * (INPUTS + 1); e += GRAD_THREADS)
    if (const float* at = tile_element(g, tile, e)) square += (double)*at * (double)*at;
  square = block_sum(square, scratch);
  if (threadIdx.x == 0) squares[blockIdx.x] = square;
}
KERNEL(train_squares)

// Sums of squares of many tiles to as few as there are blocks: block b those from b count on, in order.
extern "C" __global__ void __launch_bounds__(ADAM_THREADS) train_fold(const double* __restrict__ squares, int n, int count, double* __restrict__ folded) {
  EXTERN_SHARED(double, scratch);
  const int first = blockIdx.x * count;
  const double s = block_sum(strided_sum(squares + first, min(count, n - first)), scratch);
  if (threadIdx.x == 0) folded[blockIdx.x] = s;
}
KERNEL(train_fold)

// ---- Adam --------------------------------------------------------------------------------------------------------------------
// What changes from step to step; made by the host for many steps.
struct AdamRow { float lr, c1, c2, ema; };
struct AdamConstants { float beta1, beta2, eps, decay; double clip; };

// The update of simd.AdamStep on tile blockIdx.x, and the transposed copy of its weights, unless loss or gradient is not
// finite. squares are the n sums of squares of the gradient. Without update only loss and norm are noted.
extern "C" __global__ void __launch_bounds__(ADAM_THREADS) train_adam(const ParamTile* __restrict__ tiles, const double* __restrict__ squares, int n,
    const AdamRow* __restrict__ rows, AdamConstants c, float* __restrict__ param, float* __restrict__ m, float* __restrict__ v, const float* __restrict__ g,
    float* __restrict__ ema, float* __restrict__ copy, TrainControl* control, double* __restrict__ losses, double* __restrict__ norms, int update) {
  EXTERN_SHARED(double, scratch);  // [ADAM_THREADS / 32], then turned [INPUTS][UNITS + 1]
  float* turned = (float*)(scratch + ADAM_THREADS / 32);
  const int t = threadIdx.x;
  const ParamTile tile = tiles[blockIdx.x];
  const long long now = control->now;
  const double loss = control->loss, square = block_sum(strided_sum(squares, n), scratch), norm = sqrt(square);
  const int bad = !is_finite(loss) ? BAD_LOSS : !is_finite(square) ? BAD_GRADIENT : 0;
  if (blockIdx.x == 0 && t == 0) {
    control->norm = norm;
    control->bad = bad;
    if (update && !bad) {
      losses[now - control->base] = loss;
      norms[now - control->base] = norm;
      control->step = now + 1;
    }
  }
  if (bad || !update) return;
  const AdamRow row = rows[now - control->base];
  const float scale = c.clip > 0.0 && norm > c.clip ? (float)(c.clip / norm) : 1.0f;
  // one parameter, rounded as adamGeneric in kernels/simd rounds
  auto step = [&](size_t at) {
    const float gi = __fmul_rn(g[at], scale), mi = fmaf(1.0f - c.beta1, gi - m[at], m[at]);
    const float vi = fmaf(c.beta2, v[at], (1.0f - c.beta2) * __fmul_rn(gi, gi));
    m[at] = mi, v[at] = vi;
    const float by = mi * row.c1 / (sqrtf(vi * row.c2) + c.eps), p = param[at];
    const float next = fmaf(-row.lr, fmaf(c.decay, p, by), p);
    param[at] = next;
    if (ema) ema[at] = fmaf(1.0f - row.ema, next - ema[at], ema[at]);
    return next;
  };
  const int o = t / INPUTS, k = t % INPUTS;
  float w = 0.0f;
  if (o < tile.n && k < tile.k) w = step(tile.w + (size_t)o * tile.ldk + k);
  if (tile.b >= 0 && t < tile.n) step((size_t)tile.b + t);
  if (tile.copy < 0) return;
  turned[k * (UNITS + 1) + o] = w;
  __syncthreads();
  const int ki = t / UNITS, oi = t % UNITS;
  if (ki < tile.k && oi < tile.n) copy[tile.copy + (size_t)ki * tile.ldn + oi] = turned[ki * (UNITS + 1) + oi];
}
KERNEL(train_adam)

// The transposed copy anew, after the host has written the parameters.
extern "C" __global__ void __launch_bounds__(ADAM_THREADS) train_copy(const ParamTile* __restrict__ tiles, const float* __restrict__ param, float* __restrict__ copy) {
  const ParamTile tile = tiles[blockIdx.x];
  const int o = threadIdx.x / INPUTS, k = threadIdx.x % INPUTS;
  if (tile.copy >= 0 && o < tile.n && k < tile.k) copy[tile.copy + (size_t)k * tile.ldn + o] = param[tile.w + (size_t)o * tile.ldk + k];
}
KERNEL(train_copy)

// ---- rows, layer by layer, with the products of dense.cu -------------------------------------------------------------------------
enum { ROW_THREADS = 256 };

__device__ __forceinline__ long long first_element() { return (long long)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ long long all_threads() { return (long long)gridDim.x * blockDim.x; }

// Times and data rows of the batch: coef[n][COEFFICIENTS], pick[n].
extern "C" __global__ void __launch_bounds__(ROW_THREADS) train_times(Draw draw, const TrainControl* control, int n, double* __restrict__ coef, unsigned long long* __restrict__ pick) {
  const unsigned long long sample0 = first_sample(draw, control);
  for (long long e = first_element(); e < 8ll * n; e += all_threads()) draw_row(draw, sample0 + (e >> 3), (int)(e & 7), coef + (e >> 3) * COEFFICIENTS, pick + (e >> 3));
}
KERNEL(train_times)

// The batch: the network's input [n][ld], targets [n][d], weights [n].
extern "C" __global__ void __launch_bounds__(ROW_THREADS) train_draw(Draw draw, const TrainControl* control, int n, const double* __restrict__ coef,
    const unsigned long long* __restrict__ pick, float* __restrict__ input, int ld, float* __restrict__ target, float* __restrict__ weight) {
  const int D = draw.d, width = D + features(draw);
  const unsigned long long sample0 = first_sample(draw, control);
  for (long long e = first_element(); e < (long long)n * width; e += all_threads()) {
    const long long row = e / width;
    const int k = (int)(e % width);
    const double* c = coef + row * COEFFICIENTS;
    if (k < D) {
      const Example q = draw_coordinate(draw, sample0 + row, c, pick[row], k);
      input[row * ld + k] = q.input;
      target[row * D + k] = q.target;
    } else {
      input[row * ld + k] = draw_feature(draw, c[COEF_TAU], k - D);
    }
    if (k == 0) weight[row] = (float)c[COEF_WEIGHT];
  }
}
KERNEL(train_draw)

// A warp for each row: its loss, and the loss's gradient of the network's output [n][ld]; see train_rows.
extern "C" __global__ void __launch_bounds__(ROW_THREADS) train_loss(const float* __restrict__ out, int ldout, const float* __restrict__ target, const float* __restrict__ weight,
    int D, int n, float scale, float* __restrict__ dz, int ld, double* __restrict__ row_loss) {
  const int lane = threadIdx.x & 31;
  const long long row = first_element() >> 5;
  if (row >= n) return;
  double s = 0.0;
  for (int d = lane; d < D; d += 32) {
    const float diff = out[row * ldout + d] - target[row * D + d];
    dz[row * ld + d] = scale * weight[row] * diff;
    s += (double)diff * (double)diff;
  }
#pragma unroll
  for (int m = 16; m; m >>= 1) s += __shfl_xor_sync(~0u, s, m);
  if (lane == 0) row_loss[row] = (double)weight[row] * s;
}
KERNEL(train_loss)

// dst = src slope, [n][width] of rows of ld, ldsrc and ldslope.
extern "C" __global__ void __launch_bounds__(ROW_THREADS) train_slope(float* __restrict__ dst, int ld, const float* __restrict__ src, int ldsrc,
    const float* __restrict__ slope, int ldslope, int n, int width) {
  for (long long e = first_element(); e < (long long)n * width; e += all_threads()) {
    const long long row = e / width, k = e % width;
    dst[row * ld + k] = src[row * ldsrc + k] * slope[row * ldslope + k];
  }
}
KERNEL(train_slope)
