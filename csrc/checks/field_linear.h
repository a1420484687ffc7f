// Checks of the product along fields, for each channel: inputs [B, f_j, e]. Operands as in check_product and
// check_product_backward.
#pragma once

#include "checks/product.h"

namespace nasrec {

template <class... Operands> ProductShape check_field_linear(const Operands&... operands) {
  return check_product("field_linear", 3, operands...);
}

template <class... Operands> ProductShape check_field_linear_backward(const Operands&... operands) {
  return check_product_backward("field_linear_backward", 3, operands...);
}

}  // namespace nasrec
