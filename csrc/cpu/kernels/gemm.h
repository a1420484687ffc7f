// Matrix products on one thread; arguments as in cpu/gemm.h. gemm.cpp is compiled once per instruction set.
#pragma once

#include <stdint.h>

#include "cpu/kernels/isa_tables.h"

namespace nasrec {

template <class T, class C> struct GemmKernel {
  // Bytes of `scratch`, which is 64-byte aligned.
  int64_t (*scratch_bytes)(int64_t m, int64_t n, int64_t k);
  void (*run)(
      bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b,
      int64_t ldb, C beta, C* c, int64_t ldc, void* scratch);
};

struct GemmTable {
  GemmKernel<float, float> float32;
  GemmKernel<double, double> float64;
  GemmKernel<uint16_t, float> bfloat16;  // the bits
};

NASREC_ISA_TABLES(GemmTable, gemm)

}  // namespace nasrec
