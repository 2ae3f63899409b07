import BongsuCodec
import BongsuModel
import BongsuTestKit

/// Draws layouts and rows that visit the corners of the format: constants, noise, counters that reset, extremes,
/// common factors, lost devices, single values that come and go, rows that skip ticks.
struct RandomRows {
  var random: SeededRandom

  private enum Habit: CaseIterable {
    case constant, zero, noise, counter, smoothCounter, resetting, extreme, sparse, outlier, scaled, step
  }

  mutating func layout() throws -> RowLayout {
    let all = MetricCatalogue.all
    let columns = all.shuffled(using: &random).prefix(Int.random(in: 1...all.count, using: &random))
    let gpus = [0, 1, 2, 3, 4, 5, 8, 8, 8, 8, 16, 17, 72].randomElement(using: &random) ?? 8
    let modules = Int.random(in: 0...2, using: &random)
    let interval = [20, 100, 1000, 1000, 5000].randomElement(using: &random).flatMap(TickInterval.init) ?? .second
    let devices =
      [Device.node]
      + (0..<gpus).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "B200") }
      + (0..<modules).map { Device(scope: .module, index: UInt16($0), key: "module-\($0)", model: "") }
    let made = try RowLayout(interval: interval, columns: Array(columns), devices: devices)
    return made.width > 0 ? made : try RowLayout(interval: interval, columns: all, devices: devices)
  }

  mutating func block(_ layout: RowLayout) -> BlockInput {
    let rows = [1, 1, 1, 2, 3, 10, 60, 130].randomElement(using: &random) ?? 1
    let isBased = Bool.random(using: &random)
    var table = [Int64](repeating: 0, count: (rows + 1) * layout.width)
    for column in layout.columns.indices { fill(&table, layout, column, rows + 1) }
    removeSome(&table, layout, rows + 1)
    var input = BlockInput(rows: Array(table[layout.width...]), base: isBased ? Array(table[..<layout.width]) : nil)
    input.ticksSinceBase = Int.random(in: 1...3, using: &random)
    if Bool.random(using: &random) {
      var tick: UInt32 = 0
      input.tickOffsets = (0..<rows).map { row in
        if row > 0 {
          tick += Int.random(in: 0..<8, using: &random) == 0 ? UInt32.random(in: 2...900, using: &random) : 1
        }
        return tick
      }
    }
    if Bool.random(using: &random) {
      input.rowFlags = (0..<rows).map { _ in Int.random(in: 0..<6, using: &random) == 0 ? 1 : 0 }
    }
    return input
  }

  private mutating func fill(_ table: inout [Int64], _ layout: RowLayout, _ column: Int, _ rows: Int) {
    let habit = Habit.allCases.randomElement(using: &random) ?? .noise
    let most = Limits.sampleMagnitudeMax
    let size = Int64(1) << Int64.random(in: 0...40, using: &random)
    let level = Int64.random(in: -size...size, using: &random)
    let factors: [Int64] = [1, 10, 15, 1024, 1000, 64]
    let factor = factors.randomElement(using: &random) ?? 1
    for position in layout.range(of: column) {
      var value = habit == .constant ? level : Int64.random(in: 0...size, using: &random)
      for row in 0..<rows {
        switch habit {
        case .constant: break
        case .zero: value = 0
        case .noise: value = level + Int64.random(in: -size...size, using: &random)
        case .counter: value += Int64.random(in: 0...size, using: &random)
        case .smoothCounter: value += size + Int64.random(in: 0...3, using: &random)
        case .resetting:
          value =
            Int.random(in: 0..<9, using: &random) == 0 ? Int64(0) : value + Int64.random(in: 0...size, using: &random)
        case .extreme: value = Bool.random(using: &random) ? most : -most + Int64.random(in: 0...1, using: &random)
        case .sparse: value += Int.random(in: 0..<12, using: &random) == 0 ? factor : 0
        case .outlier: value = Int.random(in: 0..<8, using: &random) == 0 ? size &* 64 : level & 15
        case .scaled: value = Int64.random(in: 0...1000, using: &random) * factor
        case .step: value = row < rows / 2 ? level : level + size
        }
        table[row * layout.width + position] = min(max(value, -most), most)
      }
    }
  }

  private mutating func removeSome(_ table: inout [Int64], _ layout: RowLayout, _ rows: Int) {
    let share = [0, 0, 1, 30, 95, 100].randomElement(using: &random) ?? 0
    for position in 0..<layout.width {
      switch Int.random(in: 0..<4, using: &random) {
      case 0 where share > 0:  // lost for a stretch, or for good
        let first = Int.random(in: 0..<rows, using: &random)
        let last = Bool.random(using: &random) ? rows - 1 : Int.random(in: first..<rows, using: &random)
        for row in first...last { table[row * layout.width + position] = absent }
      case 1:  // single readings that are missing
        for row in 0..<rows where Int.random(in: 0..<100, using: &random) < share {
          table[row * layout.width + position] = absent
        }
      default: break
      }
    }
  }
}
