// Vectors of one register of the instruction set that the including file is compiled for, by the compiler's vector
// extensions. Everything is in an anonymous namespace: a function shared between instruction sets would be merged
// by the linker into one copy, perhaps of the wrong set. For the same reason no standard C++ header is included here.
#pragma once

#include <stdint.h>

namespace nasrec {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class A> struct Lanes;
template <> struct Lanes<float> {
  static constexpr int count = kVectorBytes / 4;
  typedef float vec __attribute__((vector_size(kVectorBytes)));
  typedef int32_t index __attribute__((vector_size(kVectorBytes)));
};
template <> struct Lanes<double> {
  static constexpr int count = kVectorBytes / 8;
  typedef double vec __attribute__((vector_size(kVectorBytes)));
  typedef int64_t index __attribute__((vector_size(kVectorBytes)));
};

// The type in which elements of type T are accumulated.
template <class T> struct Accumulate { typedef T type; };
template <> struct Accumulate<uint16_t> { typedef float type; };

inline float widen(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  __builtin_memcpy(&value, &wide, sizeof value);
  return value;
}
inline float widen(float value) { return value; }
inline double widen(double value) { return value; }

inline void narrow(float value, float* out) { *out = value; }
inline void narrow(double value, double* out) { *out = value; }
inline void narrow(float value, uint16_t* out) {  // to the nearest bfloat16, ties to even
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  *out = static_cast<uint16_t>(value != value ? 0x7fc0 : rounded);
}

template <class A> typename Lanes<A>::vec load(const A* from) {
  typename Lanes<A>::vec v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
template <class A> void store(A* to, typename Lanes<A>::vec v) { __builtin_memcpy(to, &v, sizeof v); }

// Only the first `count` lanes reach memory.
template <class A> void store_first(A* to, typename Lanes<A>::vec v, int64_t count) {
  A lanes[Lanes<A>::count];
  store<A>(lanes, v);
  for (int64_t i = 0; i < count; ++i) to[i] = lanes[i];
}

// The greater of each lane; where either is NaN, `a`.
template <class A> typename Lanes<A>::vec greater(typename Lanes<A>::vec a, typename Lanes<A>::vec b) {
  return b > a ? b : a;
}

template <class A> A sum_of_lanes(typename Lanes<A>::vec v) {
  A sum = 0;
  for (int lane = 0; lane < Lanes<A>::count; ++lane) sum += v[lane];
  return sum;
}

// Lanes of a (0 .. count - 1) and b (count .. 2 count - 1) by index.
template <class A> typename Lanes<A>::vec pick(
    typename Lanes<A>::vec a, typename Lanes<A>::vec b, typename Lanes<A>::index from) {
#if defined(__clang__)
  typename Lanes<A>::vec out;
  for (int lane = 0; lane < Lanes<A>::count; ++lane)
    out[lane] = from[lane] < Lanes<A>::count ? a[from[lane]] : b[from[lane] - Lanes<A>::count];
  return out;
#else
  return __builtin_shuffle(a, b, from);
#endif
}

// Transposes the square of Lanes<A>::count vectors in registers: swaps off-diagonal blocks of size 1, 2, 4, ...
template <class A, int Block = 1> void transpose(typename Lanes<A>::vec* v) {
  constexpr int n = Lanes<A>::count;
  if constexpr (Block < n) {
    typename Lanes<A>::index low, high;
    for (int lane = 0; lane < n; ++lane) {
      low[lane] = lane & Block ? n + lane - Block : lane;
      high[lane] = lane & Block ? n + lane : lane + Block;
    }
    for (int i = 0; i < n; ++i) {
      if (i & Block) continue;
      const typename Lanes<A>::vec a = v[i], b = v[i + Block];
      v[i] = pick<A>(a, b, low);
      v[i + Block] = pick<A>(a, b, high);
    }
    transpose<A, Block * 2>(v);
  }
}

// Lane l of the result is the sum over the lanes of v[l]: pairs of vectors are interleaved and added, until one is left.
template <class A, int Block = 1> typename Lanes<A>::vec sums_of_lanes(typename Lanes<A>::vec* v) {
  constexpr int n = Lanes<A>::count;
  if constexpr (Block == n) {
    return v[0];
  } else {
    typename Lanes<A>::vec half[n / Block / 2];
    typename Lanes<A>::index low, high;
    for (int lane = 0; lane < n; ++lane) {
      low[lane] = lane & Block ? n + lane - Block : lane;
      high[lane] = lane & Block ? n + lane : lane + Block;
    }
#pragma GCC unroll 16
    for (int i = 0; i < n / Block / 2; ++i) half[i] = pick<A>(v[2 * i], v[2 * i + 1], low) + pick<A>(v[2 * i], v[2 * i + 1], high);
    return sums_of_lanes<A, Block * 2>(half);
  }
}

}  // namespace
}  // namespace nasrec
