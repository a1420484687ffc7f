#include "cpu/kernels/adagrad.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <utility>
#include <vector>

#include "checks/adagrad.h"
#include "cpu/isa.h"
#include "cpu/scratch.h"
#include "cpu/sort_ids.h"
#include "cpu/team.h"
#include "operands.h"

namespace nasrec {
namespace {

constexpr double kElementWork = 64;  // multiply-adds that one element takes as long as: five loads and stores
constexpr double kRowWork = 3000;    // and one row that is in no cache, with its state

template <class Run> void for_types(ScalarType parameter, ScalarType state, const Run& run) {
  const AdagradTable& table = NASREC_KERNELS(adagrad);
  if (parameter == ScalarType::BFloat16 && state == ScalarType::Float) return run(table.bfloat16_float32);
  for_type(table, parameter, run);
}

template <class P, class S> struct Slice : SliceShape {
  P* p;
  S* state;
  const P* grad;
};

template <class P, class S> Slice<P, S> slice_of(const Tensor& p, const Tensor& state, const Tensor& grad) {
  return {
      slice_shape("adagrad_", p, state, grad), static_cast<P*>(p.mutable_data_ptr()),
      static_cast<S*>(state.mutable_data_ptr()), static_cast<const P*>(grad.const_data_ptr())};
}

// Elements begin..end of a slice.
template <class P, class S>
void update(
    const AdagradKernels<P, S>& kernels, const Slice<P, S>& slice, int64_t begin, int64_t end,
    const AdagradFactors& factors) {
  while (begin < end) {
    const int64_t row = begin / slice.columns, column = begin % slice.columns;
    const int64_t count = std::min(slice.columns - column, end - begin);
    kernels.update(
        slice.p + row * slice.p_stride + column, slice.state + row * slice.state_stride + column,
        slice.grad + row * slice.grad_stride + column, count, factors);
    begin += count;
  }
}

void adagrad_(
    const std::vector<Tensor>& params, const std::vector<Tensor>& states, const std::vector<Tensor>& grads_any,
    double lr, double eps, double weight_decay) {
  check_adagrad(params, states, grads_any);
  if (params.empty()) return;
  std::vector<Tensor> grads;
  for (const Tensor& grad : grads_any) grads.push_back(has_dense_rows(grad) ? grad : torch::stable::contiguous(grad));
  for_types(params[0].scalar_type(), states[0].scalar_type(), [&]<class P, class S>(const AdagradKernels<P, S>& kernels) {
    std::vector<Slice<P, S>> slices;
    double elements = 0;
    for (size_t i = 0; i < params.size(); ++i) {
      slices.push_back(slice_of<P, S>(params[i], states[i], grads[i]));
      elements += static_cast<double>(params[i].numel());
    }
    const AdagradFactors factors = {lr, eps, weight_decay};
    team_run(team_parts(elements * kElementWork), [&](int part, int of) {
      for (const Slice<P, S>& slice : slices) {
        // Parts begin on cache lines, and small slices go to one part each.
        const auto [begin, end] = split(slice.rows * slice.columns, part, of, 16);
        update(kernels, slice, begin, end, factors);
      }
    });
  });
}

// Sorts all columns, and then updates each row that occurs once. Nothing has changed when an id is wrong.
template <class P, class S>
void update_rows(
    const AdagradKernels<P, S>& kernels, const std::vector<Tensor>& tables, const std::vector<Tensor>& states,
    SortedIds& sorted, const std::vector<std::pair<const P*, int64_t>>& grads, int64_t channels,
    const AdagradFactors& factors) {
  std::vector<RowStates<P, S>> rows;
  for (size_t j = 0; j < tables.size(); ++j)
    rows.push_back(
        {static_cast<P*>(tables[j].mutable_data_ptr()), tables[j].stride(0),
         static_cast<S*>(states[j].mutable_data_ptr()), states[j].stride(0), states[j].dim() == 1});
  team_run(
      team_parts(sorted.work() + static_cast<double>(sorted.total()) * kRowWork),
      [&](int part, int of) {
        const auto [begin, end] = split(sorted.columns(), part, of);
        for (int64_t j = begin; j < end; ++j) sorted.sort(j);
      },
      [&](int part, int of) {
        int64_t column, sample;
        if (sorted.find_wrong(&column, &sample)) return;
        const Scratch sum(channels * static_cast<int64_t>(sizeof(double)));
        for (int64_t j = 0; j < sorted.columns(); ++j) {
          const RowGradients<P> gradients = {sorted.keys(j), sorted.count(j), grads[j].first, grads[j].second};
          const auto [begin, end] = split(sorted.count(j), part, of);
          kernels.update_rows(
              rows[j], gradients, sorted.start_of_id(j, begin), sorted.start_of_id(j, end), channels, factors,
              sum.data());
        }
      });
}

void row_adagrad_(
    const std::vector<Tensor>& tables, const std::vector<Tensor>& states, const Tensor& ids_any, const Tensor& grad_any,
    double lr, double eps) {
  const EmbeddingShape s = check_row_adagrad(tables, states, ids_any, grad_any);
  const Tensor ids = torch::stable::contiguous(ids_any), grad = torch::stable::contiguous(grad_any);
  const int64_t* ids_data = static_cast<const int64_t*>(ids.const_data_ptr());
  SortedIds sorted(columns_of(ids_data, s.batch, s.rows));
  for_types(tables[0].scalar_type(), states[0].scalar_type(), [&]<class P, class S>(const AdagradKernels<P, S>& kernels) {
    const P* data = static_cast<const P*>(grad.const_data_ptr());
    std::vector<std::pair<const P*, int64_t>> grads;
    for (int64_t j = 0; j < s.fields; ++j) grads.push_back({data + j * s.channels, s.fields * s.channels});
    update_rows(kernels, tables, states, sorted, grads, s.channels, {lr, eps, 0});
  });
  int64_t field, sample;
  if (!sorted.find_wrong(&field, &sample)) return;
  const int64_t index = sample * s.fields + field;
  throw_wrong_id("row_adagrad_", index, ids_data[index], s);
}

void sparse_adagrad_(
    const std::vector<Tensor>& tables, const std::vector<Tensor>& states, const std::vector<Tensor>& rows_any,
    const std::vector<Tensor>& grads_any, double lr, double eps) {
  const EmbeddingShape s = check_sparse_adagrad(tables, states, rows_any, grads_any);
  if (tables.empty()) return;
  const std::vector<Tensor> rows = packed(rows_any), grads = packed(grads_any);
  std::vector<IdColumn> columns;
  for (size_t j = 0; j < tables.size(); ++j)
    columns.push_back({static_cast<const int64_t*>(rows[j].const_data_ptr()), 1, rows[j].size(0), s.rows[j]});
  SortedIds sorted(columns);
  for_types(tables[0].scalar_type(), states[0].scalar_type(), [&]<class P, class S>(const AdagradKernels<P, S>& kernels) {
    std::vector<std::pair<const P*, int64_t>> data;
    for (const Tensor& grad : grads) data.push_back({static_cast<const P*>(grad.const_data_ptr()), s.channels});
    update_rows(kernels, tables, states, sorted, data, s.channels, {lr, eps, 0});
  });
  int64_t table, at;
  if (!sorted.find_wrong(&table, &at)) return;
  throw_wrong_row("sparse_adagrad_", table, columns[table].ids[at], s.rows[table]);
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CPU, m) {
  m.impl("adagrad_", TORCH_BOX(&nasrec::adagrad_));
  m.impl("row_adagrad_", TORCH_BOX(&nasrec::row_adagrad_));
  m.impl("sparse_adagrad_", TORCH_BOX(&nasrec::sparse_adagrad_));
}
