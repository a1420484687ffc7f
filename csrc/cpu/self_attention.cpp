#include "cpu/kernels/self_attention.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <tuple>

#include "checks/self_attention.h"
#include "cpu/isa.h"
#include "cpu/scratch.h"
#include "cpu/team.h"
#include "operands.h"

namespace nasrec {
namespace {

// qkv [B, f, 3e] -> out [B, f, e], reciprocals [B, heads, f]
std::tuple<Tensor, Tensor> self_attention(const Tensor& qkv_any, int64_t heads) {
  const SelfAttentionShape s = check_self_attention(qkv_any, heads);
  const Tensor qkv = torch::stable::contiguous(qkv_any);
  Tensor out = empty(qkv, {s.batch, s.fields, s.channels()});
  Tensor reciprocals = empty(qkv, accumulation_type(qkv.scalar_type()), {s.batch, heads, s.fields});
  if (out.numel() == 0) return {out, torch::stable::fill_(reciprocals, 1)};
  for_type(NASREC_KERNELS(self_attention), qkv.scalar_type(), [&]<class T, class A>(
      const SelfAttentionKernels<T, A>& kernels) {
    const T* from = static_cast<const T*>(qkv.const_data_ptr());
    T* to = static_cast<T*>(out.mutable_data_ptr());
    A* to_reciprocals = static_cast<A*>(reciprocals.mutable_data_ptr());
    team_run(team_parts(s.work()), [&](int part, int parts) {
      const auto [begin, end] = split(s.batch, part, parts);
      const int64_t at = begin * s.fields * s.channels();
      const Scratch scratch(kernels.scratch_bytes(s));
      kernels.forward(
          from + 3 * at, to + at, to_reciprocals + begin * heads * s.fields, end - begin, s, scratch.data());
    });
  });
  return {out, reciprocals};
}

// The forward's arguments and results and the gradient of out -> gradient of qkv [B, f, 3e]
Tensor self_attention_backward(
    const Tensor& grad_any, const Tensor& qkv_any, const Tensor& out_any, const Tensor& reciprocals_any,
    int64_t heads) {
  const SelfAttentionShape s = check_self_attention_backward(grad_any, qkv_any, out_any, reciprocals_any, heads);
  const Tensor grad = torch::stable::contiguous(grad_any), qkv = torch::stable::contiguous(qkv_any);
  const Tensor out = torch::stable::contiguous(out_any), reciprocals = torch::stable::contiguous(reciprocals_any);
  Tensor grad_qkv = torch::stable::new_empty(qkv, qkv.sizes());
  if (grad_qkv.numel() == 0) return grad_qkv;
  for_type(NASREC_KERNELS(self_attention), qkv.scalar_type(), [&]<class T, class A>(
      const SelfAttentionKernels<T, A>& kernels) {
    const T* from_grad = static_cast<const T*>(grad.const_data_ptr());
    const T* from = static_cast<const T*>(qkv.const_data_ptr());
    const T* from_out = static_cast<const T*>(out.const_data_ptr());
    const A* from_reciprocals = static_cast<const A*>(reciprocals.const_data_ptr());
    T* to = static_cast<T*>(grad_qkv.mutable_data_ptr());
    team_run(team_parts(2 * s.work()), [&](int part, int parts) {
      const auto [begin, end] = split(s.batch, part, parts);
      const int64_t at = begin * s.fields * s.channels();
      const Scratch scratch(kernels.scratch_bytes(s));
      kernels.backward(
          from_grad + at, from + 3 * at, from_out + at, from_reciprocals + begin * heads * s.fields, to + 3 * at,
          end - begin, s, scratch.data());
    });
  });
  return grad_qkv;
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CPU, m) {
  m.impl("self_attention", TORCH_BOX(&nasrec::self_attention));
  m.impl("self_attention_backward", TORCH_BOX(&nasrec::self_attention_backward));
}
