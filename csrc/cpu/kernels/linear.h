// What follows the matrix product of a linear layer, on rows of raw memory; linear.cpp is compiled once per
// instruction set.
#pragma once

#include <stdint.h>

#include "cpu/kernels/isa_tables.h"

namespace nasrec {

// T: the tensors' type; A: the type that sums are accumulated in. Vectors are of type T and may be null where absent.
template <class T, class A> struct LinearForward {
  int64_t rows, width, keep;  // rows of `width` units, of which the leading `keep` are written
  const T *bias, *gain, *offset;
  bool norm;
  A eps;
  int activation;  // 0 none, 1 relu, 2 sigmoid
  A* z;            // [rows, width], the product; overwritten
  int64_t z_stride;
  T* y;            // [rows, keep] contiguous; may be z
  T* normalized;   // [rows, width] contiguous or null; may be z
  A* rstd;         // [rows] or null
};

template <class T, class A> struct LinearBackward {
  int64_t rows, width, keep;
  const T* gain;
  bool norm;
  int activation;
  const T* grad;         // [rows, keep]
  int64_t grad_stride;
  const T* y;            // [rows, keep] contiguous; read where there is an activation
  const T* normalized;   // [rows, width] contiguous; read where there is a norm, as is rstd [rows]
  const A* rstd;
  T* dz;                 // [rows, width] contiguous
  A* row;                // scratch [width]
  A *bias, *gain_sum, *offset_sum;  // [width]; added to, unless null
};

template <class T, class A> struct LinearKernels {
  void (*forward)(const LinearForward<T, A>&);
  void (*backward)(const LinearBackward<T, A>&);
  // [rows, width] with rows `from_stride` and `to_stride` apart: rounds to T.
  void (*narrow)(const A* from, int64_t from_stride, T* to, int64_t to_stride, int64_t rows, int64_t width);
  // The sum of `count` vectors `stride` apart, in their order.
  void (*add_up)(const A* from, int64_t stride, int64_t count, T* to, int64_t width);
};

struct LinearTable {
  LinearKernels<float, float> float32;
  LinearKernels<double, double> float64;
  LinearKernels<uint16_t, float> bfloat16;  // the bits
};

NASREC_ISA_TABLES(LinearTable, linear)

}  // namespace nasrec
