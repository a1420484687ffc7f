#include "cuda/pairwise_dot.h"

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <vector>

#include "checks/pairwise_dot.h"
#include "cuda/binding.h"
#include "cuda/join.h"
#include "operands.h"

namespace nasrec {
namespace {

// The operands as the kernels take them: contiguous, and joined where there are more than a kernel has places for.
std::vector<Tensor> prepared(const std::vector<Tensor>& x) {
  return x.size() > cuda::Rows::kMaxParts ? std::vector<Tensor>{cuda::concatenate(x, 1)} : packed(x);
}

cuda::Rows rows_of(const std::vector<Tensor>& x) {
  cuda::Rows rows{};
  for (const Tensor& part : x) {
    rows.data[rows.parts] = part.mutable_data_ptr();
    rows.rows[rows.parts++] = part.size(1);
  }
  return rows;
}

// parts [B, r_p, e] -> [B, r(r-1)/2]
Tensor pairwise_dot(const std::vector<Tensor>& x_any) {
  const PairwiseDotShape s = check_pairwise_dot(x_any);
  const torch::stable::accelerator::DeviceGuard guard(x_any[0].get_device_index());
  const std::vector<Tensor> x = prepared(x_any);
  Tensor out = empty(x[0], {s.batch, s.pairs()});
  if (out.numel() == 0) return out;
  cuda::require_launched(
      "pairwise_dot",
      cuda::pairwise_dot(
          cuda::element_of(out.scalar_type()), rows_of(x), out.mutable_data_ptr(), s.batch, s.rows, s.channels,
          cuda::current_stream("pairwise_dot", out.get_device_index())));
  return out;
}

// grad [B, r(r-1)/2], parts [B, r_p, e] -> gradients of the parts
std::vector<Tensor> pairwise_dot_backward(const Tensor& grad_any, const std::vector<Tensor>& x_any) {
  const PairwiseDotShape s = check_pairwise_dot_backward(grad_any, x_any);
  const torch::stable::accelerator::DeviceGuard guard(grad_any.get_device_index());
  const Tensor grad = torch::stable::contiguous(grad_any);
  const std::vector<Tensor> x = prepared(x_any);
  std::vector<Tensor> grad_x;
  for (const Tensor& part : x) grad_x.push_back(torch::stable::new_empty(part, part.sizes()));
  if (s.batch * s.rows * s.channels > 0)
    cuda::require_launched(
        "pairwise_dot_backward",
        cuda::pairwise_dot_backward(
            cuda::element_of(grad.scalar_type()), grad.const_data_ptr(), rows_of(x), rows_of(grad_x), s.batch, s.rows,
            s.channels, cuda::current_stream("pairwise_dot_backward", grad.get_device_index())));
  return grad_x.size() == x_any.size() ? grad_x : cuda::split(grad_x[0], s.part_rows, 1);
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CUDA, m) {
  m.impl("pairwise_dot", TORCH_BOX(&nasrec::pairwise_dot));
  m.impl("pairwise_dot_backward", TORCH_BOX(&nasrec::pairwise_dot_backward));
}
