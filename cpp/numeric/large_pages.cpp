#include "numeric/large_pages.hpp"

#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace multilevel::numeric {

namespace {

#ifdef __linux__
constexpr std::align_val_t page{std::size_t{1} << 21};
bool is_large(std::size_t bytes) { return bytes >= 2 * static_cast<std::size_t>(page); }
#endif

}  // namespace

void* allocate_pages(std::size_t bytes) {
#ifdef __linux__
  if (is_large(bytes)) {
    void* memory = ::operator new(bytes, page);
    madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: where it is refused, small pages serve
    return memory;
  }
#endif
  return ::operator new(bytes);
}

void release_pages(void* memory, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef __linux__
  if (is_large(bytes)) return ::operator delete(memory, page);
#endif
  ::operator delete(memory);
}

}  // namespace multilevel::numeric
