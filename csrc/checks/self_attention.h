#pragma once

#include "attention_sizes.h"
#include "checks/require.h"

namespace nasrec {

struct SelfAttentionShape : SelfAttentionSizes {
  int64_t batch;
  // Multiply-adds, or what takes as long: an exponential is worth about ten.
  double work() const { return 1.0 * batch * heads * fields * fields * (2 * size + 10); }
};

// qkv [B, f, 3e]
inline SelfAttentionShape check_self_attention(const Tensor& qkv, int64_t heads, const char* op = "self_attention") {
  require(qkv.dim() == 3 && qkv.size(2) % 3 == 0, op, "qkv must be [B, f, 3e], got ", shape_of(qkv));
  const int64_t channels = qkv.size(2) / 3;
  require(
      heads >= 1 && channels % heads == 0, op, "heads must divide the channels, got ", heads, " heads and ", channels,
      " channels");
  require_kernel_type(op, "qkv", qkv);
  return {{qkv.size(1), heads, channels / heads}, qkv.size(0)};
}

// grad and out [B, f, e], qkv [B, f, 3e], reciprocals [B, heads, f]
inline SelfAttentionShape check_self_attention_backward(
    const Tensor& grad, const Tensor& qkv, const Tensor& out, const Tensor& reciprocals, int64_t heads) {
  const char* op = "self_attention_backward";
  const SelfAttentionShape s = check_self_attention(qkv, heads, op);
  const auto check = [&](const char* name, const Tensor& x, int64_t second, int64_t third) {
    require(
        x.dim() == 3 && x.size(0) == s.batch && x.size(1) == second && x.size(2) == third, op, name, " must be [",
        s.batch, ", ", second, ", ", third, "] for qkv ", shape_of(qkv), " and ", heads, " heads, got ", shape_of(x));
  };
  check("grad", grad, s.fields, s.channels());
  check("out", out, s.fields, s.channels());
  check("reciprocals", reciprocals, heads, s.fields);
  require_same_type_and_device(op, "grad", grad, "qkv", qkv);
  require_same_type_and_device(op, "out", out, "qkv", qkv);
  require(
      reciprocals.scalar_type() == accumulation_type(qkv.scalar_type()) &&
          reciprocals.is_cuda() == qkv.is_cuda() && reciprocals.get_device_index() == qkv.get_device_index(),
      op, "reciprocals must be what the forward gave with out");
  return s;
}

}  // namespace nasrec
