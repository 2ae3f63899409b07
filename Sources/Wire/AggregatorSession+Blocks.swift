internal import BongsuModel

extension AggregatorSession {
  /// Where the first row of a block lies.
  fileprivate struct Placement {
    var firstTick: Int64
    var lastTick: Int64
    var step: Int64
    var boottime: Int64
    var ticksSinceBase: Int?
  }

  /// Takes a block: places it, drops what is known, refuses what cannot be, stores the rest.
  mutating func take<Host: AggregatorSessionHost & ~Copyable>(
    _ header: BlockHeader, _ payload: RawSpan, _ at: AggregatorInstant, _ settings: AggregatorSessionSettings,
    _ host: inout Host
  ) {
    place(header, payload, at, settings, &host)
    // Only now: an acknowledgement sent before would be taken for complete.
    owe(at, settings, &host)
  }

  private mutating func place<Host: AggregatorSessionHost & ~Copyable>(
    _ header: BlockHeader, _ payload: RawSpan, _ at: AggregatorInstant, _ settings: AggregatorSessionSettings,
    _ host: inout Host
  ) {
    guard let layout = host.layout(header.layoutNumber, of: node) else {
      reject(header, .unknownLayout, seen: Int64(header.layoutNumber), limit: 0, nil, at, &host)
      return
    }
    guard header.rowCount * layout.width <= WireLimits.blockWordsMax else {
      let words = Int64(header.rowCount * layout.width)
      reject(header, .undecodable, seen: words, limit: Int64(WireLimits.blockWordsMax), nil, at, &host)
      return
    }
    guard let place = place(header, layout) else {
      reject(header, .baseMissing, seen: baseDistance(header), limit: Int64(clamping: baseSequence), nil, at, &host)
      return
    }
    guard received.firstMissing(header.firstSequence, header.lastSequence) != nil else {
      host.report(.duplicates(header.rowCount), of: node)
      // The agent takes this block as its next base, and here it is not the live row.
      if !header.isLate { baseSequence = 0 }
      return
    }
    if let refusal = refusal(place, at, settings) {
      reject(header, refusal.reason, seen: refusal.seen, limit: refusal.limit, place, at, &host)
      return
    }
    guard host.decode(header, payload, ticksSinceBase: place.ticksSinceBase, of: node) else {
      reject(header, .undecodable, seen: Int64(payload.byteCount), limit: 0, place, at, &host)
      return
    }
    store(header, payload, place, at, &host)
  }

  /// Ticks and base of a block; `nil` when it is based on a row that is not the live one.
  private func place(_ header: BlockHeader, _ layout: LayoutGeometry) -> Placement? {
    let step = Int64(layout.interval.milliseconds)
    let span = Int64(header.rowCount - 1) * step
    switch header.anchor {
    case .standalone(let tick, let boottime, _):
      return Placement(
        firstTick: tick.unixMilliseconds, lastTick: tick.unixMilliseconds + span, step: step, boottime: boottime,
        ticksSinceBase: nil)
    case .based(let distance, let ticks):
      guard baseSequence != 0, header.firstSequence - distance == baseSequence,
        Int(baseLayout) == header.layoutNumber
      else { return nil }
      let first = baseTick + Int64(ticks) * step
      return Placement(
        firstTick: first, lastTick: first + span, step: step, boottime: max(0, first - baseClockOffset),
        ticksSinceBase: Int(ticks))
    }
  }

  private func baseDistance(_ header: BlockHeader) -> Int64 {
    guard case .based(let distance, _) = header.anchor else { return 0 }
    return Int64(clamping: header.firstSequence &- distance)
  }

  /// Why a block's ticks cannot be taken, whatever its numbers.
  private func refusal(
    _ place: Placement, _ at: AggregatorInstant, _ settings: AggregatorSessionSettings
  ) -> (reason: RejectReason, seen: Int64, limit: Int64)? {
    let latest = at.unixMilliseconds + settings.futureTolerance
    if place.lastTick > latest { return (.tickInFuture, place.lastTick, latest) }
    let oldest = at.unixMilliseconds - settings.retention
    if place.lastTick < oldest { return (.tickTooOld, place.lastTick, oldest) }
    if place.firstTick % place.step != 0 { return (.undecodable, place.firstTick, place.step) }
    return nil
  }

  /// Stores the rows of a decoded block that are not known, and gives to a gap those whose ticks are taken.
  private mutating func store<Host: AggregatorSessionHost & ~Copyable>(
    _ header: BlockHeader, _ payload: RawSpan, _ place: Placement, _ at: AggregatorInstant, _ host: inout Host
  ) {
    var parts: [Range<Int>] = []
    var storedLast = Int64.min
    var isFull = false
    var number = header.firstSequence
    while let hole = received.firstMissing(number, header.lastSequence) {
      number = hole.last + 1
      let first = Int(hole.first - header.firstSequence)
      let count = Int(hole.last - hole.first) + 1
      let free = freeRows(of: hole.first, count, place.advanced(by: first, count: count))
      if free.lowerBound > 0 {
        rejectTaken(header, first..<(first + free.lowerBound), place, limit: free.above, at, &host)
      }
      if free.upperBound < count {
        rejectTaken(header, (first + free.upperBound)..<(first + count), place, limit: free.below, at, &host)
      }
      guard free.lowerBound < free.upperBound else { continue }
      let rows = (first + free.lowerBound)..<(first + free.upperBound)
      let part = place.advanced(by: rows.lowerBound, count: rows.count)
      guard
        received.insert(
          header.firstSequence + UInt64(rows.lowerBound), header.firstSequence + UInt64(rows.upperBound) - 1,
          firstTick: part.firstTick, lastTick: part.lastTick)
      else {
        isFull = true
        break
      }
      storedLast = part.lastTick
      // All rows, the usual case, is written as no parts, so that it allocates nothing.
      if rows.count < header.rowCount { parts.append(rows) }
    }
    if storedLast != .min {
      let entry = JournalBlock(
        node: node, header: header, firstTick: Tick(unixMilliseconds: place.firstTick), parts: parts)
      let record = host.store(
        AcceptedBlock(entry: entry, boottimeMilliseconds: place.boottime, ticksSinceBase: place.ticksSinceBase),
        payload)
      wrote(record, committed: at.committedRecord)
      noteBase(header, place, storedLast)
    }
    if isFull {
      let limit = Int64(WireLimits.sequenceRangesMax)
      reject(header, .rangesFull, seen: limit + 1, limit: limit, place, at, &host)
    }
  }

  /// Which of the `count` rows from the missing number `first` on have ticks that no stored row can have.
  private func freeRows(
    of first: UInt64, _ count: Int, _ place: Placement
  ) -> (lowerBound: Int, upperBound: Int, above: Int64, below: Int64) {
    let bounds = received.tickBounds(ofMissing: first)
    var lower = 0
    var upper = count
    if place.firstTick <= bounds.above {
      lower = Int(min(Int64(count), (bounds.above - place.firstTick) / place.step + 1))
    }
    if place.lastTick >= bounds.below {
      upper = max(lower, Int(max(0, (bounds.below - 1 - place.firstTick).flooredDivision(by: place.step) + 1)))
    }
    return (lower, upper, bounds.above, bounds.below)
  }

  private mutating func rejectTaken<Host: AggregatorSessionHost & ~Copyable>(
    _ header: BlockHeader, _ rows: Range<Int>, _ place: Placement, limit: Int64, _ at: AggregatorInstant,
    _ host: inout Host
  ) {
    let taken = place.advanced(by: rows.lowerBound, count: rows.count)
    reject(
      part(rows.lowerBound, rows.count, of: header), .tickTaken, seen: taken.firstTick, limit: limit, taken, at, &host)
  }

  /// After rows were stored: the live row is the base of the next live block, or has ceased to be.
  private mutating func noteBase(_ header: BlockHeader, _ place: Placement, _ storedLast: Int64) {
    let isNewest = storedLast > newestTick
    newestTick = max(newestTick, storedLast)
    if !header.isLate, isNewest, storedLast == place.lastTick {
      baseSequence = header.lastSequence
      baseTick = place.lastTick
      baseClockOffset = place.firstTick - place.boottime
      baseLayout = Int32(truncatingIfNeeded: header.layoutNumber)
    } else if isNewest || !header.isLate {
      baseSequence = 0
    }
  }

  private func part(_ first: Int, _ count: Int, of header: BlockHeader) -> BlockHeader {
    var part = header
    part.firstSequence = header.firstSequence + UInt64(first)
    part.rowCount = count
    return part
  }

  /// Says that a block is not taken. Final reasons consume its numbers.
  private mutating func reject<Host: AggregatorSessionHost & ~Copyable>(
    _ header: BlockHeader, _ reason: RejectReason, seen: Int64, limit: Int64, _ place: Placement?,
    _ at: AggregatorInstant, _ host: inout Host
  ) {
    // Whatever the agent bases on this block will not find it.
    if !header.isLate { baseSequence = 0 }
    let reject = Reject(
      firstSequence: header.firstSequence, rowCount: header.rowCount, reason: reason, valueSeen: seen, limit: limit)
    if let gapReason = reason.gap, received.insert(header.firstSequence, header.lastSequence) {
      let first = place.map { Tick(unixMilliseconds: $0.firstTick) }
      let last = place.map { Tick(unixMilliseconds: $0.lastTick) }
      let isInRange = place.map {
        Limits.tickRange.contains(Tick(unixMilliseconds: $0.firstTick))
          && Limits.tickRange.contains(Tick(unixMilliseconds: $0.lastTick))
      }
      var ticks: ClosedRange<Tick>?
      if let first, let last, isInRange == true { ticks = first...last }
      consume(
        JournalGap(
          node: node, sequences: header.firstSequence...header.lastSequence, reason: gapReason, ticks: ticks), at,
        &host)
    }
    host.report(.rejected(reject), of: node)
    var bytes: [UInt8] = []
    reject.encode(into: &bytes)
    host.send(bytes, over: connection)
  }
}

extension AggregatorSession.Placement {
  fileprivate func advanced(by first: Int, count: Int) -> Self {
    var part = self
    part.firstTick = firstTick + Int64(first) * step
    part.lastTick = part.firstTick + Int64(count - 1) * step
    return part
  }
}
