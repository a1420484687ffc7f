// CUDA kernels of the pairwise dot product on raw device pointers. `stream` is a cudaStream_t; the current device must
// be the one that holds the data. Each returns null, or the text of the CUDA error.
#pragma once

#include <cstdint>

#include "cuda/element.h"

namespace nasrec::cuda {

// x [batch, rows, channels] -> out [batch, rows (rows - 1) / 2]
const char* pairwise_dot(
    Element type, const void* x, void* out, int64_t batch, int64_t rows, int64_t channels, void* stream);

// grad [batch, rows (rows - 1) / 2], x [batch, rows, channels] -> grad_x like x
const char* pairwise_dot_backward(
    Element type, const void* grad, const void* x, void* grad_x, int64_t batch, int64_t rows, int64_t channels,
    void* stream);

}  // namespace nasrec::cuda
