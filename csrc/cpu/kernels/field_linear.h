// CPU kernels of the linear map along the fields, with norm and activation, on raw pointers; field_linear.cpp
// and field_linear_backward.cpp are compiled once per instruction set.
#pragma once

#include <stdint.h>

#include "cpu/kernels/isa_tables.h"

namespace nasrec {

// [samples, fields, channels], channels side by side; data null: absent.
template <class T> struct Fields {
  T* data;
  int64_t fields, sample_stride, field_stride;
};

// Columns of the weight [out, columns], columns side by side; data null: absent.
template <class T> struct WeightPiece {
  T* data;
  int64_t columns, stride;
};

struct FieldLinearShape {
  int64_t channels, columns, out, keep;
  bool norm;
  int activation;  // 0 none, 1 relu, 2 sigmoid
  int64_t inputs, pieces;

  // Rows of the weight that the result depends on: a norm reads all of them.
  int64_t rows() const { return norm ? out : keep; }
};

// T: the tensors' type; A: the type that sums are accumulated in. Vectors [out] may be null where absent.
template <class T, class A> struct FieldLinearForward {
  FieldLinearShape s;
  A eps;
  const Fields<const T>* inputs;       // [s.inputs], s.columns fields in all
  const WeightPiece<const T>* pieces;  // [s.pieces], s.columns columns in all
  const T *bias, *gain, *offset;
  T* y;           // [samples, keep, channels]
  T* normalized;  // [samples, out, channels], or null
  A* rstd;        // [samples, channels], or null
};

template <class T, class A> struct FieldLinearBackward {
  FieldLinearShape s;
  Fields<const T> grad;
  const Fields<const T>* inputs;
  const WeightPiece<const T>* pieces;
  const T* gain;
  const T* y;           // read where there is an activation
  const T* normalized;  // read where there is a norm, as is rstd
  const A* rstd;
  const Fields<T>* grad_inputs;  // null data where not needed
  bool for_weight, for_vectors;
};

// `sums` is what the parts of a backward leave behind, one after the other: of each part the weight's gradient,
// transposed, and for each row of bias, gain and offset the sums over its samples, lane by lane.
template <class T, class A> struct FieldLinearGradients {
  FieldLinearShape s;
  const A* sums;
  int64_t parts;
  const WeightPiece<T>* pieces;  // null data where not needed; stride: columns
  T *bias, *gain, *offset;       // may be null
};

template <class T, class A> struct FieldLinearForwardKernels {
  int64_t (*scratch_bytes)(const FieldLinearShape& s);
  // Samples begin..end.
  void (*run)(const FieldLinearForward<T, A>& f, int64_t begin, int64_t end, void* scratch);
};

template <class T, class A> struct FieldLinearBackwardKernels {
  int64_t (*scratch_bytes)(const FieldLinearShape& s);
  int64_t (*sums_elements)(const FieldLinearShape& s);  // of A, for each part
  // Samples begin..end; `sums` is one part's, and is overwritten.
  void (*run)(const FieldLinearBackward<T, A>& f, int64_t begin, int64_t end, A* sums, void* scratch);
  // Columns begin..end of the weight's gradient, the sum of all parts.
  void (*finish_weight)(const FieldLinearGradients<T, A>& f, int64_t begin, int64_t end);
  // The gradients of bias, gain and offset.
  void (*finish_vectors)(const FieldLinearGradients<T, A>& f);
};

struct FieldLinearTable {
  FieldLinearForwardKernels<float, float> float32;
  FieldLinearForwardKernels<double, double> float64;
  FieldLinearForwardKernels<uint16_t, float> bfloat16;  // the bits
};
struct FieldLinearBackwardTable {
  FieldLinearBackwardKernels<float, float> float32;
  FieldLinearBackwardKernels<double, double> float64;
  FieldLinearBackwardKernels<uint16_t, float> bfloat16;
};

NASREC_ISA_TABLES(FieldLinearTable, field_linear)
NASREC_ISA_TABLES(FieldLinearBackwardTable, field_linear_backward)

}  // namespace nasrec
