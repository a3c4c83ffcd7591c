#pragma once

#include <torch/csrc/stable/stableivalue_conversions.h>

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/copy_boxes.hpp"
#include "ops/pixel_checks.hpp"

namespace truetile::ops {

/// The overloads: one for each number of boxes.
inline constexpr std::array kCopyBoxes = {"copy_boxes.one", "copy_boxes.two", "copy_boxes.three",
                                          "copy_boxes.four"};

/// The arguments of an overload, whatever their number: sources, then as many targets.
inline std::vector<Tensor> unboxed_tensors(const StableIValue* stack, std::uint64_t count) {
  std::vector<Tensor> tensors;
  tensors.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    tensors.push_back(torch::stable::detail::to<Tensor>(stack[i]));
  }
  return tensors;
}

/// Check everything and turn tensors into pointers.
inline CopyBoxesArgs copy_boxes_args(const std::vector<Tensor>& tensors) {
  constexpr const char* op = "copy_boxes";
  constexpr std::array sources = {"sources[0]", "sources[1]", "sources[2]", "sources[3]"};
  constexpr std::array targets = {"targets[0]", "targets[1]", "targets[2]", "targets[3]"};
  static_assert(sources.size() == kMaxCopiedBoxes && targets.size() == kMaxCopiedBoxes);
  const std::size_t count = tensors.size() / 2;
  const Tensor& first = tensors.front();
  CopyBoxesArgs args;
  args.element_size = element_size(float_type(op, sources[0], first));
  for (std::size_t i = 0; i < count; ++i) {
    const Tensor &source = tensors[i], &target = tensors[count + i];
    const auto check_like_first = [&](const char* name, const Tensor& tensor) {
      check_rank(op, name, tensor, 4);
      check_dtype(op, name, tensor, first, sources[0]);
      check_device(op, name, tensor, first, sources[0]);
      check_adjacent(op, name, tensor);
    };
    check_like_first(sources[i], source);
    check_like_first(targets[i], target);
    for (std::int64_t dim = 0; dim < 4; ++dim) {
      check_size(op, targets[i], target, dim, source.size(dim), "as its source");
    }
    const BoxCopy box = {
        .source = source.const_data_ptr(),
        .target = target.mutable_data_ptr(),
        .source_strides = pixel_strides(source),
        .target_strides = pixel_strides(target),
        .frames = source.size(0),
        .rows = source.size(1),
        .columns = source.size(2),
        .channels = source.size(3),
    };
    if (!box.empty()) args.boxes[static_cast<std::size_t>(args.count++)] = box;
  }
  return args;
}

}  // namespace truetile::ops
