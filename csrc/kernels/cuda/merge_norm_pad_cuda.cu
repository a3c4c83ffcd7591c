#include "kernels/cuda/merge_layout.hpp"
#include "kernels/cuda/norm_pad_kernel.cuh"

namespace truetile {

void merge_norm_pad_cuda(const MergeNormPadArgs& args, CUstream_st* stream) {
  const bool aligned = cuda::merge_aligned(args.merge) && cuda::norm_pad_aligned(args.norm);
  const cuda::PixelLayout layout = cuda::norm_pad_layout(args, aligned);
  if (layout.vectors == 0) {  // no picture has such pixels: nobody waits for a kernel of its own
    merge_cuda(args.merge, stream);
    norm_pad_cuda(args.norm, stream);
    return;
  }
  if (layout.items == 0) {
    return;
  }
  cuda::with_type(args.norm.dtype, [&](auto type) {
    cuda::launch_norm_pad<decltype(type), true>(args, layout, stream);
  });
  cuda::check_launch("norm_pad_kernel");
}

}  // namespace truetile
