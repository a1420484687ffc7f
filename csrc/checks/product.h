// Checks that the linear operators share, whether they run along units or along fields.
#pragma once

#include <limits>
#include <optional>
#include <vector>

#include "checks/require.h"

namespace nasrec {

// Columns of the joined inputs that lie within one input and one piece of the weight.
struct Segment {
  size_t input, piece;
  int64_t input_column, piece_column, width;
};

enum class Activation : int { none = 0, relu = 1, sigmoid = 2 };

struct ProductShape {
  int64_t batch, channels;  // channels: 1 along units
  int64_t columns, out, keep;
  bool norm;
  Activation activation;
  std::vector<Segment> segments;  // in the order of the columns, none of them empty

  // Rows of the weight that the result depends on: a norm reads all of them.
  int64_t rows() const { return norm ? out : keep; }
};

struct ShapesText {
  const std::vector<Tensor>& tensors;
};
inline ShapesText shapes_of(const std::vector<Tensor>& tensors) { return {tensors}; }

inline std::ostream& operator<<(std::ostream& text, const ShapesText& shapes) {
  for (const Tensor& tensor : shapes.tensors) text << (&tensor == &shapes.tensors.front() ? "" : ", ") << shape_of(tensor);
  return text;
}

// Boundaries of inputs and of pieces are independent of each other; both cover the same columns.
inline std::vector<Segment> merge_segments(const std::vector<Tensor>& inputs, const std::vector<Tensor>& pieces) {
  std::vector<Segment> segments;
  segments.reserve(inputs.size() + pieces.size());
  size_t piece = 0;
  int64_t piece_column = 0;
  for (size_t input = 0; input < inputs.size(); ++input) {
    const int64_t width = inputs[input].size(1);
    for (int64_t column = 0; column < width;) {
      const int64_t left = pieces[piece].size(1) - piece_column;
      if (left == 0) {
        ++piece;
        piece_column = 0;
        continue;
      }
      const int64_t step = left < width - column ? left : width - column;
      segments.push_back({input, piece, column, piece_column, step});
      column += step;
      piece_column += step;
    }
  }
  return segments;
}

// inputs [B, n_j] (dims 2) or [B, f_j, e] (dims 3), pieces of the weight [out, k_i]; sizes fit a vendor BLAS.
inline ProductShape check_operands(
    const char* op, int64_t dims, const std::vector<Tensor>& inputs, const std::vector<Tensor>& pieces) {
  require(!inputs.empty(), op, "needs at least one input");
  require(!pieces.empty(), op, "needs at least one piece of the weight");
  require_kernel_type(op, "inputs", inputs[0]);
  ProductShape s{};
  for (const Tensor& x : inputs) {
    require(x.dim() == dims, op, "inputs must be ", dims == 2 ? "[B, n]" : "[B, f, e]", ", got ", shapes_of(inputs));
    require(
        x.size(0) == inputs[0].size(0) && (dims == 2 || x.size(2) == inputs[0].size(2)), op,
        "inputs must agree in all but axis 1, got ", shapes_of(inputs));
    require_same_type_and_device(op, "inputs", x, "the first", inputs[0]);
    s.columns += x.size(1);
  }
  s.batch = inputs[0].size(0);
  s.channels = dims == 2 ? 1 : inputs[0].size(2);
  int64_t columns = 0;
  bool fits = true;
  for (const Tensor& w : pieces) {
    fits = fits && w.dim() == 2 && w.size(0) == pieces[0].size(0);
    if (fits) columns += w.size(1);
  }
  require(
      fits && columns == s.columns, op, "weight must be [out, ", s.columns, "] for inputs ", shapes_of(inputs), ", got ",
      shapes_of(pieces));
  for (const Tensor& w : pieces) require_same_type_and_device(op, "weight", w, "inputs", inputs[0]);
  s.out = pieces[0].size(0);
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  require(
      s.batch <= most && s.channels <= most && s.columns <= most && s.out <= most, op, "every size must be below 2^31, ",
      "got inputs ", shapes_of(inputs), " and weight ", shapes_of(pieces));
  s.segments = merge_segments(inputs, pieces);
  return s;
}

inline void require_vector(
    const char* op, const char* name, const std::optional<Tensor>& vector, int64_t size, const Tensor& input) {
  if (!vector) return;
  require(vector->dim() == 1 && vector->size(0) == size, op, name, " must be [", size, "], got ", shape_of(*vector));
  require_same_type_and_device(op, name, *vector, "inputs", input);
}

inline Activation check_activation(const char* op, int64_t activation) {
  require(activation >= 0 && activation <= 2, op, "activation must be 0 (none), 1 (relu) or 2 (sigmoid), got ", activation);
  return static_cast<Activation>(activation);
}

// Operands of a forward; keep -1: all rows.
inline ProductShape check_product(
    const char* op, int64_t dims, const std::vector<Tensor>& inputs, const std::vector<Tensor>& pieces,
    const std::optional<Tensor>& bias, const std::optional<Tensor>& norm_weight,
    const std::optional<Tensor>& norm_bias, int64_t activation, int64_t keep) {
  ProductShape s = check_operands(op, dims, inputs, pieces);
  require_vector(op, "bias", bias, s.out, inputs[0]);
  require_vector(op, "norm_weight", norm_weight, s.out, inputs[0]);
  require_vector(op, "norm_bias", norm_bias, s.out, inputs[0]);
  require(norm_weight.has_value() == norm_bias.has_value(), op, "norm_weight and norm_bias go together");
  require(keep >= -1 && keep <= s.out, op, "keep must lie in 0..", s.out, ", got ", keep);
  s.norm = norm_weight.has_value();
  s.activation = check_activation(op, activation);
  s.keep = keep < 0 ? s.out : keep;
  return s;
}

// Operands of a backward: grad has `keep` entries on axis 1. y, normalized and rstd are the forward's results, read only
// where there is an activation (y) or a norm (the others).
inline ProductShape check_product_backward(
    const char* op, int64_t dims, const Tensor& grad, const std::vector<Tensor>& inputs,
    const std::vector<Tensor>& pieces, const std::optional<Tensor>& norm_weight, const Tensor& y,
    const Tensor& normalized, const Tensor& rstd, int64_t activation, size_t needs) {
  ProductShape s = check_operands(op, dims, inputs, pieces);
  require_vector(op, "norm_weight", norm_weight, s.out, inputs[0]);
  s.norm = norm_weight.has_value();
  s.activation = check_activation(op, activation);
  require(
      grad.dim() == dims && grad.size(0) == s.batch && grad.size(1) <= s.out && (dims == 2 || grad.size(2) == s.channels),
      op, "grad must be like the result for inputs ", shapes_of(inputs), " and weight ", shapes_of(pieces), ", got ",
      shape_of(grad));
  s.keep = grad.size(1);
  require_same_type_and_device(op, "grad", grad, "inputs", inputs[0]);
  if (s.activation != Activation::none) {
    require(same_shape(y, grad), op, "y must be ", shape_of(grad), ", got ", shape_of(y));
    require_same_type_and_device(op, "y", y, "inputs", inputs[0]);
  }
  if (s.norm) {
    require(
        normalized.numel() == s.batch * s.out * s.channels && rstd.numel() == s.batch * s.channels, op,
        "normalized and rstd must be what a forward with save=True returned, got ", shape_of(normalized), " and ",
        shape_of(rstd));
    require_same_type_and_device(op, "normalized", normalized, "inputs", inputs[0]);
    const ScalarType wide = accumulation_type(inputs[0].scalar_type());
    require(
        rstd.scalar_type() == wide && rstd.is_cuda() == normalized.is_cuda(), op, "rstd must be the forward's, in ",
        torch::headeronly::toString(wide));
  }
  require(
      needs == inputs.size() + pieces.size() + 3, op, "needs must have ", inputs.size() + pieces.size() + 3,
      " entries, got ", needs);
  return s;
}

}  // namespace nasrec
