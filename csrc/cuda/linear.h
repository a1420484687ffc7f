// What follows (forward) and precedes (backward) the matrix products of a linear layer, on raw device pointers of the
// element type. Pointers may be null where said. `stream` is a cudaStream_t; the current device must be the one that
// holds the data. Each returns null, or the text of the CUDA error.
#pragma once

#include <cstdint>

#include "cuda/element.h"

namespace nasrec::cuda {

struct LinearLayer {
  Element type;
  int64_t rows, width, keep;  // rows of `width` units, of which the leading `keep` reach the result
  bool norm;
  int activation;  // 0 none, 1 relu, 2 sigmoid
};

// z [rows, width] -> y [rows, keep]; bias, gain, offset [width]: null where absent; normalized [rows, width] and rstd
// [rows] (accumulation type) or null. y may be z without a norm, normalized may be z.
const char* linear_forward(
    const LinearLayer& layer, const void* z, const void* bias, const void* gain, const void* offset, double eps,
    void* y, void* normalized, void* rstd, void* stream);

// grad [rows, keep] with rows `grad_stride` apart; y, normalized and rstd as the forward left them, null where it has no
// activation or norm -> dz [rows, width].
const char* linear_backward(
    const LinearLayer& layer, const void* grad, int64_t grad_stride, const void* gain, const void* y,
    const void* normalized, const void* rstd, void* dz, void* stream);

// The sums over the batch: gradients of bias, gain and offset [width], each null where not needed. dz from above.
const char* linear_sums(
    const LinearLayer& layer, const void* grad, int64_t grad_stride, const void* y, const void* normalized,
    const void* dz, void* bias, void* gain, void* offset, void* stream);

}  // namespace nasrec::cuda
