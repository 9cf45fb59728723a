// The gradient of a convolution's filter: windows times output gradients, summed over the batch in a fixed
// order. Rows of the filter are shared among threads, so that nothing is added up across threads.
#include "cpu/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/conv-filter.cpp"
#include "hwy/foreach_target.h"
// Highway's order: foreach_target.h first.
#include "cpu/kernel.h"
#include "cpu/kernels/conv-depthwise.h"
#include "cpu/kernels/conv-filter-plan.h"
#include "cpu/kernels/conv-rows.h"
#include "cpu/kernels/conv-winograd-filter.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace conv {
namespace {

using gemm::kPanel;
using nabla::conv::FilterPlan;
using nabla::conv::Shape;
using nabla::conv::Span;
using nabla::conv::TapsInside;

// The filter's rows that one thread computes, tile by tile: `first` and `end` count tiles of all groups and
// runs.
struct FilterWork {
  Shape s;
  FilterPlan plan;
  const float* input;
  const float* dy;
  float* out;
  int64_t* steps;
  float* buffers;
  int64_t tilesOfRun;

  // Where a tile lies in the filter: its group, its run of neighbouring rows, and its part of the run.
  struct Place {
    int64_t group, run;
    Span rows;  // of the run
  };

  Place PlaceOf(int64_t unit) const {
    const int64_t run = unit / tilesOfRun, tile = unit % tilesOfRun;
    return {run / plan.runs,
            run % plan.runs,
            {plan.runRows * tile / tilesOfRun, plan.runRows * (tile + 1) / tilesOfRun}};
  }

  // Output positions that are summed in one go: rows of one slab of one image, or a piece of one row.
  struct Block {
    int64_t image, slab;
    Span rows, columns;
  };

  // From each position's window to the next one's.
  void FillSteps() const {
    const int64_t width = HWY_MIN(plan.blockColumns, s.out[2]);
    for (int64_t i = 0; i < plan.blockRows * width; i++) {
      if (plan.gathered) {
        steps[i] = 1;
      } else {
        const int64_t column = s.stride[2] * s.inC;
        steps[i] = (i + 1) % width == 0 ? s.stride[1] * plan.rowPitch - (width - 1) * column : column;
      }
    }
  }

  void ComputeUnits(int64_t begin, int64_t end, int part) const {
    float* const buffer = buffers + part * plan.threadFloats();
    for (int64_t unit = begin; unit < end; unit++) {
      const Place place = PlaceOf(unit);
      float* to = out + (place.run * plan.runRows + place.rows.begin) * s.outC + place.group * s.outGroup();
      for (int64_t i = 0; i < place.rows.size(); i++, to += s.outC) {
        std::memset(to, 0, static_cast<size_t>(s.outGroup()) * sizeof(float));
      }
    }
    for (int64_t image = 0; image < s.batch; image++) {
      for (int64_t slab = 0; slab < s.out[0]; slab++) {
        for (int64_t row = 0; row < s.out[1]; row += plan.blockRows) {
          for (int64_t column = 0; column < s.out[2]; column += plan.blockColumns) {
            const Block block{image,
                              slab,
                              {row, HWY_MIN(row + plan.blockRows, s.out[1])},
                              {column, HWY_MIN(column + plan.blockColumns, s.out[2])}};
            ComputeBlock(block, begin, end, buffer);
          }
        }
      }
    }
  }

  void ComputeBlock(const Block& block, int64_t begin, int64_t end, float* buffer) const {
    const float* image = input + block.image * s.inImage();
    const int64_t slab0 = block.slab * s.stride[0] - s.pad[0];
    // Element 0 of tap 0's window at the block's first position lies at `origin` (of what is copied, at that
    // of row 0).
    const float* base = image;
    int64_t firstRow = 0, firstColumn = -s.pad[2];
    const int64_t tapReach = (s.kernel[1] - 1) * s.dilation[1];
    if (plan.padded) {
      firstRow = HWY_MAX(int64_t{0}, block.rows.begin * s.stride[1] - s.pad[1]);
      const int64_t lastRow = HWY_MIN(s.in[1], (block.rows.end - 1) * s.stride[1] - s.pad[1] + tapReach + 1);
      const Span slabs = TapsInside(slab0, s.kernel[0], s.dilation[0], s.in[0]);
      for (int64_t d = slabs.begin; d < slabs.end && firstRow < lastRow; d++) {
        const int64_t row = (slab0 + d * s.dilation[0]) * s.in[1] + firstRow;
        CopyRows(image + row * s.in[2] * s.inC, lastRow - firstRow, s.in[2], s.inC,
                 block.columns.begin * s.stride[2] - s.pad[2], plan.width, buffer + d * plan.slabPitch);
      }
      base = buffer;
      firstColumn = -block.columns.begin * s.stride[2];
    }
    float* const dyPanel = buffer + plan.bandFloats;
    float* const gathered = dyPanel + plan.panelFloats;
    const int64_t panels = (s.outGroup() + kPanel - 1) / kPanel;
    const int64_t width = block.columns.size();
    for (int64_t unit = begin; unit < end;) {
      // All tiles of one run that this thread has: they see the same positions.
      const Place first = PlaceOf(unit);
      const int64_t unitEnd = HWY_MIN(end, (unit / tilesOfRun + 1) * tilesOfRun);
      const Span rowsOfRun = {first.rows.begin, PlaceOf(unitEnd - 1).rows.end};
      const int64_t kd = plan.gathered ? 0 : first.run / plan.runsOfSlab;
      const int64_t kh = plan.gathered ? 0 : first.run % plan.runsOfSlab / plan.runsOfRow;
      const int64_t kw = plan.gathered ? 0 : first.run % plan.runsOfRow;
      Span rows = block.rows;
      const int64_t slab = slab0 + kd * s.dilation[0];
      const bool inside = plan.gathered || (slab >= 0 && slab < s.in[0]);
      if (!plan.gathered) {
        const Span met = TapsInside(kh * s.dilation[1] - s.pad[1], s.out[1], s.stride[1], s.in[1]);
        rows = {HWY_MAX(rows.begin, met.begin), HWY_MIN(rows.end, met.end)};
      }
      const int64_t positions = rows.size() * width;
      if (inside && positions > 0) {
        if (plan.gathered)
          Gather(block, base, slab0, firstRow, firstColumn, first.group, rowsOfRun, gathered);
        const float* windows = nullptr;
        if (!plan.gathered) {
          const int64_t d = plan.padded ? kd * plan.slabPitch : slab * plan.slabPitch;
          const int64_t row = rows.begin * s.stride[1] + kh * s.dilation[1] - s.pad[1] - firstRow;
          const int64_t column = block.columns.begin * s.stride[2] + kw * s.dilation[2] + firstColumn;
          windows = base + d + row * plan.rowPitch + column * s.inC + first.group * s.inGroup();
        }
        const int64_t position = ((block.image * s.out[0] + block.slab) * s.out[1] + rows.begin) * s.out[2];
        const float* gradients = dy + (position + block.columns.begin) * s.outC + first.group * s.outGroup();
        for (int64_t panel = 0; panel < panels; panel++) {
          const int columns = static_cast<int>(HWY_MIN(kPanel, s.outGroup() - panel * kPanel));
          gemm::Tile tile{};
          tile.b = gradients + panel * kPanel;
          tile.bDepth = s.outC;
          // Whole vectors would be read past the end of dy.
          if (!gemm::kMasked && columns % gemm::kLanes != 0) {
            gemm::PackStraight(tile.b, s.outC, columns, positions, dyPanel, kPanel);
            tile.b = dyPanel;
            tile.bDepth = kPanel;
          }
          tile.depth = positions;
          tile.aSteps = steps;
          tile.add = true;
          tile.outRow = s.outC;
          for (int64_t u = unit; u < unitEnd; u++) {
            const Place place = PlaceOf(u);
            tile.a = plan.gathered ? gathered + (place.rows.begin - rowsOfRun.begin) * plan.gatheredPitch
                                   : windows + place.rows.begin;
            tile.aRow = plan.gathered ? plan.gatheredPitch : 1;
            tile.out = out + (place.run * plan.runRows + place.rows.begin) * s.outC +
                       place.group * s.outGroup() + panel * kPanel;
            RunStepped(tile, static_cast<int>(place.rows.size()), columns);
          }
        }
      }
      unit = unitEnd;
    }
  }

  // Where runs are short: the windows' elements that belong to some of the filter's rows, a row of numbers
  // for each, so that tiles are tall all the same.
  void Gather(const Block& block, const float* base, int64_t slab0, int64_t firstRow, int64_t firstColumn,
              int64_t group, const Span& wanted, float* to) const {
    for (int64_t k = wanted.begin; k < wanted.end; k++, to += plan.gatheredPitch) {
      const int64_t c = k % s.inGroup(), tap = k / s.inGroup();
      const int64_t kd = tap / (s.kernel[1] * s.kernel[2]), kh = tap / s.kernel[2] % s.kernel[1],
                    kw = tap % s.kernel[2];
      const int64_t slab = slab0 + kd * s.dilation[0];
      float* next = to;
      for (int64_t h = block.rows.begin; h < block.rows.end; h++, next += block.columns.size()) {
        const int64_t row = h * s.stride[1] + kh * s.dilation[1] - s.pad[1];
        if (slab < 0 || slab >= s.in[0] || row < 0 || row >= s.in[1]) {
          std::memset(next, 0, static_cast<size_t>(block.columns.size()) * sizeof(float));
          continue;
        }
        const int64_t d = (plan.padded ? kd : slab) * plan.slabPitch;
        const int64_t column = block.columns.begin * s.stride[2] + kw * s.dilation[2] + firstColumn;
        const float* from =
            base + d + (row - firstRow) * plan.rowPitch + column * s.inC + group * s.inGroup() + c;
        const int64_t step = s.stride[2] * s.inC;
        if (step == 1) {
          std::memcpy(next, from, static_cast<size_t>(block.columns.size()) * sizeof(float));
        } else {
          for (int64_t w = 0; w < block.columns.size(); w++) next[w] = from[w * step];
        }
      }
    }
  }
};

}  // namespace
}  // namespace conv

void RunConvFilterGrad(const Call& call) {
  const nabla::conv::Shape s = nabla::conv::ReadShape(call.instruction);
  if (call.operand(0).size == 0) return;
  if (s.depthwise()) return conv::RunDepthwiseFilterGrad(call, s);
  if (nabla::conv::TakesWinograd(s)) return conv::RunWinogradFilter(call, nabla::conv::PlanWinogradFilter(s));
  conv::FilterWork work{};
  work.s = s;
  work.plan = nabla::conv::PlanFilter(s);
  work.input = call.operand(1).as<float>();
  work.dy = call.operand(2).as<float>();
  work.out = call.operand(0).as<float>();
  work.steps = reinterpret_cast<int64_t*>(call.scratch);
  work.buffers = reinterpret_cast<float*>(call.scratch) + work.plan.stepFloats;
  work.tilesOfRun = (work.plan.runRows + gemm::kTileRows - 1) / gemm::kTileRows;
  work.FillSteps();
  const int64_t positions = s.batch * s.out[0] * s.out[1] * s.out[2];
  ParallelFor(call.pool, s.groups * work.plan.runs * work.tilesOfRun,
              conv::GrainOf(positions * gemm::kTileRows * s.outGroup()),
              [&work](int64_t begin, int64_t end, int part) { work.ComputeUnits(begin, end, part); });
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchConvFilterGrad(const Instruction& instruction, int threads) {
  const conv::Shape s = conv::ReadShape(instruction);
  if (s.depthwise()) return 0;
  if (conv::TakesWinograd(s)) {
    return sizeof(float) * static_cast<size_t>(conv::PlanWinogradFilter(s).floats(threads));
  }
  const conv::FilterPlan plan = conv::PlanFilter(s);
  return sizeof(float) * static_cast<size_t>(plan.stepFloats + threads * plan.threadFloats());
}

}  // namespace nabla
#endif  // HWY_ONCE
