// Gradients of equal ids added up, one id after the other. Anonymous namespace: see lanes.h.
#pragma once

#include "cpu/kernels/embedding.h"
#include "cpu/kernels/wide.h"

namespace nasrec {
namespace {

constexpr int64_t kAhead = 12;  // rows fetched before they are needed: about what one core can have under way

inline int64_t id_of(uint64_t key) { return static_cast<int64_t>(key >> 32); }
inline int64_t sample_of(uint64_t key) { return static_cast<int64_t>(key & 0xffffffffu); }

// The cache lines of a row; four of them at most, the processor follows by itself.
template <int Write> inline void prefetch_row(const void* row, int64_t bytes) {
  const char* at = static_cast<const char*>(row);
  for (int64_t line = 0; line < bytes && line < 256; line += 64) __builtin_prefetch(at + line, Write);
}

// Calls visit(id, sum of its gradients) for each id of keys begin..end, which start and end between two ids; ahead(id)
// some rows earlier, to fetch what the visit will touch.
template <class T, class Visit, class Ahead>
void for_each_row(
    const RowGradients<T>& grad, int64_t begin, int64_t end, int64_t channels, typename Accumulate<T>::type* sum,
    const Ahead& ahead, const Visit& visit) {
  typedef typename Accumulate<T>::type A;
  for (int64_t i = begin; i < end && i < begin + kAhead; ++i) ahead(id_of(grad.keys[i]));
  for (int64_t i = begin; i < end;) {
    const int64_t id = id_of(grad.keys[i]);
    const T* first = grad.data + sample_of(grad.keys[i]) * grad.stride;
    int64_t next = i + 1;
    const bool alone = next == end || id_of(grad.keys[next]) != id;
    const A* total = sum;
    bool in_place = false;
    if constexpr (sizeof(T) == sizeof(A)) {
      if (alone) {
        total = first;
        in_place = true;
      }
    }
    if (!in_place) {
      each_vector<A>(0, channels, [&](int64_t k, const auto& access) { access.store(sum + k, access.load(first + k)); });
      for (; next < end && id_of(grad.keys[next]) == id; ++next) {
        const T* more = grad.data + sample_of(grad.keys[next]) * grad.stride;
        each_vector<A>(0, channels, [&](int64_t k, const auto& access) {
          access.store(sum + k, access.load(sum + k) + access.load(more + k));
        });
      }
    }
    for (int64_t j = i; j < next; ++j) {
      if (j + kAhead >= end) break;
      ahead(id_of(grad.keys[j + kAhead]));
      prefetch_row<0>(grad.data + sample_of(grad.keys[j + kAhead]) * grad.stride, channels * sizeof(T));
    }
    visit(id, total);
    i = next;
  }
}

}  // namespace
}  // namespace nasrec
