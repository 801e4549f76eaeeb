// cuBLAS as blas.go calls it; see blas.c. Results are cublasStatus_t, 0 for success.
#pragma once
typedef struct cublasContext *blas_handle;
int blas_open(void); // whether there is a library
int blas_create(blas_handle *h, void *stream);
int blas_destroy(blas_handle h);
int blas_f32(blas_handle h, int ta, int tb, int m, int n, int k, const void *A, int lda, const void *B, int ldb, float beta, void *C, int ldc);
int blas_f64(blas_handle h, int ta, int tb, int m, int n, int k, const void *A, int lda, const void *B, int ldb, double beta, void *C, int ldc);
int blas_f16(blas_handle h, int ta, int tb, int m, int n, int k, const void *A, int lda, const void *B, int ldb, float beta, void *C, int ldc);
