#pragma once

#include "checks.h"

namespace nasrec {

struct PairwiseDotShape {
  int64_t batch, rows, channels;
  int64_t pairs() const { return rows * (rows - 1) / 2; }
};

// x [B, r, e]
inline PairwiseDotShape check_pairwise_dot(const Tensor& x, const char* op = "pairwise_dot") {
  require(x.dim() == 3, op, "x must be [B, r, e], got ", shape_of(x));
  require_kernel_type(op, "x", x);
  return {x.size(0), x.size(1), x.size(2)};
}

// grad [B, r(r-1)/2], x [B, r, e]
inline PairwiseDotShape check_pairwise_dot_backward(const Tensor& grad, const Tensor& x) {
  const char* op = "pairwise_dot_backward";
  const PairwiseDotShape shape = check_pairwise_dot(x, op);
  require(
      grad.dim() == 2 && grad.size(0) == shape.batch && grad.size(1) == shape.pairs(), op, "grad must be [",
      shape.batch, ", ", shape.pairs(), "] for x ", shape_of(x), ", got ", shape_of(grad));
  require_same_type_and_device(op, "grad", grad, "x", x);
  return shape;
}

}  // namespace nasrec
