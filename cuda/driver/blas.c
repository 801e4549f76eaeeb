//go:build gpu && cgo

// The part of cuBLAS that we use, bound at run time from whichever version is there: no header, no dependency. The numbers of
// its enumerations are those of its binary interface, the same in versions 11, 12 and 13. HBAR_LIBCUBLAS names another
// library to open, or is "none".
#include "blas.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static int (*create)(blas_handle *), (*destroy)(blas_handle), (*set_stream)(blas_handle, void *), (*set_math)(blas_handle, int);
static int (*sgemm)(blas_handle, int, int, int, int, int, const float *, const void *, int, const void *, int, const float *, void *, int);
static int (*dgemm)(blas_handle, int, int, int, int, int, const double *, const void *, int, const void *, int, const double *, void *, int);
static int (*gemm_ex)(blas_handle, int, int, int, int, int, const void *, const void *, int, int, const void *, int, int, const void *, void *, int, int, int, int);
static int found;

static int bind(const char *name) {
  static const struct { const char *name; void *at; } symbols[] = {
      {"cublasCreate_v2", &create}, {"cublasDestroy_v2", &destroy}, {"cublasSetStream_v2", &set_stream}, {"cublasSetMathMode", &set_math},
      {"cublasSgemm_v2", &sgemm}, {"cublasDgemm_v2", &dgemm}, {"cublasGemmEx", &gemm_ex}};
  void *h = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!h) return 0;
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
    if (!(*(void **)symbols[i].at = dlsym(h, symbols[i].name))) {
      dlclose(h);
      return 0;
    }
  return 1;
}

int blas_open(void) {
  static const char *const names[] = {"libcublas.so.13", "libcublas.so.12", "libcublas.so.11"};
  if (found) return 1;
  const char *own = getenv("HBAR_LIBCUBLAS"), *emulated = getenv("HBAR_LIBCUDA");
  if (own && *own) return found = strcmp(own, "none") && bind(own);
  if (emulated && *emulated) return 0;  // a real cuBLAS can do nothing with another driver
  for (size_t i = 0; !found && i < sizeof names / sizeof *names; i++) found = bind(names[i]);
  return found;
}

int blas_create(blas_handle *h, void *stream) {
  int r = create(h);
  if (r) return r;
  r = set_stream(*h, stream);
  if (!r) r = set_math(*h, 0);  // CUBLAS_DEFAULT_MATH: float32 products in float32
  if (r) destroy(*h);
  return r;
}
int blas_destroy(blas_handle h) { return destroy(h); }

// Column-major C (m×n) = op(A) op(B) + beta C; op is 0 for the matrix itself, 1 for its transpose.
int blas_f32(blas_handle h, int ta, int tb, int m, int n, int k, const void *A, int lda, const void *B, int ldb, float beta, void *C, int ldc) {
  const float one = 1;
  return sgemm(h, ta, tb, m, n, k, &one, A, lda, B, ldb, &beta, C, ldc);
}
int blas_f64(blas_handle h, int ta, int tb, int m, int n, int k, const void *A, int lda, const void *B, int ldb, double beta, void *C, int ldc) {
  const double one = 1;
  return dgemm(h, ta, tb, m, n, k, &one, A, lda, B, ldb, &beta, C, ldc);
}
// A and B in half precision, C and the sums in float32.
int blas_f16(blas_handle h, int ta, int tb, int m, int n, int k, const void *A, int lda, const void *B, int ldb, float beta, void *C, int ldc) {
  enum { R_32F = 0, R_16F = 2, COMPUTE_32F = 68, GEMM_DEFAULT = -1 };
  const float one = 1;
  return gemm_ex(h, ta, tb, m, n, k, &one, A, R_16F, lda, B, R_16F, ldb, &beta, C, R_32F, ldc, COMPUTE_32F, GEMM_DEFAULT);
}
