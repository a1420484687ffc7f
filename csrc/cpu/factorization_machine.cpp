#include "cpu/kernels/factorization_machine.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "checks/factorization_machine.h"
#include "cpu/isa.h"
#include "cpu/team.h"
#include "operands.h"

namespace nasrec {
namespace {

double work_of(const FactorizationMachineShape& s) { return 8.0 * s.batch * s.fields * s.channels; }

// [B, f, e] -> [B, e]
Tensor factorization_machine(const Tensor& x_any) {
  const FactorizationMachineShape s = check_factorization_machine(x_any);
  const Tensor x = torch::stable::contiguous(x_any);
  Tensor out = empty(x, {s.batch, s.channels});
  if (out.numel() == 0) return out;
  for_type(NASREC_KERNELS(factorization_machine), x.scalar_type(), [&]<class T>(
      const FactorizationMachineKernels<T>& kernels) {
    const T* from = static_cast<const T*>(x.const_data_ptr());
    T* to = static_cast<T*>(out.mutable_data_ptr());
    team_run(team_parts(work_of(s)), [&](int part, int of) {
      const auto [begin, end] = split(s.batch, part, of);
      kernels.forward(from, to, begin, end, s.fields, s.channels);
    });
  });
  return out;
}

// grad [B, e], x [B, f, e] -> gradient of x
Tensor factorization_machine_backward(const Tensor& grad_any, const Tensor& x_any) {
  const FactorizationMachineShape s = check_factorization_machine_backward(grad_any, x_any);
  const Tensor grad = torch::stable::contiguous(grad_any), x = torch::stable::contiguous(x_any);
  Tensor grad_x = torch::stable::new_empty(x, x.sizes());
  if (grad_x.numel() == 0) return grad_x;
  for_type(NASREC_KERNELS(factorization_machine), x.scalar_type(), [&]<class T>(
      const FactorizationMachineKernels<T>& kernels) {
    const T* g = static_cast<const T*>(grad.const_data_ptr());
    const T* from = static_cast<const T*>(x.const_data_ptr());
    T* to = static_cast<T*>(grad_x.mutable_data_ptr());
    team_run(team_parts(2 * work_of(s)), [&](int part, int of) {
      const auto [begin, end] = split(s.batch, part, of);
      kernels.backward(g, from, to, begin, end, s.fields, s.channels);
    });
  });
  return grad_x;
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CPU, m) {
  m.impl("factorization_machine", TORCH_BOX(&nasrec::factorization_machine));
  m.impl("factorization_machine_backward", TORCH_BOX(&nasrec::factorization_machine_backward));
}
