// Matrix products on the calling thread: the vendor library that torch carries, or our own kernel where that is faster
// or the library cannot be reached. NASREC_BLAS=vendor or own forces either.
#pragma once

#include <cstdint>

namespace nasrec {

// C [m, n] = op(A) op(B) + beta C, row-major; op transposes where asked, so A is [m, k] or [k, m], B [k, n] or [n, k].
// Leading dimensions are distances between rows. T is float or double; sizes must be below 2^31.
template <class T>
void gemm(
    bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b,
    int64_t ldb, T beta, T* c, int64_t ldc);

// The same with bfloat16 factors, given by their bits, accumulated in float32.
void gemm_bf16(
    bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const uint16_t* a, int64_t lda,
    const uint16_t* b, int64_t ldb, float beta, float* c, int64_t ldc);

// Name of the library in use: "mkl", "blas" or "own".
const char* blas_name();

// Sets how many threads the library may use for calls of this thread; returns what was set before.
int blas_threads_of_this_thread(int threads);

}  // namespace nasrec
