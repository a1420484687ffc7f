// Vectors of the accumulation type from and to elements of the tensors' type, and loops over the vectors of a row.
#pragma once

#include "cpu/kernels/lanes.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace nasrec {
namespace {

inline Lanes<float>::vec load_wide(const float* from) { return load<float>(from); }
inline Lanes<double>::vec load_wide(const double* from) { return load<double>(from); }
inline Lanes<float>::vec load_wide(const uint16_t* from) {
  typedef uint16_t half __attribute__((vector_size(kVectorBytes / 2)));
  typedef uint32_t bits __attribute__((vector_size(kVectorBytes)));
  half narrow_bits;
  __builtin_memcpy(&narrow_bits, from, sizeof narrow_bits);
  return reinterpret_cast<Lanes<float>::vec>(__builtin_convertvector(narrow_bits, bits) << 16);
}

inline void store_narrow(float* to, Lanes<float>::vec v) { store<float>(to, v); }
inline void store_narrow(double* to, Lanes<double>::vec v) { store<double>(to, v); }
inline void store_narrow(uint16_t* to, Lanes<float>::vec v) {  // as narrow() of lanes.h
  typedef uint16_t half __attribute__((vector_size(kVectorBytes / 2)));
  typedef uint32_t wide __attribute__((vector_size(kVectorBytes)));
  const wide bits = reinterpret_cast<wide>(v);
  const wide rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const half out = __builtin_convertvector(v != v ? wide{} + 0x7fc0 : rounded, half);
  __builtin_memcpy(to, &out, sizeof out);
}

// Access to a whole vector of a row, and to its last `count` elements.
struct Whole {
  template <class T> auto load(const T* from) const { return load_wide(from); }
  template <class T, class V> void store(T* to, V v) const { store_narrow(to, v); }
};
#if defined(__AVX512F__)
struct Part {  // by masks: lanes behind are neither read nor written
  int64_t count;
  uint16_t mask() const { return static_cast<uint16_t>((1u << count) - 1); }
  Lanes<float>::vec load(const float* from) const {
    return reinterpret_cast<Lanes<float>::vec>(_mm512_maskz_loadu_ps(mask(), from));
  }
  Lanes<double>::vec load(const double* from) const {
    return reinterpret_cast<Lanes<double>::vec>(_mm512_maskz_loadu_pd(static_cast<uint8_t>(mask()), from));
  }
  Lanes<float>::vec load(const uint16_t* from) const {
    const __m256i bits = _mm256_maskz_loadu_epi16(mask(), from);
    uint16_t lanes[16];
    __builtin_memcpy(lanes, &bits, sizeof lanes);
    return load_wide(lanes);
  }
  void store(float* to, Lanes<float>::vec v) const { _mm512_mask_storeu_ps(to, mask(), reinterpret_cast<__m512>(v)); }
  void store(double* to, Lanes<double>::vec v) const {
    _mm512_mask_storeu_pd(to, static_cast<uint8_t>(mask()), reinterpret_cast<__m512d>(v));
  }
  void store(uint16_t* to, Lanes<float>::vec v) const {
    uint16_t lanes[16];
    store_narrow(lanes, v);
    __m256i bits;
    __builtin_memcpy(&bits, lanes, sizeof bits);
    _mm256_mask_storeu_epi16(to, mask(), bits);
  }
};
#else
struct Part {
  int64_t count;
  template <class T> auto load(const T* from) const {  // zeros behind
    T lanes[kVectorBytes / sizeof(typename Accumulate<T>::type)] = {};
    for (int i = 0; i < kVectorBytes / static_cast<int>(sizeof(typename Accumulate<T>::type)) - 1; ++i)
      if (i < count) lanes[i] = from[i];
    return load_wide(lanes);
  }
  template <class T, class V> void store(T* to, V v) const {
    T lanes[kVectorBytes / sizeof(typename Accumulate<T>::type)];
    store_narrow(lanes, v);
    for (int i = 0; i < kVectorBytes / static_cast<int>(sizeof(typename Accumulate<T>::type)) - 1; ++i)
      if (i < count) to[i] = lanes[i];
  }
};
#endif

// Calls body(first, Whole or Part) for the vectors of elements [begin, end).
template <class A, class Body> inline void each_vector(int64_t begin, int64_t end, const Body& body) {
  constexpr int64_t n = Lanes<A>::count;
  int64_t i = begin;
  for (; i + n <= end; i += n) body(i, Whole{});
  if (i < end) body(i, Part{end - i});
}

}  // namespace
}  // namespace nasrec
