// Matrix products in plain loops, for a torch whose BLAS cannot be reached; arguments as in cpu/gemm.h.
#pragma once

#include <stdint.h>

namespace nasrec {

template <class T, class C>
using Gemm = void (*)(
    bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b,
    int64_t ldb, C beta, C* c, int64_t ldc);

struct GemmTable {
  Gemm<float, float> float32;
  Gemm<double, double> float64;
  Gemm<uint16_t, float> bfloat16;  // the bits
};

namespace baseline { extern const GemmTable gemm; }
namespace avx2 { extern const GemmTable gemm; }
namespace avx512 { extern const GemmTable gemm; }

}  // namespace nasrec
