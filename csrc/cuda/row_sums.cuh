// Sums of the gradients of equal ids, shared by lookups and optimiser updates.
#pragma once

#include "cuda/embedding.h"
#include "cuda/launch.cuh"

#include <type_traits>

namespace nasrec::cuda {

constexpr int kRowThreads = 128;

// A row that was found: its field, its number among those of the field, and the places of its id in the sorted column.
struct RowTask {
  int64_t field, slot, id, begin, end;
};

// Calls visit(RowTask, lane) for the rows of fields first..first+count-1, a group of `Group` neighbouring threads for
// each.
template <int Group, class Visit>
__device__ void for_each_row(
    const SortedIds& sorted, const FoundRows& rows, int64_t first, int64_t count, const Visit& visit) {
  const int64_t groups = static_cast<int64_t>(gridDim.x) * (kRowThreads / Group);
  const int lane = threadIdx.x % Group;
  for (int64_t task = static_cast<int64_t>(blockIdx.x) * (kRowThreads / Group) + threadIdx.x / Group;
       task < count * sorted.batch; task += groups) {
    const int64_t field = first + task / sorted.batch, slot = task % sorted.batch, found = rows.counts[field];
    if (slot >= found) continue;
    const int64_t at = field * sorted.batch, id = rows.ids[at + slot], begin = rows.starts[at + slot];
    int64_t end = slot + 1 < found ? rows.starts[at + slot + 1] : sorted.batch;
    // Behind the last row, ids beyond the table may follow.
    while (end > begin + 1 && sorted.ids[at + end - 1] != id) --end;
    visit(RowTask{field, slot, id, begin, end}, lane);
  }
}

// One channel of grad [batch, fields, channels], added up in the order of the batch: never by timing.
template <class T>
__device__ typename Accumulate<T>::type row_sum(
    const T* grad, const SortedIds& sorted, const RowTask& row, int64_t channels, int64_t channel) {
  typename Accumulate<T>::type sum = 0;
  const int64_t* samples = sorted.samples + row.field * sorted.batch;
#pragma unroll 4
  for (int64_t i = row.begin; i < row.end; ++i)
    sum += widen(grad[(samples[i] * sorted.fields + row.field) * channels + channel]);
  return sum;
}

// Calls run with an integral constant: how many threads a row of this many channels is given.
template <class Run> void for_group(int64_t channels, const Run& run) {
  if (channels <= 8) return run(std::integral_constant<int, 8>{});
  if (channels <= 16) return run(std::integral_constant<int, 16>{});
  run(std::integral_constant<int, 32>{});
}

inline unsigned row_blocks(int64_t rows, int group) {
  const int64_t rows_of_block = kRowThreads / group;
  return grid_size((rows + rows_of_block - 1) / rows_of_block);
}

}  // namespace nasrec::cuda
