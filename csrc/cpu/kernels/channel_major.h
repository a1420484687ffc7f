// A sample with its fields side by side: rows of one channel each, so that a vector holds one channel of neighbouring
// fields, and sums over channels or heads need no sum across lanes. Rows are a whole number of vectors long and zero
// behind the last field.
#pragma once

#include "cpu/kernels/wide.h"

namespace nasrec {
namespace {

// Distance of the rows of a sample of `fields` fields.
template <class A> int64_t row_stride(int64_t fields) {
  constexpr int64_t n = Lanes<A>::count;
  return (fields + n - 1) / n * n;
}

// `count` elements and zeros behind them.
template <class T> auto load_wide_first(const T* from, int64_t count) {
  typedef typename Accumulate<T>::type A;
  if (count >= Lanes<A>::count) return load_wide(from);
  T lanes[Lanes<A>::count] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  return load_wide(lanes);
}

template <class T> void store_narrow_first(T* to, typename Lanes<typename Accumulate<T>::type>::vec v, int64_t count) {
  constexpr int n = Lanes<typename Accumulate<T>::type>::count;
  if (count >= n) return store_narrow(to, v);
  T lanes[n];
  store_narrow(lanes, v);
  for (int64_t i = 0; i < count; ++i) to[i] = lanes[i];
}

// x [fields][channels] -> rows [channels][stride]
template <class T>
void to_channel_major(
    const T* x, int64_t fields, int64_t channels, typename Accumulate<T>::type* rows, int64_t stride) {
  typedef typename Accumulate<T>::type A;
  constexpr int n = Lanes<A>::count;
  for (int64_t first = 0; first < fields; first += n) {
    for (int64_t c = 0; c < channels; c += n) {
      typename Lanes<A>::vec square[n];
      if (first + n <= fields && c + n <= channels) {
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i) square[i] = load_wide(x + (first + i) * channels + c);
      } else {
        for (int i = 0; i < n; ++i) {
          square[i] = typename Lanes<A>::vec{};
          if (first + i < fields) square[i] = load_wide_first(x + (first + i) * channels + c, channels - c);
        }
      }
      transpose<A>(square);
      const int64_t count = channels - c < n ? channels - c : n;
      if (count == n) {
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i) store<A>(rows + (c + i) * stride + first, square[i]);
      } else {
        for (int64_t i = 0; i < count; ++i) store<A>(rows + (c + i) * stride + first, square[i]);
      }
    }
  }
}

// rows [channels][stride] -> x [fields][channels], rounded once
template <class T>
void from_channel_major(
    const typename Accumulate<T>::type* rows, int64_t stride, int64_t fields, int64_t channels, T* x) {
  typedef typename Accumulate<T>::type A;
  constexpr int n = Lanes<A>::count;
  for (int64_t first = 0; first < fields; first += n) {
    for (int64_t c = 0; c < channels; c += n) {
      typename Lanes<A>::vec square[n];
      if (c + n <= channels) {
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i) square[i] = load<A>(rows + (c + i) * stride + first);
      } else {
        for (int i = 0; i < n; ++i) {
          square[i] = typename Lanes<A>::vec{};
          if (c + i < channels) square[i] = load<A>(rows + (c + i) * stride + first);
        }
      }
      transpose<A>(square);
      if (first + n <= fields && c + n <= channels) {
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i) store_narrow(x + (first + i) * channels + c, square[i]);
      } else {
        for (int64_t i = 0; i < n && first + i < fields; ++i)
          store_narrow_first(x + (first + i) * channels + c, square[i], channels - c);
      }
    }
  }
}

// The first `count` entries of a row out of, and into, a stage whose rows are whole vectors, zero at the end.
template <class A> void copy_row(const A* row, A* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = row[i];
}
template <class A> void fill_row(const A* from, int64_t count, A* row, int64_t stride) {
  for (int64_t i = 0; i < count; ++i) row[i] = from[i];
  for (int64_t i = count; i < stride; ++i) row[i] = 0;
}

}  // namespace
}  // namespace nasrec
