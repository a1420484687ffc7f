// Ids of each field brought together: the samples of an id side by side.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/scratch.h"

namespace nasrec {

// ids[0], ids[stride], ... of the `count` (below 2^32) samples, for a table of `rows` (below 2^32) rows
struct IdColumn {
  const int64_t* ids;
  int64_t stride, count, rows;
};

// The columns of ids int64 [batch, rows.size()].
std::vector<IdColumn> columns_of(const int64_t* ids, int64_t batch, const std::vector<int64_t>& rows);

class SortedIds {
 public:
  explicit SortedIds(std::vector<IdColumn> columns);

  // Sorts column j; threads may sort different columns at once.
  void sort(int64_t j);

  // Of a sorted column: id << 32 | sample in ascending order; null where an id lies outside its table.
  const uint64_t* keys(int64_t j) const { return sorted_[j]; }
  int64_t count(int64_t j) const { return columns_[j].count; }
  int64_t columns() const { return static_cast<int64_t>(columns_.size()); }

  // The largest place <= `at` of a sorted column where an id starts.
  int64_t start_of_id(int64_t j, int64_t at) const;

  // Whether a column has an id outside its table; column and sample of the first one, row by row.
  bool find_wrong(int64_t* column, int64_t* sample) const;

  // What sorting costs, in the unit of team_parts.
  double work() const { return 1500.0 * static_cast<double>(total_); }
  int64_t total() const { return total_; }

 private:
  std::vector<IdColumn> columns_;
  std::vector<int64_t> starts_, wrong_;
  std::vector<const uint64_t*> sorted_;
  int64_t total_ = 0;
  Scratch scratch_;
};

}  // namespace nasrec
