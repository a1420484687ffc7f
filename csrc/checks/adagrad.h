#pragma once

#include <algorithm>
#include <vector>

#include "checks/embedding.h"
#include "checks/require.h"

namespace nasrec {

// A matrix view whose rows' elements are neighbours; whatever is contiguous is one row.
struct RowsView {
  int64_t rows, columns, stride;
};

inline bool has_dense_rows(const Tensor& tensor) {
  return tensor.is_contiguous() || tensor.dim() == 1 ||
         (tensor.dim() == 2 && (tensor.size(1) == 1 || tensor.stride(1) == 1));
}

// Fails unless the tensor can be written to as such a view.
inline RowsView rows_view(const char* op, const char* name, const Tensor& tensor) {
  const int64_t elements = tensor.numel();
  if (elements == 0) return {0, 0, 0};
  if (tensor.is_contiguous()) return {1, elements, elements};
  const int64_t last = tensor.dim() - 1;
  if (last == 0) return {elements, 1, tensor.stride(0)};
  require(
      has_dense_rows(tensor), op, name, " must be contiguous, a vector, or a matrix whose rows are contiguous; got ",
      shape_of(tensor), " with other strides");
  return {tensor.size(0), tensor.size(1), tensor.stride(0)};
}

// Parameter, state and gradient walked together: `rows` rows of `columns` neighbours.
struct SliceShape {
  int64_t rows, columns, p_stride, state_stride, grad_stride;
};

// Rows of one element where any of the three has such rows; one long row where all are contiguous.
inline SliceShape slice_shape(const char* op, const Tensor& p, const Tensor& state, const Tensor& grad) {
  RowsView views[] = {
      rows_view(op, "a parameter", p), rows_view(op, "a state", state), rows_view(op, "a gradient", grad)};
  int64_t rows = 0;
  for (const RowsView& view : views) rows = std::max(rows, view.rows);
  const int64_t columns = rows == 0 ? 0 : p.numel() / rows;
  for (RowsView& view : views)
    if (view.rows == 1) view.stride = columns;  // contiguous beside others that are not
  return {rows, columns, views[0].stride, views[1].stride, views[2].stride};
}

// float32 states may go with bfloat16 parameters.
inline void require_state_type(const char* op, const Tensor& state, const Tensor& parameter) {
  const ScalarType type = state.scalar_type(), parameter_type = parameter.scalar_type();
  require(
      type == parameter_type || (parameter_type == ScalarType::BFloat16 && type == ScalarType::Float), op,
      "a state must have the type of its parameter, or float32 beside bfloat16, got ",
      torch::headeronly::toString(type), " and ", torch::headeronly::toString(parameter_type));
  require_same_device(op, "a state", state, "its parameter", parameter);
}

inline void require_same_shape(const char* op, const char* name, const Tensor& tensor, const Tensor& parameter) {
  require(
      same_shape(tensor, parameter), op, name, " must have the shape of its parameter, got ", shape_of(tensor), " and ",
      shape_of(parameter));
}

inline void require_as_many(const char* op, const char* name, size_t count, size_t parameters) {
  require(count == parameters, op, "needs as many ", name, " as parameters, got ", count, " and ", parameters);
}

inline void check_adagrad(
    const std::vector<Tensor>& params, const std::vector<Tensor>& states, const std::vector<Tensor>& grads) {
  const char* op = "adagrad_";
  require_as_many(op, "states", states.size(), params.size());
  require_as_many(op, "gradients", grads.size(), params.size());
  for (size_t i = 0; i < params.size(); ++i) {
    require_kernel_type(op, "a parameter", params[i]);
    require_same_type_and_device(op, "a parameter", params[i], "the first", params[0]);
    require_same_shape(op, "a state", states[i], params[i]);
    require_state_type(op, states[i], params[i]);
    require_same_type_and_device(op, "a state", states[i], "the first", states[0]);
    require_same_shape(op, "a gradient", grads[i], params[i]);
    require_same_type_and_device(op, "a gradient", grads[i], "its parameter", params[i]);
  }
}

// tables [rows_j, e], states alike or [rows_j] for one state a row
inline EmbeddingShape check_row_states(
    const char* op, const std::vector<Tensor>& tables, const std::vector<Tensor>& states) {
  require_as_many(op, "states", states.size(), tables.size());
  const EmbeddingShape shape = check_tables(op, tables);
  for (size_t j = 0; j < tables.size(); ++j) {
    const Tensor& table = tables[j];
    const Tensor& state = states[j];
    require(
        table.size(1) <= 1 || table.stride(1) == 1, op, "the elements of a table's row must be neighbours, got ",
        shape_of(table), " with stride ", table.stride(1));
    require(
        state.dim() == states[0].dim() && state.dim() >= 1 && state.dim() <= 2 && state.size(0) == table.size(0) &&
            (state.dim() == 1 || (state.size(1) == table.size(1) && (state.size(1) <= 1 || state.stride(1) == 1))),
        op, "states must all be like their tables, or all [rows], got ", shape_of(state), " beside ", shape_of(table));
    require_state_type(op, state, table);
    require_same_type_and_device(op, "a state", state, "the first", states[0]);
  }
  return shape;
}

// grad [B, n, e] of the rows that ids int64 [B, n] name
inline EmbeddingShape check_row_adagrad(
    const std::vector<Tensor>& tables, const std::vector<Tensor>& states, const Tensor& ids, const Tensor& grad) {
  const char* op = "row_adagrad_";
  require_ids(op, ids, tables.size());
  EmbeddingShape shape = check_row_states(op, tables, states);
  require_same_device(op, "ids", ids, "the tables", tables[0]);
  shape.batch = ids.size(0);
  require(
      grad.dim() == 3 && grad.size(0) == shape.batch && grad.size(1) == shape.fields &&
          grad.size(2) == shape.channels,
      op, "grad must be [", shape.batch, ", ", shape.fields, ", ", shape.channels, "], got ", shape_of(grad));
  require_same_type_and_device(op, "grad", grad, "the tables", tables[0]);
  return shape;
}

// For each table: rows int64 [u_j], grads [u_j, e]
inline EmbeddingShape check_sparse_adagrad(
    const std::vector<Tensor>& tables, const std::vector<Tensor>& states, const std::vector<Tensor>& rows,
    const std::vector<Tensor>& grads) {
  const char* op = "sparse_adagrad_";
  const EmbeddingShape shape = check_row_states(op, tables, states);
  require_as_many(op, "row lists", rows.size(), tables.size());
  require_as_many(op, "gradients", grads.size(), tables.size());
  for (size_t j = 0; j < tables.size(); ++j) {
    require(
        rows[j].dim() == 1 && rows[j].scalar_type() == ScalarType::Long, op, "rows must be int64 [u], got ",
        torch::headeronly::toString(rows[j].scalar_type()), " ", shape_of(rows[j]));
    require(rows[j].size(0) < kMostRows, op, "fewer than 2^32 rows fit, got ", rows[j].size(0));
    require_same_device(op, "rows", rows[j], "the tables", tables[0]);
    require(
        grads[j].dim() == 2 && grads[j].size(0) == rows[j].size(0) && grads[j].size(1) == shape.channels, op,
        "a gradient must be [", rows[j].size(0), ", ", shape.channels, "], got ", shape_of(grads[j]));
    require_same_type_and_device(op, "a gradient", grads[j], "its table", tables[0]);
  }
  return shape;
}

}  // namespace nasrec
