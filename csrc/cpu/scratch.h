#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

namespace nasrec {

// Uninitialised memory on a cache-line boundary, for as long as the object lives. A thread keeps one block for each
// depth of nesting: fresh pages cost more than many kernels. What goes beyond kKept bytes is given back at once.
class Scratch {
 public:
  explicit Scratch(int64_t bytes) : slot_(slots().depth++) {
    const size_t wanted = bytes > 0 ? static_cast<size_t>(bytes) : 1;
    if (slot_ < kSlots && wanted <= kKept) {
      Block& block = slots().blocks[slot_];
      if (block.bytes < wanted) block.grow(wanted);
      data_ = block.data;
    } else {
      data_ = own_ = ::operator new(wanted, kAlignment);
    }
  }
  ~Scratch() {
    --slots().depth;
    if (own_ != nullptr) ::operator delete(own_, kAlignment);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void* data() const { return data_; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  static constexpr size_t kKept = 64 << 20;
  static constexpr int kSlots = 4;

  struct Block {
    void* data = nullptr;
    size_t bytes = 0;
    void grow(size_t wanted) {
      release();
      data = ::operator new(wanted, kAlignment);
      bytes = wanted;
    }
    void release() {
      if (data != nullptr) ::operator delete(data, kAlignment);
      data = nullptr;
      bytes = 0;
    }
    ~Block() { release(); }
  };
  struct Slots {
    Block blocks[kSlots];
    int depth = 0;
  };
  static Slots& slots() {
    thread_local Slots slots;
    return slots;
  }

  int slot_;
  void* data_;
  void* own_ = nullptr;
};

}  // namespace nasrec
