#pragma once

#include <cstdint>

#include "kernels/conv_few_outputs.hpp"

namespace truetile::testing {

/// Arguments of these sizes, without memory.
[[nodiscard]] inline ConvFewOutputsArgs sized_args(std::int64_t frames, std::int64_t rows,
                                                   std::int64_t columns, std::int64_t channels = 16,
                                                   std::int64_t outputs = 3,
                                                   std::int64_t taps_t = 3) {
  ConvFewOutputsArgs args;
  args.frames = frames;
  args.rows = rows;
  args.columns = columns;
  args.channels = channels;
  args.outputs = outputs;
  args.taps_t = taps_t;
  return args;
}

}  // namespace truetile::testing
