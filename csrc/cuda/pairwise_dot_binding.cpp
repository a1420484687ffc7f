#include "cuda/pairwise_dot.h"

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "cuda/binding.h"
#include "front/pairwise_dot.h"

namespace nasrec {
namespace {

// x [B, r, e] -> [B, r(r-1)/2]
Tensor pairwise_dot(const Tensor& x_any) {
  const PairwiseDotShape s = check_pairwise_dot(x_any);
  const torch::stable::accelerator::DeviceGuard guard(x_any.get_device_index());
  const Tensor x = torch::stable::contiguous(x_any);
  const int64_t sizes[] = {s.batch, s.pairs()};
  Tensor out = torch::stable::new_empty(x, {sizes, 2});
  if (out.numel() == 0) return out;
  cuda::require_launched(
      "pairwise_dot",
      cuda::pairwise_dot(
          cuda::element_of(x.scalar_type()), x.const_data_ptr(), out.mutable_data_ptr(), s.batch, s.rows, s.channels,
          cuda::current_stream("pairwise_dot", x.get_device_index())));
  return out;
}

// grad [B, r(r-1)/2], x [B, r, e] -> [B, r, e]
Tensor pairwise_dot_backward(const Tensor& grad_any, const Tensor& x_any) {
  const PairwiseDotShape s = check_pairwise_dot_backward(grad_any, x_any);
  const torch::stable::accelerator::DeviceGuard guard(x_any.get_device_index());
  const Tensor grad = torch::stable::contiguous(grad_any), x = torch::stable::contiguous(x_any);
  Tensor grad_x = torch::stable::new_empty(x, x.sizes());
  if (grad_x.numel() == 0) return grad_x;
  cuda::require_launched(
      "pairwise_dot_backward",
      cuda::pairwise_dot_backward(
          cuda::element_of(x.scalar_type()), grad.const_data_ptr(), x.const_data_ptr(), grad_x.mutable_data_ptr(),
          s.batch, s.rows, s.channels, cuda::current_stream("pairwise_dot_backward", x.get_device_index())));
  return grad_x;
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CUDA, m) {
  m.impl("pairwise_dot", TORCH_BOX(&nasrec::pairwise_dot));
  m.impl("pairwise_dot_backward", TORCH_BOX(&nasrec::pairwise_dot_backward));
}
