#include "cuda/field_linear.h"

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include "checks/field_linear.h"
#include "cuda/binding.h"
#include "cuda/join.h"
#include "operands.h"

namespace nasrec {
namespace {

// In the accumulation type.
Tensor empty_wide(const Tensor& like, std::initializer_list<int64_t> sizes) {
  return empty(like, accumulation_type(like.scalar_type()), sizes);
}

// The tensors as the kernels take them: neighbours along the last axis side by side, and joined where they are more
// than a kernel has places for.
std::vector<Tensor> prepared(const std::vector<Tensor>& tensors, size_t most) {
  return tensors.size() > most ? std::vector<Tensor>{cuda::concatenate(tensors, 1)} : side_by_side(tensors);
}

cuda::FieldParts fields_of(const std::vector<Tensor>& tensors) {
  cuda::FieldParts parts{};
  for (const Tensor& t : tensors) {
    const int at = parts.count++;
    parts.data[at] = t.mutable_data_ptr();
    parts.fields[at] = t.size(1);
    parts.sample_stride[at] = t.stride(0);
    parts.field_stride[at] = t.stride(1);
  }
  return parts;
}

cuda::WeightParts weight_of(const std::vector<Tensor>& pieces) {
  cuda::WeightParts parts{};
  for (const Tensor& t : pieces) {
    const int at = parts.count++;
    parts.data[at] = t.mutable_data_ptr();
    parts.columns[at] = t.size(1);
    parts.stride[at] = t.stride(0);
  }
  return parts;
}

cuda::FieldLinearLayer layer_of(const ProductShape& s, const Tensor& like) {
  return {cuda::element_of(like.scalar_type()), s.batch, s.channels, s.columns, s.rows(), s.out, s.keep, s.norm,
          static_cast<int>(s.activation)};
}

// inputs [B, f_j, e], pieces [out, k_i], vectors [out] -> y [B, keep, e], normalized [B, out, e], rstd [B, e]; see
// library.cpp
std::tuple<Tensor, Tensor, Tensor> field_linear(
    std::vector<Tensor> inputs_any, std::vector<Tensor> pieces_any, std::optional<Tensor> bias_any,
    std::optional<Tensor> gain_any, std::optional<Tensor> offset_any, double eps, int64_t activation, int64_t keep,
    bool save) {
  const char* op = "field_linear";
  const ProductShape s = check_field_linear(inputs_any, pieces_any, bias_any, gain_any, offset_any, activation, keep);
  const Tensor& like = inputs_any[0];
  const torch::stable::accelerator::DeviceGuard guard(like.get_device_index());
  const std::vector<Tensor> inputs = prepared(inputs_any, cuda::FieldParts::kMost);
  const std::vector<Tensor> pieces = prepared(pieces_any, cuda::WeightParts::kMost);
  const std::optional<Tensor> bias = packed(bias_any), gain = packed(gain_any), offset = packed(offset_any);
  const bool saved = save && s.norm;
  const Tensor y = empty(like, {s.batch, s.keep, s.channels});
  const Tensor normalized = saved ? empty(like, {s.batch, s.out, s.channels}) : empty(like, {0});
  const Tensor rstd = saved ? empty_wide(like, {s.batch, s.channels}) : empty_wide(like, {0});
  const cuda::FieldLinearLayer layer = layer_of(s, like);
  const Tensor scratch = empty_wide(like, {cuda::field_linear_scratch(layer)});
  cuda::require_launched(
      op, cuda::field_linear_forward(
              layer, fields_of(inputs), weight_of(pieces), data_of(bias), data_of(gain), data_of(offset), eps,
              y.mutable_data_ptr(), data_if(saved, normalized), data_if(saved, rstd), scratch.mutable_data_ptr(),
              cuda::current_stream(op, like.get_device_index())));
  return {y, normalized, rstd};
}

using Needs = std::vector<bool>;
bool any(const Needs& needs) { return std::find(needs.begin(), needs.end(), true) != needs.end(); }

// A gradient for each tensor that a kernel takes and that, or a part of which, needs one.
std::vector<std::optional<Tensor>> gradients_of(const std::vector<Tensor>& taken, const Needs& needs) {
  std::vector<std::optional<Tensor>> out;
  for (size_t i = 0; i < taken.size(); ++i) {
    const bool needed = taken.size() == needs.size() ? needs[i] : any(needs);
    out.push_back(needed ? std::optional<Tensor>(torch::stable::new_empty(taken[i], taken[i].sizes())) : std::nullopt);
  }
  return out;
}

// Moves the gradients to `results`, apart again where tensors were joined; [0] where not needed.
void deliver(
    const std::vector<std::optional<Tensor>>& made, const std::vector<Tensor>& asked, const Needs& needs,
    std::vector<Tensor>& results) {
  std::vector<Tensor> apart;
  if (made.size() != asked.size() && made[0]) {
    std::vector<int64_t> sizes;
    for (const Tensor& tensor : asked) sizes.push_back(tensor.size(1));
    Tensor joined = *made[0];
    apart = cuda::split(joined, sizes, 1);
  }
  for (size_t i = 0; i < asked.size(); ++i)
    results.push_back(!needs[i] ? empty(asked[i], {0}) : apart.empty() ? *made[i] : apart[i]);
}

cuda::FieldParts to_fields(const std::vector<Tensor>& taken, const std::vector<std::optional<Tensor>>& made) {
  cuda::FieldParts parts{};
  for (const Tensor& x : taken) {
    const int at = parts.count++;
    parts.data[at] = made[at] ? made[at]->mutable_data_ptr() : nullptr;
    parts.fields[at] = x.size(1);
    parts.sample_stride[at] = x.size(1) * x.size(2);
    parts.field_stride[at] = x.size(2);
  }
  return parts;
}

cuda::WeightParts to_weight(const std::vector<Tensor>& taken, const std::vector<std::optional<Tensor>>& made) {
  cuda::WeightParts parts{};
  for (const Tensor& w : taken) {
    const int at = parts.count++;
    parts.data[at] = made[at] ? made[at]->mutable_data_ptr() : nullptr;
    parts.columns[at] = parts.stride[at] = w.size(1);
  }
  return parts;
}

// grad [B, keep, e]; the rest as in the forward -> gradients of inputs, pieces, bias, gain, offset; see library.cpp
std::vector<Tensor> field_linear_backward(
    Tensor grad_any, std::vector<Tensor> inputs_any, std::vector<Tensor> pieces_any, std::optional<Tensor> gain_any,
    Tensor y_any, Tensor normalized_any, Tensor rstd_any, int64_t activation, Needs needs) {
  const char* op = "field_linear_backward";
  const ProductShape s = check_field_linear_backward(
      grad_any, inputs_any, pieces_any, gain_any, y_any, normalized_any, rstd_any, activation, needs.size());
  const Tensor& like = inputs_any[0];
  const torch::stable::accelerator::DeviceGuard guard(like.get_device_index());
  void* stream = cuda::current_stream(op, like.get_device_index());
  const std::vector<Tensor> inputs = prepared(inputs_any, cuda::FieldParts::kMost);
  const std::vector<Tensor> pieces = prepared(pieces_any, cuda::WeightParts::kMost);
  const std::vector<Tensor> grad = prepared({grad_any}, 1);
  const std::optional<Tensor> gain = packed(gain_any);
  const std::optional<Tensor> y = s.activation == Activation::none ? std::nullopt : packed(y_any);
  const std::optional<Tensor> normalized = s.norm ? packed(normalized_any) : std::nullopt;
  const std::optional<Tensor> rstd = s.norm ? packed(rstd_any) : std::nullopt;
  const auto first_piece = needs.begin() + inputs_any.size(), first_vector = needs.end() - 3;
  const Needs of_inputs(needs.begin(), first_piece), of_pieces(first_piece, first_vector);
  const Needs of_vectors(first_vector, needs.end());

  const cuda::FieldLinearLayer layer = layer_of(s, like);
  const auto grad_inputs = gradients_of(inputs, of_inputs), grad_pieces = gradients_of(pieces, of_pieces);
  const Tensor dz = empty_wide(like, {layer.panel_elements()});
  const Tensor sums = empty_wide(like, {any(of_vectors) ? 3 * layer.tiles() * layer.rows : 0});
  const Tensor partial =
      empty_wide(like, {any(of_pieces) ? cuda::field_linear_splits(layer) * layer.rows * layer.columns : 0});
  cuda::require_launched(
      op, cuda::field_linear_inputs_gradient(
              layer, fields_of(grad), weight_of(pieces), data_of(gain), data_of(y), data_of(normalized), data_of(rstd),
              dz.mutable_data_ptr(), to_fields(inputs, grad_inputs), data_if(any(of_vectors), sums), stream));
  if (any(of_pieces))
    cuda::require_launched(
        op, cuda::field_linear_weight_gradient(
                layer, dz.const_data_ptr(), fields_of(inputs), partial.mutable_data_ptr(), stream));

  std::vector<Tensor> results;
  results.reserve(needs.size());
  deliver(grad_inputs, inputs_any, of_inputs, results);
  std::vector<Tensor> vectors;
  for (int i = 0; i < 3; ++i) vectors.push_back(empty(like, {of_vectors[i] ? s.out : 0}));
  cuda::require_launched(
      op, cuda::field_linear_finish(
              layer, any(of_pieces), partial.const_data_ptr(), to_weight(pieces, grad_pieces), any(of_vectors),
              sums.const_data_ptr(), data_if(of_vectors[0], vectors[0]), data_if(of_vectors[1], vectors[1]),
              data_if(of_vectors[2], vectors[2]), stream));
  deliver(grad_pieces, pieces_any, of_pieces, results);
  results.insert(results.end(), vectors.begin(), vectors.end());
  return results;
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CUDA, m) {
  m.impl("field_linear", TORCH_BOX(&nasrec::field_linear));
  m.impl("field_linear_backward", TORCH_BOX(&nasrec::field_linear_backward));
}
