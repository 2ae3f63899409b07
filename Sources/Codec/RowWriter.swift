/// The short way for the commonest block: one row, built on a base. Prices each column's few one-byte forms in one pass
/// and writes the cheapest.
enum RowWriter {
  /// What decides the size of a column's fields.
  private struct Extent {
    var widest: UInt64 = 0
    var second: UInt64 = 0
    var present = 0

    @inline(__always)
    mutating func add(_ field: UInt64) {
      second = max(second, min(widest, field))
      widest = max(widest, field)
      present &+= field == 0 ? 0 : 1
    }

    /// Bits of the narrowest dense fields.
    @inline(__always)
    var width: Int { 64 &- widest.leadingZeroBitCount }
  }

  /// Appends all columns of `row`, in which nothing is absent, as differences to `base`.
  static func put(
    _ row: Span<Int64>, base: Span<Int64>, _ shape: BlockShape, milliseconds: Int64,
    _ fields: inout MutableSpan<UInt64>, _ writer: inout BitWriter, into bytes: inout MutableSpan<UInt8>
  ) {
    precondition(row.count == shape.width && base.count == shape.width && fields.count >= shape.devicesMax)
    let map = ActiveMap(&writer, shape, into: &bytes)
    let columns = shape.columns
    let plans = columns.span
    for index in plans.indices {
      let isActive = putColumn(plans[index], row, base, milliseconds, &fields, &writer, into: &bytes)
      if isActive { map.mark(index, in: &bytes) }
    }
  }

  /// Appends one column; `false` when it repeats the base and nothing was written.
  @inline(__always)
  private static func putColumn(
    _ plan: ColumnPlan, _ row: Span<Int64>, _ base: Span<Int64>, _ milliseconds: Int64,
    _ fields: inout MutableSpan<UInt64>, _ writer: inout BitWriter, into bytes: inout MutableSpan<UInt8>
  ) -> Bool {
    var changed: Int64 = 0
    for position in plan.offset..<(plan.offset &+ plan.count) { changed |= row.at(position) ^ base.at(position) }
    if changed == 0 { return false }
    if plan.powerOffset >= 0 {
      putEnergy(plan, row, base, milliseconds, &fields, &writer, into: &bytes)
      return true
    }
    let form = scaleForm(plan, row, base)
    let scale = form == ColumnForm.natural ? plan.naturalScale : plan.alternateScale
    var extent = Extent()
    for index in 0..<plan.count {
      let position = plan.offset &+ index
      let quotient = scale.quotient(row.at(position) &- base.at(position))
      let field = plan.isUnsigned ? UInt64(bitPattern: quotient) : ZigZag.encode(quotient)
      extent.add(field)
      fields.set(index, field)
    }
    if extent.width > BlockLimits.fieldBitsMax {  // a counter that went back
      putPlain(plan, row, base, &fields, &writer, into: &bytes)
    } else {
      put(plan, extent, form, &fields, &writer, into: &bytes)
    }
    return true
  }

  /// The form whose scale divides all differences: the natural one if it can, else the alternate one if that makes the
  /// fields shorter. One of the two scales is 1.
  @inline(__always)
  private static func scaleForm(_ plan: ColumnPlan, _ row: Span<Int64>, _ base: Span<Int64>) -> UInt8 {
    let isNaturalOne = plan.naturalScale.code == 0
    let scale = isNaturalOne ? plan.alternateScale : plan.naturalScale
    for position in plan.offset..<(plan.offset &+ plan.count)
    where !scale.divides(row.at(position) &- base.at(position)) {
      return isNaturalOne ? ColumnForm.natural : ColumnForm.alternate
    }
    return isNaturalOne ? ColumnForm.alternate : ColumnForm.natural
  }

  /// Appends an energy counter: what it gained beyond power times time, or plainly what it gained.
  private static func putEnergy(
    _ plan: ColumnPlan, _ row: Span<Int64>, _ base: Span<Int64>, _ milliseconds: Int64,
    _ fields: inout MutableSpan<UInt64>, _ writer: inout BitWriter, into bytes: inout MutableSpan<UInt8>
  ) {
    var predicted = Extent()
    var plainWidest: UInt64 = 0
    for index in 0..<plan.count {
      let gain = row.at(plan.offset &+ index) &- base.at(plan.offset &+ index)
      let power = plan.powerOffset &+ index
      let step = energyStep(base.at(power), row.at(power), milliseconds: milliseconds)
      let field = ZigZag.encode(gain &- step)
      predicted.add(field)
      fields.set(index, field)
      plainWidest |= ZigZag.encode(gain)
    }
    if predicted.width > BlockLimits.fieldBitsMax || 64 &- plainWidest.leadingZeroBitCount < predicted.width {
      putPlain(plan, row, base, &fields, &writer, into: &bytes)
    } else {
      put(plan, predicted, ColumnForm.natural, &fields, &writer, into: &bytes)
    }
  }

  /// Appends zigzag differences to the base, whatever the column's nature; they always fit.
  private static func putPlain(
    _ plan: ColumnPlan, _ row: Span<Int64>, _ base: Span<Int64>, _ fields: inout MutableSpan<UInt64>,
    _ writer: inout BitWriter, into bytes: inout MutableSpan<UInt8>
  ) {
    var widest: UInt64 = 0
    for index in 0..<plan.count {
      let field = ZigZag.encode(row.at(plan.offset &+ index) &- base.at(plan.offset &+ index))
      widest |= field
      fields.set(index, field)
    }
    let code = WidthCode.code(of: widest)
    writer.put(UInt64(ColumnForm.plain << 5 | code), 8, into: &bytes)
    putDense(fields.span, plan.count, WidthCode.width(code), &writer, into: &bytes)
  }

  /// Appends the first fields, as many as the column has values, in the cheapest packing of `form`.
  @inline(__always)
  private static func put(
    _ plan: ColumnPlan, _ extent: Extent, _ form: UInt8, _ fields: inout MutableSpan<UInt64>,
    _ writer: inout BitWriter, into bytes: inout MutableSpan<UInt8>
  ) {
    let count = plan.count
    let code = WidthCode.code(of: extent.widest)
    let width = WidthCode.width(code)
    let dense = count &* width
    if count > 1 && count <= plan.groupSize {
      let sparse = count &+ extent.present &* width
      let secondCode = WidthCode.code(of: extent.second)
      let secondWidth = WidthCode.width(secondCode)
      let patched =
        count &* secondWidth &+ GroupPacking.positionBits(plan.groupSize) &+ 5
        &+ WidthCode.width(WidthCode.code(holding: max(extent.width &- secondWidth, 0)))
      if min(sparse, patched) < dense {
        let packing = sparse <= patched ? Packing.sparse : Packing.patched
        let used = sparse <= patched ? code : secondCode
        writer.put(UInt64((form &+ packing.rawValue) << 5 | used), 8, into: &bytes)
        GroupPacking.put(
          fields.span, from: 0, size: count, groupSize: plan.groupSize, as: packing.rawValue << 5 | used, &writer,
          into: &bytes)
        return
      }
    }
    writer.put(UInt64(form << 5 | code), 8, into: &bytes)
    putDense(fields.span, count, width, &writer, into: &bytes)
  }

  /// Appends `count` fields of `width` bits, two at a time where they fit one.
  @inline(__always)
  private static func putDense(
    _ fields: Span<UInt64>, _ count: Int, _ width: Int, _ writer: inout BitWriter,
    into bytes: inout MutableSpan<UInt8>
  ) {
    if width == 0 { return }
    var index = 0
    if width <= BlockLimits.fieldBitsMax / 2 {
      while index &+ 1 < count {
        let pair = fields.at(index) | fields.at(index &+ 1) &<< UInt64(truncatingIfNeeded: width)
        writer.put(pair, 2 &* width, into: &bytes)
        index &+= 2
      }
    }
    while index < count {
      writer.put(fields.at(index), width, into: &bytes)
      index &+= 1
    }
  }
}
