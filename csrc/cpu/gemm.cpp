#include "cpu/gemm.h"

#include <cstdlib>
#include <string>

#include "cpu/isa.h"
#include "kernels/gemm.h"

// Of the BLAS inside libtorch_cpu. Weak: a build of torch may hide them or have none.
extern "C" {
#define NASREC_BLAS_GEMM(name, A, C)                                                                            \
  __attribute__((weak)) void name(                                                                              \
      const char* transpose_a, const char* transpose_b, const int* m, const int* n, const int* k, const C* alpha, \
      const A* a, const int* lda, const A* b, const int* ldb, const C* beta, C* c, const int* ldc);
NASREC_BLAS_GEMM(sgemm_, float, float)
NASREC_BLAS_GEMM(dgemm_, double, double)
NASREC_BLAS_GEMM(gemm_bf16bf16f32_, uint16_t, float)
#undef NASREC_BLAS_GEMM
__attribute__((weak)) int MKL_Set_Num_Threads_Local(int threads);
}

namespace nasrec {
namespace {

bool own_asked_for() {
  const char* name = std::getenv("NASREC_BLAS");
  return name != nullptr && std::string(name) == "own";
}

const bool use_library = sgemm_ != nullptr && dgemm_ != nullptr && !own_asked_for();
const bool use_library_bf16 = use_library && gemm_bf16bf16f32_ != nullptr;

// BLAS stores columns: it computes C^T = op(B)^T op(A)^T on the same memory.
template <class A, class C, class Gemm>
void by_library(
    Gemm* function, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const A* a, int64_t lda,
    const A* b, int64_t ldb, C beta, C* c, int64_t ldc) {
  const int rows = static_cast<int>(m), columns = static_cast<int>(n), depth = static_cast<int>(k);
  const int stride_a = static_cast<int>(lda), stride_b = static_cast<int>(ldb), stride_c = static_cast<int>(ldc);
  const C one = 1;
  function(
      transpose_b ? "T" : "N", transpose_a ? "T" : "N", &columns, &rows, &depth, &one, b, &stride_b, a, &stride_a,
      &beta, c, &stride_c);
}

template <class C> void scale(int64_t m, int64_t n, C beta, C* c, int64_t ldc) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

}  // namespace

template <class T>
void gemm(
    bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b,
    int64_t ldb, T beta, T* c, int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) return scale(m, n, beta, c, ldc);
  if constexpr (sizeof(T) == sizeof(float)) {
    if (use_library) return by_library(sgemm_, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
    NASREC_KERNELS(gemm).float32(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
  } else {
    if (use_library) return by_library(dgemm_, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
    NASREC_KERNELS(gemm).float64(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
  }
}

template void gemm<float>(
    bool, bool, int64_t, int64_t, int64_t, const float*, int64_t, const float*, int64_t, float, float*, int64_t);
template void gemm<double>(
    bool, bool, int64_t, int64_t, int64_t, const double*, int64_t, const double*, int64_t, double, double*, int64_t);

void gemm_bf16(
    bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const uint16_t* a, int64_t lda,
    const uint16_t* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) return scale(m, n, beta, c, ldc);
  if (use_library_bf16)
    return by_library(gemm_bf16bf16f32_, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
  NASREC_KERNELS(gemm).bfloat16(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
}

const char* blas_name() {
  return !use_library ? "own" : MKL_Set_Num_Threads_Local != nullptr ? "mkl" : "blas";
}

int blas_threads_of_this_thread(int threads) {
  return MKL_Set_Num_Threads_Local != nullptr ? MKL_Set_Num_Threads_Local(threads) : 0;
}

}  // namespace nasrec
