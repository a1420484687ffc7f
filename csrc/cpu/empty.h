// New tensors on the CPU, uninitialised. By torch's C interface: its dispatcher costs some 0.6 us more a tensor, which
// is as much as a small operator computes in.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <initializer_list>
#include <vector>

namespace nasrec {

inline torch::stable::Tensor empty_cpu(torch::headeronly::ScalarType type, std::initializer_list<int64_t> sizes) {
  using torch::headeronly::ScalarType;
  int64_t strides[8] = {}, step = 1;
  for (size_t axis = sizes.size(); axis-- > 0; step *= sizes.begin()[axis] > 0 ? sizes.begin()[axis] : 1)
    strides[axis] = step;
  const int32_t dtype = type == ScalarType::Float    ? aoti_torch_dtype_float32()
                        : type == ScalarType::Double ? aoti_torch_dtype_float64()
                                                     : aoti_torch_dtype_bfloat16();
  AtenTensorHandle made = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(
      static_cast<int64_t>(sizes.size()), sizes.begin(), strides, dtype, aoti_torch_device_type_cpu(), 0, &made));
  return torch::stable::Tensor(made);
}

}  // namespace nasrec
