// The gradient before the product (dz) of a group's columns, and the sums that a part of the batch leaves behind.
#pragma once

#include "cpu/kernels/activation.h"
#include "cpu/kernels/field_group.h"

namespace nasrec {
namespace {

enum { kBias, kGain, kOffset, kVectorSums };

// Where one part's sums over its samples lie; see FieldLinearGradients.
template <class A> struct SumsLayout {
  int64_t stride;                 // of the transposed weight gradient, [columns][rows, filled up to whole vectors]
  int64_t vectors[kVectorSums];   // where [rows][a vector's lanes] begin
  int64_t elements;

  explicit SumsLayout(const FieldLinearShape& s) : stride(round_up(s.rows(), Lanes<A>::count)) {
    elements = s.columns * stride;
    for (int64_t& vector : vectors) {
      vector = elements;
      elements += s.rows() * Lanes<A>::count;
    }
  }
};

template <class A> struct Sums {
  SumsLayout<A> layout;
  A* data;
  void add(int vector, int64_t row, typename Lanes<A>::vec v) const {
    A* at = data + layout.vectors[vector] + row * Lanes<A>::count;
    store<A>(at, load<A>(at) + v);
  }
};

// Into lines of a panel: dz = (g - mean(g) - normalized mean(g normalized)) rstd with g = gain d(activation), zero
// behind `keep`; lanes behind a tail stay zero in every sum.
template <class T, class A, int Activation, int V, class At>
void norm_columns(
    const FieldLinearBackward<T, A>& f, const Column* columns, const A* gains, A* panel, int64_t stride,
    const Sums<A>& sums, At at) {
  typedef typename Lanes<A>::vec vec;
  const FieldLinearShape& s = f.s;
  A* dz[V];
  const T *grad[V], *y[V], *normalized[V];
  vec mean[V] = {}, slope[V] = {}, scale[V];
#pragma GCC unroll 3
  for (int v = 0; v < V; ++v) {
    dz[v] = panel + columns[v].lane;
    grad[v] = columns[v].in(f.grad);
    if constexpr (Activation != kNone) y[v] = f.y + columns[v].sample * s.keep * s.channels + columns[v].channel;
    normalized[v] = f.normalized + columns[v].sample * s.out * s.channels + columns[v].channel;
    scale[v] = at.load(f.rstd + columns[v].sample * s.channels + columns[v].channel);
  }
  for (int64_t i = 0; i < s.keep; ++i) {
    const A gain = gains[i];
    vec for_gain = {}, for_offset = {};
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) {
      const vec value = at.load(normalized[v] + i * s.channels);
      vec result = {};
      if constexpr (Activation != kNone) result = at.load(y[v] + i * s.channels);
      const vec d = deactivate<A, Activation>(at.load(grad[v] + i * f.grad.field_stride), result), g = d * gain;
      at.store(dz[v] + i * stride, g);
      mean[v] += g;
      slope[v] += g * value;
      for_offset += d;
      for_gain += d * value;
    }
    if (!f.for_vectors) continue;
    sums.add(kGain, i, for_gain);
    sums.add(kOffset, i, for_offset);
  }
#pragma GCC unroll 3
  for (int v = 0; v < V; ++v) {
    mean[v] *= scale[v] / static_cast<A>(s.out);
    slope[v] *= scale[v] / static_cast<A>(s.out);
  }
  for (int64_t i = 0; i < s.out; ++i) {
    vec for_bias = {};
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) {
      const vec g = i < s.keep ? at.load(dz[v] + i * stride) : vec{};
      const vec d = g * scale[v] - (mean[v] + at.load(normalized[v] + i * s.channels) * slope[v]);
      at.store(dz[v] + i * stride, d);
      for_bias += d;
    }
    if (f.for_vectors) sums.add(kBias, i, for_bias);
  }
}

template <class T, class A, int Activation, int V, class At>
void plain_columns(
    const FieldLinearBackward<T, A>& f, const Column* columns, A* panel, int64_t stride, const Sums<A>& sums, At at) {
  typedef typename Lanes<A>::vec vec;
  const FieldLinearShape& s = f.s;
  A* dz[V];
  const T *grad[V], *y[V];
#pragma GCC unroll 3
  for (int v = 0; v < V; ++v) {
    dz[v] = panel + columns[v].lane;
    grad[v] = columns[v].in(f.grad);
    if constexpr (Activation != kNone) y[v] = f.y + columns[v].sample * s.keep * s.channels + columns[v].channel;
  }
  for (int64_t i = 0; i < s.keep; ++i) {
    vec for_bias = {};
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) {
      vec result = {};
      if constexpr (Activation != kNone) result = at.load(y[v] + i * s.channels);
      const vec d = deactivate<A, Activation>(at.load(grad[v] + i * f.grad.field_stride), result);
      at.store(dz[v] + i * stride, d);
      for_bias += d;
    }
    if (f.for_vectors) sums.add(kBias, i, for_bias);
  }
}

}  // namespace
}  // namespace nasrec
