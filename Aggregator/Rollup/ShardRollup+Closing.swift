import BongsuFleet
public import BongsuModel

extension ShardRollup {
  /// Whether the next tick can be closed at server time `now`; see ``Watermark/isClosable(now:)``.
  public mutating func isClosable(now: Tick) -> Bool { watermark.isClosable(now: now) }

  /// The tick that ``close(into:)`` will close next.
  public var nextTick: Tick { Tick(unixMilliseconds: closedThrough + step) }

  /// Closes the next tick: writes its cells into `frame`, estimates of silent nodes included, and begins to wait for the
  /// tick after it. Does not allocate once `frame` has been through it.
  public mutating func close(into frame: inout LeafFrame) {
    let time = closedThrough + step
    frame.reset(tick: Tick(unixMilliseconds: time))
    flushPaced(at: time)
    estimateSilentMembers(at: time)
    let slot = Int(time / step) & slotMask
    for leaf in 0..<plan.leafCount where stamps[slot * plan.leafCount + leaf] == time {
      let base = (slot * plan.leafCount + leaf) * CellLayout.words
      frame.leaves.append(Int32(leaf))
      frame.words.append(contentsOf: words[base..<base + CellLayout.words])
    }
    let meters = plan.tree.meters.count
    for meter in 0..<meters where meterReadings[slot * meters + meter] != .min {
      frame.meterReadings.append((Int32(meter), meterReadings[slot * meters + meter]))
      meterReadings[slot * meters + meter] = .min
    }
    closedThrough = time
    beginWaiting(for: time + step)
  }

  /// Hands out the quantile sketches of the minute that ends with `tick`, which was closed last; `nil` when nothing was
  /// counted in it, or `tick` ends no minute.
  public mutating func takeSketches(endingWith tick: Tick) -> SketchFrame? {
    guard keepsSketches, tick.unixMilliseconds % 60_000 == 0 else { return nil }
    return sketches.take(minute: tick.unixMilliseconds)
  }

  /// Quantile sketches of late rows, by minute; each is merged into what the minute had before.
  public mutating func takeLateSketches() -> [SketchFrame] { sketches.takeLate() }

  /// Adds estimates for members that did not deliver `time`.
  mutating func estimateSilentMembers(at time: Int64) {
    for position in members.indices where !isDelivered(members[position], time) {
      let member = members[position]
      let age = time &- member.lastTick
      guard member.meter == nil, member.lastTick != .min, time > member.firstTick,
        MissingEstimate.isCurrent(ageMilliseconds: age)
      else { continue }
      if time < member.eraFrom || time >= member.eraUntil { enterEra(position, at: time) }
      let expected = members[position].expectedGPUs
      guard expected > 0 else { continue }
      let base = openCell(members[position].leaf, at: time)
      words[base + CellLayout.field(.missingPower)] &+= member.estimate(ageMilliseconds: age)
      words[base + CellLayout.field(.missingGPUPower)] &+= member.gpuEstimate(ageMilliseconds: age)
      words[base + CellLayout.field(.estimatedGPUs)] &+= member.lastGPUs
      if member.node == nil { words[base + CellLayout.field(.expectedGPUs)] &+= expected }
    }
  }

  /// Whether `time` was delivered, or is covered by the row of a slower member.
  func isDelivered(_ member: RollupMember, _ time: Int64) -> Bool {
    if member.pace == .slow { return member.lastTick != .min && time - member.lastTick < member.intervalMilliseconds }
    let behind = (member.lastTick &- time) / step
    return member.lastTick >= time && behind < 64 && member.delivered & 1 << UInt64(behind) != 0
  }

  mutating func beginWaiting(for time: Int64) {
    var live = 0
    var pending = 0
    for member in members where isLive(member.lastSeen, member.periodMilliseconds, at: time) {
      live += 1
      if member.lastSeen + member.periodMilliseconds <= time { pending += 1 }
    }
    watermark.await(Tick(unixMilliseconds: time), live: live, pending: pending)
  }
}
