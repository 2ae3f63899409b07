import BongsuModel

/// One GPU of the library and what has been learned about it.
@safe struct NVMLDevice {
  /// The library's handle; `nil` while the GPU is not found or lost.
  var handle: NVMLLibrary.Handle?
  /// Whether `GetPowerUsage` is a mean over one second: from Ampere on, except for the first chip of that family.
  var averagesPower = false
  /// Board serial and position in a rack, where the GPU tells; equal for GPUs of one board.
  var board: String?
  /// Why readings stopped, until the GPU is looked up again.
  var lost: NVMLCode?

  /// What this GPU does not support; forgotten when it is looked up again and every minute.
  var refusedCalls = NVMLSet<NVMLCall>()
  var refusedFields = NVMLSet<NVMLField>()
  /// XID errors are counted since this could be registered.
  var countsEvents = false
  var xidEvents: Int64 = 0
  var isMIGEnabled: Bool?

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
    pcieTransmit.pause()
    pcieReceive.pause()
    newestSample = 0
    meanEnergy = nil
    meanTick = nil
  }
}
