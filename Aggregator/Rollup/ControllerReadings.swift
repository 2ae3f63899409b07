/// One reading of a machine's power by its controller.
struct ControllerReading: Hashable, Sendable {
  /// Tick, and distance of the controller's ticks, milliseconds.
  let time: Int64
  let intervalMilliseconds: Int64
  let milliwatts: Int64

  /// Last tick for which it stands, unless a newer one comes.
  var until: Int64 { time &+ Limits.controllerReadingIntervals &* intervalMilliseconds }

  /// The reading that a row of a controller holds; `nil` when it holds none.
  init?(_ row: borrowing Span<Int64>, _ offsets: RowProgram.Offsets, at time: Int64, interval: Int64) {
    guard offsets.nodePower >= 0, row[offsets.nodePower] != RowKernel.absent else { return nil }
    self.init(time: time, intervalMilliseconds: interval, milliwatts: row[offsets.nodePower])
  }

  init(time: Int64, intervalMilliseconds: Int64, milliwatts: Int64) {
    self.time = time
    self.intervalMilliseconds = intervalMilliseconds
    self.milliwatts = milliwatts
  }
}

/// What the controller of one machine said, in the order of its ticks.
struct ControllerReadings: Hashable, Sendable {
  private(set) var readings: [ControllerReading] = []

  init() {}

  init(_ reading: ControllerReading) { readings = [reading] }

  /// Takes a reading, which may be older than others. Of two of one tick the first stays.
  ///
  /// - Complexity: constant for the newest.
  mutating func note(_ reading: ControllerReading) {
    var place = readings.count
    while place > 0, readings[place - 1].time > reading.time { place -= 1 }
    if place > 0, readings[place - 1].time == reading.time { return }
    readings.insert(reading, at: place)
  }

  /// Forgets what says nothing of ticks from `time` on, and what is more than `limit` readings.
  mutating func forget(before time: Int64, limit: Int) {
    var needless = max(0, readings.count - limit)
    while needless + 1 < readings.count, readings[needless + 1].time < time { needless += 1 }
    if needless > 0 { readings.removeFirst(needless) }
  }

  /// The machine's power at a tick, milliwatts: the newest reading of an earlier tick, while it stands.
  func milliwatts(at time: Int64) -> Int64? {
    var place = readings.count - 1
    while place >= 0, readings[place].time >= time { place -= 1 }
    guard place >= 0, time <= readings[place].until else { return nil }
    return readings[place].milliwatts
  }
}
