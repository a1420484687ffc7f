// The linear map along the fields, backward, for one instruction set. Of a group of samples the gradient before the
// product (dz) is formed once, in a panel, and meets both the weight (for the inputs) and, transposed, the inputs
// themselves (for the weight, which is summed up transposed: its rows are the fields).
#include "cpu/kernels/field_linear_dz.h"
#include "cpu/kernels/field_tile.h"
#include "cpu/kernels/field_weight.h"

namespace nasrec {
namespace {

// Bytes of dz that are gathered, transposed, before they meet the inputs: enough to pay for the walk over the weight's
// gradient, few enough to stay in the level-1 cache.
constexpr int64_t kGathered = 24 << 10;

template <class A> struct BackwardScratch {
  int64_t matrix_stride, panel_stride, samples;  // samples: as many as `transposed` has room for
  A *matrix, *packed, *gain, *dz, *transposed, *panel;
  int64_t bytes;

  BackwardScratch(const FieldLinearShape& s, void* base) {
    constexpr int64_t n = Lanes<A>::count;
    const Grouping g = grouping<A>(s.channels);
    const int64_t stride = g.stride, rows = round_up(s.rows(), n), group_lanes = g.samples * s.channels;
    const int64_t group_bytes = group_lanes * rows * static_cast<int64_t>(sizeof(A));
    samples = g.samples * (0 < group_bytes && group_bytes < kGathered ? kGathered / group_bytes : 1);
    panel_stride = round_up(samples * s.channels, n) + n;
    matrix_stride = round_up(s.columns, n);
    Carver carver(base);
    matrix = carver.take<A>(s.rows() * matrix_stride);
    packed = carver.take<A>(s.rows() * s.columns);
    gain = carver.take<A>(s.out);
    dz = carver.take<A>(rows * stride);
    transposed = carver.take<A>((samples * s.channels + stride) * rows);
    panel = carver.take<A>(s.columns * panel_stride);
    bytes = carver.bytes();
  }
};

// The weight packed for each input that needs a gradient, one after the other in the order of the inputs.
template <class T, class A> void prepare(const FieldLinearBackward<T, A>& f, const BackwardScratch<A>& to) {
  const FieldLinearShape& s = f.s;
  join_pieces(f.pieces, s.pieces, s.rows(), to.matrix, to.matrix_stride);
  widen_vector(f.gain, A(1), s.out, to.gain);
  int64_t first = 0;
  for (int64_t j = 0; j < s.inputs; first += f.inputs[j++].fields)
    pack_columns(to.matrix + first, to.matrix_stride, f.inputs[j].fields, s.rows(), to.packed + first * s.rows());
}

// dz [rows][stride] -> [lanes][to_stride]; both have room for whole vectors in either direction.
template <class A>
void transpose_panel(const A* dz, int64_t stride, int64_t rows, int64_t lanes, A* to, int64_t to_stride) {
  typedef typename Lanes<A>::vec vec;
  constexpr int n = Lanes<A>::count;
  for (int64_t lane = 0; lane < lanes; lane += n) {
    for (int64_t row = 0; row < rows; row += n) {
      vec square[n];
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) square[i] = load<A>(dz + (row + i) * stride + lane);
      transpose<A>(square);
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) store<A>(to + (lane + i) * to_stride + row, square[i]);
    }
  }
}

template <class T, class A>
void inputs_gradient(
    const FieldLinearBackward<T, A>& f, const Group& group, const BackwardScratch<A>& scratch, int64_t stride,
    Ahead& ahead) {
  const int64_t rows = f.s.rows(), vectors = vectors_of<A>(group);
  const A* at[kMostVectors];
  vectors_of_panel(scratch.dz, vectors, at);
  const Lines<A> lines = {at, rows, stride};
  const A* packed = scratch.packed;
  for (int64_t j = 0; j < f.s.inputs; packed += f.inputs[j++].fields * rows) {
    const Fields<T>& dx = f.grad_inputs[j];
    if (dx.data == nullptr) continue;
    const Packed<A> weight = {packed, dx.fields, rows};
    A* to[kMostVectors];
    if constexpr (sizeof(T) == sizeof(A)) {
      if (in_place<T>(group)) {
        vectors_in_place(group, dx, to);
        product<A>(weight, nullptr, &lines, 1, vectors, to, dx.field_stride, ahead);
        continue;
      }
    }
    vectors_of_panel(scratch.panel, vectors, to);
    product<A>(weight, nullptr, &lines, 1, vectors, to, stride, ahead);
    out_of_panel<T, A>(group, scratch.panel, stride, dx);
  }
}

// What this group's products write and, with its dz, read, and what the next group's dz is made of.
template <class T, class A>
void fetch_ahead(const FieldLinearBackward<T, A>& f, const Group& group, int64_t end, Ahead& ahead) {
  const FieldLinearShape& s = f.s;
  ahead.clear();
  if (group.width != s.channels) return;
  const int64_t next = group.first_sample + group.samples, behind = smaller(next + group.samples, end);
  int64_t tiles = 0;
  for (int64_t j = 0; j < s.inputs; ++j) {
    if (f.grad_inputs[j].data != nullptr) tiles += tiles_of(f.inputs[j].fields, vectors_of<A>(group));
    if (f.for_weight) fetch_ahead(f.inputs[j], s.channels, group.first_sample, next, ahead);
  }
  fetch_ahead(f.grad, s.channels, next, behind, ahead);
  if (s.activation != kNone)
    fetch_ahead(Fields<const T>{f.y, s.keep, s.keep * s.channels, s.channels}, s.channels, next, behind, ahead);
  if (s.norm)
    fetch_ahead(Fields<const T>{f.normalized, s.out, s.out * s.channels, s.channels}, s.channels, next, behind, ahead);
  for (int64_t j = 0; j < s.inputs; ++j)
    fetch_ahead(f.grad_inputs[j], s.channels, group.first_sample, next, ahead);
  ahead.spread(tiles);
}

// What the gathered dz of a batch of samples adds to the weight's gradient.
template <class T, class A>
void weight_gradient(
    const FieldLinearBackward<T, A>& f, const Group& gathered, const BackwardScratch<A>& scratch, const Sums<A>& sums) {
  const int64_t line = sums.layout.stride;
  A* to = sums.data;
  for (int64_t j = 0; j < f.s.inputs; to += f.inputs[j++].fields * line) {
    const Fields<const T>& x = f.inputs[j];
    if constexpr (sizeof(T) == sizeof(A)) {
      const Runs<A> runs = {
          x.data + gathered.first_sample * x.sample_stride, x.field_stride, x.sample_stride, gathered.samples,
          gathered.width};
      add_outer(runs, x.fields, scratch.transposed, line, to);
    } else {
      into_panel<T, A>(gathered, x, scratch.panel, scratch.panel_stride);
      const Runs<A> runs = {scratch.panel, scratch.panel_stride, 0, 1, gathered.lanes()};
      add_outer(runs, x.fields, scratch.transposed, line, to);
    }
  }
}

template <class T, class A, int Activation>
void backward(const FieldLinearBackward<T, A>& f, int64_t begin, int64_t end, A* sums_memory, void* memory) {
  const FieldLinearShape& s = f.s;
  const BackwardScratch<A> scratch(s, memory);
  const Sums<A> sums = {SumsLayout<A>(s), sums_memory};
  prepare(f, scratch);
  const int64_t stride = grouping<A>(s.channels).stride;
  for (int64_t i = 0; i < sums.layout.elements; ++i) sums_memory[i] = 0;
  for (int64_t i = s.rows() * stride; i < sums.layout.stride * stride; ++i) scratch.dz[i] = 0;
  Ahead ahead;
  for (int64_t first = begin; first < end; first += scratch.samples) {
    const Group gathered = {first, smaller(scratch.samples, end - first), 0, s.channels};
    A* transposed = scratch.transposed;
    each_group<A>(s.channels, first, first + gathered.samples, [&](const Group& group) {
      each_columns<A>(group, [&](const Column* columns, auto count, auto at) {
        if (s.norm)
          norm_columns<T, A, Activation, decltype(count)::value>(
              f, columns, scratch.gain, scratch.dz, stride, sums, at);
        else
          plain_columns<T, A, Activation, decltype(count)::value>(f, columns, scratch.dz, stride, sums, at);
      });
      fetch_ahead(f, group, end, ahead);
      inputs_gradient(f, group, scratch, stride, ahead);
      if (!f.for_weight) return;
      transpose_panel(scratch.dz, stride, s.rows(), group.lanes(), transposed, sums.layout.stride);
      transposed += group.lanes() * sums.layout.stride;
    });
    if (f.for_weight) weight_gradient(f, gathered, scratch, sums);
  }
}

template <class A> int64_t scratch_bytes(const FieldLinearShape& s) { return BackwardScratch<A>(s, nullptr).bytes; }
template <class A> int64_t sums_elements(const FieldLinearShape& s) { return SumsLayout<A>(s).elements; }

template <class T, class A>
void run(const FieldLinearBackward<T, A>& f, int64_t begin, int64_t end, A* sums, void* scratch) {
  if (f.s.activation == kRelu) return backward<T, A, kRelu>(f, begin, end, sums, scratch);
  if (f.s.activation == kSigmoid) return backward<T, A, kSigmoid>(f, begin, end, sums, scratch);
  backward<T, A, kNone>(f, begin, end, sums, scratch);
}

// Columns of one piece, from lines `line`.. of every part's transposed gradient.
template <class T, class A>
void finish_piece(
    const FieldLinearGradients<T, A>& f, int64_t line, const WeightPiece<T>& to, int64_t begin, int64_t end) {
  typedef typename Lanes<A>::vec vec;
  constexpr int n = Lanes<A>::count;
  const SumsLayout<A> layout(f.s);
  for (int64_t column = begin; column < end; column += n) {
    const int64_t width = smaller(n, end - column);
    for (int64_t row = 0; row < f.s.rows(); row += n) {
      vec square[n] = {};
      const A* from = f.sums + (line + column) * layout.stride + row;
      for (int64_t part = 0; part < f.parts; ++part, from += layout.elements)
        for (int64_t i = 0; i < width; ++i) square[i] += load<A>(from + i * layout.stride);
      transpose<A>(square);
      for (int64_t i = 0; i < smaller(n, f.s.rows() - row); ++i) {
        T* at = to.data + (row + i) * to.stride + column;
        width == n ? Whole{}.store(at, square[i]) : Part{width}.store(at, square[i]);
      }
    }
    for (int64_t row = f.s.rows(); row < f.s.out; ++row)  // no norm ties rows behind `keep` to the result
      for (int64_t i = 0; i < width; ++i) to.data[row * to.stride + column + i] = 0;
  }
}

template <class T, class A> void finish_weight(const FieldLinearGradients<T, A>& f, int64_t begin, int64_t end) {
  int64_t line = 0;
  for (int64_t p = 0; p < f.s.pieces; line += f.pieces[p++].columns) {
    const int64_t from = begin < line ? 0 : begin - line, to = smaller(end - line, f.pieces[p].columns);
    if (f.pieces[p].data != nullptr && from < to) finish_piece<T, A>(f, line, f.pieces[p], from, to);
  }
}

template <class T, class A> void finish_vectors(const FieldLinearGradients<T, A>& f) {
  constexpr int n = Lanes<A>::count;
  const SumsLayout<A> layout(f.s);
  T* const vectors[kVectorSums] = {f.bias, f.gain, f.offset};
  for (int which = 0; which < kVectorSums; ++which) {
    if (vectors[which] == nullptr) continue;
    for (int64_t i = 0; i < f.s.out; ++i) {
      typename Lanes<A>::vec sum = {};
      const A* from = f.sums + layout.vectors[which] + i * n;
      for (int64_t part = 0; i < f.s.rows() && part < f.parts; ++part) sum += load<A>(from + part * layout.elements);
      narrow(sum_of_lanes<A>(sum), vectors[which] + i);
    }
  }
}

}  // namespace

namespace NASREC_ISA {

extern const FieldLinearBackwardTable field_linear_backward = {
    {scratch_bytes<float>, sums_elements<float>, run<float, float>, finish_weight<float, float>,
     finish_vectors<float, float>},
    {scratch_bytes<double>, sums_elements<double>, run<double, double>, finish_weight<double, double>,
     finish_vectors<double, double>},
    {scratch_bytes<float>, sums_elements<float>, run<uint16_t, float>, finish_weight<uint16_t, float>,
     finish_vectors<uint16_t, float>},
};

}  // namespace NASREC_ISA
}  // namespace nasrec
