#include "kernels/cuda/check.cuh"
#include "kernels/cuda/copy_boxes_layout.hpp"

namespace truetile::cuda {
namespace {

template <class Unit>
__device__ void copy_segment(const BoxUnits& box, const BoxItem& item) {
  const Unit* from =
      static_cast<const Unit*>(box.source) + box.source_strides.at(item.t, item.h, 0);
  Unit* to = static_cast<Unit*>(box.target) + box.target_strides.at(item.t, item.h, 0);
#pragma unroll 1
  for (std::int64_t begin = item.begin + threadIdx.x; begin < item.end; begin += kCopyStep) {
    Unit value[kCopyUnits];
#pragma unroll
    for (int k = 0; k < kCopyUnits; ++k) {
      const std::int64_t x = begin + k * kPixelLanes;
      if (x < item.end) value[k] = from[box.at(x, box.source_strides.w)];
    }
#pragma unroll
    for (int k = 0; k < kCopyUnits; ++k) {
      const std::int64_t x = begin + k * kPixelLanes;
      if (x < item.end) to[box.at(x, box.target_strides.w)] = value[k];
    }
  }
}

/// Elements are copied as integers of their size, so that every bit stays.
template <class Element>
__global__ void __launch_bounds__(kPixelLanes* kPixelWarps)
    copy_boxes_kernel(const __grid_constant__ CopyBoxesLayout layout) {
#pragma unroll 1
  for (std::int64_t i = std::int64_t{blockIdx.x} * kPixelWarps + threadIdx.y; i < layout.items;
       i += std::int64_t{gridDim.x} * kPixelWarps) {
    const BoxItem item = box_item(layout, i);
    const BoxUnits& box = layout.boxes[item.box];
    if (box.vectors) {
      copy_segment<uint4>(box, item);
    } else {
      copy_segment<Element>(box, item);
    }
  }
}

}  // namespace
}  // namespace truetile::cuda

namespace truetile {

void copy_boxes_cuda(const CopyBoxesArgs& args, CUstream_st* stream) {
  const cuda::CopyBoxesLayout layout = cuda::copy_boxes_layout(args);
  if (layout.items == 0) {
    return;
  }
  const dim3 block(cuda::kPixelLanes, cuda::kPixelWarps);
  const unsigned blocks = cuda::warp_blocks(layout.items);
  if (args.element_size == 4) {
    cuda::copy_boxes_kernel<std::uint32_t><<<blocks, block, 0, stream>>>(layout);
  } else {
    cuda::copy_boxes_kernel<std::uint16_t><<<blocks, block, 0, stream>>>(layout);
  }
  cuda::check_launch("copy_boxes_kernel");
}

}  // namespace truetile
