#include <torch/csrc/stable/library.h>

#include "cpu/empty.h"
#include "cpu/linear.h"
#include "cpu/scratch.h"

namespace nasrec {
namespace {

// Which of these are null is up to what is needed.
template <class T> struct Gradients {
  std::vector<Matrix<T>> inputs, pieces;
  T *bias, *gain, *offset;

  bool any(const std::vector<Matrix<T>>& matrices) const {
    return std::any_of(matrices.begin(), matrices.end(), [](const Matrix<T>& m) { return m.data != nullptr; });
  }
};

template <class T, class A> struct Backward {
  const ProductShape& s;
  const LinearKernels<T, A>& kernels;
  Matrix<const T> grad;
  std::vector<Matrix<const T>> inputs, pieces;
  const T *gain, *y, *normalized;
  const A* rstd;
  Gradients<T> to;

  void run() const;
  void gradient_of_z(Range rows, T* dz, A* row, A* sums) const;
  void inputs_gradient(Range rows, Range columns, const T* dz) const;
  void weight_gradient(Range units, Range columns, const T* dz) const;
  void clear_behind(Range units) const;
  void vectors_gradient(Range units, const A* sums, int parts) const;
};

// Sums over the batch: of the gradients of bias, gain and offset.
constexpr int kSums = 3;

template <class T, class A> void Backward<T, A>::run() const {
  const int64_t width = s.rows();
  const bool for_inputs = to.any(to.inputs), for_weight = to.any(to.pieces);
  const int parts = team_parts(1.0 * s.batch * width * (s.columns * (for_inputs + for_weight) + 32));
  const bool few = few_rows(s.batch, parts);
  const int64_t dz_bytes = (s.batch * width * sizeof(T) + 63) / 64 * 64;
  const Scratch scratch(dz_bytes + parts * (kSums + 1) * width * sizeof(A));
  T* dz = static_cast<T*>(scratch.data());
  A* sums = reinterpret_cast<A*>(static_cast<char*>(scratch.data()) + dz_bytes);  // [parts][kSums][width]
  A* row = sums + parts * kSums * width;                                          // [parts][width]
  team_run(
      parts,
      [&](int part, int of) {
        A* my_sums = sums + part * kSums * width;
        std::fill_n(my_sums, kSums * width, A(0));
        const Range mine = split(s.batch, part, of);
        const int64_t block = rows_of_block(width, sizeof(T));
        for (int64_t first = mine.begin; first < mine.end; first += block) {
          const Range rows = {first, std::min(first + block, mine.end)};
          gradient_of_z(rows, dz + first * width, row + part * width, my_sums);
          if (for_inputs && !few) inputs_gradient(rows, {0, s.columns}, dz);
        }
      },
      [&](int part, int of) {
        vectors_gradient(split(width, part, of, 16), sums, of);
        const Range behind = split(s.out - width, part, of);
        clear_behind({width + behind.begin, width + behind.end});
        if (for_inputs && few) inputs_gradient({0, s.batch}, split(s.columns, part, of, 16), dz);
        if (!for_weight) return;
        if (few || s.columns > width)
          weight_gradient({0, width}, split(s.columns, part, of, 16), dz);
        else
          weight_gradient(split(width, part, of, 16), {0, s.columns}, dz);
      });
}

// dz [rows, width] from the gradient of the result; what the batch sums up is added to `sums`.
template <class T, class A> void Backward<T, A>::gradient_of_z(Range rows, T* dz, A* row, A* sums) const {
  const int64_t width = s.rows();
  kernels.backward(
      {rows.size(), width, s.keep, gain, s.norm, static_cast<int>(s.activation), grad.at(rows.begin, 0), grad.stride,
       y == nullptr ? nullptr : y + rows.begin * s.keep,
       normalized == nullptr ? nullptr : normalized + rows.begin * width,
       rstd == nullptr ? nullptr : rstd + rows.begin, dz, row, to.bias == nullptr ? nullptr : sums,
       to.gain == nullptr ? nullptr : sums + width, to.offset == nullptr ? nullptr : sums + 2 * width});
}

// The product where A is T itself, else by way of memory for A.
template <class T, class A>
void multiply_into(
    const LinearKernels<T, A>& kernels, bool transpose_a, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda,
    const T* b, int64_t ldb, T* c, int64_t ldc) {
  if constexpr (sizeof(T) == sizeof(A)) {
    multiply<T>(transpose_a, false, m, n, k, a, lda, b, ldb, 0, c, ldc);
  } else {
    const Scratch wide(m * n * sizeof(A));
    multiply<T>(transpose_a, false, m, n, k, a, lda, b, ldb, 0, static_cast<A*>(wide.data()), n);
    kernels.narrow(static_cast<A*>(wide.data()), n, c, ldc, m, n);
  }
}

// `body(segment)` for what the segments have of the columns.
template <class Body> void each_segment(const ProductShape& s, Range columns, const Body& body) {
  int64_t first = 0;
  for (Segment segment : s.segments) {
    const int64_t begin = std::max(columns.begin, first), end = std::min(columns.end, first + segment.width);
    const int64_t skipped = begin - first;
    first += segment.width;
    if (begin >= end) continue;
    segment.input_column += skipped;
    segment.piece_column += skipped;
    segment.width = end - begin;
    body(segment);
  }
}

template <class T, class A> void Backward<T, A>::inputs_gradient(Range rows, Range columns, const T* dz) const {
  const int64_t width = s.rows();
  each_segment(s, columns, [&](const Segment& segment) {
    const Matrix<T>& dx = to.inputs[segment.input];
    if (dx.data == nullptr) return;
    const Matrix<const T>& w = pieces[segment.piece];
    multiply_into<T, A>(
        kernels, false, rows.size(), segment.width, width, dz + rows.begin * width, width,
        w.at(0, segment.piece_column), w.stride, dx.at(rows.begin, segment.input_column), dx.stride);
  });
}

template <class T, class A> void Backward<T, A>::weight_gradient(Range units, Range columns, const T* dz) const {
  const int64_t width = s.rows();
  each_segment(s, columns, [&](const Segment& segment) {
    const Matrix<T>& dw = to.pieces[segment.piece];
    if (dw.data == nullptr) return;
    const Matrix<const T>& x = inputs[segment.input];
    multiply_into<T, A>(
        kernels, true, units.size(), segment.width, s.batch, dz + units.begin, width, x.at(0, segment.input_column),
        x.stride, dw.at(units.begin, segment.piece_column), dw.stride);
  });
}

// What belongs to units behind `keep` that no norm ties to the result.
template <class T, class A> void Backward<T, A>::clear_behind(Range units) const {
  for (const Matrix<T>& dw : to.pieces)
    if (dw.data != nullptr) std::fill_n(dw.at(units.begin, 0), units.size() * dw.stride, T(0));
  for (T* vector : {to.bias, to.gain, to.offset})
    if (vector != nullptr) std::fill_n(vector + units.begin, units.size(), T(0));
}

template <class T, class A> void Backward<T, A>::vectors_gradient(Range units, const A* sums, int parts) const {
  const int64_t width = s.rows();
  int64_t at = units.begin;
  for (T* vector : {to.bias, to.gain, to.offset}) {
    if (vector != nullptr) kernels.add_up(sums + at, kSums * width, parts, vector + units.begin, units.size());
    at += width;
  }
}

// Gradients of their tensors' sizes where needed, else [0].
class Results {
 public:
  Results(ScalarType type, std::vector<bool> needs) : type_(type), needs_(std::move(needs)) {
    tensors.reserve(needs_.size());
  }
  template <class T> Matrix<T> matrix(int64_t rows, int64_t columns) { return {add<T>({rows, columns}), columns}; }
  template <class T> T* vector(int64_t size) { return add<T>({size}); }

  std::vector<Tensor> tensors;

 private:
  template <class T> T* add(std::initializer_list<int64_t> sizes) {
    const bool needed = needs_[tensors.size()];
    tensors.push_back(needed ? empty_cpu(type_, sizes) : empty_cpu(type_, {0}));
    return needed ? static_cast<T*>(tensors.back().mutable_data_ptr()) : nullptr;
  }

  ScalarType type_;
  std::vector<bool> needs_;
};

// grad [B, keep]; the rest as in the forward -> gradients of inputs, pieces, bias, gain, offset; see library.cpp
std::vector<Tensor> linear_backward(
    Tensor grad_any, std::vector<Tensor> inputs_any, std::vector<Tensor> pieces_any, std::optional<Tensor> gain_any,
    Tensor y_any, Tensor normalized_any, Tensor rstd_any, int64_t activation, std::vector<bool> needs) {
  const ProductShape s = check_linear_backward(
      grad_any, inputs_any, pieces_any, gain_any, y_any, normalized_any, rstd_any, activation, needs.size());
  const std::vector<Tensor> inputs = all_walkable(inputs_any), pieces = all_walkable(pieces_any);
  const std::optional<Tensor> gain = packed(gain_any);
  const Tensor grad = walkable(grad_any);
  const std::optional<Tensor> y = s.activation == Activation::none ? std::nullopt : packed(y_any);
  const std::optional<Tensor> normalized = s.norm ? packed(normalized_any) : std::nullopt;
  const std::optional<Tensor> rstd = s.norm ? packed(rstd_any) : std::nullopt;
  Results results(inputs[0].scalar_type(), std::move(needs));
  for_type(NASREC_KERNELS(linear), inputs[0].scalar_type(), [&]<class T, class A>(const LinearKernels<T, A>& kernels) {
    Gradients<T> to;
    for (const Tensor& x : inputs) to.inputs.push_back(results.matrix<T>(s.batch, x.size(1)));
    for (const Tensor& w : pieces) to.pieces.push_back(results.matrix<T>(s.out, w.size(1)));
    to.bias = results.vector<T>(s.out);
    to.gain = results.vector<T>(s.out);
    to.offset = results.vector<T>(s.out);
    const Backward<T, A> backward = {
        s, kernels, matrix_of<T>(grad), matrices_of<T>(inputs), matrices_of<T>(pieces), data_of<T>(gain), data_of<T>(y),
        data_of<T>(normalized), data_of<A>(rstd), std::move(to)};
    backward.run();
  });
  return std::move(results.tensors);
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CPU, m) { m.impl("linear_backward", TORCH_BOX(&nasrec::linear_backward)); }
