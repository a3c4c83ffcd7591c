#include <algorithm>
#include <cstring>

#include "kernels/copy_boxes.hpp"

namespace truetile {
namespace {

/// Rows [begin, end) of frames * rows of one box.
void copy_rows(const BoxCopy& box, std::int64_t element_size, std::int64_t begin,
               std::int64_t end) noexcept {
  const std::int64_t runs = box.gapless() ? 1 : box.columns;
  const auto bytes = static_cast<std::size_t>(box.line() / runs * element_size);
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t t = i / box.rows;
    const std::int64_t h = i % box.rows;
    for (std::int64_t w = 0; w < runs; ++w) {
      std::memcpy(
          static_cast<char*>(box.target) + box.target_strides.at(t, h, w) * element_size,
          static_cast<const char*>(box.source) + box.source_strides.at(t, h, w) * element_size,
          bytes);
    }
  }
}

}  // namespace

void copy_box_rows_cpu(const CopyBoxesArgs& args, std::int64_t begin, std::int64_t end) noexcept {
  for (int i = 0; i < args.count; ++i) {
    const BoxCopy& box = args.boxes[static_cast<std::size_t>(i)];
    copy_rows(box, args.element_size, std::max<std::int64_t>(0, begin), std::min(end, box.lines()));
    begin -= box.lines();
    end -= box.lines();
  }
}

}  // namespace truetile
