// What forward and backward of the linear operator share.
#pragma once

#include "checks/linear.h"
#include "cpu/isa.h"
#include "cpu/kernels/linear.h"
#include "cpu/matrix.h"
#include "cpu/team.h"
#include "operands.h"

namespace nasrec {

// Rows of a block: their z stays in the level-2 cache from the product to the norm, yet they are enough to pay for
// what a product does once per call (packing the weight).
inline int64_t rows_of_block(int64_t width, int64_t element_bytes) {
  constexpr int64_t bytes = 512 << 10, least = 128;
  return std::max(least, bytes / std::max<int64_t>(1, width * element_bytes));
}

// With so few rows a part, dividing the batch would have every part walk the whole weight for little work; units or
// columns are divided instead.
inline bool few_rows(int64_t batch, int parts) { return parts > 1 && batch < int64_t{64} * parts; }

template <class T> std::vector<Matrix<const T>> matrices_of(const std::vector<Tensor>& walkable) {
  std::vector<Matrix<const T>> matrices;
  matrices.reserve(walkable.size());
  for (const Tensor& tensor : walkable) matrices.push_back(matrix_of<T>(tensor));
  return matrices;
}

inline std::vector<Tensor> all_walkable(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> out;
  out.reserve(tensors.size());
  for (const Tensor& tensor : tensors) out.push_back(walkable(tensor));
  return out;
}

}  // namespace nasrec
