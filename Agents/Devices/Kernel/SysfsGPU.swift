import BongsuModel

/// One card's open files and what they mean.
struct SysfsGPU {
  /// How a file's number becomes a reading in the metric's wire unit.
  enum Conversion: Hashable {
    case times(Int64)
    case dividedBy(Int64)
    /// As above, where zero stands for "there is none".
    case dividedByUnlessZero(Int64)
    /// A counter in microjoules, which also gives the mean power since the reading before.
    case energy
  }

  struct Reading {
    let metric: MetricID
    let number: SharedNumber
    let conversion: Conversion
  }

  let key: String
  let model: String
  private(set) var readings: [Reading] = []
  /// A file that is there and cannot be opened.
  private(set) var refused: SysfsError?
  /// Whether nothing could be read the last time.
  private(set) var isLost = false

  private var energy = CounterExtension()
  private var last: (microjoules: Int64, nanoseconds: Int64)?

  /// A card that was known and is not there.
  init(missing key: String) {
    self.key = key
    model = ""
    isLost = true
  }

  init(amd card: DRMCard) {
    let serial = Sysfs.line("\(card.folder)/unique_id") ?? ""
    key = "AMD-" + (serial.isEmpty ? card.address : serial)
    model = Self.model(card, maker: "AMD")
    guard let hwmon = card.hwmon else { return }
    let hasAverage = add(.gpuPower, "\(hwmon)/power1_average", .dividedBy(1000))
    let hasInstant = add(.gpuPowerInstant, "\(hwmon)/power1_input", .dividedBy(1000))
    if !hasAverage, hasInstant { _ = add(.gpuPower, "\(hwmon)/power1_input", .dividedBy(1000)) }
    _ = add(.gpuPowerLimit, "\(hwmon)/power1_cap", .dividedByUnlessZero(1000))
    _ = add(.gpuUtilization, "\(card.folder)/gpu_busy_percent", .times(10))
    _ = add(.gpuMemoryUtilization, "\(card.folder)/mem_busy_percent", .times(10))
    _ = add(.gpuMemoryUsed, "\(card.folder)/mem_info_vram_used", .dividedBy(1024))
    _ = add(.gpuMemoryTotal, "\(card.folder)/mem_info_vram_total", .dividedBy(1024))
    // Boards without an edge sensor have the hottest point alone.
    if let die = card.sensor("temp", labelled: "edge") ?? card.sensor("temp", labelled: "junction") {
      _ = add(.gpuTemperature, "\(die)_input", .dividedBy(100))
    }
    if let memory = card.sensor("temp", labelled: "mem") {
      _ = add(.gpuMemoryTemperature, "\(memory)_input", .dividedBy(100))
    }
    if let clock = card.sensor("freq", labelled: "sclk") {
      _ = add(.gpuSMClock, "\(clock)_input", .dividedBy(1_000_000))
    }
    if let clock = card.sensor("freq", labelled: "mclk") {
      _ = add(.gpuMemoryClock, "\(clock)_input", .dividedBy(1_000_000))
    }
  }

  init(intel card: DRMCard) {
    key = "INTEL-" + card.address
    model = Self.model(card, maker: "Intel")
    // Graphics within the processor has no sensors of its own and is no device here.
    guard let hwmon = card.hwmon, add(.gpuEnergy, "\(hwmon)/energy1_input", .energy) else { return }
    _ = add(.gpuPowerLimit, "\(hwmon)/power1_max", .dividedByUnlessZero(1000))
    if let die = card.sensor("temp", labelled: "pkg") { _ = add(.gpuTemperature, "\(die)_input", .dividedBy(100)) }
    if let memory = card.sensor("temp", labelled: "vram") {
      _ = add(.gpuMemoryTemperature, "\(memory)_input", .dividedBy(100))
    }
  }

  private static func model(_ card: DRMCard, maker: String) -> String {
    if let name = Sysfs.line("\(card.folder)/product_name"), !name.isEmpty { return name }
    return "\(maker) GPU \(Sysfs.line("\(card.folder)/device") ?? "of unknown kind")"
  }

  /// - Returns: whether there is such a file.
  private mutating func add(_ metric: MetricID, _ path: String, _ conversion: Conversion) -> Bool {
    do throws(SysfsError) {
      readings.append(Reading(metric: metric, number: try SharedNumber(path: path), conversion: conversion))
      return true
    } catch {
      if !error.isMissing { refused = refused ?? error }
      return false
    }
  }

  /// What this card delivers.
  var metrics: [MetricID] {
    readings.flatMap { $0.conversion == .energy ? [.gpuPower, $0.metric] : [$0.metric] }
  }

  /// Goes on with the counts of the same card before its files were opened anew. What it drew in between is not known.
  mutating func takeCounts(of before: SysfsGPU) {
    energy = before.energy
    energy.pause()
  }

  /// Closes all files; the counts stay.
  mutating func close() {
    readings = []
    last = nil
    energy.pause()
  }

  /// Gives every value that can be read.
  mutating func read(at now: Int64, _ store: (MetricID, Int64) -> Void) {
    var count = 0
    for reading in readings {
      guard let number = reading.number.read() else {
        if reading.conversion == .energy { last = nil }
        continue
      }
      count += 1
      switch reading.conversion {
      case .times(let factor):
        let product = number.multipliedReportingOverflow(by: factor)
        if !product.overflow { store(reading.metric, product.partialValue) }
      case .dividedBy(let divisor): store(reading.metric, number / divisor)
      case .dividedByUnlessZero(let divisor):
        if number > 0 { store(reading.metric, number / divisor) }
      case .energy:
        let total = energy.add(number)
        store(reading.metric, total / 1000)
        if let last, now > last.nanoseconds {
          // A microjoule in a nanosecond is a kilowatt.
          let milliwatts = Double(total &- last.microjoules) * 1_000_000 / Double(now - last.nanoseconds)
          if let power = Int64(exactly: milliwatts.rounded()) { store(.gpuPower, power) }
        }
        last = (total, now)
      }
    }
    isLost = count == 0
  }
}
