// Operands and results as kernels take them, for the CPU and the CUDA faces alike: memory in the order that a kernel
// walks it, raw pointers, and the kernels of an element type.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <initializer_list>
#include <optional>
#include <vector>

#include "checks/require.h"

namespace nasrec {

// `run` with what a table of kernels holds for the element type.
template <class Table, class Run> void for_type(const Table& table, ScalarType type, const Run& run) {
  switch (type) {
    case ScalarType::Float: return run(table.float32);
    case ScalarType::Double: return run(table.float64);
    default: return run(table.bfloat16);  // the checks let nothing else through
  }
}

// The tensors themselves where they are contiguous, else copies.
inline std::vector<Tensor> packed(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> out;
  out.reserve(tensors.size());
  for (const Tensor& tensor : tensors) out.push_back(torch::stable::contiguous(tensor));
  return out;
}
inline std::optional<Tensor> packed(const std::optional<Tensor>& tensor) {
  return tensor ? std::optional<Tensor>(torch::stable::contiguous(*tensor)) : std::nullopt;
}

// The tensor itself if neighbours along its last axis lie side by side, else a copy.
inline Tensor side_by_side(const Tensor& tensor) {
  const int64_t last = tensor.dim() - 1;
  return tensor.size(last) <= 1 || tensor.stride(last) == 1 ? tensor : torch::stable::contiguous(tensor);
}
inline std::vector<Tensor> side_by_side(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> out;
  out.reserve(tensors.size());
  for (const Tensor& tensor : tensors) out.push_back(side_by_side(tensor));
  return out;
}

// What kernels read; null where there is no tensor.
template <class T = void> const T* data_of(const std::optional<Tensor>& tensor) {
  return tensor ? static_cast<const T*>(tensor->const_data_ptr()) : nullptr;
}
template <class T> std::vector<const T*> data_of(const std::vector<Tensor>& tensors) {
  std::vector<const T*> out;
  out.reserve(tensors.size());
  for (const Tensor& tensor : tensors) out.push_back(static_cast<const T*>(tensor.const_data_ptr()));
  return out;
}

// What kernels write; null where it is not needed.
template <class T = void> T* data_if(bool needed, const Tensor& tensor) {
  return needed ? static_cast<T*>(tensor.mutable_data_ptr()) : nullptr;
}

// Uninitialised memory on the device of `like`, of its element type or another.
inline Tensor empty(const Tensor& like, std::initializer_list<int64_t> sizes) {
  return torch::stable::new_empty(like, {sizes.begin(), sizes.size()});
}
inline Tensor empty(const Tensor& like, ScalarType type, std::initializer_list<int64_t> sizes) {
  return torch::stable::new_empty(like, {sizes.begin(), sizes.size()}, type);
}

}  // namespace nasrec
