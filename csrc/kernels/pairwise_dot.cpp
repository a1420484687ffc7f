// Pairwise dot products of the rows of each sample, forward and backward, for one instruction set.
#include "kernels/pairwise_dot.h"

#include "kernels/lanes.h"

namespace nasrec {
namespace {

constexpr int kBlock = 8;  // rows computed together: one load feeds eight multiply-adds

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

// A sample in the accumulation type with rows of a whole number of vectors, zero-filled. `*stride` is their distance.
template <class T>
const typename Accumulate<T>::type* padded(
    const T* x, int64_t rows, int64_t channels, typename Accumulate<T>::type* copy, int64_t* stride) {
  typedef typename Accumulate<T>::type A;
  *stride = round_up(channels, Lanes<A>::count);
  if constexpr (sizeof(T) == sizeof(A)) {
    if (*stride == channels) return x;
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t k = 0; k < channels; ++k) copy[i * *stride + k] = widen(x[i * channels + k]);
    for (int64_t k = channels; k < *stride; ++k) copy[i * *stride + k] = 0;
  }
  return copy;
}

// x [rows, stride] -> tiles [rows / n][stride][n]: lane l of tile t, line k holds x[t n + l][k]. The lanes past the
// last row repeat it; what they yield is never stored.
template <class A> void transpose_sample(const A* x, int64_t rows, int64_t stride, A* tiles) {
  typedef typename Lanes<A>::vec vec;
  constexpr int n = Lanes<A>::count;
  for (int64_t first = 0; first < rows; first += n) {
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

// Whole vectors are stored; what spills past a row's end lands in later rows' first entries, and those are written
// afterwards: tiles are taken from the last to the first, rows of a tile in ascending order.
template <class A>
void gram_lower(const A* x, const A* tiles, int64_t rows, int64_t channels, int64_t stride, A* out) {
  typedef typename Lanes<A>::vec vec;
  constexpr int n = Lanes<A>::count;
  const int64_t pairs = triangle(rows);
  for (int64_t first = 0; first < rows; first += kBlock) {
    const int64_t last = smaller(first + kBlock, rows) - 1;
    const A* row[kBlock];
    for (int i = 0; i < kBlock; ++i) row[i] = x + smaller(first + i, rows - 1) * stride;
    for (int64_t tile = (last - 1 + n) / n - 1; tile >= 0; --tile) {
      const A* lines = tiles + tile * n * stride;
      vec sum[kBlock] = {};
      for (int64_t k = 0; k < channels; ++k) {
        const vec line = load<A>(lines + k * n);
        for (int i = 0; i < kBlock; ++i) sum[i] += row[i][k] * line;
      }
      for (int i = 0; i < kBlock; ++i) {
        if (first + i > last || tile * n >= first + i) continue;
        const int64_t at = triangle(first + i) + tile * n;
        if (at + n <= pairs)
          store<A>(out + at, sum[i]);
        else
          store_first<A>(out + at, sum[i], pairs - at);
      }
    }
  }
}

template <class T>
void forward(const T* x, T* out, int64_t samples, int64_t rows, int64_t channels, void* scratch) {
  typedef typename Accumulate<T>::type A;
  const int64_t pairs = triangle(rows);
  A* copy = static_cast<A*>(scratch);
  A* tiles = copy + padded_elements<A>(rows, channels);
  A* wide_out = tiles + padded_elements<A>(rows, channels);
  for (int64_t b = 0; b < samples; ++b, x += rows * channels, out += pairs) {
    int64_t stride;
    const A* sample = padded<T>(x, rows, channels, copy, &stride);
    transpose_sample<A>(sample, rows, stride, tiles);
    if constexpr (sizeof(T) == sizeof(A)) {
      gram_lower<A>(sample, tiles, rows, channels, stride, out);
    } else {
      gram_lower<A>(sample, tiles, rows, channels, stride, wide_out);
      for (int64_t p = 0; p < pairs; ++p) narrow(wide_out[p], out + p);
    }
  }
}

// grad_x_i = sum over j != i of g_ij x_j, where g_ij lies at triangle(max) + min. For a block of rows, the j below
// the block read eight rows of g side by side, the j above it eight neighbours of one row; only the square on the
// diagonal needs a choice per element.
template <class T, class A>
void gram_backward(const A* g, const A* x, int64_t rows, int64_t channels, int64_t stride, T* grad_x) {
  typedef typename Lanes<A>::vec vec;
  constexpr int n = Lanes<A>::count;
  for (int64_t first = 0; first < rows; first += kBlock) {
    const int64_t end = smaller(first + kBlock, rows);
    const A* below[kBlock];
    for (int i = 0; i < kBlock; ++i) below[i] = g + triangle(smaller(first + i, rows - 1));
    A diagonal[kBlock][kBlock] = {};
    for (int64_t j = first; j < end; ++j)
      for (int64_t i = first; i < j; ++i)
        diagonal[j - first][i - first] = diagonal[i - first][j - first] = g[triangle(j) + i];
    for (int64_t k = 0; k < stride; k += n) {
      vec sum[kBlock] = {};
      for (int64_t j = 0; j < first; ++j) {
        const vec line = load<A>(x + j * stride + k);
        for (int i = 0; i < kBlock; ++i) sum[i] += below[i][j] * line;
      }
      for (int64_t j = first; j < end; ++j) {
        const vec line = load<A>(x + j * stride + k);
        for (int i = 0; i < kBlock; ++i) sum[i] += diagonal[j - first][i] * line;
      }
      for (int64_t j = end; j < rows; ++j) {
        const vec line = load<A>(x + j * stride + k);
        const A* above = g + triangle(j) + first;
        for (int i = 0; i < kBlock; ++i) sum[i] += above[i] * line;
      }
      const int64_t width = smaller(n, channels - k);
      for (int64_t i = first; i < end; ++i) {
        A lanes[n];
        store<A>(lanes, sum[i - first]);
        T* to = grad_x + i * channels + k;
        if (width == n)
          for (int lane = 0; lane < n; ++lane) narrow(lanes[lane], to + lane);
        else
          for (int64_t lane = 0; lane < width; ++lane) narrow(lanes[lane], to + lane);
      }
    }
  }
}

template <class T>
void backward(
    const T* grad, const T* x, T* grad_x, int64_t samples, int64_t rows, int64_t channels, void* scratch) {
  typedef typename Accumulate<T>::type A;
  const int64_t pairs = triangle(rows);
  A* copy = static_cast<A*>(scratch);
  A* wide_grad = copy + 2 * padded_elements<A>(rows, channels);
  for (int64_t b = 0; b < samples; ++b, grad += pairs, x += rows * channels, grad_x += rows * channels) {
    int64_t stride;
    const A* sample = padded<T>(x, rows, channels, copy, &stride);
    if constexpr (sizeof(T) == sizeof(A)) {
      gram_backward<T, A>(grad, sample, rows, channels, stride, grad_x);
    } else {
      for (int64_t p = 0; p < pairs; ++p) wide_grad[p] = widen(grad[p]);
      gram_backward<T, A>(wide_grad, sample, rows, channels, stride, grad_x);
    }
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
