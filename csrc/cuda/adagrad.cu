// Slices: blocks are dealt out over all slices of a launch, each takes a stretch of one. Rows: see row_sums.cuh.
#include "cuda/adagrad.h"

#include "cuda/launch.cuh"

#include <type_traits>

#include "cuda/row_sums.cuh"

namespace nasrec::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kStretch = kThreads * 8;  // elements of a slice that a block takes

// Where the blocks of each slice begin; the last entry is their number.
struct Starts {
  int64_t block[SliceChunk::kMaxSlices + 1];
};

template <class A> struct Factors {
  A lr, eps, weight_decay;
};

// g is the gradient; the state has been widened and is given back.
template <class A> __device__ A new_value(A p, A g, A& state, const Factors<A>& factors) {
  state += g * g;
  return p - factors.lr * g / (sqrt(state) + factors.eps);
}

template <class P, class S, class A>
__global__ void update(const SliceChunk slices, const Starts starts, const Factors<A> factors) {
  for (int64_t block = blockIdx.x; block < starts.block[slices.count]; block += gridDim.x) {
    int which = 0;
    while (starts.block[which + 1] <= block) ++which;
    const Slice& slice = slices.slices[which];
    const int64_t elements = slice.rows * slice.columns, begin = (block - starts.block[which]) * kStretch;
    const int64_t end = begin + kStretch < elements ? begin + kStretch : elements;
    for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
      const int64_t row = i / slice.columns, column = i % slice.columns;
      P* p = static_cast<P*>(slice.p) + row * slice.p_stride + column;
      S* state = static_cast<S*>(slice.state) + row * slice.state_stride + column;
      const A value = widen(*p);
      A g = widen(static_cast<const P*>(slice.grad)[row * slice.grad_stride + column]), sum = widen(*state);
      if (factors.weight_decay != 0) g += factors.weight_decay * value;
      const A next = new_value(value, g, sum, factors);
      narrow(sum, state);
      narrow(next, p);
    }
  }
}

// Summed over the threads of a group, in every one of them.
template <int Group, class A> __device__ A group_sum(A value) {
  const unsigned mask = Group == 32 ? 0xffffffffu : ((1u << (Group % 32)) - 1) << (threadIdx.x % 32 / Group * Group);
  for (int offset = Group / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(mask, value, offset);
  return value;
}

template <class P, class S, class A, int Group>
__global__ void update_rows(
    const P* grad, const SortedIds sorted, const FoundRows rows, const TableChunk tables, const TableChunk states,
    bool one_a_row, int64_t channels, const Factors<A> factors) {
  for_each_row<Group>(sorted, rows, tables.first, tables.count, [&](const RowTask& row, int lane) {
    const int64_t j = row.field - tables.first;
    P* p = static_cast<P*>(tables.data[j]) + row.id * tables.strides[j];
    S* state = static_cast<S*>(states.data[j]) + row.id * states.strides[j];
    if (!one_a_row) {
      for (int64_t k = lane; k < channels; k += Group) {
        A sum = widen(state[k]);
        const A next = new_value<A>(widen(p[k]), row_sum(grad, sorted, row, channels, k), sum, factors);
        narrow(sum, state + k);
        narrow(next, p + k);
      }
      return;
    }
    A squares = 0;
    for (int64_t k = lane; k < channels; k += Group) {
      const A g = row_sum(grad, sorted, row, channels, k);
      squares += g * g;
    }
    const A sum = widen(*state) + group_sum<Group>(squares) / static_cast<A>(channels);
    if (lane == 0) narrow(sum, state);
    const A factor = factors.lr / (sqrt(sum) + factors.eps);
    for (int64_t k = lane; k < channels; k += Group)
      narrow(widen(p[k]) - factor * row_sum(grad, sorted, row, channels, k), p + k);
  });
}

// Calls run with null pointers of the types of parameters, states and arithmetic.
template <class Run> void for_types(Element type, bool wide_state, const Run& run) {
  for_element(type, [&](auto* tag) {
    using P = std::remove_pointer_t<decltype(tag)>;
    using A = typename Accumulate<P>::type;
    const auto with = [&](auto* state) { run(tag, state, static_cast<A*>(nullptr)); };
    if constexpr (!std::is_same_v<P, A>) {
      if (wide_state) return with(static_cast<A*>(nullptr));
    }
    with(tag);
  });
}

template <class A> Factors<A> factors_of(const AdagradFactors& factors) {
  return {static_cast<A>(factors.lr), static_cast<A>(factors.eps), static_cast<A>(factors.weight_decay)};
}

}  // namespace

const char* adagrad(
    Element type, bool wide_state, const SliceChunk& slices, const AdagradFactors& factors, void* stream) {
  Starts starts{};
  for (int i = 0; i < slices.count; ++i) {
    const int64_t elements = slices.slices[i].rows * slices.slices[i].columns;
    starts.block[i + 1] = starts.block[i] + (elements + kStretch - 1) / kStretch;
  }
  if (starts.block[slices.count] == 0) return nullptr;
  for_types(type, wide_state, [&](auto* p, auto* state, auto* wide) {
    using P = std::remove_pointer_t<decltype(p)>;
    using S = std::remove_pointer_t<decltype(state)>;
    using A = std::remove_pointer_t<decltype(wide)>;
    update<P, S, A><<<grid_size(starts.block[slices.count]), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        slices, starts, factors_of<A>(factors));
  });
  return launch_error();
}

const char* adagrad_rows(
    Element type, bool wide_state, const void* grad, const SortedIds& sorted, const FoundRows& rows,
    const TableChunk& tables, const TableChunk& states, bool one_a_row, int64_t channels,
    const AdagradFactors& factors, void* stream) {
  for_types(type, wide_state, [&](auto* p, auto* state, auto* wide) {
    using P = std::remove_pointer_t<decltype(p)>;
    using S = std::remove_pointer_t<decltype(state)>;
    using A = std::remove_pointer_t<decltype(wide)>;
    for_group(channels, [&](auto group) {
      constexpr int kGroup = decltype(group)::value;
      update_rows<P, S, A, kGroup>
          <<<row_blocks(tables.count * sorted.batch, kGroup), kRowThreads, 0, static_cast<cudaStream_t>(stream)>>>(
              static_cast<const P*>(grad), sorted, rows, tables, states, one_a_row, channels, factors_of<A>(factors));
    });
  });
  return launch_error();
}

}  // namespace nasrec::cuda
