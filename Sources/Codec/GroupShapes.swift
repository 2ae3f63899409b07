/// Chooses the classes of a column's groups.
///
/// Groups are counted by what decides their size (widest field, second widest, fields that are not zero), which leaves
/// a few dozen shapes however long the block; classes are then added greedily while they save more than they cost.
struct GroupShapes {
  private struct Shape {
    var key: Int
    var groups: Int
    /// Bits of one such group under the classes chosen so far.
    var bits: Int
    var widest: UInt8 { UInt8(truncatingIfNeeded: key & 31) }
    var second: UInt8 { UInt8(truncatingIfNeeded: key >> 5 & 31) }
    var present: Int { key >> 10 }

    /// Bits of one such group of `size` residuals in class `packed`; `nil` when it does not fit.
    func bits(in packed: UInt8, size: Int) -> Int? {
      let code = packed & 31
      let width = WidthCode.width(code)
      switch packed >> 5 {
      case Packing.dense.rawValue: return code >= widest ? size * width : nil
      case Packing.sparse.rawValue: return code >= widest ? size + present * width : nil
      default:
        guard code >= second else { return nil }
        let upper = WidthCode.code(holding: Swift.max(WidthCode.width(widest) - width, 0))
        return size * width + GroupPacking.positionBits(size) + 5 + WidthCode.width(upper)
      }
    }
  }

  private var shapes: [Shape] = []
  private var slots: [UInt16] = Array(repeating: 0, count: 32 * 32 * 17)

  /// `coding` with the classes that make its groups smallest, and the bits they then need.
  mutating func choose(
    for coding: ColumnCoding, _ plan: ColumnPlan, _ range: CellRange, _ residuals: Span<Int64>
  ) -> (coding: ColumnCoding, bits: Int) {
    let size = coding.groupSize(plan)
    count(coding, range, residuals, size: size)
    var result = coding
    let groups = (range.cells + size - 1) / size
    let candidates = candidateClasses()
    var chosen: [UInt8] = []
    var best = (coding: coding, bits: Int.max)
    for selectorBits in 0...3 {
      while chosen.count < 1 << selectorBits, let next = bestAddition(candidates, to: chosen, size: size) {
        chosen.append(next)
        for index in shapes.indices {
          guard let bits = shapes[index].bits(in: next, size: size) else { continue }
          shapes[index].bits = Swift.min(shapes[index].bits, bits)
        }
      }
      let data = shapes.reduce(0) { $0 + $1.groups * $1.bits }
      var single = coding
      single.classes[0] = chosen[0]
      let isSimple = selectorBits == 0 && single.form(plan) != nil
      let header = isSimple ? 8 : 16 + (8 << selectorBits) + (coding.offset == 0 ? 0 : 40)
      let total = data + groups * selectorBits + header
      if total < best.bits {
        result.selectorBits = selectorBits
        for index in 0..<(1 << selectorBits) { result.classes[index] = chosen[Swift.min(index, chosen.count - 1)] }
        best = (result, total)
      }
      if chosen.count < 1 << selectorBits { break }
    }
    return best
  }

  /// The cheapest class that holds every group of `fields`.
  static func singleClass(_ fields: Span<UInt64>, size: Int) -> UInt8 {
    var widest: UInt64 = 0
    for index in 0..<fields.count { widest = Swift.max(widest, fields.at(index)) }
    return WidthCode.code(of: widest)
  }

  /// The best class for a group with these fields among the chosen ones: its number.
  static func selector(
    _ coding: ColumnCoding, _ fields: Span<UInt64>, from start: Int, size: Int, groupSize: Int
  ) -> Int {
    let shape = Shape(key: key(fields, from: start, size: size), groups: 1, bits: 0)
    var best = 0
    var bestBits = Int.max
    for index in 0..<(1 << coding.selectorBits) {
      let packed = coding.classes[index]
      // The shape's price for a patched class assumes the nominal width; a last, shorter group may not hold its position.
      if let bits = shape.bits(in: packed, size: groupSize), bits < bestBits {
        best = index
        bestBits = bits
      }
    }
    precondition(bestBits < Int.max, "the first class holds every group")
    return best
  }

  private static func key(_ fields: Span<UInt64>, from start: Int, size: Int) -> Int {
    var widest: UInt64 = 0
    var second: UInt64 = 0
    var present = 0
    for index in start..<(start + size) {
      let field = fields.at(index)
      second = Swift.max(second, Swift.min(widest, field))
      widest = Swift.max(widest, field)
      present &+= field == 0 ? 0 : 1
    }
    return Int(WidthCode.code(of: widest)) | Int(WidthCode.code(of: second)) << 5 | present << 10
  }

  private mutating func count(
    _ coding: ColumnCoding, _ range: CellRange, _ residuals: Span<Int64>, size: Int
  ) {
    for shape in shapes { slots[shape.key] = 0 }
    shapes.removeAll(keepingCapacity: true)
    let rows = range.rows - range.firstRow
    var index = 0
    while index < range.cells {
      let end = Swift.min(index + size, range.cells)
      var widest: UInt64 = 0
      var second: UInt64 = 0
      var present = 0
      while index < end {
        let cell = coding.isDeviceMajor ? index % rows * range.count + index / rows : index
        let field = coding.field(residuals.at(cell))
        second = Swift.max(second, Swift.min(widest, field))
        widest = Swift.max(widest, field)
        present &+= field == 0 ? 0 : 1
        index &+= 1
      }
      let key = Int(WidthCode.code(of: widest)) | Int(WidthCode.code(of: second)) << 5 | present << 10
      let slot = Int(slots[key])
      if slot > 0 {
        shapes[slot - 1].groups += 1
      } else {
        shapes.append(Shape(key: key, groups: 1, bits: Int.max >> 20))
        slots[key] = UInt16(shapes.count)
      }
    }
  }

  /// Classes that fit some shape exactly.
  private func candidateClasses() -> [UInt8] {
    var seen: UInt64 = 0
    var seenPatched: UInt64 = 0
    for shape in shapes {
      seen |= 1 << UInt64(shape.widest)
      if shape.second < shape.widest { seenPatched |= 1 << UInt64(shape.second) }
    }
    var list: [UInt8] = []
    for code in UInt8(0)..<32 {
      if seen >> UInt64(code) & 1 != 0 {
        list.append(code)
        if code > 0 { list.append(Packing.sparse.rawValue << 5 | code) }
      }
      if seenPatched >> UInt64(code) & 1 != 0 { list.append(Packing.patched.rawValue << 5 | code) }
    }
    return list
  }

  /// The class whose addition saves most; the first one must hold every group. `nil` when none saves anything.
  private func bestAddition(_ candidates: [UInt8], to chosen: [UInt8], size: Int) -> UInt8? {
    var best: UInt8?
    var bestTotal = Int.max
    if !chosen.isEmpty { bestTotal = shapes.reduce(0) { $0 + $1.groups * $1.bits } }
    for candidate in candidates {
      var total = 0
      for shape in shapes {
        let bits = shape.bits(in: candidate, size: size)
        if chosen.isEmpty && bits == nil {
          total = Int.max
          break
        }
        total += shape.groups * Swift.min(shape.bits, bits ?? Int.max)
      }
      if total < bestTotal {
        bestTotal = total
        best = candidate
      }
    }
    return best
  }
}
