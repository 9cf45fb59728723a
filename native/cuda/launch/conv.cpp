// Starts convolutions and their gradients: chooses between products of matrices and a thread a number.
#include "cuda/kernels/conv.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "cpu/kernels/conv-plan.h"
#include "cuda/widen.h"

namespace nabla::cuda {
namespace {

// Tiles of a product: of 128 x 128 numbers, 64 x 64, 128 x 32; of the filter's gradient only the last two.
enum Tile { kLarge, kSmall, kNarrow };
constexpr int64_t kTileRows[] = {128, 64, 128}, kTileColumns[] = {128, 64, 32};

// By tile: in float32, then on tensor cores.
constexpr Entry kConv[2][3] = {
    {{"conv", "convLarge"}, {"conv", "convSmall"}, {"conv", "convNarrow"}},
    {{"conv", "convTensorLarge"}, {"conv", "convTensorSmall"}, {"conv", "convTensorNarrow"}}};
constexpr Entry kInputGrad[2][3] = {
    {{"conv", "convInputGradLarge"}, {"conv", "convInputGradSmall"}, {"conv", "convInputGradNarrow"}},
    {{"conv", "convInputGradTensorLarge"},
     {"conv", "convInputGradTensorSmall"},
     {"conv", "convInputGradTensorNarrow"}}};
constexpr Entry kFilterGrad[2][2] = {
    {{"conv_filter", "convFilterGradSmall"}, {"conv_filter", "convFilterGradNarrow"}},
    {{"conv_filter", "convFilterGradTensorSmall"}, {"conv_filter", "convFilterGradTensorNarrow"}}};
// Of bfloat16, by tile; the last takes channels in any number.
constexpr Entry kConvHalf[] = {{"conv_half", "convHalfLarge"},
                               {"conv_half", "convHalfSmall"},
                               {"conv_half", "convHalfNarrow"},
                               {"conv_half", "convHalfPlain"}};
constexpr Entry kInputGradHalf[] = {{"conv_half", "convInputGradHalfLarge"},
                                    {"conv_half", "convInputGradHalfSmall"},
                                    {"conv_half", "convInputGradHalfNarrow"},
                                    {"conv_half", "convInputGradHalfPlain"}};
constexpr Entry kFilterGradHalf[] = {{"conv_filter_half", "convFilterGradHalfSmall"},
                                     {"conv_filter_half", "convFilterGradHalfNarrow"}};
constexpr Entry kFilterGradHalfPlain = {"conv_filter_half", "convFilterGradHalfPlain"};
constexpr Entry kConvDirect = {"conv_direct", "convDirect"},
                kInputGradDirect = {"conv_direct", "convInputGradDirect"},
                kFilterGradDirect = {"conv_filter", "convFilterGradDirect"},
                kFilterGradJoin = {"conv_filter", "convFilterGradJoin"};

int OnTensorCores(const Launcher& launcher) { return launcher.precision() == Precision::kTf32 ? 1 : 0; }

// Whether groups of channels can be copied 8 numbers of bfloat16 at a time.
bool IsAligned(const conv::Shape& s, const void* a, const void* b) {
  return s.inGroup() % 8 == 0 && s.outGroup() % 8 == 0 && reinterpret_cast<uintptr_t>(a) % 16 == 0 &&
         reinterpret_cast<uintptr_t>(b) % 16 == 0;
}

// How many numbers 32-bit arithmetic takes apart.
constexpr int64_t kMostNumbers = (int64_t{1} << 31) - 256;
constexpr int64_t kMostBlocksYZ = 65535;
// Groups below this many channels are not worth a product of matrices.
constexpr int64_t kFewChannels = 16;
// The filter's gradient: blocks to be had by splitting the sum, parts at most, and positions of a part at
// least.
constexpr int64_t kWantedBlocks = 512, kMostSplits = 256, kSplitPositions = 256;

ConvShape DeviceShape(const conv::Shape& s) {
  ConvShape shape = {};
  for (int d = 0; d < 3; d++) {
    shape.in[d] = static_cast<int32_t>(s.in[d]);
    shape.out[d] = static_cast<int32_t>(s.out[d]);
    shape.kernel[d] = static_cast<int32_t>(s.kernel[d]);
    shape.stride[d] = static_cast<int32_t>(s.stride[d]);
    shape.dilation[d] = static_cast<int32_t>(s.dilation[d]);
    shape.pad[d] = static_cast<int32_t>(s.pad[d]);
  }
  shape.batch = static_cast<int32_t>(s.batch);
  shape.inC = static_cast<int32_t>(s.inC);
  shape.outC = static_cast<int32_t>(s.outC);
  shape.groups = static_cast<int32_t>(s.groups);
  shape.inGroup = static_cast<int32_t>(s.inGroup());
  shape.outGroup = static_cast<int32_t>(s.outGroup());
  return shape;
}

bool Direct(const conv::Shape& s) {
  return s.groups > 1 && std::max(s.inGroup(), s.outGroup()) < kFewChannels;
}

// Whether all that the kernels count in 32 bits fits; refuses it otherwise.
bool Countable(Launcher& launcher, const conv::Shape& s, int64_t numbers) {
  const int64_t most = std::max(
      {numbers, s.taps() * std::max(s.inGroup(), s.outGroup()), s.batch * s.out[0] * s.out[1] * s.out[2]});
  if (most <= kMostNumbers) return true;
  launcher.Refuse("a convolution is too large, got " + std::to_string(most) + " places, expected at most " +
                  std::to_string(kMostNumbers) + "; use a smaller batch");
  return false;
}

// A thread for each number of the target.
void LaunchDirect(Launcher& launcher, const conv::Shape& s, bool gradient) {
  const int64_t* const target = gradient ? s.in : s.out;
  const int64_t channels = gradient ? s.inC : s.outC;
  ConvDirectParams p = {};
  p.target = launcher.floats(0);
  p.source = launcher.floats(1);
  p.filter = launcher.floats(2);
  p.shape = DeviceShape(s);
  for (int d = 0; d < 3; d++) p.places[d] = Divider(target[d]);
  p.channels = Divider(channels);
  p.targetGroup = Divider(channels / s.groups);
  p.size = launcher.operand(0).size;
  if (!gradient) {
    p.bias = launcher.floats(3);
    p.activation = static_cast<Activation>(launcher.attr(22));
  }
  if (!Countable(launcher, s, p.size)) return;
  launcher.Launch(gradient ? kInputGradDirect : kConvDirect, {BlocksFor(p.size, kConvThreads)}, kConvThreads,
                  p);
}

void LaunchProduct(Launcher& launcher, const conv::Shape& s, bool gradient) {
  const int64_t* const target = gradient ? s.in : s.out;
  const int64_t columns = gradient ? s.inGroup() : s.outGroup();
  ConvParams p = {};
  p.target = launcher.floats(0);
  p.source = launcher.floats(1);
  p.filter = launcher.floats(2);
  p.shape = DeviceShape(s);
  p.rowCount = s.batch;
  p.phaseCount = 1;
  int64_t phases = 1;
  for (int d = 0; d < 3; d++) {
    const int64_t step = gradient ? std::min(s.stride[d], target[d]) : 1;
    p.phases[d] = Divider(step);
    phases *= step;
    const int64_t rows = gradient ? BlocksFor(target[d], s.stride[d]) : target[d];
    p.rows[d] = Divider(rows);
    p.rowCount *= rows;
  }
  p.channels = Divider(std::max<int64_t>(gradient ? s.outGroup() : s.inGroup(), 1));
  if (!gradient) {
    p.bias = launcher.floats(3);
    p.activation = static_cast<Activation>(launcher.attr(22));
  }
  if (!Countable(launcher, s, std::max(p.rowCount, phases))) return;
  p.phaseCount = static_cast<int32_t>(phases);
  // Large tiles read each number less often; small ones are more, where large ones would leave most of the
  // GPU idle.
  const int64_t largeBlocks = BlocksFor(p.rowCount, 128) * BlocksFor(columns, 128) * s.groups * phases;
  const Tile tile = columns <= 32                                               ? kNarrow
                    : columns > 64 && largeBlocks >= launcher.multiprocessors() ? kLarge
                                                                                : kSmall;
  const bool halves = MultipliesHalves(launcher.instruction());
  bool aligned = true;
  if (halves) {
    size_t at = 0;
    p.source.data = const_cast<void*>(HalfFactorOf(launcher, 1, at));
    p.filter.data = const_cast<void*>(HalfFactorOf(launcher, 2, at));
    aligned = IsAligned(s, p.source.data, p.filter.data);
  }
  const Tile used = aligned ? tile : kSmall;
  p.rowBlocks = static_cast<int32_t>(BlocksFor(p.rowCount, kTileRows[used]));
  const Grid grid = {p.rowBlocks * BlocksFor(columns, kTileColumns[used]), std::min(s.groups, kMostBlocksYZ),
                     std::min(phases, kMostBlocksYZ)};
  if (halves) {
    const Entry& entry = (gradient ? kInputGradHalf : kConvHalf)[aligned ? static_cast<int>(used) : 3];
    return launcher.Launch(entry, grid, aligned && used == kLarge ? 256 : 128, p);
  }
  launcher.Launch((gradient ? kInputGrad : kConv)[OnTensorCores(launcher)][tile], grid, kConvThreads, p);
}

void LaunchPass(Launcher& launcher, bool gradient) {
  const conv::Shape s = conv::ReadShape(launcher.instruction());
  if (launcher.operand(0).size == 0) return;
  if (Direct(s)) {
    LaunchDirect(launcher, s, gradient);
  } else {
    LaunchProduct(launcher, s, gradient);
  }
}

// How the filter's gradient is cut, decided by the shape alone, so that a sum is the same on every GPU.
struct FilterPlan {
  bool direct;
  Tile tile;
  int64_t rowBlocks, columnBlocks, groups, positions, splits;

  explicit FilterPlan(const conv::Shape& s)
      : direct(Direct(s)),
        tile(s.outGroup() <= 32 ? kNarrow : kSmall),
        rowBlocks(direct ? s.depth() : BlocksFor(s.depth(), kTileRows[tile])),
        columnBlocks(direct ? BlocksFor(s.outC, kConvAcross) : BlocksFor(s.outGroup(), kTileColumns[tile])),
        groups(direct ? 1 : s.groups),
        positions(s.batch * s.out[0] * s.out[1] * s.out[2]) {
    const int64_t blocks = std::max<int64_t>(rowBlocks * columnBlocks * groups, 1);
    const int64_t most = std::clamp<int64_t>(positions / kSplitPositions, 1, kMostSplits);
    splits = std::clamp<int64_t>(BlocksFor(kWantedBlocks, blocks), 1, most);
  }
};

size_t ScratchOfFilter(const FilterPlan& plan, const Instruction& instruction) {
  if (plan.splits == 1) return 0;
  return ScratchAligned(plan.splits * instruction.operands[0].size * int64_t{sizeof(float)});
}

}  // namespace

size_t ScratchConv(const Instruction& instruction) { return ScratchOfFactors(instruction); }
size_t ScratchConvInputGrad(const Instruction& instruction) { return ScratchOfFactors(instruction); }
void LaunchConv(Launcher& launcher) { LaunchPass(launcher, false); }
void LaunchConvInputGrad(Launcher& launcher) { LaunchPass(launcher, true); }

size_t ScratchConvFilterGrad(const Instruction& instruction) {
  const FilterPlan plan(conv::ReadShape(instruction));
  return ScratchOfFilter(plan, instruction) + ScratchOfFactors(instruction);
}

void LaunchConvFilterGrad(Launcher& launcher) {
  const conv::Shape s = conv::ReadShape(launcher.instruction());
  const FilterPlan plan(s);
  ConvFilterParams p = {};
  p.out = launcher.floats(0);
  p.partial = launcher.scratch<float>();
  p.input = launcher.floats(1);
  p.dy = launcher.floats(2);
  p.shape = DeviceShape(s);
  p.size = launcher.operand(0).size;
  if (p.size == 0 || !Countable(launcher, s, s.depth())) return;
  for (int d = 0; d < 3; d++) {
    // Nothing is taken apart where there is no place.
    p.places[d] = Divider(std::max<int64_t>(s.out[d], 1));
    p.taps[d] = Divider(s.kernel[d]);
  }
  p.channels = Divider(s.inGroup());
  p.positions = plan.positions;
  p.splits = static_cast<int32_t>(plan.splits);
  p.rowBlocks = static_cast<int32_t>(plan.rowBlocks);
  p.rows = static_cast<int32_t>(s.depth());
  const Grid grid = {plan.rowBlocks * plan.columnBlocks, std::min(plan.groups, kMostBlocksYZ), plan.splits};
  const int tile = plan.tile - kSmall;
  if (plan.direct) {
    launcher.Launch(kFilterGradDirect, grid, kConvThreads, p);
  } else if (MultipliesHalves(launcher.instruction())) {
    size_t at = ScratchOfFilter(plan, launcher.instruction());
    p.input.data = const_cast<void*>(HalfFactorOf(launcher, 1, at));
    p.dy.data = const_cast<void*>(HalfFactorOf(launcher, 2, at));
    if (IsAligned(s, p.input.data, p.dy.data)) {
      launcher.Launch(kFilterGradHalf[tile], grid, 128, p);
    } else {
      p.rowBlocks = static_cast<int32_t>(BlocksFor(s.depth(), kTileRows[kSmall]));
      const int64_t columnBlocks = BlocksFor(s.outGroup(), kTileColumns[kSmall]);
      launcher.Launch(kFilterGradHalfPlain, {p.rowBlocks * columnBlocks, grid.y, grid.z}, 128, p);
    }
  } else {
    launcher.Launch(kFilterGrad[OnTensorCores(launcher)][tile], grid, kConvThreads, p);
  }
  if (plan.splits > 1) launcher.Launch(kFilterGradJoin, {BlocksFor(p.size, kConvThreads)}, kConvThreads, p);
}

}  // namespace nabla::cuda
