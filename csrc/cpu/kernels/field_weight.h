// The weight of a linear map along the fields as its kernels take it, and how they divide their scratch memory.
#pragma once

#include "cpu/kernels/field_group.h"

namespace nasrec {
namespace {

// Hands out pieces of one block of memory, each on a cache line; from null, only counts.
class Carver {
 public:
  explicit Carver(void* base) : base_(static_cast<char*>(base)) {}
  template <class T> T* take(int64_t count) {
    char* piece = base_ == nullptr ? nullptr : base_ + bytes_;
    bytes_ += round_up(count * static_cast<int64_t>(sizeof(T)), 64);
    return reinterpret_cast<T*>(piece);
  }
  int64_t bytes() const { return bytes_; }

 private:
  char* base_;
  int64_t bytes_ = 0;
};

// The leading rows of all pieces side by side, widened.
template <class T, class A>
void join_pieces(const WeightPiece<const T>* pieces, int64_t count, int64_t rows, A* matrix, int64_t stride) {
  for (int64_t p = 0; p < count; matrix += pieces[p++].columns)
    for (int64_t i = 0; i < rows; ++i)
      each_vector<A>(0, pieces[p].columns, [&](int64_t j, auto at) {
        at.store(matrix + i * stride + j, at.load(pieces[p].data + i * pieces[p].stride + j));
      });
}

// Subtracts from every column its mean. Once more for what rounding of the first mean has left.
template <class A> void center_columns(A* matrix, int64_t stride, int64_t rows, int64_t columns) {
  for (int turn = 0; turn < 2; ++turn)
    for (int64_t j = 0; j < columns; j += Lanes<A>::count) {
      typename Lanes<A>::vec sum = {};
      for (int64_t i = 0; i < rows; ++i) sum += load<A>(matrix + i * stride + j);
      sum /= static_cast<A>(rows);
      for (int64_t i = 0; i < rows; ++i) store<A>(matrix + i * stride + j, load<A>(matrix + i * stride + j) - sum);
    }
}

// A vector widened; `missing` throughout where there is none.
template <class T, class A> void widen_vector(const T* from, A missing, int64_t size, A* to) {
  for (int64_t i = 0; i < size; ++i) to[i] = from == nullptr ? missing : widen(from[i]);
}

}  // namespace
}  // namespace nasrec
