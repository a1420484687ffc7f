// CUDA kernels of the whole attention operator on raw device pointers. `stream` is a cudaStream_t; the current device
// must be the one that holds the data. Each returns null, or the text of the CUDA error.
#pragma once

#include <cstdint>

#include "attention_sizes.h"
#include "cuda/element.h"

namespace nasrec::cuda {

struct FieldAttentionPointers {
  void* data[kFieldAttentionParameters];
};

// Bytes of global memory that a kernel wants beside its operands.
int64_t field_attention_workspace(Element type, int64_t batch, const FieldAttentionSizes& sizes, bool backward);

// x [batch, fields, channels] -> out and mixed like x, reciprocals [batch, heads, fields]; mixed and reciprocals in the
// accumulation type.
const char* field_attention(
    Element type, const void* x, const FieldAttentionPointers& parameters, void* out, void* mixed, void* reciprocals,
    void* workspace, int64_t batch, const FieldAttentionSizes& sizes, void* stream);

// grad [batch, fields, channels] -> grad_x and the gradients of the parameters
const char* field_attention_backward(
    Element type, const void* grad, const void* x, const FieldAttentionPointers& parameters, const void* mixed,
    const void* reciprocals, void* grad_x, const FieldAttentionPointers& gradients, void* workspace, int64_t batch,
    const FieldAttentionSizes& sizes, void* stream);

}  // namespace nasrec::cuda
