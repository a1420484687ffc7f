// Joining operands and taking results apart, for kernels that have a fixed number of places for operands.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <array>
#include <vector>

namespace nasrec::cuda {

inline torch::stable::Tensor concatenate(const std::vector<torch::stable::Tensor>& tensors, int64_t axis) {
  std::array<StableIValue, 2> stack{torch::stable::detail::from(tensors), torch::stable::detail::from(axis)};
  TORCH_ERROR_CODE_CHECK(torch_call_dispatcher("aten::cat", "", stack.data(), TORCH_ABI_VERSION));
  return torch::stable::detail::to<torch::stable::Tensor>(stack[0]);
}

// Tensors of their own with the given sizes along an axis.
inline std::vector<torch::stable::Tensor> split(
    torch::stable::Tensor& joined, const std::vector<int64_t>& sizes, int64_t axis) {
  std::vector<torch::stable::Tensor> out;
  int64_t start = 0;
  for (const int64_t size : sizes) {
    out.push_back(torch::stable::clone(torch::stable::narrow(joined, axis, start, size)));
    start += size;
  }
  return out;
}

}  // namespace nasrec::cuda
