// Checks of the product along units: inputs [B, n_j]. Operands as in check_product and check_product_backward.
#pragma once

#include "checks/product.h"

namespace nasrec {

template <class... Operands> ProductShape check_linear(const Operands&... operands) {
  return check_product("linear", 2, operands...);
}

template <class... Operands> ProductShape check_linear_backward(const Operands&... operands) {
  return check_product_backward("linear_backward", 2, operands...);
}

}  // namespace nasrec
