/// The short way for the commonest block: one row, built on a base, nothing annotated. Reads each field straight into
/// the row, in one pass over each active column, without the residual scratch of ``ColumnReader``.
enum RowReader {
  /// Rebuilds the row at the start of `row`, which becomes `base` with the columns of the body applied.
  ///
  /// - Returns: `false` when a column needs the general reader; `reader` and `row` are then of no use.
  static func take(
    _ row: inout MutableSpan<Int64>, base: Span<Int64>, _ shape: BlockShape, milliseconds: Int64,
    _ reader: inout BitReader, _ bytes: Span<UInt8>
  ) throws(BlockError) -> Bool {
    let width = shape.width
    precondition(base.count == width && row.count >= width)
    var hasAbsence = false
    for index in 0..<width {
      let before = base.at(index)
      let isAbsent = before == Presence.absent
      hasAbsence = hasAbsence || isAbsent
      row.set(index, isAbsent ? 0 : before)
    }
    let columns = shape.columns
    let plans = columns.span
    try reader.require(shape.activeBytes * 8)
    var map = reader
    reader.skip(shape.activeBytes * 8)
    var extent: UInt64 = 0
    var first = 0
    while first < plans.count {
      var active = map.take(8, from: bytes)
      guard active >> UInt64(min(8, plans.count - first)) == 0 else {
        throw .reservedBits(field: .activeColumns, value: Int(active))
      }
      while active != 0 {
        let index = first &+ active.trailingZeroBitCount
        active &= active &- 1
        guard plans[index].count > 0 else { throw .reservedBits(field: .activeColumns, value: index) }
        guard try takeColumn(plans[index], &row, base, milliseconds, &extent, &reader, bytes) else { return false }
      }
      first &+= 8
    }
    if extent >= UInt64(Presence.magnitudeMax) * 2 {
      try Presence.refuseAbsent(row.span.extracting(first: width), shape)
    }
    if hasAbsence { Presence.apply(base: base, to: &row, count: width) }
    return true
  }

  /// Applies one column. `extent` collects how far its readings reach.
  @inline(__always)
  private static func takeColumn(
    _ plan: ColumnPlan, _ row: inout MutableSpan<Int64>, _ base: Span<Int64>, _ milliseconds: Int64,
    _ extent: inout UInt64, _ reader: inout BitReader, _ bytes: Span<UInt8>
  ) throws(BlockError) -> Bool {
    try reader.require(8)
    let header = UInt8(truncatingIfNeeded: reader.take(8, from: bytes))
    let form = header &>> 5
    let width = WidthCode.width(header & 31)
    let count = plan.count
    if form == ColumnForm.extended { return false }
    let isPlain = form == ColumnForm.plain
    let packing = isPlain ? 0 : form >= ColumnForm.alternate ? form &- ColumnForm.alternate : form
    if packing != Packing.dense.rawValue && count > plan.groupSize { return false }
    let factor =
      isPlain ? 1 : form >= ColumnForm.alternate ? plan.alternateScale.factor : plan.naturalScale.factor
    let isUnsigned = plan.isUnsigned && !isPlain
    if !isPlain && plan.powerOffset >= 0 {
      for index in 0..<count {
        let power = plan.powerOffset &+ index
        let before = base.at(power) == Presence.absent ? 0 : base.at(power)
        let step = energyStep(before, row.at(power), milliseconds: milliseconds)
        row.set(plan.offset &+ index, row.at(plan.offset &+ index) &+ step)
      }
    }
    switch packing {
    case Packing.dense.rawValue:
      try reader.require(count &* width)
      if factor == 1 && !isUnsigned {
        for position in plan.offset..<(plan.offset &+ count) {
          let value = row.at(position) &+ ZigZag.decode(reader.take(width, from: bytes))
          extent |= Presence.extent(value)
          row.set(position, value)
        }
      } else {
        for position in plan.offset..<(plan.offset &+ count) {
          let field = reader.take(width, from: bytes)
          add(field, factor, isUnsigned, to: &row, position, &extent)
        }
      }
    case Packing.sparse.rawValue:
      try reader.require(count)
      var mask = reader.take(count, from: bytes)
      try reader.require(mask.nonzeroBitCount &* width)
      while mask != 0 {
        let position = plan.offset &+ mask.trailingZeroBitCount
        mask &= mask &- 1
        add(reader.take(width, from: bytes), factor, isUnsigned, to: &row, position, &extent)
      }
      if plan.powerOffset >= 0 { collect(row, plan, &extent) }
    default:
      let positionBits = GroupPacking.positionBits(plan.groupSize)
      try reader.require(positionBits &+ 5 &+ count &* width)
      let outlier = Int(truncatingIfNeeded: reader.take(positionBits, from: bytes))
      let upperWidth = WidthCode.width(UInt8(truncatingIfNeeded: reader.take(5, from: bytes)))
      guard outlier < count else { throw .outOfRange(field: .outlierPosition, value: outlier, limit: count - 1) }
      try reader.require(count &* width &+ upperWidth)
      var upperReader = reader
      upperReader.skip(count &* width)
      let upper = upperReader.take(upperWidth, from: bytes) &<< UInt64(truncatingIfNeeded: width)
      for index in 0..<count {
        let field = reader.take(width, from: bytes) | (index == outlier ? upper : 0)
        add(field, factor, isUnsigned, to: &row, plan.offset &+ index, &extent)
      }
      reader.skip(upperWidth)
    }
    return true
  }

  @inline(__always)
  private static func add(
    _ field: UInt64, _ factor: Int64, _ isUnsigned: Bool, to row: inout MutableSpan<Int64>, _ position: Int,
    _ extent: inout UInt64
  ) {
    let residual = isUnsigned ? Int64(bitPattern: field) : ZigZag.decode(field)
    let value = row.at(position) &+ residual &* factor
    extent |= Presence.extent(value)
    row.set(position, value)
  }

  /// Collects readings that changed by their prediction alone.
  private static func collect(_ row: borrowing MutableSpan<Int64>, _ plan: ColumnPlan, _ extent: inout UInt64) {
    for position in plan.offset..<(plan.offset &+ plan.count) { extent |= Presence.extent(row.at(position)) }
  }
}
