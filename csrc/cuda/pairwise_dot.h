// CUDA kernels of the pairwise dot product on raw device pointers. `stream` is a cudaStream_t; the current device must
// be the one that holds the data. Each returns null, or the text of the CUDA error.
#pragma once

#include <cstdint>

#include "cuda/element.h"

namespace nasrec::cuda {

// The rows of a sample stand in up to kMaxParts tensors: part p is [batch, rows[p], channels].
struct Rows {
  static constexpr int kMaxParts = 4;
  void* data[kMaxParts];
  int64_t rows[kMaxParts];
  int parts;
};

// x [batch, rows, channels] -> out [batch, rows (rows - 1) / 2], where rows is the sum over the parts
const char* pairwise_dot(
    Element type, const Rows& x, void* out, int64_t batch, int64_t rows, int64_t channels, void* stream);

// grad [batch, rows (rows - 1) / 2], x [batch, rows, channels] -> grad_x like x
const char* pairwise_dot_backward(
    Element type, const void* grad, const Rows& x, const Rows& grad_x, int64_t batch, int64_t rows, int64_t channels,
    void* stream);

}  // namespace nasrec::cuda
