#pragma once

#include "checks/require.h"

#include <vector>

namespace nasrec {

struct EmbeddingShape {
  int64_t batch, fields, channels;
  std::vector<int64_t> rows;  // of each field's table
};

// Positions in a batch and rows of a table are sorted as two halves of 64 bits.
constexpr int64_t kMostRows = int64_t{1} << 32;

inline void require_ids(const char* op, const Tensor& ids, size_t fields) {
  require(
      ids.dim() == 2 && fields >= 1 && ids.size(1) == static_cast<int64_t>(fields), op, "ids must be [B, ", fields,
      "], one column for each of at least one table, got ", shape_of(ids));
  require(
      ids.scalar_type() == ScalarType::Long, op, "ids must be int64, got ",
      torch::headeronly::toString(ids.scalar_type()));
  require(ids.size(0) < kMostRows, op, "a batch has fewer than 2^32 rows, got ", ids.size(0));
}

inline void require_rows(const char* op, int64_t rows) {
  require(rows < kMostRows, op, "a table has fewer than 2^32 rows, got ", rows);
}

// tables: [rows_j, e], at least one
inline EmbeddingShape check_tables(const char* op, const std::vector<Tensor>& tables) {
  EmbeddingShape shape{0, static_cast<int64_t>(tables.size()), 0, {}};
  for (const Tensor& table : tables) {
    require(table.dim() == 2, op, "a table must be [rows, e], got ", shape_of(table));
    if (shape.rows.empty()) {
      require_kernel_type(op, "a table", table);
      shape.channels = table.size(1);
    }
    require(
        table.size(1) == shape.channels, op, "tables must agree in channels, got ", shape_of(tables[0]), " and ",
        shape_of(table));
    require_same_type_and_device(op, "a table", table, "the first", tables[0]);
    require_rows(op, table.size(0));
    shape.rows.push_back(table.size(0));
  }
  return shape;
}

// ids int64 [B, n], tables [rows_j, e]
inline EmbeddingShape check_embedding(const Tensor& ids, const std::vector<Tensor>& tables, const char* op = "embedding") {
  require_ids(op, ids, tables.size());
  EmbeddingShape shape = check_tables(op, tables);
  require_same_device(op, "ids", ids, "the tables", tables[0]);
  shape.batch = ids.size(0);
  return shape;
}

// grad [B, n, e], ids int64 [B, n], the rows of n tables
inline EmbeddingShape check_embedding_backward(
    const char* op, const Tensor& grad, const Tensor& ids, const std::vector<int64_t>& rows) {
  require_ids(op, ids, rows.size());
  require(
      grad.dim() == 3 && grad.size(0) == ids.size(0) && grad.size(1) == ids.size(1), op, "grad must be [", ids.size(0),
      ", ", ids.size(1), ", e], got ", shape_of(grad));
  require_kernel_type(op, "grad", grad);
  require_same_device(op, "grad", grad, "ids", ids);
  for (const int64_t count : rows) {
    require(count >= 0, op, "a table cannot have ", count, " rows");
    require_rows(op, count);
  }
  return {ids.size(0), ids.size(1), grad.size(2), rows};
}

// The first id outside its table; `index` is its place in ids [B, n], row-major. Says the same as the reference.
[[noreturn]] inline void throw_wrong_id(const char* op, int64_t index, int64_t id, const EmbeddingShape& s) {
  const int64_t field = index % s.fields, rows = s.rows[field];
  require(
      false, op, "sparse field ", field, " holds id ", id, " in row ", index / s.fields,
      " of the batch, but its table has ", rows, " rows (ids 0 to ", rows - 1,
      "); raise the field's cardinality or hash the id");
  __builtin_unreachable();
}

// The same for a list of rows of one table.
[[noreturn]] inline void throw_wrong_row(const char* op, int64_t table, int64_t row, int64_t rows) {
  require(false, op, "row ", row, " does not exist in table ", table, " of ", rows, " rows (0 to ", rows - 1, ")");
  __builtin_unreachable();
}

}  // namespace nasrec
