// Matrices in place, as the products of cpu/gemm.h take them, and the product by element type.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <limits>
#include <optional>
#include <vector>

#include "cpu/gemm.h"

namespace nasrec {

// The type in which elements of type T are accumulated; uint16_t holds a bfloat16's bits.
template <class T> struct Accumulated { using type = T; };
template <> struct Accumulated<uint16_t> { using type = float; };
template <class T> using AccumulatedType = typename Accumulated<T>::type;

// Rows of unit stride, `stride` elements apart; data null: absent.
template <class T> struct Matrix {
  T* data;
  int64_t stride;
  T* at(int64_t row, int64_t column) const { return data + row * stride + column; }
};

// The tensor itself if its rows can be walked in place, else a copy.
inline torch::stable::Tensor walkable(const torch::stable::Tensor& t) {
  const int64_t width = t.size(1), step = t.stride(0);
  const bool unit = width <= 1 || t.stride(1) == 1;
  const bool apart = t.size(0) <= 1 || (step >= width && step >= 1 && step <= std::numeric_limits<int32_t>::max());
  return t.dim() == 2 && unit && apart ? t : torch::stable::contiguous(t);
}

template <class T> Matrix<const T> matrix_of(const torch::stable::Tensor& walkable) {
  const int64_t step = walkable.size(0) <= 1 ? walkable.size(1) : walkable.stride(0);
  return {static_cast<const T*>(walkable.const_data_ptr()), step > 0 ? step : 1};
}

// C = op(A) op(B) + beta C as in cpu/gemm.h.
template <class T>
void multiply(
    bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b,
    int64_t ldb, AccumulatedType<T> beta, AccumulatedType<T>* c, int64_t ldc) {
  if constexpr (sizeof(T) == sizeof(uint16_t))
    gemm_bf16(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
  else
    gemm<T>(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
}

}  // namespace nasrec
