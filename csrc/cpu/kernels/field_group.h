// Groups of samples that fill vectors across samples and channels, so that every embedding size uses whole registers.
// A panel holds one line for each field (or row of the weight), and in a line the channels of the group's samples side
// by side: lane (sample, channel) at sample * width + channel. Nothing is transposed on the way in: fields run down.
#pragma once

#include "cpu/kernels/field_linear.h"
#include "cpu/kernels/field_tile.h"
#include "cpu/kernels/wide.h"

namespace nasrec {
namespace {

constexpr int64_t kMostVectors = 10;  // of a line; what `grouping` keeps to

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

struct Grouping {
  int64_t samples;  // of a group
  int64_t width;    // channels of a group: all of them unless one sample fills a line
  int64_t stride;   // distance of a panel's lines, with room behind for a whole vector from any lane
};

template <class A> Grouping grouping(int64_t channels) {
  constexpr int64_t n = Lanes<A>::count;
  if (channels >= 4 * n) {
    const int64_t blocks = (channels + 6 * n - 1) / (6 * n);
    const int64_t width = round_up((channels + blocks - 1) / blocks, n);
    return {1, width, width + n};
  }
  if (channels % n == 0) return {3, channels, 3 * channels};
  const int64_t samples = (6 * n + channels - 1) / channels;
  return {samples, channels, round_up(samples * channels, n) + n};
}

// Samples first_sample.. and channels first_channel.. of a tensor.
struct Group {
  int64_t first_sample, samples, first_channel, width;
  int64_t lanes() const { return samples * width; }
};

template <class A, class Body> void each_group(int64_t channels, int64_t begin, int64_t end, const Body& body) {
  const Grouping g = grouping<A>(channels);
  for (int64_t sample = begin; sample < end; sample += g.samples)
    for (int64_t channel = 0; channel < channels; channel += g.width)
      body(Group{sample, smaller(g.samples, end - sample), channel, smaller(g.width, channels - channel)});
}

// Whether the vectors of a line are vectors of the tensors too, so that these are read and written in place.
template <class T> bool in_place(const Group& group) {
  typedef typename Accumulate<T>::type A;
  return sizeof(T) == sizeof(A) && group.width % Lanes<A>::count == 0;
}

template <class A> int64_t vectors_of(const Group& group) {
  return (group.lanes() + Lanes<A>::count - 1) / Lanes<A>::count;
}

// Where a vector's lanes lie in a tensor, and in a panel's line.
struct Column {
  int64_t sample, channel, lane;
  template <class T> T* in(const Fields<T>& x) const { return x.data + sample * x.sample_stride + channel; }
};

template <int Size> struct Count { static constexpr int value = Size; };

// Calls body(columns, Count<1..3>, Whole or Part) for all columns of a group, up to three at once.
template <class A, class Body> void each_columns(const Group& group, const Body& body) {
  constexpr int64_t n = Lanes<A>::count;
  Column columns[3];
  int count = 0;
  const auto flush = [&](auto at) {
    if (count == 3) body(columns, Count<3>{}, at);
    if (count == 2) body(columns, Count<2>{}, at);
    if (count == 1) body(columns, Count<1>{}, at);
    count = 0;
  };
  const auto add = [&](int64_t sample, int64_t channel, auto at) {
    columns[count++] = {group.first_sample + sample, group.first_channel + channel, sample * group.width + channel};
    if (count == 3) flush(at);
  };
  const int64_t tail = group.width % n, whole = group.width - tail;
  for (int64_t sample = 0; sample < group.samples; ++sample)
    for (int64_t channel = 0; channel < whole; channel += n) add(sample, channel, Whole{});
  flush(Whole{});
  if (tail == 0) return;
  for (int64_t sample = 0; sample < group.samples; ++sample) add(sample, whole, Part{tail});
  flush(Part{tail});
}

// The group's vectors of a tensor, in place.
template <class T> void vectors_in_place(const Group& group, const Fields<T>& x, T** at) {
  constexpr int64_t n = kVectorBytes / sizeof(T);
  for (int64_t sample = 0; sample < group.samples; ++sample)
    for (int64_t channel = 0; channel < group.width; channel += n)
      *at++ = x.data + (group.first_sample + sample) * x.sample_stride + group.first_channel + channel;
}

template <class A, class Pointer> void vectors_of_panel(A* panel, int64_t count, Pointer* at) {
  for (int64_t v = 0; v < count; ++v) at[v] = panel + v * Lanes<A>::count;
}

// A group of x into lines of a panel, widened.
template <class T, class A> void into_panel(const Group& group, const Fields<const T>& x, A* panel, int64_t stride) {
  each_columns<A>(group, [&](const Column* columns, auto count, auto at) {
    for (int v = 0; v < count.value; ++v) {
      const T* from = columns[v].in(x);
      A* to = panel + columns[v].lane;
      for (int64_t i = 0; i < x.fields; ++i) at.store(to + i * stride, at.load(from + i * x.field_stride));
    }
  });
}

// Lines of a panel to where they belong in x, rounded.
template <class T, class A> void out_of_panel(const Group& group, const A* panel, int64_t stride, const Fields<T>& x) {
  each_columns<A>(group, [&](const Column* columns, auto count, auto at) {
    for (int v = 0; v < count.value; ++v) {
      const A* from = panel + columns[v].lane;
      T* to = columns[v].in(x);
      for (int64_t i = 0; i < x.fields; ++i) at.store(to + i * x.field_stride, at.load(from + i * stride));
    }
  });
}

// Samples first..end of a tensor, whole or not at all.
template <class T> void fetch_ahead(const Fields<T>& x, int64_t channels, int64_t first, int64_t end, Ahead& ahead) {
  if (x.field_stride != channels || x.data == nullptr) return;
  const int64_t bytes = x.fields * channels * static_cast<int64_t>(sizeof(T));
  if (x.sample_stride == x.fields * channels) return ahead.add(x.data + first * x.sample_stride, (end - first) * bytes);
  for (int64_t sample = first; sample < end; ++sample) ahead.add(x.data + sample * x.sample_stride, bytes);
}

}  // namespace
}  // namespace nasrec
