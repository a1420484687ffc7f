// CPU kernels of the pairwise dot product on raw pointers; pairwise_dot.cpp is compiled once per instruction set.
#pragma once

#include <stdint.h>

#include "cpu/kernels/isa_tables.h"

namespace nasrec {

// The rows of a sample stand in several tensors: part p is [samples, rows[p], channels], contiguous, at data[p].
template <class T> struct Rows {
  T* const* data;
  const int64_t* rows;
  int64_t parts;
};

// Samples begin..end of x and grad_x [samples, rows, channels], out and grad [samples, rows (rows - 1) / 2], where
// `rows` is the sum over the parts. `scratch` is 64-byte aligned and holds scratch_bytes(rows, channels).
template <class T>
struct PairwiseDotKernels {
  int64_t (*scratch_bytes)(int64_t rows, int64_t channels);
  void (*forward)(
      const Rows<const T>& x, T* out, int64_t begin, int64_t end, int64_t rows, int64_t channels, void* scratch);
  void (*backward)(
      const T* grad, const Rows<const T>& x, const Rows<T>& grad_x, int64_t begin, int64_t end, int64_t rows,
      int64_t channels, void* scratch);
};

struct PairwiseDotTable {
  PairwiseDotKernels<float> float32;
  PairwiseDotKernels<double> float64;
  PairwiseDotKernels<uint16_t> bfloat16;  // the bits; accumulated in float32
};

NASREC_ISA_TABLES(PairwiseDotTable, pairwise_dot)

}  // namespace nasrec
