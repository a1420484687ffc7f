#pragma once

#include "checks/require.h"

#include <vector>

namespace nasrec {

struct PairwiseDotShape {
  int64_t batch, rows, channels;
  std::vector<int64_t> part_rows;
  int64_t pairs() const { return rows * (rows - 1) / 2; }
};

// x: parts [B, r_p, e], at least one: the dispatcher finds no kernel for an empty list
inline PairwiseDotShape check_pairwise_dot(const std::vector<Tensor>& x, const char* op = "pairwise_dot") {
  PairwiseDotShape shape{0, 0, 0, {}};
  for (size_t part = 0; part < x.size(); ++part) {
    require(x[part].dim() == 3, op, "x must be [B, r, e], got ", shape_of(x[part]));
    require_kernel_type(op, "x", x[part]);
    if (part == 0) {
      shape.batch = x[0].size(0);
      shape.channels = x[0].size(2);
    }
    require(
        x[part].size(0) == shape.batch && x[part].size(2) == shape.channels, op,
        "operands must agree in batch and channels, got ", shape_of(x[0]), " and ", shape_of(x[part]));
    require_same_type_and_device(op, "an operand", x[part], "the first", x[0]);
    shape.part_rows.push_back(x[part].size(1));
    shape.rows += x[part].size(1);
  }
  return shape;
}

// grad [B, r(r-1)/2], x as above
inline PairwiseDotShape check_pairwise_dot_backward(const Tensor& grad, const std::vector<Tensor>& x) {
  const char* op = "pairwise_dot_backward";
  const PairwiseDotShape shape = check_pairwise_dot(x, op);
  require(
      grad.dim() == 2 && grad.size(0) == shape.batch && grad.size(1) == shape.pairs(), op, "grad must be [",
      shape.batch, ", ", shape.pairs(), "] for ", shape.rows, " rows, got ", shape_of(grad));
  require_same_type_and_device(op, "grad", grad, "x", x[0]);
  return shape;
}

}  // namespace nasrec
