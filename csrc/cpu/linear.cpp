#include "cpu/linear.h"

#include <torch/csrc/stable/library.h>

#include <tuple>

#include "cpu/empty.h"
#include "cpu/scratch.h"

namespace nasrec {
namespace {

template <class T, class A> struct Forward {
  const ProductShape& s;
  const LinearKernels<T, A>& kernels;
  std::vector<Matrix<const T>> inputs, pieces;
  const T *bias, *gain, *offset;
  A eps;
  T *y, *normalized;  // normalized and rstd may be null
  A* rstd;

  void run() const;
  void multiply_units(Range rows, Range units, A* z) const;
  void finish(Range rows, A* z) const;
  A* lasting_z() const;
};

template <class T, class A> void Forward<T, A>::run() const {
  const int64_t width = s.rows();
  const int parts = team_parts(1.0 * s.batch * width * (s.columns + 16));
  A* lasting = lasting_z();
  if (few_rows(s.batch, parts)) {
    const Scratch scratch(lasting == nullptr ? s.batch * width * sizeof(A) : 0);
    A* z = lasting == nullptr ? static_cast<A*>(scratch.data()) : lasting;
    team_run(
        parts, [&](int part, int of) { multiply_units({0, s.batch}, split(width, part, of, 16), z); },
        [&](int part, int of) {
          const Range rows = split(s.batch, part, of);
          finish(rows, z + rows.begin * width);
        });
    return;
  }
  team_run(parts, [&](int part, int of) {
    const Range mine = split(s.batch, part, of);
    const int64_t block = std::min(rows_of_block(width, sizeof(A)), std::max<int64_t>(1, mine.size()));
    const Scratch scratch(lasting == nullptr ? block * width * sizeof(A) : 0);
    for (int64_t first = mine.begin; first < mine.end; first += block) {
      const Range rows = {first, std::min(first + block, mine.end)};
      A* z = lasting == nullptr ? static_cast<A*>(scratch.data()) : lasting + first * width;
      multiply_units(rows, {0, width}, z);
      finish(rows, z);
    }
  });
}

// z [rows, width]: its columns `units` become the inputs times the weight's rows.
template <class T, class A> void Forward<T, A>::multiply_units(Range rows, Range units, A* z) const {
  const int64_t width = s.rows();
  z += units.begin;
  if (s.segments.empty())
    for (int64_t i = 0; i < rows.size(); ++i) std::fill_n(z + i * width, units.size(), A(0));
  A beta = 0;
  for (const Segment& segment : s.segments) {
    const Matrix<const T>&x = inputs[segment.input], &w = pieces[segment.piece];
    multiply<T>(
        false, true, rows.size(), units.size(), segment.width, x.at(rows.begin, segment.input_column), x.stride,
        w.at(units.begin, segment.piece_column), w.stride, beta, z, width);
    beta = 1;
  }
}

template <class T, class A> void Forward<T, A>::finish(Range rows, A* z) const {
  const int64_t width = s.rows();
  kernels.forward(
      {rows.size(), width, s.keep, bias, gain, offset, s.norm, eps, static_cast<int>(s.activation), z, width,
       y + rows.begin * s.keep, normalized == nullptr ? nullptr : normalized + rows.begin * width,
       rstd == nullptr ? nullptr : rstd + rows.begin});
}

// The result that z may be formed in, [batch, width], if there is one of its type.
template <class T, class A> A* Forward<T, A>::lasting_z() const {
  if constexpr (sizeof(T) == sizeof(A)) return s.norm ? normalized : y;
  return nullptr;
}

// inputs [B, n_j], pieces [out, k_i], vectors [out] -> y [B, keep], normalized [B, out], rstd [B]; see library.cpp
std::tuple<Tensor, Tensor, Tensor> linear(
    std::vector<Tensor> inputs_any, std::vector<Tensor> pieces_any, std::optional<Tensor> bias_any,
    std::optional<Tensor> gain_any, std::optional<Tensor> offset_any, double eps, int64_t activation, int64_t keep,
    bool save) {
  const ProductShape s = check_linear(inputs_any, pieces_any, bias_any, gain_any, offset_any, activation, keep);
  const std::vector<Tensor> inputs = all_walkable(inputs_any), pieces = all_walkable(pieces_any);
  const std::optional<Tensor> bias = packed(bias_any), gain = packed(gain_any), offset = packed(offset_any);
  const bool saved = save && s.norm;
  const ScalarType type = inputs[0].scalar_type(), sums = accumulation_type(type);
  const Tensor y = empty_cpu(type, {s.batch, s.keep});
  const Tensor normalized = saved ? empty_cpu(type, {s.batch, s.out}) : empty_cpu(type, {0});
  const Tensor rstd = empty_cpu(sums, {saved ? s.batch : 0});
  for_type(NASREC_KERNELS(linear), type, [&]<class T, class A>(const LinearKernels<T, A>& kernels) {
    const Forward<T, A> forward = {
        s, kernels, matrices_of<T>(inputs), matrices_of<T>(pieces), data_of<T>(bias), data_of<T>(gain),
        data_of<T>(offset), static_cast<A>(eps), static_cast<T*>(y.mutable_data_ptr()),
        data_if<T>(saved, normalized), data_if<A>(saved, rstd)};
    forward.run();
  });
  return {y, normalized, rstd};
}

}  // namespace
}  // namespace nasrec

STABLE_TORCH_LIBRARY_IMPL(nasrec, CPU, m) { m.impl("linear", TORCH_BOX(&nasrec::linear)); }
