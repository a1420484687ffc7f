// CPU kernels of the whole attention operator on raw pointers; field_attention.cpp is compiled once per
// instruction set.
#pragma once

#include <stdint.h>

#include "attention_sizes.h"
#include "cpu/kernels/isa_tables.h"

namespace nasrec {

// Samples begin .. end - 1: x, out, mixed, grad and grad_x [samples, fields, channels], reciprocals [samples, heads,
// fields], all contiguous; mixed is the attention's result before its output projection, not rounded. `scratch` is
// 64-byte aligned and holds scratch_bytes(sizes). A is the type in which T is accumulated.
template <class T, class A>
struct FieldAttentionKernels {
  int64_t (*scratch_bytes)(const FieldAttentionSizes& sizes);
  void (*forward)(
      const T* x, const T* const* parameters, T* out, A* mixed, A* reciprocals, int64_t begin, int64_t end,
      const FieldAttentionSizes& sizes, void* scratch);
  // Entries of `sums` below.
  int64_t (*sums_size)(const FieldAttentionSizes& sizes);
  // Writes grad_x, and to `sums` the gradients of the parameters over these samples.
  void (*backward)(
      const T* grad, const T* x, const T* const* parameters, const A* mixed, const A* reciprocals, T* grad_x, A* sums,
      int64_t begin, int64_t end, const FieldAttentionSizes& sizes, void* scratch);
  // Adds up the `parts` sums, each sums_size entries behind the one before, in order.
  void (*reduce)(const A* sums, int parts, T* const* gradients, const FieldAttentionSizes& sizes);
};

struct FieldAttentionTable {
  FieldAttentionKernels<float, float> float32;
  FieldAttentionKernels<double, double> float64;
  FieldAttentionKernels<uint16_t, float> bfloat16;  // the bits; accumulated in float32
};

NASREC_ISA_TABLES(FieldAttentionTable, field_attention)

}  // namespace nasrec
