// CPU kernels of self-attention on raw pointers; self_attention.cpp is compiled once per instruction set.
#pragma once

#include <stdint.h>

#include "attention_sizes.h"
#include "cpu/kernels/isa_tables.h"

namespace nasrec {

// `samples` consecutive samples: qkv [samples, fields, 3 channels] packed queries, keys and values, out and grad
// [samples, fields, channels], reciprocals [samples, heads, fields] (1 / the softmax's denominator), all contiguous.
// `scratch` is 64-byte aligned and holds scratch_bytes(sizes). A is the type in which T is accumulated.
template <class T, class A>
struct SelfAttentionKernels {
  int64_t (*scratch_bytes)(const SelfAttentionSizes& sizes);
  void (*forward)(
      const T* qkv, T* out, A* reciprocals, int64_t samples, const SelfAttentionSizes& sizes, void* scratch);
  void (*backward)(
      const T* grad, const T* qkv, const T* out, const A* reciprocals, T* grad_qkv, int64_t samples,
      const SelfAttentionSizes& sizes, void* scratch);
};

struct SelfAttentionTable {
  SelfAttentionKernels<float, float> float32;
  SelfAttentionKernels<double, double> float64;
  SelfAttentionKernels<uint16_t, float> bfloat16;  // the bits; accumulated in float32
};

NASREC_ISA_TABLES(SelfAttentionTable, self_attention)

}  // namespace nasrec
