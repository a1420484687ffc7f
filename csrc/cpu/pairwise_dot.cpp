#include "cpu/kernels/pairwise_dot.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <vector>

#include "checks/pairwise_dot.h"
#include "cpu/isa.h"
#include "cpu/scratch.h"
#include "cpu/team.h"
#include "operands.h"

namespace nasrec {
namespace {

double work_of(const PairwiseDotShape& s) { return 1.0 * s.batch * s.rows * s.rows * s.channels; }

// parts [B, r_p, e] -> [B, r(r-1)/2] with r the sum of the r_p
Tensor pairwise_dot(const std::vector<Tensor>& x_any) {
  const PairwiseDotShape s = check_pairwise_dot(x_any);
  const std::vector<Tensor> x = packed(x_any);
  Tensor out = empty(x[0], {s.batch, s.pairs()});
  if (out.numel() == 0) return out;
  for_type(NASREC_KERNELS(pairwise_dot), out.scalar_type(), [&]<class T>(const PairwiseDotKernels<T>& kernels) {
    const std::vector<const T*> data = data_of<T>(x);
    const Rows<const T> rows = {data.data(), s.part_rows.data(), static_cast<int64_t>(x.size())};
    T* to = static_cast<T*>(out.mutable_data_ptr());
    team_run(team_parts(work_of(s)), [&](int part, int parts) {
      const auto [begin, end] = split(s.batch, part, parts);
      const Scratch scratch(kernels.scratch_bytes(s.rows, s.channels));
      kernels.forward(rows, to, begin, end, s.rows, s.channels, scratch.data());
    });
  });
  return out;
}

// grad [B, r(r-1)/2], parts [B, r_p, e] -> gradients of the parts
std::vector<Tensor> pairwise_dot_backward(const Tensor& grad_any, const std::vector<Tensor>& x_any) {
  const PairwiseDotShape s = check_pairwise_dot_backward(grad_any, x_any);
  const Tensor grad = torch::stable::contiguous(grad_any);
  const std::vector<Tensor> x = packed(x_any);
  std::vector<Tensor> grad_x;
  for (const Tensor& part : x) grad_x.push_back(torch::stable::new_empty(part, part.sizes()));
  if (s.batch * s.rows * s.channels == 0) return grad_x;
  for_type(NASREC_KERNELS(pairwise_dot), grad.scalar_type(), [&]<class T>(const PairwiseDotKernels<T>& kernels) {
    const std::vector<const T*> data = data_of<T>(x);
    std::vector<T*> grad_data;
    for (Tensor& part : grad_x) grad_data.push_back(static_cast<T*>(part.mutable_data_ptr()));
    const Rows<const T> rows = {data.data(), s.part_rows.data(), static_cast<int64_t>(x.size())};
    const Rows<T> grad_rows = {grad_data.data(), s.part_rows.data(), static_cast<int64_t>(x.size())};
    const T* from = static_cast<const T*>(grad.const_data_ptr());
    team_run(team_parts(work_of(s)), [&](int part, int parts) {
      const auto [begin, end] = split(s.batch, part, parts);
      const Scratch scratch(kernels.scratch_bytes(s.rows, s.channels));
      kernels.backward(from, rows, grad_rows, begin, end, s.rows, s.channels, scratch.data());
    });
  });
  return grad_x;
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CPU, m) {
  m.impl("pairwise_dot", TORCH_BOX(&nasrec::pairwise_dot));
  m.impl("pairwise_dot_backward", TORCH_BOX(&nasrec::pairwise_dot_backward));
}
