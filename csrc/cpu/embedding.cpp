#include "cpu/kernels/embedding.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstring>
#include <tuple>
#include <vector>

#include "checks/embedding.h"
#include "cpu/isa.h"
#include "cpu/scratch.h"
#include "cpu/sort_ids.h"
#include "cpu/team.h"
#include "operands.h"

namespace nasrec {
namespace {

// Multiply-adds that a row takes as long as: reading one that is in no cache, fetched ahead.
constexpr double kRowWork = 1000;

// ids int64 [B, n], tables [rows_j, e] -> [B, n, e]. What kind of gradient the tables get is autograd's affair.
Tensor embedding(const Tensor& ids_any, const std::vector<Tensor>& tables_any, bool /*sparse*/) {
  const EmbeddingShape s = check_embedding(ids_any, tables_any);
  const Tensor ids = torch::stable::contiguous(ids_any);
  const std::vector<Tensor> tables = side_by_side(tables_any);
  Tensor out = empty(tables[0], {s.batch, s.fields, s.channels});
  if (s.batch == 0) return out;
  const int64_t* ids_data = static_cast<const int64_t*>(ids.const_data_ptr());
  const int parts = team_parts(s.batch * s.fields * (kRowWork + s.channels));
  std::vector<int64_t> wrong(parts, -1), strides;
  for (const Tensor& table : tables) strides.push_back(table.stride(0));
  for_type(NASREC_KERNELS(embedding), out.scalar_type(), [&]<class T>(const EmbeddingKernels<T>& kernels) {
    const std::vector<const T*> data = data_of<T>(tables);
    const Tables<const T> all = {data.data(), s.rows.data(), strides.data(), s.fields};
    T* to = static_cast<T*>(out.mutable_data_ptr());
    team_run(parts, [&](int part, int of) {
      const auto [begin, end] = split(s.batch, part, of);
      wrong[part] = kernels.gather(ids_data, all, to, begin, end, s.channels);
    });
  });
  for (const int64_t index : wrong)
    if (index >= 0) throw_wrong_id("embedding", index, ids_data[index], s);
  return out;
}

void require_right_ids(const char* op, const SortedIds& sorted, const int64_t* ids, const EmbeddingShape& s) {
  int64_t field, sample;
  if (!sorted.find_wrong(&field, &sample)) return;
  const int64_t index = sample * s.fields + field;
  throw_wrong_id(op, index, ids[index], s);
}

struct Bytes {
  char* data;
  int64_t count;
};

void fill_with_zeros(const std::vector<Bytes>& all, int part, int parts) {
  for (const Bytes& bytes : all) {
    const auto [begin, end] = split(bytes.count, part, parts, 4096);
    if (begin < end) std::memset(bytes.data + begin, 0, static_cast<size_t>(end - begin));
  }
}

// grad [B, n, e], ids int64 [B, n] -> gradients [rows_j, e] of the tables, duplicates added in the batch's order
std::vector<Tensor> embedding_backward(const Tensor& grad_any, const Tensor& ids_any, const std::vector<int64_t>& rows) {
  const char* op = "embedding_backward";
  const EmbeddingShape s = check_embedding_backward(op, grad_any, ids_any, rows);
  const Tensor grad = torch::stable::contiguous(grad_any), ids = torch::stable::contiguous(ids_any);
  const int64_t* ids_data = static_cast<const int64_t*>(ids.const_data_ptr());
  std::vector<Tensor> out;
  std::vector<Bytes> to_clear;
  double cleared = 0;
  for (const int64_t count : rows) {
    out.push_back(empty(grad, {count, s.channels}));
    const int64_t bytes = out.back().numel() * static_cast<int64_t>(out.back().element_size());
    to_clear.push_back({static_cast<char*>(out.back().mutable_data_ptr()), bytes});
    cleared += static_cast<double>(bytes);
  }
  SortedIds sorted(columns_of(ids_data, s.batch, rows));
  for_type(NASREC_KERNELS(embedding), grad.scalar_type(), [&]<class T>(const EmbeddingKernels<T>& kernels) {
    const T* from = static_cast<const T*>(grad.const_data_ptr());
    const int parts = team_parts(sorted.work() + 4 * cleared);  // a core clears about 16 bytes a nanosecond
    team_run(
        parts,
        [&](int part, int of) {
          fill_with_zeros(to_clear, part, of);
          const auto [begin, end] = split(s.fields, part, of);
          for (int64_t j = begin; j < end; ++j) sorted.sort(j);
        },
        [&](int part, int of) {
          const auto [begin, end] = split(s.fields, part, of);
          const Scratch sum(s.channels * static_cast<int64_t>(sizeof(double)));
          for (int64_t j = begin; j < end; ++j) {
            if (sorted.keys(j) == nullptr) continue;
            const RowGradients<T> gradients = {
                sorted.keys(j), s.batch, from + j * s.channels, s.fields * s.channels};
            kernels.scatter(gradients, reinterpret_cast<T*>(to_clear[j].data), s.channels, sum.data());
          }
        });
  });
  require_right_ids(op, sorted, ids_data, s);
  return out;
}

// The same for the rows that occur: ids int64 [n, B] in ascending order, their gradients [n, B, e], and how many of
// them there are int64 [n]. What lies behind that is zero.
std::tuple<Tensor, Tensor, Tensor> embedding_backward_rows(
    const Tensor& grad_any, const Tensor& ids_any, const std::vector<int64_t>& rows) {
  const char* op = "embedding_backward_rows";
  const EmbeddingShape s = check_embedding_backward(op, grad_any, ids_any, rows);
  const Tensor grad = torch::stable::contiguous(grad_any), ids = torch::stable::contiguous(ids_any);
  const int64_t* ids_data = static_cast<const int64_t*>(ids.const_data_ptr());
  Tensor out_ids = empty(ids, {s.fields, s.batch});
  Tensor values = empty(grad, {s.fields, s.batch, s.channels});
  Tensor counts = empty(ids, {s.fields});
  int64_t* out_ids_data = static_cast<int64_t*>(out_ids.mutable_data_ptr());
  int64_t* counts_data = static_cast<int64_t*>(counts.mutable_data_ptr());
  SortedIds sorted(columns_of(ids_data, s.batch, rows));
  for_type(NASREC_KERNELS(embedding), grad.scalar_type(), [&]<class T>(const EmbeddingKernels<T>& kernels) {
    const T* from = static_cast<const T*>(grad.const_data_ptr());
    T* to = static_cast<T*>(values.mutable_data_ptr());
    team_run(team_parts(sorted.work()), [&](int part, int of) {
      const auto [begin, end] = split(s.fields, part, of);
      const Scratch sum(s.channels * static_cast<int64_t>(sizeof(double)));
      for (int64_t j = begin; j < end; ++j) {
        sorted.sort(j);
        if (sorted.keys(j) == nullptr) continue;
        const RowGradients<T> gradients = {sorted.keys(j), s.batch, from + j * s.channels, s.fields * s.channels};
        counts_data[j] = kernels.compact(
            gradients, out_ids_data + j * s.batch, to + j * s.batch * s.channels, s.channels, sum.data());
      }
    });
  });
  require_right_ids(op, sorted, ids_data, s);
  return {out_ids, values, counts};
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CPU, m) {
  m.impl("embedding", TORCH_BOX(&nasrec::embedding));
  m.impl("embedding_backward", TORCH_BOX(&nasrec::embedding_backward));
  m.impl("embedding_backward_rows", TORCH_BOX(&nasrec::embedding_backward_rows));
}
