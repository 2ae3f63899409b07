/// Chooses the classes of a column's groups.
///
/// Groups are counted by what decides their size (widest field, second widest, fields that are not zero), coarsely, which
/// leaves a few dozen shapes however long the block; classes are then added greedily while they save more than they cost.
struct GroupShapes {
  private struct Shape {
    let key: Int
    var groups: Int
    /// Bits of one such group under the classes chosen so far.
    var bits: Int
    var widest: UInt8 { UInt8(truncatingIfNeeded: key & 31) }
    var second: UInt8 { UInt8(truncatingIfNeeded: key &>> 5 & 31) }
    var present: Int { key &>> 10 }

    /// Bits of one such group of `size` residuals in class `packed`; ``unfit`` when it does not fit.
    @inline(__always)
    func bits(in packed: UInt8, size: Int) -> Int {
      let code = packed & 31
      let width = WidthCode.width(code)
      switch packed &>> 5 {
      case Packing.dense.rawValue: return code >= widest ? size &* width : unfit
      case Packing.sparse.rawValue: return code >= widest ? size &+ present &* width : unfit
      default:
        guard code >= second else { return unfit }
        let upper = WidthCode.code(holding: max(WidthCode.width(widest) &- width, 0))
        return size &* width &+ GroupPacking.positionBits(size) &+ 5 &+ WidthCode.width(upper)
      }
    }
  }

  /// More bits than any group has, and few enough to be added up.
  private static let unfit = 1 << 32
  private static var classesMax: Int { 8 }

  private var shapes: [Shape] = []
  /// Index into `shapes` plus one, by key.
  private var slots: [UInt16] = Array(repeating: 0, count: (GroupPacking.sizeMax + 1) << 10)

  /// `coding` with the classes that make its groups smallest, and the bits they then need.
  mutating func choose(
    for coding: ColumnCoding, _ plan: ColumnPlan, _ fields: Span<UInt64>, cells: Int
  ) -> (coding: ColumnCoding, bits: Int) {
    let size = coding.groupSize(plan)
    count(fields, cells: cells, size: size)
    var candidates = Candidates()
    for shape in shapes {
      candidates.add(widest: shape.widest, second: shape.second, present: shape.present, size: size)
    }
    let groups = (cells &+ size &- 1) / size
    var result = coding
    var best = coding
    var bestBits = Int.max
    var chosen = 0
    for selectorBits in 0...3 {
      while chosen < 1 << selectorBits, let next = bestAddition(candidates, isFirst: chosen == 0, size: size) {
        result.classes[chosen] = next
        chosen += 1
        for index in shapes.indices {
          shapes[index].bits = min(shapes[index].bits, shapes[index].bits(in: next, size: size))
        }
      }
      for index in min(chosen, Self.classesMax)..<(1 << selectorBits) { result.classes[index] = result.classes[0] }
      result.selectorBits = selectorBits
      var total = result.headerBits(plan) &+ (8 << selectorBits) &- 8 &+ groups &* selectorBits
      for shape in shapes { total &+= shape.groups &* shape.bits }
      if total < bestBits {
        bestBits = total
        best = result
      }
      if chosen < 1 << selectorBits { break }
    }
    return (best, bestBits)
  }

  /// The cheapest of the coding's classes for the group of `size` fields at `start`: its number.
  static func selector(
    _ coding: ColumnCoding, _ fields: Span<UInt64>, from start: Int, size: Int, groupSize: Int
  ) -> Int {
    let shape = Shape(key: exactKey(fields, from: start, to: start &+ size), groups: 1, bits: 0)
    var best = 0
    var bestBits = Int.max
    for index in 0..<(1 &<< coding.selectorBits) {
      let bits = shape.bits(in: coding.classes[index], size: groupSize)
      if bits < bestBits {
        best = index
        bestBits = bits
      }
    }
    precondition(bestBits < unfit, "the first class holds every group")
    return best
  }

  private static func exactKey(_ fields: Span<UInt64>, from start: Int, to end: Int) -> Int {
    var widest: UInt64 = 0
    var second: UInt64 = 0
    var present = 0
    for index in start..<end {
      let field = fields.at(index)
      second = max(second, min(widest, field))
      widest = max(widest, field)
      present &+= field == 0 ? 0 : 1
    }
    return Int(WidthCode.code(of: widest)) | Int(WidthCode.code(of: second)) &<< 5 | present &<< 10
  }

  /// Counts the groups by shape.
  private mutating func count(_ fields: Span<UInt64>, cells: Int, size: Int) {
    for shape in shapes { slots[shape.key] = 0 }
    shapes.removeAll(keepingCapacity: true)
    var start = 0
    while start < cells {
      let end = min(start &+ size, cells)
      let key = Self.coarse(Self.exactKey(fields, from: start, to: end), size: size)
      let slot = Int(slots[key])
      if slot > 0 {
        shapes[slot &- 1].groups &+= 1
      } else {
        shapes.append(Shape(key: key, groups: 1, bits: Self.unfit))
        slots[key] = UInt16(shapes.count)
      }
      start = end
    }
  }

  /// Forgets what cannot pay: a second width near the widest, and how many are zero when few are.
  private static func coarse(_ key: Int, size: Int) -> Int {
    let widest = key & 31
    let second = key &>> 5 & 31
    let present = key &>> 10
    return widest | (widest &- second < 3 ? widest : second) &<< 5 | (present &* 2 > size ? size : present) &<< 10
  }

  /// Classes that fit some shape exactly, as sets of width codes.
  private struct Candidates {
    var dense: UInt32 = 0
    var sparse: UInt32 = 0
    var patched: UInt32 = 0

    mutating func add(widest: UInt8, second: UInt8, present: Int, size: Int) {
      dense |= 1 << UInt32(widest)
      if present > 0 && present < size { sparse |= 1 << UInt32(widest) }
      if second < widest { patched |= 1 << UInt32(second) }
    }
  }

  /// The class whose addition saves most; the first one must hold every group. `nil` when none saves anything.
  private func bestAddition(_ candidates: Candidates, isFirst: Bool, size: Int) -> UInt8? {
    var best: UInt8?
    var bestTotal = Self.unfit << 24
    if !isFirst {
      bestTotal = 0
      for shape in shapes { bestTotal &+= shape.groups &* shape.bits }
    }
    func consider(_ codes: UInt32, _ packing: Packing) {
      var rest = codes
      while rest != 0 {
        let packed = packing.rawValue << 5 | UInt8(truncatingIfNeeded: rest.trailingZeroBitCount)
        rest &= rest &- 1
        var total = 0
        for shape in shapes {
          total &+= shape.groups &* min(shape.bits, shape.bits(in: packed, size: size))
          if total >= bestTotal { break }
        }
        let isFit = !isFirst || total < Self.unfit
        if total < bestTotal && isFit {
          bestTotal = total
          best = packed
        }
      }
    }
    consider(candidates.dense, .dense)
    consider(candidates.sparse, .sparse)
    consider(candidates.patched, .patched)
    return best
  }
}
