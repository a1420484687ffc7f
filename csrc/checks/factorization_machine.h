#pragma once

#include "checks/require.h"

namespace nasrec {

struct FactorizationMachineShape {
  int64_t batch, fields, channels;
};

// x: [B, f, e]
inline FactorizationMachineShape check_factorization_machine(
    const Tensor& x, const char* op = "factorization_machine") {
  require(x.dim() == 3, op, "x must be [B, f, e], got ", shape_of(x));
  require_kernel_type(op, "x", x);
  return {x.size(0), x.size(1), x.size(2)};
}

// grad [B, e], x as above
inline FactorizationMachineShape check_factorization_machine_backward(const Tensor& grad, const Tensor& x) {
  const char* op = "factorization_machine_backward";
  const FactorizationMachineShape s = check_factorization_machine(x, op);
  require(
      grad.dim() == 2 && grad.size(0) == s.batch && grad.size(1) == s.channels, op, "grad must be [", s.batch, ", ",
      s.channels, "], got ", shape_of(grad));
  require_same_type_and_device(op, "grad", grad, "x", x);
  return s;
}

}  // namespace nasrec
