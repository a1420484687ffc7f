// Layer norm over the channels of every field of a sample, channel-major (channel_major.h): lanes are fields, so that
// means and variances need no sums across lanes.
#pragma once

#include "cpu/kernels/channel_major.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace nasrec {
namespace {

template <class A> typename Lanes<A>::vec square_root(typename Lanes<A>::vec v) {
  typedef typename Lanes<A>::vec vec;
#if defined(__AVX512F__)
  if constexpr (sizeof(A) == 4) return reinterpret_cast<vec>(_mm512_maskz_sqrt_ps(0xffff, reinterpret_cast<__m512>(v)));
  if constexpr (sizeof(A) == 8) return reinterpret_cast<vec>(_mm512_maskz_sqrt_pd(0xff, reinterpret_cast<__m512d>(v)));
#elif defined(__AVX2__)
  if constexpr (sizeof(A) == 4) return reinterpret_cast<vec>(_mm256_sqrt_ps(reinterpret_cast<__m256>(v)));
  if constexpr (sizeof(A) == 8) return reinterpret_cast<vec>(_mm256_sqrt_pd(reinterpret_cast<__m256d>(v)));
#elif defined(__SSE2__)
  if constexpr (sizeof(A) == 4) return reinterpret_cast<vec>(_mm_sqrt_ps(reinterpret_cast<__m128>(v)));
  if constexpr (sizeof(A) == 8) return reinterpret_cast<vec>(_mm_sqrt_pd(reinterpret_cast<__m128d>(v)));
#else
  for (int lane = 0; lane < Lanes<A>::count; ++lane) v[lane] = __builtin_sqrt(v[lane]);
  return v;
#endif
}

// normed = (x - mean) / sqrt(variance + eps), scales [stride] = 1 / sqrt(...), out = normed * gain + offset; all
// [channels][stride]. `normed` may be `x`.
template <class A>
void channel_norm(
    const A* x, int64_t channels, int64_t stride, int64_t vectors, const A* gain, const A* offset, A eps, A* normed,
    A* scales, A* out) {
  typedef typename Lanes<A>::vec vec;
  constexpr int n = Lanes<A>::count;
  const A share = A(1) / static_cast<A>(channels);
  for (int64_t at = 0; at < vectors * n; at += n) {
    vec mean{}, variance{};
    for (int64_t c = 0; c < channels; ++c) mean += load<A>(x + c * stride + at);
    mean *= share;
    for (int64_t c = 0; c < channels; ++c) {
      const vec centred = load<A>(x + c * stride + at) - mean;
      variance += centred * centred;
    }
    const vec scale = 1 / square_root<A>(variance * share + eps);
    store<A>(scales + at, scale);
    for (int64_t c = 0; c < channels; ++c) {
      const vec y = (load<A>(x + c * stride + at) - mean) * scale;
      store<A>(normed + c * stride + at, y);
      store<A>(out + c * stride + at, y * gain[c] + offset[c]);
    }
  }
}

// With g = grad * gain: grad_x = scale (g - mean(g) - normed mean(g normed)). `grad` becomes grad_x; gain_terms
// [channels][stride] gets grad * normed, whose sums are the gain's gradient.
template <class A>
void channel_norm_backward(
    A* grad, const A* normed, const A* scales, int64_t channels, int64_t stride, int64_t vectors, const A* gain,
    A* gain_terms) {
  typedef typename Lanes<A>::vec vec;
  constexpr int n = Lanes<A>::count;
  const A share = A(1) / static_cast<A>(channels);
  for (int64_t at = 0; at < vectors * n; at += n) {
    vec mean{}, along{};
    for (int64_t c = 0; c < channels; ++c) {
      const vec g = load<A>(grad + c * stride + at), term = g * load<A>(normed + c * stride + at);
      store<A>(gain_terms + c * stride + at, term);
      mean += g * gain[c];
      along += term * gain[c];
    }
    mean *= share;
    along *= share;
    const vec scale = load<A>(scales + at);
    for (int64_t c = 0; c < channels; ++c) {
      A* to = grad + c * stride + at;
      store<A>(to, scale * (load<A>(to) * gain[c] - mean - load<A>(normed + c * stride + at) * along));
    }
  }
}

}  // namespace
}  // namespace nasrec
