// The Adagrad update of neighbours and of single rows, for one instruction set.
#include "kernels/adagrad.h"

#include "kernels/lanes.h"
#include "kernels/row_sums.h"

namespace nasrec {
namespace {

inline float root(float value) { return __builtin_sqrtf(value); }
inline double root(double value) { return __builtin_sqrt(value); }

// The loops here are left to the compiler, which makes whole vectors of them in every type: no operand overlaps another.
// `Decay` is not left to a factor of zero, which would carry a parameter that is not finite into its own gradient.
template <bool Decay, class P, class S, class G>
inline void step(P* p, S* state, const G* grad, int64_t count, const AdagradFactors& factors) {
  typedef typename Accumulate<P>::type A;
  const A lr = static_cast<A>(factors.lr), eps = static_cast<A>(factors.eps);
  const A decay = static_cast<A>(factors.weight_decay);
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    A g = widen(grad[i]);
    if constexpr (Decay) g += decay * widen(p[i]);
    const A sum = widen(state[i]) + g * g;
    narrow(sum, state + i);
    narrow(widen(p[i]) - lr * g / (root(sum) + eps), p + i);
  }
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
  A squares = 0;
  for (int64_t k = 0; k < count; ++k) squares += grad[k] * grad[k];
  const A sum = widen(*state) + squares / static_cast<A>(count);
  narrow(sum, state);
  const A factor = static_cast<A>(factors.lr) / (root(sum) + static_cast<A>(factors.eps));
#pragma GCC ivdep
  for (int64_t k = 0; k < count; ++k) narrow(widen(p[k]) - factor * grad[k], p + k);
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
