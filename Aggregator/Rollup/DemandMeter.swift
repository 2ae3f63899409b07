public import BongsuFleet
public import BongsuModel

/// The billed demand of one meter: mean power of quarter-hours on the meter's own clock.
///
///     demand of a quarter-hour = energy in it ÷ 900 s
///     forecast = (energy so far + current power × time left) ÷ 900 s
///
/// Time that no tick covers (the aggregator was down) is taken to have run at the mean of what is covered. Ticks and
/// late corrections may come in any order within ``Limits/demandIntervalsKept`` quarter-hours. A plain value; used by
/// one thread.
public struct DemandMeter: Hashable, Sendable {
  /// Length of the billing interval of the Korean tariff.
  public static let intervalMilliseconds: Int64 = 900_000

  /// One quarter-hour.
  public struct Interval: Hashable, Sendable, BitwiseCopyable {
    /// The instant that ends it; it holds the ticks after its start up to and including this one.
    public let end: Tick
    /// Energy of the covered time, mW × ms.
    public fileprivate(set) var energy: Int64 = 0
    /// Covered time, ms.
    public fileprivate(set) var coveredMilliseconds: Int64 = 0

    /// Mean power of the covered time, mW; `nil` when nothing is covered.
    public var averageMilliwatts: Int64? {
      coveredMilliseconds > 0 ? energy / coveredMilliseconds : nil
    }

    /// Whether so little is missing that the mean can stand for a billed demand: nine tenths are covered.
    public var isBillable: Bool { coveredMilliseconds * 10 >= DemandMeter.intervalMilliseconds * 9 }
  }

  /// The state of the running quarter-hour and the peaks it competes with.
  public struct Outlook: Hashable, Sendable {
    /// End of the running quarter-hour.
    public let end: Tick
    /// Mean power so far, mW.
    public let averageMilliwatts: Int64
    /// Demand of the quarter-hour if power stays as it is, mW.
    public let forecastMilliwatts: Int64
    /// Highest demand of the running month, finished quarter-hours only, mW; 0 when there is none.
    public let monthPeakMilliwatts: Int64
    /// What the base charge follows: highest demand of the tariff's months in the last twelve, and of this month, mW.
    public let ratchetPeakMilliwatts: Int64
    /// Contract power, mW; `nil` without a contract.
    public let contractMilliwatts: Int64?
    /// Contract power less the forecast, mW: below zero when the quarter-hour will end above the contract.
    public var headroomMilliwatts: Int64? { contractMilliwatts.map { $0 - forecastMilliwatts } }
  }

  /// The highest demand of one local month.
  public struct MonthPeak: Hashable, Sendable, BitwiseCopyable {
    /// Months since January of year 0.
    public let month: Int
    public let milliwatts: Int64

    public init(month: Int, milliwatts: Int64) {
      self.month = month
      self.milliwatts = milliwatts
    }
  }

  private let clockOffsetMilliseconds: Int64
  private let ratchetMonths: [Int]
  private let contractMilliwatts: Int64?
  private let timeZone: TimeZoneOffset
  /// Ascending by end; the last one is running.
  public private(set) var intervals: [Interval] = []
  /// Peaks of months whose quarter-hours are no longer kept, or were restored; ascending.
  public private(set) var monthPeaks: [MonthPeak]
  private var newestTick = Int64.min
  private var newestMilliwatts: Int64 = 0

  /// The demand of `meter`, whose months are those of `timeZone`. `monthPeaks` are peaks known from before.
  public init(_ meter: Meter, timeZone: TimeZoneOffset, monthPeaks: [MonthPeak] = []) {
    clockOffsetMilliseconds = Int64(meter.clockOffsetSeconds) * 1000
    ratchetMonths = meter.ratchetMonths
    contractMilliwatts = meter.contract?.milliwatts
    self.timeZone = timeZone
    self.monthPeaks = monthPeaks.sorted { $0.month < $1.month }
  }

  /// Adds the power of one closed tick, which describes the time of one `interval` before it.
  public mutating func add(milliwatts: Int64, at tick: Tick, interval: TickInterval) {
    let milliwatts = Self.bounded(milliwatts)
    let index = index(of: tick)
    let length = Int64(interval.milliseconds)
    intervals[index].energy += milliwatts * length
    intervals[index].coveredMilliseconds += length
    if tick.unixMilliseconds > newestTick {
      newestTick = tick.unixMilliseconds
      newestMilliwatts = milliwatts
    }
    forgetOldIntervals()
  }

  /// Puts a quarter-hour as history has it in the place of what was added of it so far.
  ///
  /// - Parameters:
  ///   - tick: any tick of the quarter-hour.
  ///   - energy: mW × ms of the covered time.
  public mutating func replace(quarterOf tick: Tick, energy: Int64, coveredMilliseconds: Int64) {
    let end = end(of: tick)
    // Quarter-hours that are in their month's peak already are not known one by one.
    if intervals.count == Limits.demandIntervalsKept, let oldest = intervals.first, end < oldest.end { return }
    let index = index(of: tick)
    let length = Self.intervalMilliseconds
    intervals[index].coveredMilliseconds = min(max(coveredMilliseconds, 0), length)
    let most = Limits.meterMilliwattsMax * length
    intervals[index].energy = min(max(energy, -most), most)
    forgetOldIntervals()
  }

  /// Takes note of the peak of a month from before the quarter-hours that are kept.
  public mutating func note(_ peak: MonthPeak) {
    if let index = monthPeaks.firstIndex(where: { $0.month == peak.month }) {
      guard peak.milliwatts > monthPeaks[index].milliwatts else { return }
      monthPeaks[index] = peak
    } else {
      monthPeaks.append(peak)
      monthPeaks.sort { $0.month < $1.month }
    }
  }

  /// End of the quarter-hour of `tick`, in UTC.
  public func quarterEnd(of tick: Tick) -> Tick { end(of: tick) }

  /// Adds what late rows change about a tick that was added before. A change of a quarter-hour that is no longer kept is
  /// refused with `false`.
  public mutating func correct(byMilliwatts change: Int64, at tick: Tick, interval: TickInterval) -> Bool {
    let end = end(of: tick)
    guard let index = intervals.lastIndex(where: { $0.end == end }) else { return false }
    let change = Self.bounded(change)
    intervals[index].energy += change * Int64(interval.milliseconds)
    if tick.unixMilliseconds == newestTick { newestMilliwatts = Self.bounded(newestMilliwatts + change) }
    return true
  }

  /// A broken meter may claim any power; a quarter-hour of the bounded one fits 63 bits.
  private static func bounded(_ milliwatts: Int64) -> Int64 {
    min(max(milliwatts, -Limits.meterMilliwattsMax), Limits.meterMilliwattsMax)
  }

  /// Where the running quarter-hour stands; `nil` before the first tick.
  public var outlook: Outlook? {
    // Quarter-hours of history alone do not tell what is drawn now.
    guard newestTick > .min, let running = intervals.last else { return nil }
    let length = Self.intervalMilliseconds
    let start = running.end.unixMilliseconds - length
    let elapsed = newestTick - start
    let average = running.averageMilliwatts ?? 0
    let soFar = running.energy + average * max(0, elapsed - running.coveredMilliseconds)
    let month = month(of: running.end)
    return Outlook(
      end: running.end, averageMilliwatts: average,
      forecastMilliwatts: (soFar + newestMilliwatts * (length - elapsed)) / length,
      monthPeakMilliwatts: peak { $0 == month },
      ratchetPeakMilliwatts: peak { $0 == month || (month - 12..<month).contains($0) && isRatchet($0) },
      contractMilliwatts: contractMilliwatts)
  }

  /// Peaks of all known months, those of kept quarter-hours included: what a restart needs besides the intervals.
  public var allMonthPeaks: [MonthPeak] {
    var peaks: [Int: Int64] = [:]
    for peak in monthPeaks { peaks[peak.month] = max(peaks[peak.month] ?? 0, peak.milliwatts) }
    for interval in intervals.dropLast() where interval.isBillable {
      let month = month(of: interval.end)
      peaks[month] = max(peaks[month] ?? 0, interval.averageMilliwatts ?? 0)
    }
    return peaks.map { MonthPeak(month: $0.key, milliwatts: $0.value) }.sorted { $0.month < $1.month }
  }

  private func peak(where isAsked: (Int) -> Bool) -> Int64 {
    var highest: Int64 = 0
    for peak in monthPeaks where isAsked(peak.month) { highest = max(highest, peak.milliwatts) }
    for interval in intervals.dropLast() where interval.isBillable && isAsked(month(of: interval.end)) {
      highest = max(highest, interval.averageMilliwatts ?? 0)
    }
    return highest
  }

  private func isRatchet(_ month: Int) -> Bool { ratchetMonths.contains(month % 12 + 1) }

  /// The local month in which a quarter-hour lies, by the clock of the nation.
  public func month(of end: Tick) -> Int {
    let date = timeZone.date(of: Tick(unixMilliseconds: end.unixMilliseconds - 1))
    return date.year * 12 + date.month - 1
  }

  /// End of the quarter-hour of `tick`, in UTC, on the meter's clock.
  private func end(of tick: Tick) -> Tick {
    let length = Self.intervalMilliseconds
    let local = tick.unixMilliseconds + clockOffsetMilliseconds
    return Tick(
      unixMilliseconds: (local + length - 1).flooredDivision(by: length) * length - clockOffsetMilliseconds)
  }

  /// Position of the quarter-hour of `tick`, made when it is new.
  private mutating func index(of tick: Tick) -> Int {
    let end = end(of: tick)
    if let last = intervals.last, last.end == end { return intervals.count - 1 }
    var index = intervals.count
    while index > 0, intervals[index - 1].end > end { index -= 1 }
    if index > 0, intervals[index - 1].end == end { return index - 1 }
    intervals.insert(Interval(end: end), at: index)
    return index
  }

  /// Moves the peaks of the oldest quarter-hours into their months.
  private mutating func forgetOldIntervals() {
    while intervals.count > Limits.demandIntervalsKept {
      let oldest = intervals.removeFirst()
      guard oldest.isBillable, let average = oldest.averageMilliwatts else { continue }
      note(MonthPeak(month: month(of: oldest.end), milliwatts: average))
    }
  }
}
