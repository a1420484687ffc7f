// Matrix products whose sums stay in registers: lines of vectors times packed factors.
#pragma once

#include "cpu/kernels/lanes.h"

namespace nasrec {
namespace {

constexpr int kTileVectors = 3;
#if defined(__AVX512F__)
constexpr int kTileRows = 8;  // with 32 registers: 24 sums, three vectors of a line and a factor
constexpr int kOuterVectors = 4;
#else
constexpr int kTileRows = 4;  // with 16
constexpr int kOuterVectors = 3;
#endif

// Memory that is needed next, asked for a few cache lines at a time between tiles: products are bound by arithmetic,
// what comes before and after them by memory, and no hardware sees the next sample's fields coming.
class Ahead {
 public:
  void clear() { count_ = 0; }
  void add(const void* begin, int64_t bytes) {
    if (count_ == kMost || bytes <= 0) return;
    ranges_[count_++] = {static_cast<const char*>(begin), bytes};
  }
  // All of it in so many steps.
  void spread(int64_t steps) {
    int64_t bytes = 0;
    for (int i = 0; i < count_; ++i) bytes += ranges_[i].bytes;
    step_ = bytes / (steps > 0 ? steps : 1) + kLine;
    range_ = 0;
  }
  void step(int64_t most) {
    for (int64_t left = step_ < most ? step_ : most; left > 0 && range_ < count_;) {
      Range& range = ranges_[range_];
      const int64_t bytes = range.bytes < left ? range.bytes : left;
      for (int64_t i = 0; i < bytes; i += kLine) __builtin_prefetch(range.begin + i, 0, 2);
      const int64_t taken = (bytes + kLine - 1) / kLine * kLine;
      range.begin += taken;
      range.bytes -= taken;
      left -= taken;
      if (range.bytes <= 0) ++range_;
    }
  }

 private:
  static constexpr int kMost = 64;
  static constexpr int64_t kLine = 64;
  struct Range {
    const char* begin;
    int64_t bytes;
  };
  Range ranges_[kMost];
  int count_ = 0, range_ = 0;
  int64_t step_ = 0;
};

// Bytes fetched ahead for each line of a tile: more would hold up the tile's own loads.
constexpr int64_t kAheadPerLine = 96;

// Line i of vector v at at[v] + i * stride.
template <class A> struct Lines {
  const A* const* at;
  int64_t count, stride;
};

// Blocks of at most `most` items, as equal as can be: block b begins at first(b).
struct Blocks {
  int64_t items, count;
  Blocks(int64_t items, int64_t most) : items(items), count((items + most - 1) / most) {}
  int64_t first(int64_t block) const { return items * block / count; }
  int64_t size(int64_t block) const { return first(block + 1) - first(block); }
};

// A matrix [rows, depth] as blocks of rows, each [depth][rows of the block], one after the other.
template <class A> struct Packed {
  const A* data;
  int64_t rows, depth;
};

// How many tiles a product takes.
inline int64_t tiles_of(int64_t rows, int64_t vectors) {
  return Blocks(rows, kTileRows).count * Blocks(vectors, kTileVectors).count;
}

template <class A> void pack_rows(const A* matrix, int64_t stride, int64_t rows, int64_t depth, A* packed) {
  const Blocks blocks(rows, kTileRows);
  for (int64_t block = 0; block < blocks.count; ++block) {
    const A* from = matrix + blocks.first(block) * stride;
    const int64_t size = blocks.size(block);
    for (int64_t p = 0; p < depth; ++p)
      for (int64_t i = 0; i < size; ++i) *packed++ = from[i * stride + p];
  }
}

// The same of the matrix's transpose, which is [depth, rows].
template <class A> void pack_columns(const A* matrix, int64_t stride, int64_t rows, int64_t depth, A* packed) {
  const Blocks blocks(rows, kTileRows);
  for (int64_t block = 0; block < blocks.count; ++block) {
    const A* from = matrix + blocks.first(block);
    const int64_t size = blocks.size(block);
    for (int64_t p = 0; p < depth; ++p)
      for (int64_t i = 0; i < size; ++i) *packed++ = from[p * stride + i];
  }
}

// to[v] line i becomes start[i] (null: zeros) plus the sum over all lines of factor (line, i) times vector first + v.
template <class A, int Rows, int Vectors>
void product_tile(
    const A* factors, const A* start, const Lines<A>* sets, int64_t set_count, int64_t first, A* const* to,
    int64_t to_stride) {
  typedef typename Lanes<A>::vec vec;
  vec sum[Rows][Vectors];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[i][v] = vec{} + (start == nullptr ? A(0) : start[i]);
  }
  for (const Lines<A>* set = sets; set < sets + set_count; ++set) {
    const A* at[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) at[v] = set->at[first + v];
    const int64_t stride = set->stride;
    for (int64_t p = 0, offset = 0; p < set->count; ++p, factors += Rows, offset += stride) {
      vec line[Vectors];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) line[v] = load<A>(at[v] + offset);
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) {
        const A factor = factors[i];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sum[i][v] += factor * line[v];
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store<A>(to[v] + i * to_stride, sum[i][v]);
  }
}

template <class A>
using ProductTile = void (*)(const A*, const A*, const Lines<A>*, int64_t, int64_t, A* const*, int64_t);

template <class A, int Vectors, int Rows = kTileRows> ProductTile<A> product_tile_of(int64_t rows) {
  if constexpr (Rows > 1)
    if (rows < Rows) return product_tile_of<A, Vectors, Rows - 1>(rows);
  return product_tile<A, Rows, Vectors>;
}

// Row i of vector v, at to[v] + i * to_stride, becomes start[i] + sum over p of factors[i][p] times line p of v.
template <class A>
void product(
    const Packed<A>& factors, const A* start, const Lines<A>* sets, int64_t set_count, int64_t vectors, A* const* to,
    int64_t to_stride, Ahead& ahead) {
  const Blocks across(vectors, kTileVectors), down(factors.rows, kTileRows);
  for (int64_t a = 0; a < across.count; ++a) {
    const int64_t width = across.size(a);
    for (int64_t d = 0; d < down.count; ++d) {
      const int64_t first = down.first(d), rows = down.size(d);
      const ProductTile<A> tile = width == 3   ? product_tile_of<A, 3>(rows)
                                  : width == 2 ? product_tile_of<A, 2>(rows)
                                               : product_tile_of<A, 1>(rows);
      A* moved[kTileVectors];
      for (int64_t v = 0; v < width; ++v) moved[v] = to[across.first(a) + v] + first * to_stride;
      tile(factors.data + first * factors.depth, start == nullptr ? nullptr : start + first, sets, set_count,
           across.first(a), moved, to_stride);
      ahead.step(factors.depth * kAheadPerLine);
    }
  }
}

// Elements (row, p) of `count` runs: of run r at data + row * row_stride + r * run_stride + (p - r * length).
template <class A> struct Runs {
  const A* data;
  int64_t row_stride, run_stride, count, length;
};

// to [Rows][to_stride] gains the sum over p of x (row, p) times the vectors of line p.
template <class A, int Rows, int Vectors>
void outer_tile(const Runs<A>& x, const A* lines, int64_t line_stride, A* to, int64_t to_stride) {
  typedef typename Lanes<A>::vec vec;
  constexpr int n = Lanes<A>::count;
  vec sum[Rows][Vectors];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[i][v] = load<A>(to + i * to_stride + v * n);
  }
  for (int64_t run = 0; run < x.count; ++run) {
    const A* row[Rows];
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) row[i] = x.data + run * x.run_stride + i * x.row_stride;
    for (int64_t p = 0; p < x.length; ++p, lines += line_stride) {
      vec line[Vectors];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) line[v] = load<A>(lines + v * n);
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) {
        const A factor = row[i][p];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sum[i][v] += factor * line[v];
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store<A>(to + i * to_stride + v * n, sum[i][v]);
  }
}

template <class A> using OuterTile = void (*)(const Runs<A>&, const A*, int64_t, A*, int64_t);

constexpr int outer_rows(int64_t vectors) { return vectors == 4 ? 6 : kTileRows; }

template <class A, int Vectors, int Rows = outer_rows(Vectors)> OuterTile<A> outer_tile_of(int64_t rows) {
  if constexpr (Rows > 1)
    if (rows < Rows) return outer_tile_of<A, Vectors, Rows - 1>(rows);
  return outer_tile<A, Rows, Vectors>;
}

// to [rows][stride] gains x (row, p) times line p, summed over p; lines are `stride` long, a whole number of vectors.
template <class A> void add_outer(const Runs<A>& x, int64_t rows, const A* lines, int64_t stride, A* to) {
  constexpr int64_t n = Lanes<A>::count;
  const Blocks across(stride / n, kOuterVectors);
  for (int64_t a = 0; a < across.count; ++a) {
    const int64_t width = across.size(a), column = across.first(a) * n;
    const Blocks down(rows, outer_rows(width));
    for (int64_t d = 0; d < down.count; ++d) {
      const int64_t first = down.first(d), size = down.size(d);
      const OuterTile<A> tile = width == 4   ? outer_tile_of<A, kOuterVectors>(size)
                                : width == 3 ? outer_tile_of<A, 3>(size)
                                : width == 2 ? outer_tile_of<A, 2>(size)
                                             : outer_tile_of<A, 1>(size);
      const Runs<A> block = {x.data + first * x.row_stride, x.row_stride, x.run_stride, x.count, x.length};
      tile(block, lines + column, stride, to + first * stride + column, stride);
    }
  }
}

}  // namespace
}  // namespace nasrec
