import BongsuModel
import Glibc

/// The agent's own figures, as columns of the node: what it costs and how well it keeps time.
///
/// Memory, processor time and delay change in the rows every ten seconds only; the counters of failures change at once.
struct AgentHealth {
  /// The columns, in the order of ``values``.
  static let metrics: [Metric] = [
    MetricID.agentResidentMemory, .agentCPU, .agentSpool, .agentTickDelay, .agentSourceTimeouts, .agentMissedTicks,
  ].compactMap(MetricCatalogue.metric)

  var sourceTimeouts: Int64 = 0
  var missedTicks: Int64 = 0
  private var residentKibibytes = SampleValue.absent
  private var cpuMicroseconds = SampleValue.absent
  private var delayMicroseconds = SampleValue.absent
  private var delayNanosecondsMax: Int64 = 0
  private var period: Int64 = -1
  private let statm: Int32
  private let pageKibibytes: Int64

  init() {
    statm = unsafe open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    pageKibibytes = Int64(sysconf(Int32(_SC_PAGESIZE))) / 1024
  }

  /// Closes the file; the figures stand still afterwards.
  func close() {
    if statm >= 0 { _ = Glibc.close(statm) }
  }

  /// Takes note of when the readings of a tick were complete, after the tick.
  mutating func noteDelay(nanoseconds: Int64) {
    delayNanosecondsMax = max(delayNanosecondsMax, nanoseconds)
  }

  /// Brings the slow figures up to date if their time has come.
  mutating func refresh(at tick: Tick) {
    let current = tick.unixMilliseconds.flooredDivision(by: SamplingLimits.healthMilliseconds)
    guard current != period else { return }
    if period >= 0 { delayMicroseconds = SampleValue(delayNanosecondsMax / 1000) }
    period = current
    delayNanosecondsMax = 0
    residentKibibytes = residentMemory()
    var usage = rusage()
    // SAFETY: the call writes one rusage.
    if unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 {
      let seconds = Int64(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
      cpuMicroseconds = SampleValue(seconds * 1_000_000 + Int64(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec))
    }
  }

  /// The value of column number `index` of ``metrics``.
  func value(_ index: Int, spoolBytes: SampleValue) -> SampleValue {
    switch index {
    case 0: residentKibibytes
    case 1: cpuMicroseconds
    case 2: spoolBytes
    case 3: delayMicroseconds
    case 4: SampleValue(sourceTimeouts)
    default: SampleValue(missedTicks)
    }
  }

  /// The second number of statm, in pages.
  private func residentMemory() -> SampleValue {
    guard statm >= 0 else { return .absent }
    let pages = unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 128) { buffer -> Int64? in
      // SAFETY: the buffer has as many bytes as are asked for, and only those read are looked at.
      let count = unsafe pread(statm, buffer.baseAddress, buffer.count, 0)
      guard count > 0 else { return nil }
      var field = 0
      var number: Int64 = 0
      for index in 0..<count {
        let byte = unsafe buffer[index]
        if byte == 0x20 {
          if field == 1 { return number }
          field += 1
        } else if field == 1, (0x30...0x39).contains(byte) {
          number = number * 10 + Int64(byte - 0x30)
        }
      }
      return nil
    }
    return pages.map { SampleValue($0 * pageKibibytes) } ?? .absent
  }
}
