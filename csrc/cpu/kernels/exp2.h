// Powers of two of a vector. Relative error 2e-7 (float) and 3e-16 (double); 0 below the smallest normal number; NaN
// stays NaN. Polynomials: minimax of the relative error, by Remez' algorithm.
#pragma once

#include "cpu/kernels/lanes.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace nasrec {
namespace {

// 2^x for any x: of the fraction in [-1/2, 1/2] by a polynomial, of the integer by its bits. Adding the magic number
// leaves the biased exponent in the lowest bits of the sum; scaling is a product, so that NaN survives.
template <class A, int Degree> typename Lanes<A>::vec exp2_by_bits(
    typename Lanes<A>::vec x, const A (&coefficients)[Degree + 1], A magic, A lowest, int mantissa_bits) {
  typedef typename Lanes<A>::vec vec;
  typedef typename Lanes<A>::index index;
  x = x < lowest ? vec{} + lowest : x;
  const vec shifted = x + magic;
  const vec fraction = x - (shifted - magic);
  vec p = vec{} + coefficients[Degree];
#pragma GCC unroll 16
  for (int i = Degree - 1; i >= 0; --i) p = p * fraction + coefficients[i];
  const index exponent = reinterpret_cast<index>(shifted) << mantissa_bits;
  return p * reinterpret_cast<vec>(exponent);
}

template <class A> typename Lanes<A>::vec exp2(typename Lanes<A>::vec x);

template <> inline Lanes<double>::vec exp2<double>(Lanes<double>::vec x) {
  constexpr double coefficients[] = {
      0.9999999999999999971,     0.69314718055994533046,    0.24022650695910156204,     0.055504108664819921605,
      0.0096181291075883352443,  0.0013333558146789921722,  0.00015403530462514432062,    0.000015252733489988525649,
      1.321543308967639918e-6,   1.0178198021671930844e-7,  7.0741056135081427963e-9,   4.4352827069572771511e-10};
  // 1.5 2^52 keeps the sum's unit at one; 1023 is the exponent's bias.
  return exp2_by_bits<double, 11>(x, coefficients, 6755399441055744.0 + 1023.0, -1023.0, 52);
}

template <> inline Lanes<float>::vec exp2<float>(Lanes<float>::vec x) {
#if defined(__AVX512F__)
  // The fraction above the floor, in [0, 1), and scaling by the floor are one instruction each.
  // (With a mask of all lanes, as GCC warns of the plain forms' unused operand.)
  const __m512 fraction = _mm512_maskz_reduce_ps(0xffff, reinterpret_cast<__m512>(x), 0x09);
  __m512 p = _mm512_set1_ps(0.0018775767656580149639f);
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0.0089893398765987356656f));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0.055826318231683376816f));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0.24015361698272357832f));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0.69315307320709622907f));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0.99999992506375993494f));
  return reinterpret_cast<Lanes<float>::vec>(_mm512_maskz_scalef_ps(0xffff, p, reinterpret_cast<__m512>(x)));
#else
  constexpr float coefficients[] = {1.0000000716547141446f, 0.69314696706503521429f, 0.24022119723710719626f,
                                    0.055507132718556442019f, 0.0096755413431213273895f, 0.0013276472631950876055f};
  return exp2_by_bits<float, 5>(x, coefficients, 12582912.0f + 127.0f, -127.0f, 23);
#endif
}

}  // namespace
}  // namespace nasrec
