// What the checks of operands are made of. Each operator has one check function in this folder, which both its CPU and
// its CUDA face call first, so that the two raise the same text.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>

namespace nasrec {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <class... Parts>
void require(bool condition, const char* op, const Parts&... parts) {
  if (condition) return;
  std::ostringstream message;
  message << op << ": ";
  (message << ... << parts);
  throw std::runtime_error(message.str());
}

// A shape as text, put together only when it is written: checks that hold cost nothing.
struct ShapeText {
  const Tensor& tensor;
};
inline ShapeText shape_of(const Tensor& tensor) { return {tensor}; }

inline std::ostream& operator<<(std::ostream& text, const ShapeText& shape) {
  text << '[';
  for (int64_t axis = 0; axis < shape.tensor.dim(); ++axis) text << (axis ? ", " : "") << shape.tensor.size(axis);
  return text << ']';
}

// float32, float64 or bfloat16: the types that the kernels are compiled for.
inline void require_kernel_type(const char* op, const char* name, const Tensor& tensor) {
  const ScalarType type = tensor.scalar_type();
  require(
      type == ScalarType::Float || type == ScalarType::Double || type == ScalarType::BFloat16, op, name,
      " must be float32, float64 or bfloat16, got ", torch::headeronly::toString(type));
}

// The type in which kernels accumulate elements of this type.
inline ScalarType accumulation_type(ScalarType type) {
  return type == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

inline bool same_shape(const Tensor& a, const Tensor& b) {
  if (a.dim() != b.dim()) return false;
  for (int64_t axis = 0; axis < a.dim(); ++axis)
    if (a.size(axis) != b.size(axis)) return false;
  return true;
}

// Element type and device by torch's own numbers: the wrappers of each take several times as long to ask.
struct TensorKind {
  int32_t type, device, index;
  bool operator==(const TensorKind&) const = default;
};
inline TensorKind kind_of(const Tensor& tensor) {
  TensorKind kind{};
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(tensor.get(), &kind.type));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(tensor.get(), &kind.device));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_index(tensor.get(), &kind.index));
  return kind;
}

inline void require_same_type_and_device(
    const char* op, const char* name, const Tensor& tensor, const char* other_name, const Tensor& other) {
  const TensorKind kind = kind_of(tensor), wanted = kind_of(other);
  if (kind == wanted) return;
  require(
      kind.type == wanted.type, op, name, " must have the type of ", other_name, ", got ",
      torch::headeronly::toString(tensor.scalar_type()), " and ", torch::headeronly::toString(other.scalar_type()));
  require(
      kind.device == wanted.device && kind.index == wanted.index, op, name, " must be on the device of ", other_name);
}

inline void require_same_device(
    const char* op, const char* name, const Tensor& tensor, const char* other_name, const Tensor& other) {
  require(
      tensor.is_cuda() == other.is_cuda() && tensor.get_device_index() == other.get_device_index(), op, name,
      " must be on the device of ", other_name);
}

}  // namespace nasrec
