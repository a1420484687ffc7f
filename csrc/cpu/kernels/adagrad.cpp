// The Adagrad update of neighbours and of single rows, for one instruction set.
#include "cpu/kernels/adagrad.h"

#include "cpu/kernels/row_sums.h"
#include "cpu/kernels/wide.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace nasrec {
namespace {

template <class A> typename Lanes<A>::vec root(typename Lanes<A>::vec x) {
#pragma GCC unroll 16
  for (int lane = 0; lane < Lanes<A>::count; ++lane)
    x[lane] = sizeof(A) == sizeof(float) ? __builtin_sqrtf(static_cast<float>(x[lane])) : __builtin_sqrt(x[lane]);
  return x;
}
#if defined(__AVX512F__)
template <> inline Lanes<float>::vec root<float>(Lanes<float>::vec x) {
  return reinterpret_cast<Lanes<float>::vec>(_mm512_maskz_sqrt_ps(0xffff, reinterpret_cast<__m512>(x)));
}
template <> inline Lanes<double>::vec root<double>(Lanes<double>::vec x) {
  return reinterpret_cast<Lanes<double>::vec>(_mm512_maskz_sqrt_pd(0xff, reinterpret_cast<__m512d>(x)));
}
#elif defined(__AVX2__)
template <> inline Lanes<float>::vec root<float>(Lanes<float>::vec x) {
  return reinterpret_cast<Lanes<float>::vec>(_mm256_sqrt_ps(reinterpret_cast<__m256>(x)));
}
template <> inline Lanes<double>::vec root<double>(Lanes<double>::vec x) {
  return reinterpret_cast<Lanes<double>::vec>(_mm256_sqrt_pd(reinterpret_cast<__m256d>(x)));
}
#endif
inline float root_of(float value) { return __builtin_sqrtf(value); }
inline double root_of(double value) { return __builtin_sqrt(value); }

// `Decay` is not left to a factor of zero, which would carry a parameter that is not finite into its own gradient.
template <bool Decay, class P, class S, class G>
inline void step(P* p, S* state, const G* grad, int64_t count, const AdagradFactors& factors) {
  typedef typename Accumulate<P>::type A;
  typedef typename Lanes<A>::vec vec;
  const A lr = static_cast<A>(factors.lr), eps = static_cast<A>(factors.eps);
  const A decay = static_cast<A>(factors.weight_decay);
  each_vector<A>(0, count, [&](int64_t i, const auto& access) {
    const vec value = access.load(p + i);
    vec g = access.load(grad + i);
    if constexpr (Decay) g += decay * value;
    const vec sum = access.load(state + i) + g * g;
    access.store(state + i, sum);
    access.store(p + i, value - lr * g / (root<A>(sum) + eps));
  });
}

template <class P, class S>
void update(P* p, S* state, const P* grad, int64_t count, const AdagradFactors& factors) {
  if (factors.weight_decay == 0)
    step<false>(p, state, grad, count, factors);
  else
    step<true>(p, state, grad, count, factors);
}

// state += mean(g g);  p -= lr g / (sqrt(state) + eps)
template <class P, class S, class A>
inline void step_row(P* p, S* state, const A* grad, int64_t count, const AdagradFactors& factors) {
  if (count == 0) return;
  typedef typename Lanes<A>::vec vec;
  vec squares = {};
  each_vector<A>(0, count, [&](int64_t k, const auto& access) {
    const vec g = access.load(grad + k);
    squares += g * g;
  });
  A total = 0;
  for (int lane = 0; lane < Lanes<A>::count; ++lane) total += squares[lane];
  const A sum = widen(*state) + total / static_cast<A>(count);
  narrow(sum, state);
  const A factor = static_cast<A>(factors.lr) / (root_of(sum) + static_cast<A>(factors.eps));
  each_vector<A>(0, count, [&](int64_t k, const auto& access) {
    access.store(p + k, access.load(p + k) - factor * access.load(grad + k));
  });
}

template <class P, class S>
void update_rows(
    const RowStates<P, S>& rows, const RowGradients<P>& grad, int64_t begin, int64_t end, int64_t channels,
    const AdagradFactors& factors, void* sum) {
  typedef typename Accumulate<P>::type A;
  const int64_t bytes = channels * static_cast<int64_t>(sizeof(P));
  const int64_t state_bytes = (rows.one_a_row ? 1 : channels) * static_cast<int64_t>(sizeof(S));
  for_each_row(
      grad, begin, end, channels, static_cast<A*>(sum),
      [&](int64_t id) {
        prefetch_row<1>(rows.table + id * rows.stride, bytes);
        prefetch_row<1>(rows.state + id * rows.state_stride, state_bytes);
      },
      [&](int64_t id, const A* total) {
        P* p = rows.table + id * rows.stride;
        S* state = rows.state + id * rows.state_stride;
        if (rows.one_a_row)
          step_row(p, state, total, channels, factors);
        else
          step<false>(p, state, total, channels, factors);
      });
}

}  // namespace

namespace NASREC_ISA {

extern const AdagradTable adagrad = {
    {update<float, float>, update_rows<float, float>},
    {update<double, double>, update_rows<double, double>},
    {update<uint16_t, uint16_t>, update_rows<uint16_t, uint16_t>},
    {update<uint16_t, float>, update_rows<uint16_t, float>},
};

}  // namespace NASREC_ISA
}  // namespace nasrec
