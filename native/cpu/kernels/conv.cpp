// Convolution and the gradient of its input: the matrix product's tiles over windows of the image, which a
// table of steps walks where they lie, so that the matrix of all windows never exists.
#include "cpu/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/conv.cpp"
#include "hwy/foreach_target.h"
// Highway's order: foreach_target.h first.
#include "cpu/kernel.h"
#include "cpu/kernels/conv-depthwise.h"
#include "cpu/kernels/conv-pass.h"
#include "cpu/kernels/conv-rows.h"
#include "cpu/kernels/conv-winograd.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace conv {
namespace {

using gemm::kPanel;
using nabla::conv::Pass;
using nabla::conv::Shape;
using nabla::conv::TapsInside;

// A pass with its tables in scratch.
struct Work {
  Pass pass;
  int64_t* steps;
  float* filter;  // packed: group after group, panel after panel, depth x kPanel
  float* bands;
  int64_t panels;  // of a group

  Work(const Pass& planned, std::byte* scratch) : pass(planned) {
    float* floats = reinterpret_cast<float*>(scratch);
    steps = reinterpret_cast<int64_t*>(floats);
    filter = floats + nabla::conv::StepFloats(pass);
    bands = filter + nabla::conv::FilterFloats(pass);
    panels = (pass.columns + kPanel - 1) / kPanel;
  }

  // The way from each element of a window to the next, in the order of the filter's rows.
  void FillSteps() const {
    const int64_t column = pass.dilation[2] * pass.inC, row = pass.dilation[1] * pass.rowPitch;
    int64_t* to = steps;
    int64_t last = 0;
    for (int64_t d = 0; d < pass.taps[0]; d++) {
      for (int64_t h = 0; h < pass.taps[1]; h++) {
        for (int64_t w = 0; w < pass.taps[2]; w++) {
          const int64_t begin = d * pass.slabStep + h * row + w * column;
          if (to != steps) to[-1] = begin - last;
          for (int64_t c = 0; c < pass.channels; c++) *to++ = 1;
          last = begin + pass.channels - 1;
        }
      }
    }
  }

  // Rows are the taps' channels, columns the output's channels of the group.
  void PackFilter(const float* from, int64_t filterC, int64_t unit) const {
    const int64_t group = unit / panels, first = unit % panels * kPanel;
    const int count = static_cast<int>(HWY_MIN(kPanel, pass.columns - first));
    gemm::PackStraight(from + group * pass.columns + first, filterC, count, pass.depth(),
                       filter + unit * pass.depth() * kPanel, kPanel);
  }

  // As PackFilter for the gradient: the filter's columns are the rows, those of the taps in use, in the
  // pass's order.
  void PackTurnedFilter(const float* from, const Shape& s, int64_t unit) const {
    const int64_t group = unit / panels, first = unit % panels * kPanel;
    const int count = static_cast<int>(HWY_MIN(kPanel, pass.columns - first));
    float* to = filter + unit * pass.depth() * kPanel;
    for (int64_t d = 0; d < pass.taps[0]; d++) {
      for (int64_t h = 0; h < pass.taps[1]; h++) {
        for (int64_t w = 0; w < pass.taps[2]; w++) {
          const int64_t kd = pass.firstTap[0] + d * pass.tapStep[0],
                        kh = pass.firstTap[1] + h * pass.tapStep[1];
          const int64_t tap = (kd * s.kernel[1] + kh) * s.kernel[2] + pass.firstTap[2] + w * pass.tapStep[2];
          gemm::PackTurned(from + (tap * pass.columns + first) * s.outC + group * pass.channels, s.outC,
                           count, pass.channels, to, kPanel);
          to += pass.channels * kPanel;
        }
      }
    }
  }

  // Output rows [row0, row1) of one slab of one image, in one piece of their width.
  struct Band {
    int64_t image, slab, row0, row1, segment;
  };

  // Where windows of the band are read: element 0 of the window of row 0, column 0 would lie at `origin` for
  // tap 0.
  struct Source {
    const float* base;
    int64_t origin;
  };

  Source Prepare(const Band& band, const Span& slabs, int64_t column0, float* buffer) const {
    const int64_t imageFloats = pass.in[0] * pass.in[1] * pass.in[2] * pass.inC;
    const float* image = pass.input + band.image * imageFloats;
    const int64_t slab0 = band.slab * pass.stride[0] - pass.pad[0];
    if (!pass.padded) {
      return {image, slab0 * pass.slabPitch - pass.pad[1] * pass.rowPitch - pass.pad[2] * pass.inC};
    }
    const int64_t begin = HWY_MAX(int64_t{0}, band.row0 * pass.stride[1] - pass.pad[1]);
    const int64_t reach = (pass.taps[1] - 1) * pass.dilation[1];
    const int64_t end = HWY_MIN(pass.in[1], (band.row1 - 1) * pass.stride[1] - pass.pad[1] + reach + 1);
    const int64_t column = column0 * pass.stride[2] - pass.pad[2];
    if (begin < end) {
      for (int64_t d = slabs.begin; d < slabs.end; d++) {
        const int64_t row = (slab0 + d * pass.dilation[0]) * pass.in[1] + begin;
        CopyRows(image + row * pass.in[2] * pass.inC, end - begin, pass.in[2], pass.inC, column, pass.width,
                 buffer + d * pass.slabPitch);
      }
    }
    return {buffer, -(pass.pad[1] + begin) * pass.rowPitch - column0 * pass.stride[2] * pass.inC};
  }

  void ComputeRow(const Band& band, const Span& slabs, const Source& source, int64_t row, int64_t unit,
                  const Span& columns) const {
    const int64_t group = unit / panels, first = unit % panels * kPanel;
    const int count = static_cast<int>(HWY_MIN(kPanel, pass.columns - first));
    const Span heights =
        TapsInside(row * pass.stride[1] - pass.pad[1], pass.taps[1], pass.dilation[1], pass.in[1]);
    const int64_t tapRow = pass.taps[2] * pass.channels;
    // Taps above and below the image are left out; slabs of taps hang together where none of them is.
    const bool whole = heights.size() == pass.taps[1];
    const int64_t parts = whole || heights.size() == 0 ? 1 : HWY_MAX(int64_t{1}, slabs.size());
    const int64_t slabsEach = parts == 1 ? slabs.size() : 1;
    const int64_t tiles = (columns.size() + gemm::kTileRows - 1) / gemm::kTileRows;
    const int64_t channel = group * pass.columns + first;
    float* out = pass.out + pass.outOffset + band.image * pass.outImage + band.slab * pass.outStep[0] +
                 row * pass.outStep[1] + channel;
    for (int64_t t = 0; t < tiles; t++) {
      const int64_t begin = columns.begin + columns.size() * t / tiles;
      const int rows = static_cast<int>(columns.begin + columns.size() * (t + 1) / tiles - begin);
      gemm::Tile tile{};
      tile.aRow = pass.stride[2] * pass.inC;
      tile.bDepth = kPanel;
      tile.out = out + begin * pass.outStep[2];
      tile.outRow = pass.outStep[2];
      for (int64_t i = 0; i < parts; i++) {
        const int64_t slab = slabs.begin + i;
        const int64_t p = (slab * pass.taps[1] + heights.begin) * tapRow;
        tile.depth = slabsEach * heights.size() * tapRow;
        tile.a = source.base;
        if (tile.depth > 0) {
          tile.a += source.origin + slab * pass.slabStep +
                    (row * pass.stride[1] + heights.begin * pass.dilation[1]) * pass.rowPitch +
                    begin * pass.stride[2] * pass.inC + group * pass.channels;
        }
        tile.aSteps = steps + p;
        tile.b = filter + unit * pass.depth() * kPanel + p * kPanel;
        tile.add = i > 0;
        tile.bias = i > 0 || pass.bias == nullptr ? nullptr : pass.bias + channel;
        tile.relu = i + 1 == parts && pass.activation == Activation::kRelu;
        RunStepped(tile, rows, count);
      }
      if (pass.activation == Activation::kSigmoid || pass.activation == Activation::kTanh) {
        gemm::ActivateBlock(tile.out, tile.outRow, rows, count, pass.activation);
      }
    }
  }

  void ComputeBand(const Band& band, float* buffer) const {
    const Span slabs =
        TapsInside(band.slab * pass.stride[0] - pass.pad[0], pass.taps[0], pass.dilation[0], pass.in[0]);
    const Span columns = {band.segment * pass.segment,
                          HWY_MIN((band.segment + 1) * pass.segment, pass.count[2])};
    const Source source = Prepare(band, slabs, columns.begin, buffer);
    for (int64_t unit = 0; unit < pass.groups * panels; unit++) {
      for (int64_t row = band.row0; row < band.row1; row++)
        ComputeRow(band, slabs, source, row, unit, columns);
    }
  }

  // Rows of the whole batch, counted through images, slabs, rows and pieces.
  void ComputeRows(int64_t begin, int64_t end, int part) const {
    float* buffer = bands + part * nabla::conv::RoundUp(pass.bandFloats);
    while (begin < end) {
      const int64_t slabRows = pass.count[1] * pass.segments;
      const int64_t within = begin % slabRows, slab = begin / slabRows;
      Band band{slab / pass.count[0], slab % pass.count[0], within / pass.segments, 0,
                within % pass.segments};
      const int64_t some =
          pass.segments > 1 ? 1 : HWY_MIN(HWY_MIN(pass.bandRows, end - begin), slabRows - within);
      band.row1 = band.row0 + some;
      ComputeBand(band, buffer);
      begin += some;
    }
  }

  void Run(ThreadPool& pool) const {
    FillSteps();
    const int64_t workEach = (pass.depth() + 16) * pass.segment * pass.groups * panels * kPanel;
    ParallelFor(pool, pass.rows(), GrainOf(workEach),
                [this](int64_t begin, int64_t end, int part) { ComputeRows(begin, end, part); });
  }
};

}  // namespace
}  // namespace conv

void RunConv(const Call& call) {
  const nabla::conv::Shape s = nabla::conv::ReadShape(call.instruction);
  if (call.operand(0).size == 0) return;
  const float* bias = call.operand(3).present ? call.operand(3).as<float>() : nullptr;
  const Activation activation = static_cast<Activation>(call.attr(22));
  if (s.depthwise()) return conv::RunDepthwise(call, s, bias, activation);
  if (nabla::conv::TakesWinograd(s)) {
    return conv::RunWinograd(call, nabla::conv::PlanWinograd(s, false), bias, activation);
  }
  conv::Work work(nabla::conv::ForwardPass(s), call.scratch);
  work.pass.input = call.operand(1).as<float>();
  work.pass.out = call.operand(0).as<float>();
  work.pass.bias = bias;
  work.pass.activation = activation;
  const float* filter = call.operand(2).as<float>();
  const int64_t depth = work.pass.depth();
  if (depth > 0) {
    ParallelFor(call.pool, s.groups * work.panels, conv::GrainOf(16 * depth * gemm::kPanel),
                [&](int64_t begin, int64_t end, int) {
                  for (int64_t unit = begin; unit < end; unit++) work.PackFilter(filter, s.outC, unit);
                });
  }
  work.Run(call.pool);
}

void RunConvInputGrad(const Call& call) {
  const nabla::conv::Shape s = nabla::conv::ReadShape(call.instruction);
  if (call.operand(0).size == 0) return;
  if (s.depthwise()) return conv::RunDepthwiseInputGrad(call, s);
  if (nabla::conv::TakesWinograd(s)) {
    return conv::RunWinograd(call, nabla::conv::PlanWinograd(s, true), nullptr, Activation::kNone);
  }
  const float* filter = call.operand(2).as<float>();
  for (int64_t phase = 0; phase < nabla::conv::Phases(s); phase++) {
    conv::Work work(nabla::conv::GradientPass(s, phase), call.scratch);
    work.pass.input = call.operand(1).as<float>();
    work.pass.out = call.operand(0).as<float>();
    const int64_t depth = work.pass.depth();
    if (depth > 0) {
      ParallelFor(call.pool, s.groups * work.panels, conv::GrainOf(16 * depth * gemm::kPanel),
                  [&](int64_t begin, int64_t end, int) {
                    for (int64_t unit = begin; unit < end; unit++) work.PackTurnedFilter(filter, s, unit);
                  });
    }
    work.Run(call.pool);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchConv(const Instruction& instruction, int threads) {
  const conv::Shape s = conv::ReadShape(instruction);
  if (s.depthwise()) return 0;
  if (conv::TakesWinograd(s)) {
    return sizeof(float) * static_cast<size_t>(conv::PlanWinograd(s, false).floats(threads));
  }
  return sizeof(float) * static_cast<size_t>(conv::PassFloats(conv::ForwardPass(s), threads));
}

size_t ScratchConvInputGrad(const Instruction& instruction, int threads) {
  const conv::Shape s = conv::ReadShape(instruction);
  if (s.depthwise() || instruction.operands[0].size == 0) return 0;
  if (conv::TakesWinograd(s)) {
    return sizeof(float) * static_cast<size_t>(conv::PlanWinograd(s, true).floats(threads));
  }
  int64_t most = 0;
  for (int64_t phase = 0; phase < conv::Phases(s); phase++) {
    most = std::max(most, conv::PassFloats(conv::GradientPass(s, phase), threads));
  }
  return sizeof(float) * static_cast<size_t>(most);
}

}  // namespace nabla
#endif  // HWY_ONCE
