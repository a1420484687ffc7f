// CPU kernels of the whole attention operator on raw pointers; kernels/field_attention.cpp is compiled once per
// instruction set.
#pragma once

#include <stdint.h>

namespace nasrec {

// The parameters in their order. A weight has as many columns as there are channels.
enum FieldAttentionRole {
  kQkvWeight, kQkvBias, kOutWeight, kOutBias, kNorm1Weight, kNorm1Bias,
  kFc1Weight, kFc1Bias, kFc2Weight, kFc2Bias, kNorm2Weight, kNorm2Bias,
  kFieldAttentionParameters
};

inline constexpr const char* kFieldAttentionRoles[kFieldAttentionParameters] = {
    "qkv_weight", "qkv_bias", "out_weight", "out_bias", "norm1_weight", "norm1_bias",
    "fc1_weight", "fc1_bias", "fc2_weight", "fc2_bias", "norm2_weight", "norm2_bias"};

struct FieldAttentionSizes {
  int64_t fields, heads, size;  // size: channels of a head
  int64_t padded;               // all-zero fields behind the others, keys and values only
  double eps;
  int64_t channels() const { return heads * size; }
  bool is_weight(int role) const {
    return role == kQkvWeight || role == kOutWeight || role == kFc1Weight || role == kFc2Weight;
  }
  int64_t rows(int role) const { return (role == kQkvWeight || role == kQkvBias ? 3 : 1) * channels(); }
  int64_t elements(int role) const { return rows(role) * (is_weight(role) ? channels() : 1); }
};

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

namespace baseline { extern const FieldAttentionTable field_attention; }
namespace avx2 { extern const FieldAttentionTable field_attention; }
namespace avx512 { extern const FieldAttentionTable field_attention; }

}  // namespace nasrec
