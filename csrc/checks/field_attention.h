#pragma once

#include <string>
#include <vector>

#include "attention_sizes.h"
#include "checks/require.h"

namespace nasrec {

struct FieldAttentionShape : FieldAttentionSizes {
  int64_t batch;
  // Multiply-adds, or what takes as long: an exponential is worth about ten.
  double work() const {
    return 1.0 * batch * fields * (6.0 * channels() * channels() + heads * (fields + 1) * (2.0 * size + 10));
  }
};

// x [B, f, e]; parameters in the order of FieldAttentionRole: weights [e or 3e, e], the others [e] or [3e].
inline FieldAttentionShape check_field_attention(
    const Tensor& x, const std::vector<Tensor>& parameters, int64_t heads, int64_t padded, double eps,
    const char* op = "field_attention") {
  require(x.dim() == 3, op, "x must be [B, f, e], got ", shape_of(x));
  require_kernel_type(op, "x", x);
  const int64_t channels = x.size(2);
  require(
      heads >= 1 && channels % heads == 0, op, "heads must divide the channels, got ", heads, " heads and ", channels,
      " channels");
  require(padded >= 0, op, "padded must be at least 0, got ", padded);
  require(
      parameters.size() == kFieldAttentionParameters, op, "needs ", int(kFieldAttentionParameters),
      " parameters, got ", parameters.size());
  const FieldAttentionShape s = {{x.size(1), heads, channels / heads, padded, eps}, x.size(0)};
  for (int role = 0; role < kFieldAttentionParameters; ++role) {
    const Tensor& p = parameters[role];
    const char* name = kFieldAttentionRoles[role];
    const bool fits = s.is_weight(role) ? p.dim() == 2 && p.size(0) == s.rows(role) && p.size(1) == channels
                                        : p.dim() == 1 && p.size(0) == s.rows(role);
    const std::string columns = s.is_weight(role) ? ", " + std::to_string(channels) : "";
    require(
        fits, op, name, " must be [", s.rows(role), columns, "] for x ", shape_of(x), ", got ", shape_of(p));
    require_same_type_and_device(op, name, p, "x", x);
  }
  return s;
}

// The forward's arguments, grad and mixed [B, f, e], reciprocals [B, heads, f]
inline FieldAttentionShape check_field_attention_backward(
    const Tensor& grad, const Tensor& x, const std::vector<Tensor>& parameters, const Tensor& mixed,
    const Tensor& reciprocals, int64_t heads, int64_t padded, double eps) {
  const char* op = "field_attention_backward";
  const FieldAttentionShape s = check_field_attention(x, parameters, heads, padded, eps, op);
  const auto check = [&](const char* name, const Tensor& t, int64_t second, int64_t third) {
    require(
        t.dim() == 3 && t.size(0) == s.batch && t.size(1) == second && t.size(2) == third, op, name, " must be [",
        s.batch, ", ", second, ", ", third, "] for x ", shape_of(x), " and ", heads, " heads, got ", shape_of(t));
  };
  check("grad", grad, s.fields, s.channels());
  check("mixed", mixed, s.fields, s.channels());
  check("reciprocals", reciprocals, heads, s.fields);
  require_same_type_and_device(op, "grad", grad, "x", x);
  for (const Tensor& kept : {mixed, reciprocals})
    require(
        kept.scalar_type() == accumulation_type(x.scalar_type()) && kept.is_cuda() == x.is_cuda() &&
            kept.get_device_index() == x.get_device_index(),
        op, "mixed and reciprocals must be what the forward gave");
  return s;
}

}  // namespace nasrec
