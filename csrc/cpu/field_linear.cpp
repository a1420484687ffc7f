#include "cpu/kernels/field_linear.h"

#include <torch/csrc/stable/library.h>

#include <tuple>

#include "checks/field_linear.h"
#include "cpu/linear.h"
#include "cpu/scratch.h"

namespace nasrec {
namespace {

FieldLinearShape shape_for_kernels(const ProductShape& s, size_t inputs, size_t pieces) {
  return {s.channels, s.columns, s.out, s.keep, s.norm, static_cast<int>(s.activation), static_cast<int64_t>(inputs),
          static_cast<int64_t>(pieces)};
}

// Parts that the batch is divided among, from the multiply-adds.
int parts_for(const ProductShape& s, int products) {
  const double work = 1.0 * s.batch * s.channels * s.rows() * (1.0 * s.columns * products + 32);
  return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(team_parts(work), s.batch)));
}

template <class T> Fields<const T> fields_of(const Tensor& x) {
  return {static_cast<const T*>(x.const_data_ptr()), x.size(1), x.stride(0), x.stride(1)};
}

template <class T> std::vector<Fields<const T>> all_fields_of(const std::vector<Tensor>& tensors) {
  std::vector<Fields<const T>> out;
  out.reserve(tensors.size());
  for (const Tensor& tensor : tensors) out.push_back(fields_of<T>(tensor));
  return out;
}

template <class T> std::vector<WeightPiece<const T>> pieces_of(const std::vector<Tensor>& walkable) {
  std::vector<WeightPiece<const T>> out;
  out.reserve(walkable.size());
  for (const Tensor& piece : walkable) {
    const Matrix<const T> matrix = matrix_of<T>(piece);
    out.push_back({matrix.data, piece.size(1), matrix.stride});
  }
  return out;
}

// inputs [B, f_j, e], pieces [out, k_i], vectors [out] -> y [B, keep, e], normalized [B, out, e], rstd [B, e]; see
// library.cpp
std::tuple<Tensor, Tensor, Tensor> field_linear(
    std::vector<Tensor> inputs_any, std::vector<Tensor> pieces_any, std::optional<Tensor> bias_any,
    std::optional<Tensor> gain_any, std::optional<Tensor> offset_any, double eps, int64_t activation, int64_t keep,
    bool save) {
  const ProductShape s = check_field_linear(inputs_any, pieces_any, bias_any, gain_any, offset_any, activation, keep);
  const std::vector<Tensor> inputs = side_by_side(inputs_any), pieces = all_walkable(pieces_any);
  const std::optional<Tensor> bias = packed(bias_any), gain = packed(gain_any), offset = packed(offset_any);
  const bool saved = save && s.norm;
  const Tensor& like = inputs[0];
  const ScalarType wide = accumulation_type(like.scalar_type());
  const Tensor y = empty(like, {s.batch, s.keep, s.channels});
  const Tensor normalized = saved ? empty(like, {s.batch, s.out, s.channels}) : empty(like, {0});
  const Tensor rstd = saved ? empty(like, wide, {s.batch, s.channels}) : empty(like, wide, {0});
  if (s.batch * s.channels * s.rows() == 0) return {y, normalized, rstd};
  for_type(NASREC_KERNELS(field_linear), y.scalar_type(), [&]<class T, class A>(
      const FieldLinearForwardKernels<T, A>& kernels) {
    const std::vector<Fields<const T>> fields = all_fields_of<T>(inputs);
    const std::vector<WeightPiece<const T>> weight = pieces_of<T>(pieces);
    const FieldLinearForward<T, A> forward = {
        shape_for_kernels(s, inputs.size(), pieces.size()), static_cast<A>(eps), fields.data(), weight.data(),
        data_of<T>(bias), data_of<T>(gain), data_of<T>(offset), static_cast<T*>(y.mutable_data_ptr()),
        data_if<T>(saved, normalized), data_if<A>(saved, rstd)};
    team_run(parts_for(s, 1), [&](int part, int parts) {
      const auto [begin, end] = split(s.batch, part, parts);
      const Scratch scratch(kernels.scratch_bytes(forward.s));
      kernels.run(forward, begin, end, scratch.data());
    });
  });
  return {y, normalized, rstd};
}

// Gradients of their tensors' sizes where needed, else [0].
std::vector<Tensor> empty_gradients(
    const std::vector<Tensor>& inputs, const std::vector<Tensor>& pieces, int64_t out, const std::vector<bool>& needs) {
  std::vector<Tensor> tensors;
  tensors.reserve(needs.size());
  const int64_t none = 0;
  using Sizes = torch::headeronly::IntHeaderOnlyArrayRef;
  const auto add = [&](Sizes sizes) {
    tensors.push_back(torch::stable::new_empty(inputs[0], needs[tensors.size()] ? sizes : Sizes(&none, 1)));
  };
  for (const Tensor& x : inputs) add(x.sizes());
  for (const Tensor& w : pieces) add(w.sizes());
  for (int vector = 0; vector < 3; ++vector) add({&out, 1});
  return tensors;
}

template <class T, class A>
void run_backward(
    const FieldLinearBackwardKernels<T, A>& kernels, const ProductShape& s, FieldLinearBackward<T, A> backward,
    FieldLinearGradients<T, A> gradients) {
  const int parts = parts_for(s, 2);
  const int64_t elements = kernels.sums_elements(backward.s);
  const Scratch sums_scratch(parts * elements * sizeof(A));
  A* sums = static_cast<A*>(sums_scratch.data());
  gradients.sums = sums;
  gradients.parts = parts;
  team_run(
      parts,
      [&](int part, int of) {
        const auto [begin, end] = split(s.batch, part, of);
        const Scratch scratch(kernels.scratch_bytes(backward.s));
        kernels.run(backward, begin, end, sums + part * elements, scratch.data());
      },
      [&](int part, int of) {
        const auto [begin, end] = split(s.columns, part, of, 16);
        kernels.finish_weight(gradients, begin, end);
        if (part == 0) kernels.finish_vectors(gradients);
      });
}

// grad [B, keep, e]; the rest as in the forward -> gradients of inputs, pieces, bias, gain, offset; see library.cpp
std::vector<Tensor> field_linear_backward(
    Tensor grad_any, std::vector<Tensor> inputs_any, std::vector<Tensor> pieces_any, std::optional<Tensor> gain_any,
    Tensor y_any, Tensor normalized_any, Tensor rstd_any, int64_t activation, std::vector<bool> needs) {
  const ProductShape s = check_field_linear_backward(
      grad_any, inputs_any, pieces_any, gain_any, y_any, normalized_any, rstd_any, activation, needs.size());
  const std::vector<Tensor> inputs = side_by_side(inputs_any), pieces = all_walkable(pieces_any);
  const std::optional<Tensor> gain = packed(gain_any);
  const Tensor grad = side_by_side(grad_any);
  const std::optional<Tensor> y = s.activation == Activation::none ? std::nullopt : packed(y_any);
  const std::optional<Tensor> normalized = s.norm ? packed(normalized_any) : std::nullopt;
  const std::optional<Tensor> rstd = s.norm ? packed(rstd_any) : std::nullopt;
  std::vector<Tensor> found = empty_gradients(inputs, pieces, s.out, needs);
  const size_t first_vector = inputs.size() + pieces.size();
  for_type(NASREC_KERNELS(field_linear_backward), grad.scalar_type(), [&]<class T, class A>(
      const FieldLinearBackwardKernels<T, A>& kernels) {
    const std::vector<Fields<const T>> fields = all_fields_of<T>(inputs);
    const std::vector<WeightPiece<const T>> weight = pieces_of<T>(pieces);
    std::vector<Fields<T>> grad_inputs;
    std::vector<WeightPiece<T>> grad_pieces;
    for (size_t j = 0; j < inputs.size(); ++j) {
      const int64_t size = inputs[j].size(1);
      grad_inputs.push_back({data_if<T>(needs[j], found[j]), size, size * s.channels, s.channels});
    }
    bool for_weight = false;
    for (size_t p = 0, at = inputs.size(); p < pieces.size(); ++p, ++at) {
      const int64_t size = pieces[p].size(1);
      grad_pieces.push_back({data_if<T>(needs[at], found[at]), size, size});
      for_weight = for_weight || needs[at];
    }
    const auto vector = [&](size_t i) { return data_if<T>(needs[first_vector + i], found[first_vector + i]); };
    const FieldLinearShape shape = shape_for_kernels(s, inputs.size(), pieces.size());
    const bool for_vectors = needs[first_vector] || needs[first_vector + 1] || needs[first_vector + 2];
    run_backward<T, A>(
        kernels, s,
        {shape, fields_of<T>(grad), fields.data(), weight.data(), data_of<T>(gain), data_of<T>(y),
         data_of<T>(normalized), data_of<A>(rstd), grad_inputs.data(), for_weight, for_vectors},
        {shape, nullptr, 0, grad_pieces.data(), vector(0), vector(1), vector(2)});
  });
  return found;
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CPU, m) {
  m.impl("field_linear", TORCH_BOX(&nasrec::field_linear));
  m.impl("field_linear_backward", TORCH_BOX(&nasrec::field_linear_backward));
}
