#include "kernels/pairwise_dot.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "cpu/isa.h"
#include "cpu/scratch.h"
#include "cpu/team.h"
#include "front/pairwise_dot.h"

namespace nasrec {
namespace {

double work_of(const PairwiseDotShape& s) { return 1.0 * s.batch * s.rows * s.rows * s.channels; }

// `kernels` for the element type, applied to the tensor's data as raw pointers.
template <class Run> void for_type(ScalarType type, const Run& run) {
  const PairwiseDotTable& table = NASREC_KERNELS(pairwise_dot);
  switch (type) {
    case ScalarType::Float: return run(table.float32);
    case ScalarType::Double: return run(table.float64);
    default: return run(table.bfloat16);  // the front check lets nothing else through
  }
}

// x [B, r, e] -> [B, r(r-1)/2]
Tensor pairwise_dot(const Tensor& x_any) {
  const PairwiseDotShape s = check_pairwise_dot(x_any);
  const Tensor x = torch::stable::contiguous(x_any);
  const int64_t sizes[] = {s.batch, s.pairs()};
  Tensor out = torch::stable::new_empty(x, {sizes, 2});
  if (out.numel() == 0) return out;
  for_type(x.scalar_type(), [&]<class T>(const PairwiseDotKernels<T>& kernels) {
    const T* from = static_cast<const T*>(x.const_data_ptr());
    T* to = static_cast<T*>(out.mutable_data_ptr());
    team_run(team_parts(work_of(s)), [&](int part, int parts) {
      const auto [begin, end] = split(s.batch, part, parts);
      const Scratch scratch(kernels.scratch_bytes(s.rows, s.channels));
      kernels.forward(
          from + begin * s.rows * s.channels, to + begin * s.pairs(), end - begin, s.rows, s.channels, scratch.data());
    });
  });
  return out;
}

// grad [B, r(r-1)/2], x [B, r, e] -> [B, r, e]
Tensor pairwise_dot_backward(const Tensor& grad_any, const Tensor& x_any) {
  const PairwiseDotShape s = check_pairwise_dot_backward(grad_any, x_any);
  const Tensor grad = torch::stable::contiguous(grad_any), x = torch::stable::contiguous(x_any);
  Tensor grad_x = torch::stable::new_empty(x, x.sizes());
  if (grad_x.numel() == 0) return grad_x;
  for_type(x.scalar_type(), [&]<class T>(const PairwiseDotKernels<T>& kernels) {
    const T* from_grad = static_cast<const T*>(grad.const_data_ptr());
    const T* from = static_cast<const T*>(x.const_data_ptr());
    T* to = static_cast<T*>(grad_x.mutable_data_ptr());
    team_run(team_parts(work_of(s)), [&](int part, int parts) {
      const auto [begin, end] = split(s.batch, part, parts);
      const Scratch scratch(kernels.scratch_bytes(s.rows, s.channels));
      const int64_t at = begin * s.rows * s.channels;
      kernels.backward(
          from_grad + begin * s.pairs(), from + at, to + at, end - begin, s.rows, s.channels, scratch.data());
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
