#include "cuda/self_attention.h"

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <tuple>

#include "checks/self_attention.h"
#include "cuda/binding.h"
#include "operands.h"

namespace nasrec {
namespace {

// qkv [B, f, 3e] -> out [B, f, e], reciprocals [B, heads, f]
std::tuple<Tensor, Tensor> self_attention(const Tensor& qkv_any, int64_t heads) {
  const SelfAttentionShape s = check_self_attention(qkv_any, heads);
  const torch::stable::accelerator::DeviceGuard guard(qkv_any.get_device_index());
  const Tensor qkv = torch::stable::contiguous(qkv_any);
  Tensor out = empty(qkv, {s.batch, s.fields, s.channels()});
  Tensor reciprocals = empty(qkv, accumulation_type(qkv.scalar_type()), {s.batch, heads, s.fields});
  if (out.numel() == 0) return {out, torch::stable::fill_(reciprocals, 1)};
  const cuda::Element type = cuda::element_of(qkv.scalar_type());
  const Tensor workspace = cuda::bytes_like(qkv, cuda::self_attention_workspace(type, s.batch, s, false));
  cuda::require_launched(
      "self_attention",
      cuda::self_attention(
          type, qkv.const_data_ptr(), out.mutable_data_ptr(), reciprocals.mutable_data_ptr(),
          workspace.mutable_data_ptr(), s.batch, s, cuda::current_stream("self_attention", qkv.get_device_index())));
  return {out, reciprocals};
}

// The forward's arguments and results and the gradient of out -> gradient of qkv [B, f, 3e]
Tensor self_attention_backward(
    const Tensor& grad_any, const Tensor& qkv_any, const Tensor& out_any, const Tensor& reciprocals_any,
    int64_t heads) {
  const SelfAttentionShape s = check_self_attention_backward(grad_any, qkv_any, out_any, reciprocals_any, heads);
  const torch::stable::accelerator::DeviceGuard guard(qkv_any.get_device_index());
  const Tensor grad = torch::stable::contiguous(grad_any), qkv = torch::stable::contiguous(qkv_any);
  const Tensor out = torch::stable::contiguous(out_any), reciprocals = torch::stable::contiguous(reciprocals_any);
  Tensor grad_qkv = torch::stable::new_empty(qkv, qkv.sizes());
  if (grad_qkv.numel() == 0) return grad_qkv;
  const cuda::Element type = cuda::element_of(qkv.scalar_type());
  const Tensor workspace = cuda::bytes_like(qkv, cuda::self_attention_workspace(type, s.batch, s, true));
  cuda::require_launched(
      "self_attention_backward",
      cuda::self_attention_backward(
          type, grad.const_data_ptr(), qkv.const_data_ptr(), out.const_data_ptr(), reciprocals.const_data_ptr(),
          grad_qkv.mutable_data_ptr(), workspace.mutable_data_ptr(), s.batch, s,
          cuda::current_stream("self_attention_backward", qkv.get_device_index())));
  return grad_qkv;
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CUDA, m) {
  m.impl("self_attention", TORCH_BOX(&nasrec::self_attention));
  m.impl("self_attention_backward", TORCH_BOX(&nasrec::self_attention_backward));
}
