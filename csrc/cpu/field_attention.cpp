#include "cpu/kernels/field_attention.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <tuple>
#include <vector>

#include "checks/field_attention.h"
#include "cpu/isa.h"
#include "cpu/scratch.h"
#include "cpu/team.h"
#include "operands.h"

namespace nasrec {
namespace {

// x [B, f, e] -> out and mixed [B, f, e], reciprocals [B, heads, f]
std::tuple<Tensor, Tensor, Tensor> field_attention(
    const Tensor& x_any, const std::vector<Tensor>& parameters_any, int64_t heads, int64_t padded, double eps) {
  const FieldAttentionShape s = check_field_attention(x_any, parameters_any, heads, padded, eps);
  const Tensor x = torch::stable::contiguous(x_any);
  const std::vector<Tensor> parameters = packed(parameters_any);
  const ScalarType wide = accumulation_type(x.scalar_type());
  Tensor out = torch::stable::new_empty(x, x.sizes()), mixed = torch::stable::new_empty(x, x.sizes(), wide);
  Tensor reciprocals = empty(x, wide, {s.batch, heads, s.fields});
  if (out.numel() == 0) return {out, mixed, torch::stable::fill_(reciprocals, 1)};
  for_type(NASREC_KERNELS(field_attention), x.scalar_type(), [&]<class T, class A>(
      const FieldAttentionKernels<T, A>& kernels) {
    const std::vector<const T*> data = data_of<T>(parameters);
    const T* from = static_cast<const T*>(x.const_data_ptr());
    T* to = static_cast<T*>(out.mutable_data_ptr());
    A* to_mixed = static_cast<A*>(mixed.mutable_data_ptr());
    A* to_reciprocals = static_cast<A*>(reciprocals.mutable_data_ptr());
    team_run(team_parts(s.work()), [&](int part, int parts) {
      const auto [begin, end] = split(s.batch, part, parts);
      const Scratch scratch(kernels.scratch_bytes(s));
      kernels.forward(from, data.data(), to, to_mixed, to_reciprocals, begin, end, s, scratch.data());
    });
  });
  return {out, mixed, reciprocals};
}

// The forward's arguments and results and the gradient of out -> gradients of x and of the parameters
std::vector<Tensor> field_attention_backward(
    const Tensor& grad_any, const Tensor& x_any, const std::vector<Tensor>& parameters_any, const Tensor& mixed_any,
    const Tensor& reciprocals_any, int64_t heads, int64_t padded, double eps) {
  const FieldAttentionShape s = check_field_attention_backward(
      grad_any, x_any, parameters_any, mixed_any, reciprocals_any, heads, padded, eps);
  const Tensor grad = torch::stable::contiguous(grad_any), x = torch::stable::contiguous(x_any);
  const Tensor mixed = torch::stable::contiguous(mixed_any), reciprocals = torch::stable::contiguous(reciprocals_any);
  const std::vector<Tensor> parameters = packed(parameters_any);
  std::vector<Tensor> gradients = {torch::stable::new_empty(x, x.sizes())};
  for (const Tensor& p : parameters) gradients.push_back(torch::stable::new_empty(p, p.sizes()));
  if (x.numel() == 0) {
    for (Tensor& gradient : gradients) torch::stable::fill_(gradient, 0);
    return gradients;
  }
  for_type(NASREC_KERNELS(field_attention), x.scalar_type(), [&]<class T, class A>(
      const FieldAttentionKernels<T, A>& kernels) {
    const std::vector<const T*> data = data_of<T>(parameters);
    std::vector<T*> to;
    for (Tensor& gradient : gradients) to.push_back(static_cast<T*>(gradient.mutable_data_ptr()));
    const T* from_grad = static_cast<const T*>(grad.const_data_ptr());
    const T* from = static_cast<const T*>(x.const_data_ptr());
    const A* from_mixed = static_cast<const A*>(mixed.const_data_ptr());
    const A* from_reciprocals = static_cast<const A*>(reciprocals.const_data_ptr());
    const int parts = team_parts(3 * s.work());
    const int64_t sums_size = kernels.sums_size(s), stage_size = kernels.scratch_bytes(s);
    const Scratch scratch(parts * (sums_size * static_cast<int64_t>(sizeof(A)) + stage_size + 64));
    A* sums = static_cast<A*>(scratch.data());
    char* stages = reinterpret_cast<char*>(sums + parts * sums_size);
    stages += -reinterpret_cast<uintptr_t>(stages) % 64;
    const auto samples = [&](int part, int) {
      const auto [begin, end] = split(s.batch, part, parts);
      kernels.backward(
          from_grad, from, data.data(), from_mixed, from_reciprocals, to[0], sums + part * sums_size, begin, end, s,
          stages + part * stage_size);
    };
    team_run(parts, samples);
    kernels.reduce(sums, parts, to.data() + 1, s);
  });
  return gradients;
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CPU, m) {
  m.impl("field_attention", TORCH_BOX(&nasrec::field_attention));
  m.impl("field_attention_backward", TORCH_BOX(&nasrec::field_attention_backward));
}
