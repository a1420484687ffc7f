// Lookups: a thread per element. Gradients: ids come sorted by field; a block per field finds where each id starts, then
// a few threads per row add it up.
#include "cuda/embedding.h"

#include "cuda/launch.cuh"

#include <type_traits>

#include "cuda/row_sums.cuh"

namespace nasrec::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kScanThreads = 512;
constexpr int kWarp = 32;

__device__ inline bool in_table(int64_t id, int64_t rows) {
  return static_cast<uint64_t>(id) < static_cast<uint64_t>(rows);
}

template <class T>
__global__ void gather(const int64_t* ids, const TableChunk tables, T* out, int64_t elements, int64_t channels) {
  using A = typename Accumulate<T>::type;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < elements; i += step) {
    const int64_t channel = i % channels, row = i / channels;  // of [batch, tables.count, channels]
    const int64_t j = row % tables.count;
    const int64_t at = row / tables.count * tables.fields + tables.first + j;
    const int64_t id = ids[at];
    T value;
    if (in_table(id, tables.rows[j]))
      value = static_cast<const T*>(tables.data[j])[id * tables.strides[j] + channel];
    else
      narrow(static_cast<A>(NAN), &value);
    out[at * channels + channel] = value;
  }
}

__global__ void find_wrong(const int64_t* ids, const TableChunk tables, int64_t* wrong, int64_t count) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    const int64_t j = i % tables.count;
    const int64_t at = i / tables.count * tables.fields + tables.first + j;
    if (!in_table(ids[at], tables.rows[j]))
      atomicMin(reinterpret_cast<unsigned long long*>(wrong), static_cast<unsigned long long>(at));
  }
}

// A block per field. In each round a thread looks at one place; ballots count the starts before it.
__global__ void find_rows(
    const SortedIds sorted, const TableChunk tables, int64_t* found, int64_t* starts, int64_t* counts) {
  __shared__ int before_warp[kScanThreads / kWarp];
  const int64_t field = tables.first + blockIdx.x, rows = tables.rows[blockIdx.x], at = field * sorted.batch;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  int64_t total = 0;
  for (int64_t first = 0; first < sorted.batch; first += kScanThreads) {
    const int64_t i = first + threadIdx.x;
    const int64_t id = i < sorted.batch ? sorted.ids[at + i] : -1;
    const bool start = in_table(id, rows) && (i == 0 || sorted.ids[at + i - 1] != id);
    const unsigned ballot = __ballot_sync(0xffffffffu, start);
    if (lane == 0) before_warp[warp] = __popc(ballot);
    __syncthreads();
    int before = __popc(ballot & ((1u << lane) - 1)), round = 0;
    for (int w = 0; w < kScanThreads / kWarp; ++w) {
      if (w < warp) before += before_warp[w];
      round += before_warp[w];
    }
    if (start) {
      found[at + total + before] = id;
      starts[at + total + before] = i;
    }
    total += round;
    __syncthreads();  // before the next round writes before_warp
  }
  for (int64_t i = total + threadIdx.x; i < sorted.batch; i += kScanThreads) found[at + i] = starts[at + i] = 0;
  if (threadIdx.x == 0) counts[field] = total;
}

template <class T, int Group>
__global__ void scatter(
    const T* grad, const SortedIds sorted, const FoundRows rows, const TableChunk tables, int64_t channels) {
  for_each_row<Group>(sorted, rows, tables.first, tables.count, [&](const RowTask& row, int lane) {
    const int64_t j = row.field - tables.first;
    T* to = static_cast<T*>(tables.data[j]) + row.id * tables.strides[j];
    for (int64_t k = lane; k < channels; k += Group) narrow(row_sum(grad, sorted, row, channels, k), to + k);
  });
}

template <class T, int Group>
__global__ void compact(const T* grad, const SortedIds sorted, const FoundRows rows, T* values, int64_t channels) {
  for_each_row<Group>(sorted, rows, 0, sorted.fields, [&](const RowTask& row, int lane) {
    T* to = values + (row.field * sorted.batch + row.slot) * channels;
    for (int64_t k = lane; k < channels; k += Group) narrow(row_sum(grad, sorted, row, channels, k), to + k);
  });
}

unsigned blocks_for(int64_t threads) { return grid_size((threads + kThreads - 1) / kThreads); }

}  // namespace

const char* embedding_gather(
    Element type, const int64_t* ids, const TableChunk& tables, void* out, int64_t batch, int64_t channels,
    void* stream) {
  const int64_t elements = batch * tables.count * channels;
  for_element(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    gather<T><<<blocks_for(elements), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        ids, tables, static_cast<T*>(out), elements, channels);
  });
  return launch_error();
}

const char* embedding_find_wrong(
    const int64_t* ids, const TableChunk& tables, int64_t* wrong, int64_t batch, void* stream) {
  const int64_t count = batch * tables.count;
  find_wrong<<<blocks_for(count), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(ids, tables, wrong, count);
  return launch_error();
}

const char* embedding_find_rows(
    const SortedIds& sorted, const TableChunk& tables, int64_t* found, int64_t* starts, int64_t* counts, void* stream) {
  find_rows<<<tables.count, kScanThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      sorted, tables, found, starts, counts);
  return launch_error();
}

const char* embedding_scatter(
    Element type, const void* grad, const SortedIds& sorted, const FoundRows& rows, const TableChunk& tables,
    int64_t channels, void* stream) {
  for_element(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    for_group(channels, [&](auto group) {
      constexpr int kGroup = decltype(group)::value;
      scatter<T, kGroup>
          <<<row_blocks(tables.count * sorted.batch, kGroup), kRowThreads, 0, static_cast<cudaStream_t>(stream)>>>(
              static_cast<const T*>(grad), sorted, rows, tables, channels);
    });
  });
  return launch_error();
}

const char* embedding_compact(
    Element type, const void* grad, const SortedIds& sorted, const FoundRows& rows, void* values, int64_t channels,
    void* stream) {
  for_element(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    for_group(channels, [&](auto group) {
      constexpr int kGroup = decltype(group)::value;
      compact<T, kGroup>
          <<<row_blocks(sorted.fields * sorted.batch, kGroup), kRowThreads, 0, static_cast<cudaStream_t>(stream)>>>(
              static_cast<const T*>(grad), sorted, rows, static_cast<T*>(values), channels);
    });
  });
  return launch_error();
}

}  // namespace nasrec::cuda
