#include "cuda/field_attention.h"

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <tuple>
#include <vector>

#include "checks/field_attention.h"
#include "cuda/binding.h"
#include "operands.h"

namespace nasrec {
namespace {

cuda::FieldAttentionPointers pointers_of(const Tensor* parameters) {
  cuda::FieldAttentionPointers pointers;
  for (int role = 0; role < kFieldAttentionParameters; ++role)
    pointers.data[role] = parameters[role].mutable_data_ptr();
  return pointers;
}

// x [B, f, e] -> out and mixed [B, f, e], reciprocals [B, heads, f]
std::tuple<Tensor, Tensor, Tensor> field_attention(
    const Tensor& x_any, const std::vector<Tensor>& parameters_any, int64_t heads, int64_t padded, double eps) {
  const FieldAttentionShape s = check_field_attention(x_any, parameters_any, heads, padded, eps);
  const torch::stable::accelerator::DeviceGuard guard(x_any.get_device_index());
  const Tensor x = torch::stable::contiguous(x_any);
  const std::vector<Tensor> parameters = packed(parameters_any);
  const ScalarType wide = accumulation_type(x.scalar_type());
  Tensor out = torch::stable::new_empty(x, x.sizes()), mixed = torch::stable::new_empty(x, x.sizes(), wide);
  Tensor reciprocals = empty(x, wide, {s.batch, heads, s.fields});
  if (out.numel() == 0) return {out, mixed, torch::stable::fill_(reciprocals, 1)};
  const cuda::Element type = cuda::element_of(x.scalar_type());
  const Tensor workspace = cuda::bytes_like(x, cuda::field_attention_workspace(type, s.batch, s, false));
  cuda::require_launched(
      "field_attention",
      cuda::field_attention(
          type, x.const_data_ptr(), pointers_of(parameters.data()), out.mutable_data_ptr(), mixed.mutable_data_ptr(),
          reciprocals.mutable_data_ptr(), workspace.mutable_data_ptr(), s.batch, s,
          cuda::current_stream("field_attention", x.get_device_index())));
  return {out, mixed, reciprocals};
}

// The forward's arguments and results and the gradient of out -> gradients of x and of the parameters
std::vector<Tensor> field_attention_backward(
    const Tensor& grad_any, const Tensor& x_any, const std::vector<Tensor>& parameters_any, const Tensor& mixed_any,
    const Tensor& reciprocals_any, int64_t heads, int64_t padded, double eps) {
  const FieldAttentionShape s = check_field_attention_backward(
      grad_any, x_any, parameters_any, mixed_any, reciprocals_any, heads, padded, eps);
  const torch::stable::accelerator::DeviceGuard guard(x_any.get_device_index());
  const Tensor grad = torch::stable::contiguous(grad_any), x = torch::stable::contiguous(x_any);
  const Tensor mixed = torch::stable::contiguous(mixed_any), reciprocals = torch::stable::contiguous(reciprocals_any);
  const std::vector<Tensor> parameters = packed(parameters_any);
  std::vector<Tensor> gradients = {torch::stable::new_empty(x, x.sizes())};
  for (const Tensor& p : parameters) gradients.push_back(torch::stable::new_empty(p, p.sizes()));
  if (x.numel() == 0) {
    for (Tensor& gradient : gradients) torch::stable::fill_(gradient, 0);
    return gradients;
  }
  const cuda::Element type = cuda::element_of(x.scalar_type());
  const Tensor workspace = cuda::bytes_like(x, cuda::field_attention_workspace(type, s.batch, s, true));
  cuda::require_launched(
      "field_attention_backward",
      cuda::field_attention_backward(
          type, grad.const_data_ptr(), x.const_data_ptr(), pointers_of(parameters.data()), mixed.const_data_ptr(),
          reciprocals.const_data_ptr(), gradients[0].mutable_data_ptr(), pointers_of(gradients.data() + 1),
          workspace.mutable_data_ptr(), s.batch, s,
          cuda::current_stream("field_attention_backward", x.get_device_index())));
  return gradients;
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CUDA, m) {
  m.impl("field_attention", TORCH_BOX(&nasrec::field_attention));
  m.impl("field_attention_backward", TORCH_BOX(&nasrec::field_attention_backward));
}
