// Ids of each field sorted on the device by torch, and the rows that they name, for lookups' gradients and updates.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "cuda/binding.h"
#include "cuda/embedding.h"
#include "operands.h"

namespace nasrec::cuda {

// Values and places of a stable sort along the last axis.
inline std::pair<Tensor, Tensor> stable_sort(const Tensor& x) {
  std::array<StableIValue, 4> stack{
      torch::stable::detail::from(x), torch::stable::detail::from(std::optional<bool>(true)),
      torch::stable::detail::from(int64_t{-1}), torch::stable::detail::from(false)};
  TORCH_ERROR_CODE_CHECK(torch_call_dispatcher("aten::sort", "stable", stack.data(), TORCH_ABI_VERSION));
  return {torch::stable::detail::to<Tensor>(stack[0]), torch::stable::detail::to<Tensor>(stack[1])};
}

// Tables in portions that a kernel can be given. Without data where only the sizes matter.
inline std::vector<TableChunk> table_chunks(const std::vector<int64_t>& rows, const std::vector<Tensor>* tables) {
  const int64_t fields = static_cast<int64_t>(rows.size());
  std::vector<TableChunk> chunks;
  for (int64_t first = 0; first < fields; first += TableChunk::kMaxTables) {
    TableChunk chunk{};
    chunk.first = first;
    chunk.fields = fields;
    chunk.count = static_cast<int>(std::min<int64_t>(fields - first, TableChunk::kMaxTables));
    for (int j = 0; j < chunk.count; ++j) {
      chunk.rows[j] = rows[first + j];
      if (tables == nullptr) continue;
      chunk.data[j] = (*tables)[first + j].mutable_data_ptr();
      chunk.strides[j] = (*tables)[first + j].stride(0);
    }
    chunks.push_back(chunk);
  }
  return chunks;
}

// Holds what the rows' kernels read. The batch is not empty.
class SortedRows {
 public:
  SortedRows(const char* op, const Tensor& ids, const std::vector<int64_t>& rows, void* stream)
      : batch_(ids.size(0)), fields_(ids.size(1)) {
    Tensor by_sample = ids;
    std::tie(sorted_, samples_) = stable_sort(torch::stable::contiguous(torch::stable::transpose(by_sample, 0, 1)));
    found_ = empty(ids, {fields_, batch_});
    starts_ = empty(ids, {fields_, batch_});
    counts_ = empty(ids, {fields_});
    for (const TableChunk& chunk : table_chunks(rows, nullptr))
      require_launched(
          op, embedding_find_rows(
                  sorted(), chunk, static_cast<int64_t*>(found_.mutable_data_ptr()),
                  static_cast<int64_t*>(starts_.mutable_data_ptr()),
                  static_cast<int64_t*>(counts_.mutable_data_ptr()), stream));
  }

  SortedIds sorted() const {
    return {
        static_cast<const int64_t*>(sorted_.const_data_ptr()), static_cast<const int64_t*>(samples_.const_data_ptr()),
        batch_, fields_};
  }
  FoundRows rows() const {
    return {
        static_cast<const int64_t*>(found_.const_data_ptr()), static_cast<const int64_t*>(starts_.const_data_ptr()),
        static_cast<const int64_t*>(counts_.const_data_ptr())};
  }
  const Tensor& found() const { return found_; }
  const Tensor& counts() const { return counts_; }

 private:
  int64_t batch_, fields_;
  Tensor sorted_, samples_, found_, starts_, counts_;
};

}  // namespace nasrec::cuda
