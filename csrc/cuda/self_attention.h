// CUDA kernels of self-attention on raw device pointers. `stream` is a cudaStream_t; the current device must be the one
// that holds the data. Each returns null, or the text of the CUDA error.
#pragma once

#include <cstdint>

#include "attention_sizes.h"
#include "cuda/element.h"

namespace nasrec::cuda {

// Bytes of global memory that both kernels want beside their operands; 0 where shared memory is enough.
int64_t self_attention_workspace(Element type, int64_t batch, const SelfAttentionSizes& sizes, bool backward);

// qkv [batch, fields, 3 channels] -> out [batch, fields, channels], reciprocals [batch, heads, fields]
const char* self_attention(
    Element type, const void* qkv, void* out, void* reciprocals, void* workspace, int64_t batch,
    const SelfAttentionSizes& sizes, void* stream);

// grad and out [batch, fields, channels] -> grad_qkv like qkv
const char* self_attention_backward(
    Element type, const void* grad, const void* qkv, const void* out, const void* reciprocals, void* grad_qkv,
    void* workspace, int64_t batch, const SelfAttentionSizes& sizes, void* stream);

}  // namespace nasrec::cuda
