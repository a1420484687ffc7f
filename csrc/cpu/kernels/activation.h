// The activations of the linear operators, forward and backward, on vectors.
#pragma once

#include "cpu/kernels/exp2.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace nasrec {
namespace {

enum { kNone, kRelu, kSigmoid };

// 1 / (1 + 2^(-x log2 e)); the power stays within the normal numbers.
template <class A> typename Lanes<A>::vec sigmoid(typename Lanes<A>::vec x) {
  typedef typename Lanes<A>::vec vec;
  const A most = sizeof(A) == sizeof(float) ? 126 : 1022;
  vec power = x * static_cast<A>(-1.4426950408889634074);
  power = power > most ? vec{} + most : power;
  return 1 / (1 + exp2<A>(power));
}

template <class A, int Activation> typename Lanes<A>::vec activate(typename Lanes<A>::vec x) {
  if constexpr (Activation == kRelu) return x < 0 ? typename Lanes<A>::vec{} : x;
  if constexpr (Activation == kSigmoid) return sigmoid<A>(x);
  return x;
}

// The gradient before the activation, from the one behind it and the result.
template <class A, int Activation>
typename Lanes<A>::vec deactivate(typename Lanes<A>::vec grad, typename Lanes<A>::vec y) {
  if constexpr (Activation == kRelu) return y <= 0 ? typename Lanes<A>::vec{} : grad;
  if constexpr (Activation == kSigmoid) return grad * (1 - y) * y;
  return grad;
}

inline float square_root(float value) { return __builtin_sqrtf(value); }
inline double square_root(double value) { return __builtin_sqrt(value); }

// Of each lane. (With a mask of all lanes, as GCC warns of the plain forms' unused operand.)
inline Lanes<float>::vec square_roots(Lanes<float>::vec v) {
#if defined(__AVX512F__)
  return reinterpret_cast<Lanes<float>::vec>(_mm512_maskz_sqrt_ps(0xffff, reinterpret_cast<__m512>(v)));
#elif defined(__AVX2__)
  return reinterpret_cast<Lanes<float>::vec>(_mm256_sqrt_ps(reinterpret_cast<__m256>(v)));
#elif defined(__x86_64__)
  return reinterpret_cast<Lanes<float>::vec>(_mm_sqrt_ps(reinterpret_cast<__m128>(v)));
#else
  for (int lane = 0; lane < Lanes<float>::count; ++lane) v[lane] = square_root(v[lane]);
  return v;
#endif
}
inline Lanes<double>::vec square_roots(Lanes<double>::vec v) {
#if defined(__AVX512F__)
  return reinterpret_cast<Lanes<double>::vec>(_mm512_maskz_sqrt_pd(0xff, reinterpret_cast<__m512d>(v)));
#elif defined(__AVX2__)
  return reinterpret_cast<Lanes<double>::vec>(_mm256_sqrt_pd(reinterpret_cast<__m256d>(v)));
#elif defined(__x86_64__)
  return reinterpret_cast<Lanes<double>::vec>(_mm_sqrt_pd(reinterpret_cast<__m128d>(v)));
#else
  for (int lane = 0; lane < Lanes<double>::count; ++lane) v[lane] = square_root(v[lane]);
  return v;
#endif
}

}  // namespace
}  // namespace nasrec
