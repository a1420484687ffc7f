// Sizes of the attention operators, as their checks, CPU kernels and CUDA kernels all take them; needs no torch header.
#pragma once

#include <stdint.h>

namespace nasrec {

struct SelfAttentionSizes {
  int64_t fields, heads, size;  // size: channels of a head
  int64_t channels() const { return heads * size; }
};

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

}  // namespace nasrec
