// Pairwise dot products of the rows of each sample, forward and backward, for one instruction set.
#include "cpu/kernels/pairwise_dot.h"

#include "cpu/kernels/lanes.h"

namespace nasrec {
namespace {

constexpr int kBlock = 8;  // rows computed together: one load feeds eight multiply-adds or more

inline int64_t triangle(int64_t row) { return row * (row - 1) / 2; }
inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

template <class A> int64_t padded_elements(int64_t rows, int64_t channels) {
  constexpr int64_t n = Lanes<A>::count;
  return round_up(rows, n) * round_up(channels, n);
}

// Two padded copies of a sample (plain and transposed) and its pairs, in the accumulation type.
template <class T> int64_t scratch_bytes(int64_t rows, int64_t channels) {
  typedef typename Accumulate<T>::type A;
  const int64_t pairs = round_up(triangle(rows), Lanes<A>::count);
  return (2 * padded_elements<A>(rows, channels) + pairs) * static_cast<int64_t>(sizeof(A));
}

// A sample in the accumulation type, its parts' rows one after the other, each of a whole number of vectors (`stride`),
// zero-filled.
template <class T>
const typename Accumulate<T>::type* gather(
    const Rows<const T>& x, int64_t sample, int64_t channels, int64_t stride, typename Accumulate<T>::type* copy) {
  typedef typename Accumulate<T>::type A;
  if constexpr (sizeof(T) == sizeof(A)) {
    if (x.parts == 1 && stride == channels) return x.data[0] + sample * x.rows[0] * channels;
  }
  A* to = copy;
  for (int64_t part = 0; part < x.parts; ++part) {
    const T* from = x.data[part] + sample * x.rows[part] * channels;
    for (int64_t i = 0; i < x.rows[part]; ++i, from += channels, to += stride) {
      for (int64_t k = 0; k < channels; ++k) to[k] = widen(from[k]);
      for (int64_t k = channels; k < stride; ++k) to[k] = 0;
    }
  }
  return copy;
}

// x [rows, stride] -> tiles [ceil((rows - 1) / n)][stride][n]: lane l of tile t, line k holds x[t n + l][k]. The last
// row has no pair below it and is left out; lanes past it repeat it, and what they yield is never stored.
template <class A> void transpose_sample(const A* x, int64_t rows, int64_t stride, A* tiles) {
  typedef typename Lanes<A>::vec vec;
  constexpr int n = Lanes<A>::count;
  for (int64_t first = 0; first < rows - 1; first += n) {
    for (int64_t k = 0; k < stride; k += n) {
      vec square[n];
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) square[i] = load<A>(x + smaller(first + i, rows - 1) * stride + k);
      transpose<A>(square);
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) store<A>(tiles + first * stride + (k + i) * n, square[i]);
    }
  }
}

// Rows first..first+Count-1 against the `Tiles` tiles from `tile` on. Whole vectors are stored; what spills past a row's
// end lands in later rows' first entries, and those are written afterwards: the caller goes from the last tile to the
// first, blocks and the rows of a block ascend.
template <class A, int Count, int Tiles>
void gram_block(
    const A* x, const A* tiles, int64_t first, int64_t tile, int64_t channels, int64_t stride, int64_t pairs, A* out) {
  typedef typename Lanes<A>::vec vec;
  constexpr int n = Lanes<A>::count;
  const A* rows = x + first * stride;
  const A* lines = tiles + tile * n * stride;
  vec sum[Count][Tiles] = {};
  for (int64_t k = 0; k < channels; ++k) {
    vec line[Tiles];
#pragma GCC unroll 2
    for (int t = 0; t < Tiles; ++t) line[t] = load<A>(lines + t * n * stride + k * n);
#pragma GCC unroll 8
    for (int i = 0; i < Count; ++i) {
      const A factor = rows[i * stride + k];
#pragma GCC unroll 2
      for (int t = 0; t < Tiles; ++t) sum[i][t] += factor * line[t];
    }
  }
#pragma GCC unroll 2
  for (int t = Tiles - 1; t >= 0; --t) {
#pragma GCC unroll 8
    for (int i = 0; i < Count; ++i) {
      if ((tile + t) * n >= first + i) continue;
      const int64_t at = triangle(first + i) + (tile + t) * n;
      if (at + n <= pairs)
        store<A>(out + at, sum[i][t]);
      else
        store_first<A>(out + at, sum[i][t], pairs - at);
    }
  }
}

template <class A, int Count = kBlock>
void gram_rows(
    int64_t count, const A* x, const A* tiles, int64_t first, int64_t channels, int64_t stride, int64_t pairs, A* out) {
  if constexpr (Count > 1) {
    if (count < Count) return gram_rows<A, Count - 1>(count, x, tiles, first, channels, stride, pairs, out);
  }
  int64_t tile = (first + Count - 2) / Lanes<A>::count;  // of the last row's last pair
  if (first + Count < 2) return;
  for (; tile >= 1; tile -= 2) gram_block<A, Count, 2>(x, tiles, first, tile - 1, channels, stride, pairs, out);
  if (tile == 0) gram_block<A, Count, 1>(x, tiles, first, 0, channels, stride, pairs, out);
}

template <class A>
void gram_lower(const A* x, const A* tiles, int64_t rows, int64_t channels, int64_t stride, A* out) {
  for (int64_t first = 0; first < rows; first += kBlock)
    gram_rows<A>(smaller(kBlock, rows - first), x, tiles, first, channels, stride, triangle(rows), out);
}

template <class T>
void forward(
    const Rows<const T>& x, T* out, int64_t begin, int64_t end, int64_t rows, int64_t channels, void* scratch) {
  typedef typename Accumulate<T>::type A;
  const int64_t pairs = triangle(rows), stride = round_up(channels, Lanes<A>::count);
  A* copy = static_cast<A*>(scratch);
  A* tiles = copy + padded_elements<A>(rows, channels);
  A* wide_out = tiles + padded_elements<A>(rows, channels);
  out += begin * pairs;
  for (int64_t sample = begin; sample < end; ++sample, out += pairs) {
    const A* wide = gather<T>(x, sample, channels, stride, copy);
    transpose_sample<A>(wide, rows, stride, tiles);
    if constexpr (sizeof(T) == sizeof(A)) {
      gram_lower<A>(wide, tiles, rows, channels, stride, out);
    } else {
      gram_lower<A>(wide, tiles, rows, channels, stride, wide_out);
      for (int64_t p = 0; p < pairs; ++p) narrow(wide_out[p], out + p);
    }
  }
}

// grad_x_i = sum over j != i of g_ij x_j, where g_ij lies at triangle(max) + min. For a block of rows, the j below
// the block read rows of g side by side, the j above it neighbours of one row; only the square on the diagonal needs a
// choice per element. `to` holds where each row's gradient goes.
template <class T, class A, int Count>
void gram_backward_block(
    const A* g, const A* x, int64_t first, int64_t rows, int64_t channels, int64_t stride, T* const* to) {
  typedef typename Lanes<A>::vec vec;
  constexpr int n = Lanes<A>::count;
  const int64_t end = first + Count;
  const A* below[Count];
  for (int i = 0; i < Count; ++i) below[i] = g + triangle(first + i);
  A diagonal[Count][Count];
#pragma GCC unroll 8
  for (int j = 0; j < Count; ++j) {
    diagonal[j][j] = 0;
#pragma GCC unroll 8
    for (int i = 0; i < j; ++i) diagonal[j][i] = diagonal[i][j] = below[j][first + i];
  }
  for (int64_t k = 0; k < stride; k += n) {
    vec sum[Count] = {};
    for (int64_t j = 0; j < first; ++j) {
      const vec line = load<A>(x + j * stride + k);
#pragma GCC unroll 8
      for (int i = 0; i < Count; ++i) sum[i] += below[i][j] * line;
    }
    for (int j = 0; j < Count; ++j) {
      const vec line = load<A>(x + (first + j) * stride + k);
#pragma GCC unroll 8
      for (int i = 0; i < Count; ++i) sum[i] += diagonal[j][i] * line;
    }
    for (int64_t j = end; j < rows; ++j) {
      const vec line = load<A>(x + j * stride + k);
      const A* above = g + triangle(j) + first;
#pragma GCC unroll 8
      for (int i = 0; i < Count; ++i) sum[i] += above[i] * line;
    }
    const int64_t width = smaller(n, channels - k);
#pragma GCC unroll 8
    for (int i = 0; i < Count; ++i) {
      if constexpr (sizeof(T) == sizeof(A)) {
        if (width == n) {
          store<A>(to[first + i] + k, sum[i]);
          continue;
        }
      }
      A lanes[n];
      store<A>(lanes, sum[i]);
      for (int64_t lane = 0; lane < width; ++lane) narrow(lanes[lane], to[first + i] + k + lane);
    }
  }
}

template <class T, class A, int Count = kBlock>
void gram_backward_rows(
    int64_t count, const A* g, const A* x, int64_t first, int64_t rows, int64_t channels, int64_t stride, T* const* to) {
  if constexpr (Count > 1) {
    if (count < Count) return gram_backward_rows<T, A, Count - 1>(count, g, x, first, rows, channels, stride, to);
  }
  gram_backward_block<T, A, Count>(g, x, first, rows, channels, stride, to);
}

template <class T>
void backward(
    const T* grad, const Rows<const T>& x, const Rows<T>& grad_x, int64_t begin, int64_t end, int64_t rows,
    int64_t channels, void* scratch) {
  typedef typename Accumulate<T>::type A;
  const int64_t pairs = triangle(rows), stride = round_up(channels, Lanes<A>::count);
  A* copy = static_cast<A*>(scratch);
  T** to = reinterpret_cast<T**>(copy + padded_elements<A>(rows, channels));
  A* wide_grad = copy + 2 * padded_elements<A>(rows, channels);
  grad += begin * pairs;
  for (int64_t sample = begin; sample < end; ++sample, grad += pairs) {
    const A* wide = gather<T>(x, sample, channels, stride, copy);
    const A* g;
    if constexpr (sizeof(T) == sizeof(A)) {
      g = grad;
    } else {
      for (int64_t p = 0; p < pairs; ++p) wide_grad[p] = widen(grad[p]);
      g = wide_grad;
    }
    int64_t row = 0;
    for (int64_t part = 0; part < grad_x.parts; ++part)
      for (int64_t i = 0; i < grad_x.rows[part]; ++i)
        to[row++] = grad_x.data[part] + (sample * grad_x.rows[part] + i) * channels;
    for (int64_t first = 0; first < rows; first += kBlock)
      gram_backward_rows<T, A>(smaller(kBlock, rows - first), g, wide, first, rows, channels, stride, to);
  }
}

}  // namespace

namespace NASREC_ISA {

extern const PairwiseDotTable pairwise_dot = {
    {scratch_bytes<float>, forward<float>, backward<float>},
    {scratch_bytes<double>, forward<double>, backward<double>},
    {scratch_bytes<uint16_t>, forward<uint16_t>, backward<uint16_t>},
};

}  // namespace NASREC_ISA
}  // namespace nasrec
