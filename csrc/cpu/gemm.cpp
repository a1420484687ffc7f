#include "cpu/gemm.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "cpu/isa.h"
#include "cpu/kernels/gemm.h"
#include "cpu/scratch.h"

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

const bool have_library = sgemm_ != nullptr && dgemm_ != nullptr;

// MKL, which torch carries, runs its AVX2 code on processors that are not Intel's: measured on an AMD EPYC with
// AVX-512, 95 GFLOP/s a core where our own loops reach 180. NASREC_BLAS decides otherwise.
bool choose_library() {
  const char* asked = std::getenv("NASREC_BLAS");
  const std::string name = asked == nullptr ? "" : asked;
  if (name == "own" || !have_library) return false;
  if (name == "vendor") return true;
  if (!name.empty()) throw std::runtime_error("NASREC_BLAS must be own or vendor, got " + name);
#ifdef NASREC_X86
  return active_isa() != Isa::avx512 || __builtin_cpu_is("intel");
#else
  return true;
#endif
}

bool use_library() {
  static const bool chosen = choose_library();
  return chosen;
}

bool use_library_bf16() { return gemm_bf16bf16f32_ != nullptr && use_library(); }

template <class T, class C, class... Rest>
void by_kernel(const GemmKernel<T, C>& kernel, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, Rest... rest) {
  const Scratch scratch(kernel.scratch_bytes(m, n, k));
  kernel.run(transpose_a, transpose_b, m, n, k, rest..., scratch.data());
}

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
    if (use_library()) return by_library(sgemm_, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
    by_kernel(NASREC_KERNELS(gemm).float32, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
  } else {
    if (use_library()) return by_library(dgemm_, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
    by_kernel(NASREC_KERNELS(gemm).float64, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
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
  if (use_library_bf16())
    return by_library(gemm_bf16bf16f32_, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
  by_kernel(NASREC_KERNELS(gemm).bfloat16, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
}

const char* blas_name() {
  return !use_library() ? "own" : MKL_Set_Num_Threads_Local != nullptr ? "mkl" : "blas";
}

int blas_threads_of_this_thread(int threads) {
  return MKL_Set_Num_Threads_Local != nullptr ? MKL_Set_Num_Threads_Local(threads) : 0;
}

}  // namespace nasrec
