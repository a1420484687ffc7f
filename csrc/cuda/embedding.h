// CUDA kernels of table lookups on raw device pointers. `stream` is a cudaStream_t; the current device must be the one
// that holds the data. Each returns null, or the text of the CUDA error.
#pragma once

#include <cstdint>

#include "cuda/element.h"

namespace nasrec::cuda {

// Tables of up to kMaxTables fields, the first of which is field `first` of `fields`: what fits among the arguments of
// a kernel. `strides` are distances between rows.
struct TableChunk {
  static constexpr int kMaxTables = 64;
  void* data[kMaxTables];
  int64_t rows[kMaxTables], strides[kMaxTables];
  int count;
  int64_t first, fields;
};

// ids int64 [batch, fields] -> out [batch, fields, channels]. An id outside its table gives a row of NaN.
const char* embedding_gather(
    Element type, const int64_t* ids, const TableChunk& tables, void* out, int64_t batch, int64_t channels,
    void* stream);

// The place in ids [batch, fields], row-major, of the first id that lies outside its table, into wrong [1], which holds
// -1, the largest number when taken as unsigned.
const char* embedding_find_wrong(
    const int64_t* ids, const TableChunk& tables, int64_t* wrong, int64_t batch, void* stream);

// What sorting the ids of each field gave: sorted ids and their samples, [fields, batch] each.
struct SortedIds {
  const int64_t* ids;
  const int64_t* samples;
  int64_t batch, fields;
};

// Where the ids of each field start: ids that occur and lie in their table, in ascending order, into found
// [fields, batch], the first of their places into starts [fields, batch], how many there are into counts [fields].
// Places behind are zero.
const char* embedding_find_rows(
    const SortedIds& sorted, const TableChunk& tables, int64_t* found, int64_t* starts, int64_t* counts, void* stream);

// The rows that embedding_find_rows has found.
struct FoundRows {
  const int64_t* ids;
  const int64_t* starts;
  const int64_t* counts;
};

// grad [batch, fields, channels] -> for each row found the sum of its gradients, into its row of its table, which is
// zero.
const char* embedding_scatter(
    Element type, const void* grad, const SortedIds& sorted, const FoundRows& rows, const TableChunk& tables,
    int64_t channels, void* stream);

// The same into values [fields, batch, channels], zeros behind.
const char* embedding_compact(
    Element type, const void* grad, const SortedIds& sorted, const FoundRows& rows, void* values, int64_t channels,
    void* stream);

}  // namespace nasrec::cuda
