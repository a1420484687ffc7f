// Blocked matrix product: B is packed into panels as wide as a tile of registers, in pieces that stay in the level-2
// cache; A is read in place where its rows run along k, and packed likewise where they do not (or hold bfloat16).
#include "cpu/kernels/gemm.h"

#include "cpu/kernels/gemm_pairs.h"
#include "cpu/kernels/gemm_rows.h"
#include "cpu/kernels/lanes.h"

namespace nasrec {
namespace {

constexpr int64_t kDepth = 256;     // lines of a packed piece: a panel of B stays in the level-1 cache
constexpr int64_t kColumns = 512;   // columns of a packed piece
constexpr int kVectors = 2;         // vectors across a tile
#if defined(__AVX512F__)
constexpr int kRows = 14;           // rows of a tile: with 32 registers, 28 sums, two lines of B and a factor
#else
constexpr int kRows = 4;            // with 16 registers
#endif
static_assert(kColumns % (kVectors * Lanes<float>::count) == 0 && kColumns % (kVectors * Lanes<double>::count) == 0);

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// Where the factors of a tile's rows lie: element (row, line) at data[row * row_stride + line * line_stride].
template <class C> struct Factors {
  const C* data;
  int64_t row_stride, line_stride;
};

// C tile [Rows, Vectors * n] = A tile times a packed panel [depth][panel_width], plus beta times what C holds.
template <class C, int Rows, int Vectors>
void tile(int64_t depth, Factors<C> a, const C* panel, int64_t panel_width, C beta, C* c, int64_t ldc, int64_t width) {
  typedef typename Lanes<C>::vec vec;
  constexpr int n = Lanes<C>::count;
  vec sum[Rows][Vectors] = {};
  const C* row[Rows];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) row[i] = a.data + i * a.row_stride;
  for (int64_t p = 0; p < depth; ++p, panel += panel_width) {
    vec line[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) line[v] = load<C>(panel + v * n);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const C factor = row[i][p * a.line_stride];
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sum[i][v] += factor * line[v];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
    C* to = c + i * ldc;
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
      const int64_t left = width - v * n;
      if (left >= n) {
        store<C>(to + v * n, beta == 0 ? sum[i][v] : sum[i][v] + beta * load<C>(to + v * n));
      } else {
        C lanes[n];
        store<C>(lanes, sum[i][v]);
        for (int64_t lane = 0; lane < left; ++lane)
          to[v * n + lane] = beta == 0 ? lanes[lane] : lanes[lane] + beta * to[v * n + lane];
      }
    }
  }
}

template <class C> using Tile = void (*)(int64_t, Factors<C>, const C*, int64_t, C, C*, int64_t, int64_t);

template <class C, int Vectors, int Rows = kRows> Tile<C> tile_of(int64_t rows) {
  if constexpr (Rows == 1) {
    return tile<C, 1, Vectors>;
  } else {
    return rows >= Rows ? tile<C, Rows, Vectors> : tile_of<C, Vectors, Rows - 1>(rows);
  }
}

// Lines [depth] of `width` columns into a panel [depth][panel_width], zeros behind.
template <class T, class C>
void pack_lines(const T* from, int64_t stride, int64_t depth, int64_t width, int64_t panel_width, C* panel) {
  for (int64_t p = 0; p < depth; ++p, from += stride, panel += panel_width) {
    for (int64_t j = 0; j < width; ++j) panel[j] = widen(from[j]);
    for (int64_t j = width; j < panel_width; ++j) panel[j] = 0;
  }
}

// The same of a matrix stored with its columns along the rows: [width, depth].
template <class T, class C>
void pack_transposed(const T* from, int64_t stride, int64_t depth, int64_t width, int64_t panel_width, C* panel) {
  typedef typename Lanes<C>::vec vec;
  constexpr int64_t n = Lanes<C>::count;
  int64_t p = 0;
  for (; p + n <= depth; p += n) {
    for (int64_t j = 0; j < panel_width; j += n) {
      vec square[n];
      for (int64_t i = 0; i < n; ++i) {
        if (j + i >= width) {
          square[i] = vec{};
        } else if constexpr (sizeof(T) == sizeof(C)) {
          square[i] = load<C>(from + (j + i) * stride + p);
        } else {
          for (int64_t q = 0; q < n; ++q) square[i][q] = widen(from[(j + i) * stride + p + q]);
        }
      }
      transpose<C>(square);
      for (int64_t i = 0; i < n; ++i) store<C>(panel + (p + i) * panel_width + j, square[i]);
    }
  }
  for (; p < depth; ++p)
    for (int64_t j = 0; j < panel_width; ++j)
      panel[p * panel_width + j] = j < width ? widen(from[j * stride + p]) : 0;
}

template <class C> int64_t panel_columns(int64_t columns) {
  return smaller(round_up(columns, Lanes<C>::count), kVectors * Lanes<C>::count);
}

template <class T, class C> int64_t scratch_bytes(int64_t m, int64_t n, int64_t k) {
  const int64_t depth = smaller(k, kDepth);
  const int64_t packed_b = depth * round_up(smaller(n, kColumns), kVectors * Lanes<C>::count);
  return (packed_b + depth * round_up(m, Lanes<C>::count)) * static_cast<int64_t>(sizeof(C));
}

// One packed piece of B times the lines of A that meet it.
template <class C>
void multiply(int64_t m, int64_t columns, int64_t depth, Factors<C> a, const C* packed, C beta, C* c, int64_t ldc) {
  constexpr int64_t full = kVectors * Lanes<C>::count;
  const int64_t blocks = (m + kRows - 1) / kRows;
  for (int64_t j = 0; j < columns; j += full) {
    const int64_t width = smaller(full, columns - j), panel_width = panel_columns<C>(width);
    const C* panel = packed + j * depth;
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t first = m * block / blocks, rows = m * (block + 1) / blocks - first;
      const Tile<C> run = panel_width == full ? tile_of<C, kVectors>(rows) : tile_of<C, 1>(rows);
      const Factors<C> factors = {a.data + first * a.row_stride, a.row_stride, a.line_stride};
      run(depth, factors, panel, panel_width, beta, c + first * ldc + j, ldc, width);
    }
  }
}

template <class T, class C>
void run(
    bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b,
    int64_t ldb, C beta, C* c, int64_t ldc, void* scratch) {
  if constexpr (sizeof(T) == sizeof(C)) {
    if (m <= few_rows::kMost && !transpose_a) return few_rows::multiply<C>(transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc);
  }
  constexpr int64_t full = kVectors * Lanes<C>::count;
  C* packed_b = static_cast<C*>(scratch);
  C* packed_a = packed_b + smaller(k, kDepth) * round_up(smaller(n, kColumns), full);
  const int64_t line = round_up(m, Lanes<C>::count);
  for (int64_t p = 0; p < k; p += kDepth) {
    const int64_t depth = smaller(kDepth, k - p);
    Factors<C> factors = {packed_a, 1, line};  // packed as lines [depth][m]
    if constexpr (sizeof(T) == sizeof(C)) {
      if (!transpose_a) factors = {a + p, lda, 1};
    }
    if (factors.data == packed_a)
      transpose_a ? pack_lines<T, C>(a + p * lda, lda, depth, m, line, packed_a)
                  : pack_transposed<T, C>(a + p, lda, depth, m, line, packed_a);
    for (int64_t j = 0; j < n; j += kColumns) {
      const int64_t columns = smaller(kColumns, n - j);
      for (int64_t q = 0; q < columns; q += full) {
        const int64_t width = smaller(full, columns - q);
        C* panel = packed_b + q * depth;
        transpose_b ? pack_transposed<T, C>(b + (j + q) * ldb + p, ldb, depth, width, panel_columns<C>(width), panel)
                    : pack_lines<T, C>(b + p * ldb + j + q, ldb, depth, width, panel_columns<C>(width), panel);
      }
      multiply<C>(m, columns, depth, factors, packed_b, p == 0 ? beta : 1, c + j, ldc);
    }
  }
}

// bfloat16 factors: by the processor's own instruction where it has one.
int64_t scratch_bytes_bf16(int64_t m, int64_t n, int64_t k) {
#if defined(__AVX512F__)
  if (pairs::supported()) return pairs::scratch_bytes(m, n, k);
#endif
  return scratch_bytes<uint16_t, float>(m, n, k);
}

void run_bf16(
    bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const uint16_t* a, int64_t lda,
    const uint16_t* b, int64_t ldb, float beta, float* c, int64_t ldc, void* scratch) {
#if defined(__AVX512F__)
  if (pairs::supported()) return pairs::run(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc, scratch);
#endif
  run<uint16_t, float>(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc, scratch);
}

}  // namespace

namespace NASREC_ISA {

extern const GemmTable gemm = {
    {scratch_bytes<float, float>, run<float, float>},
    {scratch_bytes<double, double>, run<double, double>},
    {scratch_bytes_bf16, run_bf16},
};

}  // namespace NASREC_ISA
}  // namespace nasrec
