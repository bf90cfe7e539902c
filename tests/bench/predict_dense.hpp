// The dense case of predict_bench: three layers, by each instruction set and by Eigen.
#pragma once

#include "bench.hpp"
#include "predict_plot.hpp"

namespace tutti::bench {

Panel dense_case(Report& report, const Options& options);

}  // namespace tutti::bench
