// What every CUDA binding shares: the current stream, element types, and raising of launch errors.
#pragma once

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/ops.h>

#include "checks/require.h"
#include "cuda/element.h"

// Of torch's C interface; declared in its header only when torch itself was built with CUDA. Weak, so that this module
// also loads beside a torch without CUDA, where no tensor can reach it.
extern "C" __attribute__((weak)) int32_t aoti_torch_get_current_cuda_stream(int32_t device, void** stream);

namespace nasrec::cuda {

inline void* current_stream(const char* op, int32_t device) {
  void* stream = nullptr;
  require(aoti_torch_get_current_cuda_stream != nullptr, op, "this torch was built without CUDA");
  require(aoti_torch_get_current_cuda_stream(device, &stream) == 0, op, "torch gives no current CUDA stream");
  return stream;
}

// Uninitialised memory on the device of `x`.
inline Tensor bytes_like(const Tensor& x, int64_t bytes) {
  return torch::stable::new_empty(x, {&bytes, 1}, ScalarType::Byte);
}

inline Element element_of(ScalarType type) {  // the checks let nothing else through
  return type == ScalarType::Float    ? Element::float32
         : type == ScalarType::Double ? Element::float64
                                      : Element::bfloat16;
}

inline void require_launched(const char* op, const char* error) {
  require(error == nullptr, op, "CUDA launch failed: ", error == nullptr ? "" : error);
}

}  // namespace nasrec::cuda
