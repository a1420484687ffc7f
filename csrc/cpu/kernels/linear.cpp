// Bias, layer norm, activation and the cut to the leading units, forward and backward, for one instruction set.
#include "cpu/kernels/linear.h"

#include "cpu/kernels/activation.h"
#include "cpu/kernels/wide.h"

namespace nasrec {
namespace {

template <class A> using Vec = typename Lanes<A>::vec;

template <class T, class A, int Activation> void plain_row(const LinearForward<T, A>& f, const A* z, T* y) {
  each_vector<A>(0, f.keep, [&](int64_t j, auto at) {
    Vec<A> v = at.load(z + j);
    if (f.bias != nullptr) v += at.load(f.bias + j);
    at.store(y + j, activate<A, Activation>(v));
  });
}

// Variance from the distances to the mean: squares alone would cancel.
template <class T, class A, int Activation>
void norm_row(const LinearForward<T, A>& f, A* z, T* y, T* normalized, A* rstd) {
  Vec<A> sum = {}, squares = {};
  each_vector<A>(0, f.width, [&](int64_t j, auto at) {
    Vec<A> v = at.load(z + j);
    if (f.bias != nullptr) {
      v += at.load(f.bias + j);
      at.store(z + j, v);
    }
    sum += v;
  });
  const A mean = sum_of_lanes<A>(sum) / static_cast<A>(f.width);
  const int64_t whole = f.width / Lanes<A>::count * Lanes<A>::count;
  each_vector<A>(0, whole, [&](int64_t j, auto at) {
    const Vec<A> distance = at.load(z + j) - mean;
    squares += distance * distance;
  });
  A rest = 0;
  for (int64_t j = whole; j < f.width; ++j) rest += (z[j] - mean) * (z[j] - mean);
  const A variance = (sum_of_lanes<A>(squares) + rest) / static_cast<A>(f.width);
  const A scale = 1 / square_root(variance + f.eps);
  if (rstd != nullptr) *rstd = scale;
  each_vector<A>(0, f.keep, [&](int64_t j, auto at) {
    const Vec<A> v = (at.load(z + j) - mean) * scale;
    at.store(y + j, activate<A, Activation>(v * at.load(f.gain + j) + at.load(f.offset + j)));
    if (normalized != nullptr) at.store(normalized + j, v);
  });
  if (normalized == nullptr) return;
  each_vector<A>(f.keep, f.width, [&](int64_t j, auto at) { at.store(normalized + j, (at.load(z + j) - mean) * scale); });
}

template <class T, class A, int Activation> void forward_rows(const LinearForward<T, A>& f) {
  for (int64_t i = 0; i < f.rows; ++i) {
    A* z = f.z + i * f.z_stride;
    T* y = f.y + i * f.keep;
    if (f.norm)
      norm_row<T, A, Activation>(
          f, z, y, f.normalized == nullptr ? nullptr : f.normalized + i * f.width,
          f.rstd == nullptr ? nullptr : f.rstd + i);
    else
      plain_row<T, A, Activation>(f, z, y);
  }
}

template <class T, class A> void forward(const LinearForward<T, A>& f) {
  if (f.activation == kRelu) return forward_rows<T, A, kRelu>(f);
  if (f.activation == kSigmoid) return forward_rows<T, A, kSigmoid>(f);
  forward_rows<T, A, kNone>(f);
}

template <class A, class At> void add_to(A* sum, At at, Vec<A> v) {
  if (sum != nullptr) at.store(sum, at.load(sum) + v);
}

template <class A> A* behind(A* vector, int64_t j) { return vector == nullptr ? nullptr : vector + j; }

// dz = (g - mean(g) - normalized mean(g normalized)) rstd with g = gain d(activation), zero behind `keep`.
template <class T, class A, int Activation>
void norm_row_backward(const LinearBackward<T, A>& f, const T* grad, const T* y, const T* normalized, A rstd, T* dz) {
  Vec<A> sum = {}, product = {};
  each_vector<A>(0, f.keep, [&](int64_t j, auto at) {
    Vec<A> result = {};
    if constexpr (Activation != kNone) result = at.load(y + j);
    const Vec<A> d = deactivate<A, Activation>(at.load(grad + j), result), n = at.load(normalized + j);
    const Vec<A> g = d * at.load(f.gain + j);
    add_to<A>(behind(f.offset_sum, j), at, d);
    add_to<A>(behind(f.gain_sum, j), at, d * n);
    at.store(f.row + j, g);
    sum += g;
    product += g * n;
  });
  const A mean = sum_of_lanes<A>(sum) / static_cast<A>(f.width);
  const A slope = sum_of_lanes<A>(product) / static_cast<A>(f.width);
  const auto finish = [&](int64_t j, auto at, Vec<A> g) {
    const Vec<A> v = (g - mean - at.load(normalized + j) * slope) * rstd;
    add_to<A>(behind(f.bias, j), at, v);
    at.store(dz + j, v);
  };
  each_vector<A>(0, f.keep, [&](int64_t j, auto at) { finish(j, at, at.load(f.row + j)); });
  each_vector<A>(f.keep, f.width, [&](int64_t j, auto at) { finish(j, at, Vec<A>{}); });
}

template <class T, class A, int Activation>
void plain_row_backward(const LinearBackward<T, A>& f, const T* grad, const T* y, T* dz) {
  each_vector<A>(0, f.keep, [&](int64_t j, auto at) {
    Vec<A> result = {};
    if constexpr (Activation != kNone) result = at.load(y + j);
    const Vec<A> d = deactivate<A, Activation>(at.load(grad + j), result);
    add_to<A>(behind(f.bias, j), at, d);
    at.store(dz + j, d);
  });
}

template <class T, class A, int Activation> void backward_rows(const LinearBackward<T, A>& f) {
  for (int64_t i = 0; i < f.rows; ++i) {
    const T* grad = f.grad + i * f.grad_stride;
    const T* y = Activation == kNone ? nullptr : f.y + i * f.keep;
    if (f.norm)
      norm_row_backward<T, A, Activation>(f, grad, y, f.normalized + i * f.width, f.rstd[i], f.dz + i * f.width);
    else
      plain_row_backward<T, A, Activation>(f, grad, y, f.dz + i * f.width);
  }
}

template <class T, class A> void backward(const LinearBackward<T, A>& f) {
  if (f.activation == kRelu) return backward_rows<T, A, kRelu>(f);
  if (f.activation == kSigmoid) return backward_rows<T, A, kSigmoid>(f);
  backward_rows<T, A, kNone>(f);
}

template <class T, class A>
void narrow_rows(const A* from, int64_t from_stride, T* to, int64_t to_stride, int64_t rows, int64_t width) {
  for (int64_t i = 0; i < rows; ++i, from += from_stride, to += to_stride)
    each_vector<A>(0, width, [&](int64_t j, auto at) { at.store(to + j, at.load(from + j)); });
}

template <class T, class A> void add_up(const A* from, int64_t stride, int64_t count, T* to, int64_t width) {
  each_vector<A>(0, width, [&](int64_t j, auto at) {
    Vec<A> sum = {};
    for (int64_t i = 0; i < count; ++i) sum += at.load(from + i * stride + j);
    at.store(to + j, sum);
  });
}

}  // namespace

namespace NASREC_ISA {

extern const LinearTable linear = {
    {forward<float, float>, backward<float, float>, narrow_rows<float, float>, add_up<float, float>},
    {forward<double, double>, backward<double, double>, narrow_rows<double, double>, add_up<double, double>},
    {forward<uint16_t, float>, backward<uint16_t, float>, narrow_rows<uint16_t, float>, add_up<uint16_t, float>},
};

}  // namespace NASREC_ISA
}  // namespace nasrec
