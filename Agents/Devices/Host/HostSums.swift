/// Energy counters that are added up.
struct EnergyZones {
  struct File {
    let zone: String
    let number: SharedNumber
    /// Where the counter wraps, microjoules.
    let range: Int64?
    var counter = CounterExtension()
  }

  private(set) var files: [File] = []
  /// Counts of zones whose files are closed.
  private var counters: [String: CounterExtension] = [:]

  /// Takes newly opened files in place of those before; zones go on with their counts, also after having been away.
  mutating func replace(_ opened: [File]) {
    for file in files { counters[file.zone] = file.counter }
    files = opened.map { file in
      var file = file
      file.counter = counters[file.zone] ?? file.counter
      return file
    }
  }

  /// The sum of all counters since each was first read, `nil` when one cannot be read or there is none.
  mutating func microjoules() -> Int64? {
    guard !files.isEmpty else { return nil }
    var sum: Int64 = 0
    var isComplete = true
    for index in files.indices {
      if let reading = files[index].number.read() {
        sum &+= files[index].counter.add(reading, range: files[index].range)
      } else {
        isComplete = false
      }
    }
    return isComplete ? sum : nil
  }
}

/// Power sensors in microwatts that are added up.
struct PowerSensors {
  var files: [SharedNumber] = []

  /// The sum of all, `nil` when one cannot be read or there is none.
  func milliwatts() -> Int64? {
    guard !files.isEmpty else { return nil }
    var sum: Int64 = 0
    for file in files {
      guard let microwatts = file.read() else { return nil }
      sum &+= microwatts
    }
    return sum / 1000
  }
}
