#include "cuda/adagrad.h"

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <vector>

#include "checks/adagrad.h"
#include "cuda/binding.h"
#include "cuda/sort_ids.h"

namespace nasrec {
namespace {

bool is_wide(const Tensor& state, const Tensor& param) { return state.scalar_type() != param.scalar_type(); }

cuda::Slice slice_of(const char* op, const Tensor& p, const Tensor& state, const Tensor& grad) {
  const SliceShape s = slice_shape(op, p, state, grad);
  return {p.mutable_data_ptr(), state.mutable_data_ptr(), grad.const_data_ptr(), s.rows, s.columns,
          s.p_stride,           s.state_stride,           s.grad_stride};
}

void adagrad_(
    const std::vector<Tensor>& params, const std::vector<Tensor>& states, const std::vector<Tensor>& grads_any,
    double lr, double eps, double weight_decay) {
  const char* op = "adagrad_";
  check_adagrad(params, states, grads_any);
  if (params.empty()) return;
  const torch::stable::accelerator::DeviceGuard guard(params[0].get_device_index());
  void* stream = cuda::current_stream(op, params[0].get_device_index());
  std::vector<Tensor> grads;
  for (const Tensor& grad : grads_any) grads.push_back(has_dense_rows(grad) ? grad : torch::stable::contiguous(grad));
  // All slices are looked at before the first is changed.
  std::vector<cuda::Slice> slices;
  for (size_t i = 0; i < params.size(); ++i) slices.push_back(slice_of(op, params[i], states[i], grads[i]));
  for (size_t first = 0; first < slices.size(); first += cuda::SliceChunk::kMaxSlices) {
    cuda::SliceChunk chunk{};
    chunk.count = static_cast<int>(std::min<size_t>(slices.size() - first, cuda::SliceChunk::kMaxSlices));
    std::copy_n(slices.begin() + static_cast<int64_t>(first), chunk.count, chunk.slices);
    cuda::require_launched(
        op, cuda::adagrad(
                cuda::element_of(params[0].scalar_type()), is_wide(states[0], params[0]), chunk,
                {lr, eps, weight_decay}, stream));
  }
}

// ids int64 [B, n] and the contiguous gradient [B, n, e] of what they look up
void update_rows(
    const char* op, const std::vector<Tensor>& tables, const std::vector<Tensor>& states,
    const std::vector<int64_t>& rows, const Tensor& ids, const Tensor& grad, int64_t channels,
    const cuda::AdagradFactors& factors) {
  if (grad.numel() == 0) return;
  void* stream = cuda::current_stream(op, ids.get_device_index());
  const cuda::SortedRows sorted(op, ids, rows, stream);
  const std::vector<cuda::TableChunk> table_chunks = cuda::table_chunks(rows, &tables);
  const std::vector<cuda::TableChunk> state_chunks = cuda::table_chunks(rows, &states);
  for (size_t i = 0; i < table_chunks.size(); ++i)
    cuda::require_launched(
        op, cuda::adagrad_rows(
                cuda::element_of(grad.scalar_type()), is_wide(states[0], tables[0]), grad.const_data_ptr(),
                sorted.sorted(), sorted.rows(), table_chunks[i], state_chunks[i], states[0].dim() == 1, channels,
                factors, stream));
}

// Ids outside their table change nothing.
void row_adagrad_(
    const std::vector<Tensor>& tables, const std::vector<Tensor>& states, const Tensor& ids, const Tensor& grad,
    double lr, double eps) {
  const EmbeddingShape s = check_row_adagrad(tables, states, ids, grad);
  const torch::stable::accelerator::DeviceGuard guard(ids.get_device_index());
  update_rows(
      "row_adagrad_", tables, states, s.rows, ids, torch::stable::contiguous(grad), s.channels, {lr, eps, 0});
}

// One table after the other, since their numbers of rows differ.
void sparse_adagrad_(
    const std::vector<Tensor>& tables, const std::vector<Tensor>& states, const std::vector<Tensor>& rows,
    const std::vector<Tensor>& grads, double lr, double eps) {
  const EmbeddingShape s = check_sparse_adagrad(tables, states, rows, grads);
  if (tables.empty()) return;
  const torch::stable::accelerator::DeviceGuard guard(tables[0].get_device_index());
  for (size_t j = 0; j < tables.size(); ++j) {
    Tensor listed = rows[j];
    update_rows(
        "sparse_adagrad_", {tables[j]}, {states[j]}, {s.rows[j]}, torch::stable::unsqueeze(listed, 1),
        torch::stable::contiguous(grads[j]), s.channels, {lr, eps, 0});
  }
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CUDA, m) {
  m.impl("adagrad_", TORCH_BOX(&nasrec::adagrad_));
  m.impl("row_adagrad_", TORCH_BOX(&nasrec::row_adagrad_));
  m.impl("sparse_adagrad_", TORCH_BOX(&nasrec::sparse_adagrad_));
}
