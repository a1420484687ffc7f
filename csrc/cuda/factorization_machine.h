// CUDA kernels of the factorization machine on raw device pointers. `stream` is a cudaStream_t; the current device must
// be the one that holds the data. Each returns null, or the text of the CUDA error.
#pragma once

#include <cstdint>

#include "cuda/element.h"

namespace nasrec::cuda {

// x [batch, fields, channels] -> out [batch, channels]
const char* factorization_machine(
    Element type, const void* x, void* out, int64_t batch, int64_t fields, int64_t channels, void* stream);

// grad [batch, channels], x [batch, fields, channels] -> grad_x like x
const char* factorization_machine_backward(
    Element type, const void* grad, const void* x, void* grad_x, int64_t batch, int64_t fields, int64_t channels,
    void* stream);

}  // namespace nasrec::cuda
