import BongsuModel

/// One GPU of the library and what has been learned about it.
@safe struct NVMLDevice {
  /// The library's handle; `nil` while the GPU is not found or lost.
  var handle: NVMLLibrary.Handle?
  /// Whether `GetPowerUsage` is a mean over one second: from Ampere on, except for the first chip of that family.
  var averagesPower = false
  /// Board serial and position in a rack, where the GPU tells; equal for GPUs of one board.
  var board: String?
  /// Where it stands in a rack, where it tells.
  var platform: NVMLPlatform?
  /// Why readings stopped, until the GPU is looked up again.
  var lost: NVMLCode?

  /// What this GPU does not support; forgotten when it is looked up again and every minute.
  var refusedCalls = NVMLSet<NVMLCall>()
  var refusedFields = NVMLSet<NVMLField>()
  /// XID errors are counted since this could be registered.
  var countsEvents = false
  /// The handle under which they are reported, as a number; it outlasts the loss of the GPU, of which they may tell.
  var eventHandle: UInt?
  var xidEvents: Int64 = 0
  /// Number of the newest XID error; 0 before the first.
  var xidLast: Int64 = 0
  var isMIGEnabled: Bool?

  /// Numbers of the NVLinks that count their bytes one by one; `nil` until the GPU was asked.
  var links: [UInt32]?

  /// Nanoseconds that the external power brake has held the GPU down since the driver was loaded; `nil` before the first.
  var brakeNanoseconds: Int64?
  var pcieTransmit = CounterExtension()
  var pcieReceive = CounterExtension()
  /// Time of the newest sample of the driver's power ring that has been seen, microseconds; 0 before the first.
  var newestSample: UInt64 = 0
  /// Energy at the start of the current mean, for intervals that are long enough for the counter's refresh.
  var meanEnergy: Int64?
  var meanTick: Tick?

  /// Forgets what was learned about the driver, but no count.
  mutating func reset(handle: NVMLLibrary.Handle?) {
    unsafe self.handle = handle
    lost = nil
    refusedCalls = NVMLSet()
    refusedFields = NVMLSet()
    links = nil
    countsEvents = false
    pcieTransmit.pause()
    pcieReceive.pause()
    newestSample = 0
    meanEnergy = nil
    meanTick = nil
    brakeNanoseconds = nil
  }

  /// Whether the brake was pulled since the last reading that had its time.
  mutating func wasBraked(nanoseconds: Int64?) -> Bool {
    guard let nanoseconds else { return false }
    defer { brakeNanoseconds = nanoseconds }
    return brakeNanoseconds.map { nanoseconds > $0 } ?? false
  }
}
