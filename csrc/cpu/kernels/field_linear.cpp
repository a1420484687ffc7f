// The linear map along the fields, forward, for one instruction set. A group of samples at a time goes through product,
// norm and activation while it is in the level-1 cache. The norm's mean is taken out of the weight beforehand: with
// columns of W (and the bias) centred over the rows, what the product yields has mean zero.
#include "cpu/kernels/activation.h"
#include "cpu/kernels/field_tile.h"
#include "cpu/kernels/field_weight.h"

namespace nasrec {
namespace {

template <class A> struct ForwardScratch {
  int64_t matrix_stride;
  A *matrix, *packed, *start, *gain, *offset, *z, *x;
  const A** at;
  Lines<A>* lines;
  int64_t bytes;

  ForwardScratch(const FieldLinearShape& s, void* base) {
    const int64_t panel = grouping<A>(s.channels).stride;
    matrix_stride = round_up(s.columns, Lanes<A>::count);
    Carver carver(base);
    matrix = carver.take<A>(s.rows() * matrix_stride);
    packed = carver.take<A>(s.rows() * s.columns);
    start = carver.take<A>(s.rows());
    gain = carver.take<A>(s.out);
    offset = carver.take<A>(s.out);
    z = carver.take<A>(s.rows() * panel);
    x = carver.take<A>(s.columns * panel);
    at = carver.take<const A*>(s.inputs * kMostVectors);
    lines = carver.take<Lines<A>>(s.inputs);
    bytes = carver.bytes();
  }
};

template <class T, class A> Packed<A> prepare(const FieldLinearForward<T, A>& f, const ForwardScratch<A>& to) {
  const FieldLinearShape& s = f.s;
  join_pieces(f.pieces, s.pieces, s.rows(), to.matrix, to.matrix_stride);
  widen_vector(f.bias, A(0), s.rows(), to.start);
  widen_vector(f.gain, A(1), s.out, to.gain);
  widen_vector(f.offset, A(0), s.out, to.offset);
  if (s.norm) {
    center_columns(to.matrix, to.matrix_stride, s.rows(), s.columns);
    for (int turn = 0; turn < 2; ++turn) {
      A mean = 0;
      for (int64_t i = 0; i < s.rows(); ++i) mean += to.start[i] / static_cast<A>(s.rows());
      for (int64_t i = 0; i < s.rows(); ++i) to.start[i] -= mean;
    }
  }
  pack_rows(to.matrix, to.matrix_stride, s.rows(), s.columns, to.packed);
  return {to.packed, s.rows(), s.columns};
}

// The inputs' lines of a group, one set for each input, or one of a panel that holds them all; returns how many.
template <class T, class A>
int64_t input_lines(const FieldLinearForward<T, A>& f, const Group& group, const ForwardScratch<A>& to) {
  if constexpr (sizeof(T) == sizeof(A)) {
    if (in_place<T>(group)) {
      for (int64_t j = 0; j < f.s.inputs; ++j) {
        vectors_in_place(group, f.inputs[j], to.at + j * kMostVectors);
        to.lines[j] = {to.at + j * kMostVectors, f.inputs[j].fields, f.inputs[j].field_stride};
      }
      return f.s.inputs;
    }
  }
  const int64_t stride = grouping<A>(f.s.channels).stride;
  A* panel = to.x;
  for (int64_t j = 0; j < f.s.inputs; panel += f.inputs[j++].fields * stride)
    into_panel<T, A>(group, f.inputs[j], panel, stride);
  vectors_of_panel(to.x, vectors_of<A>(group), to.at);
  to.lines[0] = {to.at, f.s.columns, stride};
  return 1;
}

// Norm, activation and the cut of columns whose z has mean zero over the rows.
template <class T, class A, int Activation, int V, class At>
void norm_columns(
    const FieldLinearForward<T, A>& f, const Column* columns, const ForwardScratch<A>& from, int64_t stride, At at) {
  typedef typename Lanes<A>::vec vec;
  const FieldLinearShape& s = f.s;
  const A* z[V];
  T *y[V], *normalized[V];
  vec even[V] = {}, odd[V] = {}, scale[V];
#pragma GCC unroll 3
  for (int v = 0; v < V; ++v) {
    z[v] = from.z + columns[v].lane;
    y[v] = f.y + columns[v].sample * s.keep * s.channels + columns[v].channel;
    normalized[v] = f.normalized == nullptr
                        ? nullptr
                        : f.normalized + columns[v].sample * s.out * s.channels + columns[v].channel;
  }
  const auto square = [&](int64_t row, vec* sums) {
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) {
      const vec value = load<A>(z[v] + row * stride);
      sums[v] += value * value;
    }
  };
  for (int64_t i = 0; i + 1 < s.out; i += 2) {  // in two sums, so that additions do not wait for each other
    square(i, even);
    square(i + 1, odd);
  }
  if (s.out % 2 == 1) square(s.out - 1, even);
#pragma GCC unroll 3
  for (int v = 0; v < V; ++v) {
    scale[v] = 1 / square_roots((even[v] + odd[v]) / static_cast<A>(s.out) + f.eps);
    if (f.rstd != nullptr) at.store(f.rstd + columns[v].sample * s.channels + columns[v].channel, scale[v]);
  }
  for (int64_t i = 0; i < s.keep; ++i) {
    const A gain = from.gain[i], offset = from.offset[i];
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) {
      const vec value = load<A>(z[v] + i * stride) * scale[v];
      if (f.normalized != nullptr) at.store(normalized[v] + i * s.channels, value);
      at.store(y[v] + i * s.channels, activate<A, Activation>(value * gain + offset));
    }
  }
  if (f.normalized == nullptr) return;
  for (int64_t i = s.keep; i < s.out; ++i) {
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) at.store(normalized[v] + i * s.channels, load<A>(z[v] + i * stride) * scale[v]);
  }
}

template <class T, class A, int Activation, int V, class At>
void plain_columns(
    const FieldLinearForward<T, A>& f, const Column* columns, const ForwardScratch<A>& from, int64_t stride, At at) {
  for (int v = 0; v < V; ++v) {
    const A* z = from.z + columns[v].lane;
    T* y = f.y + columns[v].sample * f.s.keep * f.s.channels + columns[v].channel;
    for (int64_t i = 0; i < f.s.keep; ++i)
      at.store(y + i * f.s.channels, activate<A, Activation>(load<A>(z + i * stride)));
  }
}

// Where this group's results go, and what the next one reads.
template <class T, class A>
void fetch_ahead(const FieldLinearForward<T, A>& f, const Group& group, int64_t end, Ahead& ahead) {
  const FieldLinearShape& s = f.s;
  ahead.clear();
  if (group.width != s.channels) return;
  const int64_t next = group.first_sample + group.samples, behind = smaller(next + group.samples, end);
  for (int64_t j = 0; j < s.inputs; ++j) fetch_ahead(f.inputs[j], s.channels, next, behind, ahead);
  const Fields<T> y = {f.y, s.keep, s.keep * s.channels, s.channels};
  const Fields<T> normalized = {f.normalized, s.out, s.out * s.channels, s.channels};
  fetch_ahead(y, s.channels, group.first_sample, next, ahead);
  fetch_ahead(normalized, s.channels, group.first_sample, next, ahead);
}

template <class T, class A, int Activation>
void forward(const FieldLinearForward<T, A>& f, int64_t begin, int64_t end, void* memory) {
  const FieldLinearShape& s = f.s;
  const ForwardScratch<A> scratch(s, memory);
  const Packed<A> weight = prepare(f, scratch);
  const int64_t stride = grouping<A>(s.channels).stride;
  Ahead ahead;
  each_group<A>(s.channels, begin, end, [&](const Group& group) {
    const int64_t sets = input_lines(f, group, scratch), vectors = vectors_of<A>(group);
    fetch_ahead(f, group, end, ahead);
    ahead.spread(tiles_of(weight.rows, vectors));
    A* to[kMostVectors];
    if constexpr (sizeof(T) == sizeof(A)) {
      if (Activation == kNone && !s.norm && in_place<T>(group)) {
        vectors_in_place(group, Fields<T>{f.y, s.keep, s.keep * s.channels, s.channels}, to);
        return product(weight, scratch.start, scratch.lines, sets, vectors, to, s.channels, ahead);
      }
    }
    vectors_of_panel(scratch.z, vectors, to);
    product(weight, scratch.start, scratch.lines, sets, vectors, to, stride, ahead);
    each_columns<A>(group, [&](const Column* columns, auto count, auto at) {
      if (s.norm)
        norm_columns<T, A, Activation, decltype(count)::value>(f, columns, scratch, stride, at);
      else
        plain_columns<T, A, Activation, decltype(count)::value>(f, columns, scratch, stride, at);
    });
  });
}

template <class A> int64_t scratch_bytes(const FieldLinearShape& s) { return ForwardScratch<A>(s, nullptr).bytes; }

template <class T, class A>
void run(const FieldLinearForward<T, A>& f, int64_t begin, int64_t end, void* scratch) {
  if (f.s.activation == kRelu) return forward<T, A, kRelu>(f, begin, end, scratch);
  if (f.s.activation == kSigmoid) return forward<T, A, kSigmoid>(f, begin, end, scratch);
  forward<T, A, kNone>(f, begin, end, scratch);
}

}  // namespace

namespace NASREC_ISA {

extern const FieldLinearTable field_linear = {
    {scratch_bytes<float>, run<float, float>},
    {scratch_bytes<double>, run<double, double>},
    {scratch_bytes<float>, run<uint16_t, float>},
};

}  // namespace NASREC_ISA
}  // namespace nasrec
