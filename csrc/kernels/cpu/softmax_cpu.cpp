#include <cmath>
#include <limits>

#include "kernels/cpu/half.hpp"
#include "kernels/softmax.hpp"

namespace truetile {
namespace {

// A NaN never becomes the maximum but makes the sum NaN; so do an infinity and a row of -inf alone,
// where the maximum minus itself is NaN.
template <class T>
void write_row(const float* x, T* out, std::int64_t columns) noexcept {
  float most = -std::numeric_limits<float>::infinity();
  for (std::int64_t i = 0; i < columns; ++i) most = x[i] > most ? x[i] : most;
  double sum = 0;  // of up to millions of terms
  for (std::int64_t i = 0; i < columns; ++i) sum += std::exp(x[i] - most);
  const auto factor = static_cast<float>(1.0 / sum);
  for (std::int64_t i = 0; i < columns; ++i) from_float(std::exp(x[i] - most) * factor, out[i]);
}

}  // namespace

void softmax_rows_cpu(const SoftmaxArgs& args, std::int64_t begin, std::int64_t end) noexcept {
  with_type(args.dtype, [&](auto type) {
    auto* out = static_cast<decltype(type)*>(args.out);
    for (std::int64_t row = begin; row < end; ++row) {
      write_row(args.scores + row * args.scores_stride, out + row * args.out_stride, args.columns);
    }
  });
}

}  // namespace truetile
