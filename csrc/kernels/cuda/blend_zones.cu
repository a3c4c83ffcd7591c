#include <cstring>

#include "kernels/cuda/blend_launch.hpp"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/quad.cuh"

// Boxes with weights and stored neighbours, several in one launch. A warp works on 32 quads: of one
// row, or of several rows where the box is narrow.

namespace truetile::cuda {
namespace {

/// a / b, given 1 / b: what rounding made of the first quotient is corrected.
__device__ float quotient(float a, float b, float per_b) {
  const float q = a * per_b;
  return fmaf(fmaf(-q, b, a), per_b, q);
}

/// Ramp::weight of element i.
__device__ float weight(const Fade& fade, std::int64_t i) {
  if (i >= fade.flat_begin && i < fade.flat_end) return 1.0F;
  const std::int64_t index = fade.begin + i;
  if (i < fade.flat_begin) {
    return quotient(static_cast<float>(index) + 0.5F, fade.lead, fade.per_lead);
  }
  const auto slot = static_cast<float>(index - fade.tail_begin);
  return 1.0F - quotient(slot + 0.5F, fade.tail, fade.per_tail);
}

/// Where a quad lies. On x its warp keeps to a run of pixels from `base`, so that 32 bits will do.
struct Place {
  std::int64_t c0 = 0, t = 0, y = 0, base = 0;
  int x = 0;  ///< from base

  [[nodiscard]] __device__ std::int64_t row(const Strides& strides) const {
    return c0 * strides.c + strides.at(t, y, base);
  }
};

/// Add the line's values to the pixels of the quad that lie in its part of the box.
template <int kC>
__device__ void add(const ZoneLine& line, const Place& at, float (&sum)[kC][4]) {
  const std::int64_t left = line.x - at.base;
  if (at.t >= line.t || at.y >= line.y || at.x >= left) return;
  const float* row = line.data + at.row(line.strides);
  if (line.vector && at.x >= 0 && at.x + 4 <= left) {
    Quad<float> quads[kC];
#pragma unroll
    for (int c = 0; c < kC; ++c) {
      quads[c] = *reinterpret_cast<const Quad<float>*>(row + c * line.strides.c + at.x);
    }
#pragma unroll
    for (int c = 0; c < kC; ++c) {
#pragma unroll
      for (int j = 0; j < 4; ++j) sum[c][j] += quads[c].v[j];
    }
    return;
  }
#pragma unroll
  for (int c = 0; c < kC; ++c) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      int x = at.x + j;
      // Hides from the compiler that the products below could be computed once for all rows: held
      // in registers, they would cost the vector path above its own.
      asm volatile("" : "+r"(x));
      if (x >= 0 && x < left) sum[c][j] += row[c * line.strides.c + x * line.strides.x];
    }
  }
}

/// A quad of a box, of whose run n pixels remain: fetched, weighted, added up, finished.
template <class In, int kC>
__device__ void blend(const ZoneBox& box, const Place& at, int n, float t_weight,
                      const float (&x_weights)[4], float (&v)[kC][4]) {
  const In* row = static_cast<const In*>(box.block) + at.row(box.block_strides);
  const bool interleaved = kC == 3 && box.layout.load == Load::interleaved;
  const bool whole = box.layout.load != Load::pixels && at.x >= 0 && at.x + 4 <= n;
  // The block's vectors are asked for first and looked into last, so that they and the lines'
  // values are on their way together. They are kept as words: taking halves apart would wait for
  // them.
  Words<In> raw[kC];
  if (whole) {
    const In* quad = row + (interleaved ? 3 * at.x : at.x);
    const std::int64_t step = interleaved ? 4 : box.block_strides.c;
#pragma unroll
    for (int k = 0; k < kC; ++k) raw[k] = *reinterpret_cast<const Words<In>*>(quad + k * step);
  }
  float sum[kC][4] = {};
#pragma unroll 1
  for (int line = 0; line < 3; ++line) add<kC>(box.lines[line], at, sum);
  const float weight_ty = t_weight * weight(box.fade_y, at.y);
  if (!whole) {
    load<kC>(row, box.block_strides, Load::pixels, at.x, n, v);
  } else {
#pragma unroll
    for (int k = 0; k < kC; ++k) {
      Quad<In> quad;
      memcpy(&quad, &raw[k], sizeof(quad));
#pragma unroll
      for (int m = 0; m < 4; ++m) {
        const int e = 4 * k + m;
        const float value = to_float(quad.v[m]);
        if (interleaved) {
          v[e % kC][e / kC] = value;
        } else {
          v[k][m] = value;
        }
      }
    }
  }
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const float w = weight_ty * x_weights[j];
#pragma unroll
    for (int c = 0; c < kC; ++c) v[c][j] = fmaf(v[c][j], w, sum[c][j]);
  }
  if (box.finishes) finish<kC>(box, v);
}

/// Seven blocks a processor leave a thread 72 registers, which is just enough not to spill.
template <class In, class Out, int kC, bool kInterleaved>
__global__ void __launch_bounds__(kLanes* kZoneWarps, 7)
    zone_kernel(const __grid_constant__ ZoneBatch batch) {
  __shared__ Quad<Out> stage[kInterleaved ? kZoneWarps : 1][kInterleaved ? 3 * kLanes : 1];
  unsigned index = 0;
  while (index + 1 < batch.count && blockIdx.x >= batch.first[index + 1]) ++index;
  const ZoneBox& box = batch.boxes[index];
  const unsigned block = blockIdx.x - batch.first[index];
  const unsigned block_yz = box.per_x.quotient(block);
  const unsigned block_x = block - block_yz * box.blocks_x;
  const unsigned block_z = box.per_y.quotient(block_yz);
  const std::int64_t block_y =
      block_yz - block_z * box.blocks_y + std::int64_t{blockIdx.y} * box.blocks_y;
  const std::int64_t z = block_z + std::int64_t{blockIdx.z} * box.blocks_z;
  if (z >= box.t * box.groups) return;  // a smaller box has fewer layers

  // The warp's lanes lie in several rows where the box is narrow; `lane` counts inside of a row.
  const int lanes = 1 << box.lane_bits;
  const int rows = kLanes >> box.lane_bits;
  const int lane = static_cast<int>(threadIdx.x) & (lanes - 1);
  const int row = static_cast<int>(threadIdx.x) >> box.lane_bits;
  const int warp = static_cast<int>(threadIdx.y);
  // Quads are counted from `shift` pixels before the row, a run of pixels from its first one.
  const int first_x = block_x == 0 ? -static_cast<int>(box.layout.shift) : 0;
  Place at;
  at.t = kC == 1 ? z / box.groups : z;
  at.c0 = kC == 1 ? z % box.groups : 0;
  at.y = (block_y * kZoneWarps + warp) * (kSteps * rows) + row;
  at.base = block_x == 0 ? 0 : std::int64_t{block_x} * (4 * lanes) - box.layout.shift;
  at.x = first_x + 4 * lane;
  const std::int64_t left = box.x - at.base;
  const int run = left < 4 * lanes ? static_cast<int>(left) : 4 * lanes;
  float weights[4] = {1.0F, 1.0F, 1.0F, 1.0F};
  const std::int64_t x = at.base + at.x;
  if (x < box.fade_x.flat_begin || x + 4 > box.fade_x.flat_end) {
#pragma unroll
    for (int j = 0; j < 4; ++j) weights[j] = weight(box.fade_x, x + j);
  }
  const float t_weight = weight(box.fade_t, at.t);

#pragma unroll 1
  for (int step = 0; step < kSteps && at.y - row < box.y; ++step, at.y += rows) {
    const bool inside = at.y < box.y;  // the last rows of a warp may lie behind the box
    float v[kC][4];                    // of a row behind the box: anything, nothing is stored
    if (inside) blend<In, kC>(box, at, run, t_weight, weights, v);
    Out* to = static_cast<Out*>(box.dst) + at.row(box.dst_strides);
    if constexpr (kInterleaved) {
      store_interleaved(to, box.layout.vector_store, first_x, inside ? run : 0, v,
                        stage[warp] + 3 * lanes * row, lane, lanes);
    } else if (inside) {
      store_planes<kC>(to, box.dst_strides, box.layout.vector_store, at.x, run, v);
    }
  }
}

template <class In, class Out>
void launch(const ZoneBatch& batch, cudaStream_t stream) {
  const Layout& layout = batch.boxes[0].layout;
  const dim3 block(kLanes, kZoneWarps);
  const dim3 grid(batch.blocks, batch.layers_y, batch.layers_z);
  if (layout.interleaved_store) {
    zone_kernel<In, Out, 3, true><<<grid, block, 0, stream>>>(batch);
  } else if (layout.channels == 3) {
    zone_kernel<In, Out, 3, false><<<grid, block, 0, stream>>>(batch);
  } else {
    zone_kernel<In, Out, 1, false><<<grid, block, 0, stream>>>(batch);
  }
  check_launch("zone_kernel");
}

}  // namespace

void launch_zones(const ZoneBatch& batch, DType block_dtype, DType dst_dtype, CUstream_st* stream) {
  with_type(block_dtype, [&](auto in) {
    with_type(dst_dtype, [&](auto out) { launch<decltype(in), decltype(out)>(batch, stream); });
  });
}

}  // namespace truetile::cuda
