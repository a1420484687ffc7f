#include "cuda/linear.h"

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <array>
#include <tuple>

#include "checks/linear.h"
#include "cuda/binding.h"
#include "cuda/join.h"
#include "operands.h"

namespace nasrec {
namespace {

// out = a b by torch's own operator, which is cuBLAS here; out may be a view.
void multiply(const Tensor& a, const Tensor& b, const Tensor& out) {
  std::array<StableIValue, 3> stack{
      torch::stable::detail::from(a), torch::stable::detail::from(b), torch::stable::detail::from(out)};
  TORCH_ERROR_CODE_CHECK(torch_call_dispatcher("aten::mm", "out", stack.data(), TORCH_ABI_VERSION));
  torch::stable::detail::to<Tensor>(stack[0]);
}

// The tensors side by side; one alone is not copied.
Tensor joined(const std::vector<Tensor>& tensors) {
  return tensors.size() == 1 ? tensors[0] : cuda::concatenate(tensors, 1);
}

Tensor rows_of(Tensor matrix, int64_t first, int64_t count) { return torch::stable::narrow(matrix, 0, first, count); }
Tensor columns_of(Tensor matrix, int64_t first, int64_t count) { return torch::stable::narrow(matrix, 1, first, count); }

void* data_to(const std::optional<Tensor>& tensor) { return tensor ? tensor->mutable_data_ptr() : nullptr; }

cuda::LinearLayer layer_of(const ProductShape& s, const Tensor& like) {
  return {cuda::element_of(like.scalar_type()), s.batch, s.rows(), s.keep, s.norm, static_cast<int>(s.activation)};
}

// inputs [B, n_j], pieces [out, k_i], vectors [out] -> y [B, keep], normalized [B, out], rstd [B]; see library.cpp
std::tuple<Tensor, Tensor, Tensor> linear(
    std::vector<Tensor> inputs, std::vector<Tensor> pieces, std::optional<Tensor> bias_any,
    std::optional<Tensor> gain_any, std::optional<Tensor> offset_any, double eps, int64_t activation, int64_t keep,
    bool save) {
  const ProductShape s = check_linear(inputs, pieces, bias_any, gain_any, offset_any, activation, keep);
  const Tensor& like = inputs[0];
  const torch::stable::accelerator::DeviceGuard guard(like.get_device_index());
  const std::optional<Tensor> bias = packed(bias_any), gain = packed(gain_any), offset = packed(offset_any);
  const bool saved = save && s.norm;
  const Tensor y = empty(like, {s.batch, s.keep});
  const Tensor normalized = saved ? empty(like, {s.batch, s.out}) : empty(like, {0});
  const Tensor rstd = empty(like, accumulation_type(like.scalar_type()), {saved ? s.batch : 0});
  // In the tensor that the epilogue overwrites unit by unit.
  const Tensor z = saved ? normalized : s.norm ? empty(like, {s.batch, s.out}) : y;
  // One product over joined operands: sums in bfloat16 between products of segments would round each time.
  multiply(joined(inputs), torch::stable::transpose(rows_of(joined(pieces), 0, s.rows()), 0, 1), z);
  cuda::require_launched(
      "linear",
      cuda::linear_forward(
          layer_of(s, like), z.const_data_ptr(), data_of(bias), data_of(gain), data_of(offset), eps,
          y.mutable_data_ptr(), data_if(saved, normalized), data_if(saved, rstd),
          cuda::current_stream("linear", like.get_device_index())));
  return {y, normalized, rstd};
}

// Gradients of their tensors' sizes where needed, else [0].
struct Gradients {
  std::vector<Tensor> inputs, pieces;
  std::optional<Tensor> bias, gain, offset;
  std::vector<Tensor> all;

  Gradients(const std::vector<Tensor>& xs, const std::vector<Tensor>& ws, int64_t out, const std::vector<bool>& needs) {
    const auto add = [&](std::initializer_list<int64_t> sizes) {
      all.push_back(needs[all.size()] ? empty(xs[0], sizes) : empty(xs[0], {0}));
      return all.back();
    };
    for (const Tensor& x : xs) inputs.push_back(add({x.size(0), x.size(1)}));
    for (const Tensor& w : ws) pieces.push_back(add({out, w.size(1)}));
    for (std::optional<Tensor>* vector : {&bias, &gain, &offset}) {
      const bool needed = needs[all.size()];
      const Tensor made = add({out});
      if (needed) *vector = made;
    }
  }
};

// grad [B, keep]; the rest as in the forward -> gradients of inputs, pieces, bias, gain, offset; see library.cpp
std::vector<Tensor> linear_backward(
    Tensor grad_any, std::vector<Tensor> inputs, std::vector<Tensor> pieces, std::optional<Tensor> gain_any,
    Tensor y_any, Tensor normalized_any, Tensor rstd_any, int64_t activation, std::vector<bool> needs) {
  const char* op = "linear_backward";
  const ProductShape s = check_linear_backward(
      grad_any, inputs, pieces, gain_any, y_any, normalized_any, rstd_any, activation, needs.size());
  const Tensor& like = inputs[0];
  const torch::stable::accelerator::DeviceGuard guard(like.get_device_index());
  const Tensor grad = torch::stable::contiguous(grad_any), dz = empty(like, {s.batch, s.rows()});
  const std::optional<Tensor> gain = packed(gain_any);
  const std::optional<Tensor> y = s.activation == Activation::none ? std::nullopt : packed(y_any);
  const std::optional<Tensor> normalized = s.norm ? packed(normalized_any) : std::nullopt;
  const std::optional<Tensor> rstd = s.norm ? packed(rstd_any) : std::nullopt;
  const cuda::LinearLayer layer = layer_of(s, like);
  void* stream = cuda::current_stream(op, like.get_device_index());
  cuda::require_launched(
      op, cuda::linear_backward(
              layer, grad.const_data_ptr(), s.keep, data_of(gain), data_of(y), data_of(normalized), data_of(rstd),
              dz.mutable_data_ptr(), stream));
  Gradients to(inputs, pieces, s.out, needs);
  const int64_t behind = s.out - s.rows();  // units that no norm ties to the result
  for (const Segment& segment : s.segments) {
    const int64_t width = segment.width;
    if (needs[segment.input]) {
      const Tensor w = columns_of(rows_of(pieces[segment.piece], 0, s.rows()), segment.piece_column, width);
      multiply(dz, w, columns_of(to.inputs[segment.input], segment.input_column, width));
    }
    if (needs[inputs.size() + segment.piece]) {
      const Tensor dw = columns_of(to.pieces[segment.piece], segment.piece_column, width);
      const Tensor x = columns_of(inputs[segment.input], segment.input_column, width);
      multiply(torch::stable::transpose(dz, 0, 1), x, rows_of(dw, 0, s.rows()));
      if (behind > 0) {
        Tensor rest = rows_of(dw, s.rows(), behind);
        torch::stable::zero_(rest);
      }
    }
  }
  for (const std::optional<Tensor>* vector : {&to.bias, &to.gain, &to.offset}) {
    if (behind == 0 || !*vector) continue;
    Tensor rest = rows_of(**vector, s.rows(), behind);
    torch::stable::zero_(rest);
  }
  if (to.bias || to.gain || to.offset)
    cuda::require_launched(
        op, cuda::linear_sums(
                layer, grad.const_data_ptr(), s.keep, data_of(y), data_of(normalized), dz.const_data_ptr(),
                data_to(to.bias), data_to(to.gain), data_to(to.offset), stream));
  return std::move(to.all);
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CUDA, m) {
  m.impl("linear", TORCH_BOX(&nasrec::linear));
  m.impl("linear_backward", TORCH_BOX(&nasrec::linear_backward));
}
