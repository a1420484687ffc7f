// Vectors of the accumulation type from and to elements of the tensors' type, and loops over the vectors of a row.
#pragma once

#include "kernels/lanes.h"

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
struct Part {
  int64_t count;
  template <class T> auto load(const T* from) const {  // zeros behind
    T lanes[kVectorBytes / sizeof(typename Accumulate<T>::type)] = {};
    __builtin_memcpy(lanes, from, static_cast<unsigned long>(count) * sizeof(T));
    return load_wide(lanes);
  }
  template <class T, class V> void store(T* to, V v) const {
    T lanes[kVectorBytes / sizeof(typename Accumulate<T>::type)];
    store_narrow(lanes, v);
    __builtin_memcpy(to, lanes, static_cast<unsigned long>(count) * sizeof(T));
  }
};

// Calls body(first, Whole or Part) for the vectors of elements [begin, end).
template <class A, class Body> inline void each_vector(int64_t begin, int64_t end, const Body& body) {
  constexpr int64_t n = Lanes<A>::count;
  int64_t i = begin;
  for (; i + n <= end; i += n) body(i, Whole{});
  if (i < end) body(i, Part{end - i});
}

}  // namespace
}  // namespace nasrec
