#include "cuda/factorization_machine.h"

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "checks/factorization_machine.h"
#include "cuda/binding.h"
#include "operands.h"

namespace nasrec {
namespace {

// [B, f, e] -> [B, e]
Tensor factorization_machine(const Tensor& x_any) {
  const FactorizationMachineShape s = check_factorization_machine(x_any);
  const torch::stable::accelerator::DeviceGuard guard(x_any.get_device_index());
  const Tensor x = torch::stable::contiguous(x_any);
  Tensor out = empty(x, {s.batch, s.channels});
  if (out.numel() == 0) return out;
  cuda::require_launched(
      "factorization_machine",
      cuda::factorization_machine(
          cuda::element_of(x.scalar_type()), x.const_data_ptr(), out.mutable_data_ptr(), s.batch, s.fields, s.channels,
          cuda::current_stream("factorization_machine", x.get_device_index())));
  return out;
}

// grad [B, e], x [B, f, e] -> gradient of x
Tensor factorization_machine_backward(const Tensor& grad_any, const Tensor& x_any) {
  const FactorizationMachineShape s = check_factorization_machine_backward(grad_any, x_any);
  const torch::stable::accelerator::DeviceGuard guard(x_any.get_device_index());
  const Tensor grad = torch::stable::contiguous(grad_any), x = torch::stable::contiguous(x_any);
  Tensor grad_x = torch::stable::new_empty(x, x.sizes());
  if (grad_x.numel() == 0) return grad_x;
  cuda::require_launched(
      "factorization_machine_backward",
      cuda::factorization_machine_backward(
          cuda::element_of(x.scalar_type()), grad.const_data_ptr(), x.const_data_ptr(), grad_x.mutable_data_ptr(),
          s.batch, s.fields, s.channels,
          cuda::current_stream("factorization_machine_backward", x.get_device_index())));
  return grad_x;
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CUDA, m) {
  m.impl("factorization_machine", TORCH_BOX(&nasrec::factorization_machine));
  m.impl("factorization_machine_backward", TORCH_BOX(&nasrec::factorization_machine_backward));
}
