// Memory for large arrays that are read all over the place: on large pages where the system has them, because looking
// up small pages can take longer than reading them.
#pragma once

#include <cstddef>
#include <vector>

namespace multilevel::numeric {

void* allocate_pages(std::size_t bytes);
void release_pages(void* memory, std::size_t bytes) noexcept;

template <class T>
struct LargePages {
  using value_type = T;
  LargePages() = default;
  template <class U>
  LargePages(const LargePages<U>&) noexcept {}
  T* allocate(std::size_t n) { return static_cast<T*>(allocate_pages(n * sizeof(T))); }
  void deallocate(T* memory, std::size_t n) noexcept { release_pages(memory, n * sizeof(T)); }
  bool operator==(const LargePages&) const { return true; }
};

using LargeArray = std::vector<double, LargePages<double>>;

}  // namespace multilevel::numeric
