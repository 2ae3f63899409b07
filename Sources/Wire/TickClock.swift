public import BongsuModel

/// A tick to sample, with what is needed to place it in real time later.
public struct TickStamp: Hashable, Sendable, BitwiseCopyable {
  /// The label of the row.
  public var tick: Tick
  /// `CLOCK_BOOTTIME` at the tick's exact instant, milliseconds.
  public var boottimeMilliseconds: Int64
  /// Whether the label is the node's own opinion, not yet compared with the aggregator's clock. Such rows get their
  /// final label, ``TickClock/finalTick(boottimeMilliseconds:anchor:interval:)``, before they are sent.
  public var isProvisional: Bool
  /// Whether the aggregator's time was used in place of the node's wall clock.
  public var isCorrected: Bool

  public init(tick: Tick, boottimeMilliseconds: Int64, isProvisional: Bool, isCorrected: Bool) {
    self.tick = tick
    self.boottimeMilliseconds = boottimeMilliseconds
    self.isProvisional = isProvisional
    self.isCorrected = isCorrected
  }
}

/// Decides when a node samples and which tick each sample is.
///
/// `CLOCK_BOOTTIME` never steps, the wall clock may; so ticks follow the boot clock plus an *offset*, and the wall clock
/// and the aggregator only ever change the offset.
///
///     boot ──provisional──▶ first answer of an aggregator ──anchored──▶ …
///            follow the wall clock,          fix the anchor       labels are final: follow the wall clock while it is
///            at least one interval of        of this boot         within two seconds of the aggregator, else keep the
///            boot time between samples                            aggregator's time; never a label at or below the last
///
/// The *anchor* is the offset at the first answer. A row sampled before it is labelled by the boot clock plus the anchor,
/// rounded to the nearest tick, however wrong its provisional label is: two readings of one anchor may differ by a
/// millisecond, which must not move a row by a whole tick. Since such samples are at least one interval of boot time
/// apart, no two get one tick; and a row sampled later is never labelled at or below them. The anchor is kept on
/// disk with the boot it belongs to, so that a restarted agent and rows in the spool get the same labels again.
///
/// A pure value: readings come in as arguments.
public struct TickClock: Hashable, Sendable {
  /// Wall clocks this far from the aggregator's are left alone.
  public static let toleranceMilliseconds: Int64 = 2000
  /// An unanchored clock follows the wall clock only in steps of more than this: following a slewing clock closely
  /// would bring two samples nearer than one interval.
  static let followMilliseconds: Int64 = 250

  /// Distance between ticks.
  public private(set) var interval: TickInterval
  /// Wall time less boot time in force.
  public private(set) var offsetMilliseconds: Int64
  /// The offset that labels this boot's provisional rows; `nil` until an aggregator has answered in this boot.
  public private(set) var anchorMilliseconds: Int64?
  /// Whether the node's own wall clock is disregarded.
  public private(set) var isCorrected = false
  /// How far the node's wall clock was from the aggregator's at the last comparison; `nil` before the first.
  public private(set) var skewMilliseconds: Int64?

  /// Offset by the aggregator's clock at the last comparison, and how much it may be wrong.
  private var serverOffset: Int64?
  private var uncertainty: Int64 = 0
  /// Label of the last sample; only of meaning while anchored.
  private var lastTick = Int64.min
  private var lastBoottime = Int64.min / 2

  /// A clock for one run of the agent.
  ///
  /// - Parameters:
  ///   - reading: both clocks now.
  ///   - anchor: the anchor of this boot, when an earlier run of the agent stored one.
  ///   - lastTick: the highest final label known to be used already.
  public init(interval: TickInterval, reading: ClockReading, anchor: Int64?, lastTick: Tick?) {
    self.interval = interval
    offsetMilliseconds = reading.offsetMilliseconds
    anchorMilliseconds = anchor
    if let anchor {
      serverOffset = anchor
      self.lastTick = lastTick?.unixMilliseconds ?? .min
      follow(reading)
    }
  }

  /// The tick to sample now, `nil` when none is due. Each tick is given once; ticks that nobody asked for in time are
  /// passed over.
  public mutating func dueTick(_ reading: ClockReading) -> TickStamp? {
    follow(reading)
    let tick = nextTick(after: reading.boottimeMilliseconds)
    let boottime = tick - offsetMilliseconds
    guard boottime <= reading.boottimeMilliseconds, boottime >= 0 else { return nil }
    lastTick = tick
    lastBoottime = boottime
    return TickStamp(
      tick: Tick(unixMilliseconds: tick), boottimeMilliseconds: boottime, isProvisional: anchorMilliseconds == nil,
      isCorrected: isCorrected)
  }

  /// How long until the next tick is due, by the clocks as they are; 0 when one is due now.
  public func millisecondsToNextTick(_ reading: ClockReading) -> Int64 {
    let boottime = nextTick(after: reading.boottimeMilliseconds) - offsetMilliseconds
    return max(0, boottime - reading.boottimeMilliseconds)
  }

  /// Takes a reading of the aggregator's clock.
  ///
  /// - Parameters:
  ///   - serverUnixMilliseconds: its wall clock.
  ///   - sentBoottimeMilliseconds: this node's boot clock when the question was sent.
  ///   - reading: both clocks of this node when the answer came.
  /// - Returns: `true` when this fixed the anchor of this boot, which the caller stores before it sends any row.
  public mutating func compare(
    serverUnixMilliseconds: Int64, sentBoottimeMilliseconds: Int64, reading: ClockReading
  ) -> Bool {
    // The answer was made at some instant of the round trip; its middle errs by half of it at most.
    let roundTrip = reading.boottimeMilliseconds - sentBoottimeMilliseconds
    guard roundTrip >= 0, roundTrip <= 60_000 else { return false }
    // An answer that was long on its way says less than an earlier, quicker one.
    if serverOffset != nil, anchorMilliseconds != nil, roundTrip > Self.toleranceMilliseconds { return false }
    let server = serverUnixMilliseconds - sentBoottimeMilliseconds - roundTrip / 2
    let tolerance = Self.toleranceMilliseconds + roundTrip / 2
    serverOffset = server
    uncertainty = roundTrip / 2
    skewMilliseconds = reading.offsetMilliseconds - server
    if abs(offsetMilliseconds - server) > tolerance {
      let isLocalGood = abs(reading.offsetMilliseconds - server) <= tolerance
      offsetMilliseconds = isLocalGood ? reading.offsetMilliseconds : server
      isCorrected = !isLocalGood
    }
    guard anchorMilliseconds == nil else { return false }
    anchorMilliseconds = offsetMilliseconds
    if lastBoottime >= 0 {
      lastTick =
        Self.finalTick(
          boottimeMilliseconds: lastBoottime, anchor: offsetMilliseconds, interval: interval
        ).unixMilliseconds
    } else {
      lastTick = .min
    }
    return true
  }

  /// Never samples `tick` or one before it again. For ticks that the aggregator already has of this node.
  public mutating func avoid(through tick: Tick) {
    guard anchorMilliseconds != nil else { return }
    lastTick = max(lastTick, tick.unixMilliseconds)
  }

  /// Changes the distance between ticks, for a node whose layout changed.
  public mutating func change(interval: TickInterval) { self.interval = interval }

  /// The final label of a row that was sampled before the anchor of its boot was known.
  public static func finalTick(boottimeMilliseconds: Int64, anchor: Int64, interval: TickInterval) -> Tick {
    let half = Int64(interval.milliseconds) / 2
    return Tick(unixMilliseconds: boottimeMilliseconds &+ anchor &+ half).aligned(to: interval)
  }

  private func nextTick(after boottime: Int64) -> Int64 {
    let step = Int64(interval.milliseconds)
    let current = (boottime &+ offsetMilliseconds).flooredDivision(by: step) * step
    if anchorMilliseconds != nil {
      guard lastTick >= current else { return current }
      return (lastTick.flooredDivision(by: step) + 1) * step
    }
    // The first tick that comes a whole interval of boot time after the last sample.
    let earliest = lastBoottime + step + offsetMilliseconds
    return max(current, -((-earliest).flooredDivision(by: step)) * step)
  }

  /// Adjusts the offset to the wall clock, as far as it is trusted.
  private mutating func follow(_ reading: ClockReading) {
    let local = reading.offsetMilliseconds
    guard anchorMilliseconds != nil, let serverOffset else {
      if abs(local - offsetMilliseconds) > Self.followMilliseconds { offsetMilliseconds = local }
      return
    }
    // A clock that was given up must come well within the tolerance before it is trusted again.
    let tolerance = (isCorrected ? Self.toleranceMilliseconds / 2 : Self.toleranceMilliseconds) + uncertainty
    if abs(local - serverOffset) <= tolerance {
      offsetMilliseconds = local
      isCorrected = false
    } else {
      if !isCorrected, abs(offsetMilliseconds - serverOffset) > Self.toleranceMilliseconds + uncertainty {
        offsetMilliseconds = serverOffset
      }
      isCorrected = true
    }
  }
}
