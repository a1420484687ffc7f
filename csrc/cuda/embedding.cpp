#include "cuda/embedding.h"

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <limits>
#include <tuple>
#include <vector>

#include "checks/embedding.h"
#include "cuda/binding.h"
#include "cuda/sort_ids.h"
#include "operands.h"

namespace nasrec {
namespace {

// ids int64 [B, n], tables [rows_j, e] -> [B, n, e]. Does not wait for the device: a wrong id gives NaN, and
// find_wrong_id tells which it is.
Tensor embedding(const Tensor& ids_any, const std::vector<Tensor>& tables_any, bool /*sparse*/) {
  const EmbeddingShape s = check_embedding(ids_any, tables_any);
  const torch::stable::accelerator::DeviceGuard guard(ids_any.get_device_index());
  const Tensor ids = torch::stable::contiguous(ids_any);
  const std::vector<Tensor> tables = side_by_side(tables_any);
  Tensor out = empty(tables[0], {s.batch, s.fields, s.channels});
  if (out.numel() == 0) return out;
  void* stream = cuda::current_stream("embedding", out.get_device_index());
  for (const cuda::TableChunk& chunk : cuda::table_chunks(s.rows, &tables))
    cuda::require_launched(
        "embedding", cuda::embedding_gather(
                         cuda::element_of(out.scalar_type()), static_cast<const int64_t*>(ids.const_data_ptr()), chunk,
                         out.mutable_data_ptr(), s.batch, s.channels, stream));
  return out;
}

// ids int64 [B, n], rows of n tables -> int64 [1]: the place of the first id outside its table, or -1
Tensor find_wrong_id(const Tensor& ids_any, const std::vector<int64_t>& rows) {
  const char* op = "find_wrong_id";
  require_ids(op, ids_any, rows.size());
  const torch::stable::accelerator::DeviceGuard guard(ids_any.get_device_index());
  const Tensor ids = torch::stable::contiguous(ids_any);
  Tensor wrong = empty(ids, {1});
  // All bits set: the largest number of those that the kernel compares, which are unsigned.
  torch::stable::fill_(wrong, -1.0);
  void* stream = cuda::current_stream(op, ids.get_device_index());
  if (ids.numel() > 0)
    for (const cuda::TableChunk& chunk : cuda::table_chunks(rows, nullptr))
      cuda::require_launched(
          op, cuda::embedding_find_wrong(
                  static_cast<const int64_t*>(ids.const_data_ptr()), chunk,
                  static_cast<int64_t*>(wrong.mutable_data_ptr()), ids.size(0), stream));
  return wrong;
}

// grad [B, n, e], ids int64 [B, n] -> gradients [rows_j, e] of the tables, duplicates added in the batch's order
std::vector<Tensor> embedding_backward(const Tensor& grad_any, const Tensor& ids, const std::vector<int64_t>& rows) {
  const char* op = "embedding_backward";
  const EmbeddingShape s = check_embedding_backward(op, grad_any, ids, rows);
  const torch::stable::accelerator::DeviceGuard guard(ids.get_device_index());
  const Tensor grad = torch::stable::contiguous(grad_any);
  std::vector<Tensor> out;
  for (const int64_t count : rows) {
    const int64_t sizes[] = {count, s.channels};
    out.push_back(torch::stable::new_zeros(grad, {sizes, 2}));
  }
  if (grad.numel() == 0) return out;
  void* stream = cuda::current_stream(op, grad.get_device_index());
  const cuda::SortedRows sorted(op, ids, rows, stream);
  for (const cuda::TableChunk& chunk : cuda::table_chunks(rows, &out))
    cuda::require_launched(
        op, cuda::embedding_scatter(
                cuda::element_of(grad.scalar_type()), grad.const_data_ptr(), sorted.sorted(), sorted.rows(), chunk,
                s.channels, stream));
  return out;
}

// The same for the rows that occur: ids int64 [n, B] in ascending order, their gradients [n, B, e], and how many of
// them there are int64 [n]. What lies behind that is zero.
std::tuple<Tensor, Tensor, Tensor> embedding_backward_rows(
    const Tensor& grad_any, const Tensor& ids, const std::vector<int64_t>& rows) {
  const char* op = "embedding_backward_rows";
  const EmbeddingShape s = check_embedding_backward(op, grad_any, ids, rows);
  const torch::stable::accelerator::DeviceGuard guard(ids.get_device_index());
  const Tensor grad = torch::stable::contiguous(grad_any);
  const int64_t sizes[] = {s.fields, s.batch, s.channels};
  Tensor values = torch::stable::new_zeros(grad, {sizes, 3});
  if (s.batch == 0) return {torch::stable::new_empty(ids, {sizes, 2}), values, torch::stable::new_zeros(ids, {sizes, 1})};
  void* stream = cuda::current_stream(op, grad.get_device_index());
  const cuda::SortedRows sorted(op, ids, rows, stream);
  if (values.numel() > 0)
    cuda::require_launched(
        op, cuda::embedding_compact(
                cuda::element_of(grad.scalar_type()), grad.const_data_ptr(), sorted.sorted(), sorted.rows(),
                values.mutable_data_ptr(), s.channels, stream));
  return {sorted.found(), values, sorted.counts()};
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CUDA, m) {
  m.impl("embedding", TORCH_BOX(&nasrec::embedding));
  m.impl("embedding_backward", TORCH_BOX(&nasrec::embedding_backward));
  m.impl("embedding_backward_rows", TORCH_BOX(&nasrec::embedding_backward_rows));
  m.impl("find_wrong_id", TORCH_BOX(&nasrec::find_wrong_id));
}
