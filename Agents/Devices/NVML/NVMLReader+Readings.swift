import BongsuModel

/// What each reading is made of, and what takes its place where a GPU or driver lacks it.
extension NVMLReader {
  /// An interval from which the energy counter, which the driver refreshes about every 100 ms, is the best mean.
  private static let energyMeanMilliseconds: Int32 = 10_000
  /// The external power brake among the clock event reasons.
  private static let powerBrakeReason: Int64 = 0x80

  /// `GetPowerUsage`, only where field 185 and the ring do not give a mean.
  func readPowerUsage(_ device: inout NVMLDevice, _ handle: NVMLLibrary.Handle, _ ring: PowerRing) -> Int64? {
    guard fieldValues[NVMLField.powerAverage.rawValue] == nil, device.averagesPower || ring.count == 0 else {
      return nil
    }
    var milliwatts: UInt32 = 0
    guard unsafe attempt(.powerUsage, &device, library.powerUsage, { unsafe $0(handle, &milliwatts) }) else {
      return nil
    }
    return Int64(milliwatts)
  }

  /// Mean power over the tick by the best means there is:
  ///
  ///     tick               best                         else
  ///     10 s and longer    energy counter's difference  as for 1 s
  ///     above 1 s          the driver's ring            as for 1 s
  ///     1 s                field 185 (1 s mean)         GetPowerUsage where it is a 1 s mean; the ring; GetPowerUsage
  ///     below 1 s          the driver's ring            field 186 (instant), then as for 1 s
  func setPower(_ device: inout NVMLDevice, _ tick: Tick, _ ring: PowerRing, _ usage: Int64?) {
    let instant = fieldValues[NVMLField.powerInstant.rawValue]
    let average = fieldValues[NVMLField.powerAverage.rawValue]
    let overSecond = average ?? (device.averagesPower ? usage : nil) ?? ring.mean ?? usage ?? instant
    let overEnergy = energyMean(&device, tick)
    let power: Int64? =
      switch interval.milliseconds {
      case Self.energyMeanMilliseconds...: overEnergy ?? overSecond
      case 1001...: ring.mean ?? overSecond
      case 1000: overSecond
      default: ring.mean ?? instant ?? overSecond
      }
    if let power { set(.power, power) }
    if let instant { set(.powerInstant, instant) }
    if ring.count > 0 {
      set(.powerMin, ring.lowest)
      set(.powerMax, ring.highest)
    }
  }

  private func energyMean(_ device: inout NVMLDevice, _ tick: Tick) -> Int64? {
    guard interval.milliseconds >= Self.energyMeanMilliseconds else { return nil }
    let energy = fieldValues[NVMLField.energy.rawValue]
    defer {
      device.meanEnergy = energy
      device.meanTick = tick
    }
    guard let energy, let before = device.meanEnergy, let since = device.meanTick, energy >= before else { return nil }
    let milliseconds = tick.unixMilliseconds - since.unixMilliseconds
    guard milliseconds == Int64(interval.milliseconds), energy - before <= Limits.sampleMagnitudeMax / 1000 else {
      return nil
    }
    return (energy - before) * 1000 / milliseconds
  }

  func readLimitsAndClocks(_ device: inout NVMLDevice, _ handle: NVMLLibrary.Handle) {
    var word: UInt32 = 0
    if unsafe attempt(.powerLimit, &device, library.enforcedPowerLimit, { unsafe $0(handle, &word) }) {
      set(.powerLimit, Int64(word))
    }
    // Clock 1 is that of the multiprocessors, 2 that of the memory.
    if unsafe attempt(.smClock, &device, library.clock, { unsafe $0(handle, 1, &word) }) { set(.smClock, Int64(word)) }
    if unsafe attempt(.memoryClock, &device, library.clock, { unsafe $0(handle, 2, &word) }) {
      set(.memoryClock, Int64(word))
    }
    var long: UInt64 = 0
    if unsafe attempt(.eventReasons, &device, library.eventReasons, { unsafe $0(handle, &long) }) {
      // The mask is that of one instant; the driver counts the time of a brake also between two of them.
      let braked = device.wasBraked(nanoseconds: fieldValues[NVMLField.powerBrakeTime.rawValue])
      set(.eventReasons, Int64(clamping: long) | (braked ? Self.powerBrakeReason : 0))
    }
  }

  func readUtilizationAndMemory(_ device: inout NVMLDevice, _ handle: NVMLLibrary.Handle) {
    if unsafe attempt(.utilization, &device, library.utilization, { unsafe $0(handle, structure) }) {
      // SAFETY: the call has written two words; they are percents.
      set(.utilization, Int64(unsafe structure.load(as: UInt32.self)) * 10)
      set(.memoryUtilization, Int64(unsafe (structure + 4).load(as: UInt32.self)) * 10)
    }
    prepare(NVMLLayout.memory2Bytes, version: NVMLLayout.memory2Version)
    if unsafe attempt(.memory2, &device, library.memoryInfo2, { unsafe $0(handle, structure) }) {
      setMemory(used: NVMLLayout.memory2Used, total: NVMLLayout.memory2Total)
    } else if device.refusedCalls.contains(.memory2),
      // Drivers before the second form count memory of their own as used.
      unsafe attempt(.memory, &device, library.memoryInfo, { unsafe $0(handle, structure) })
    {
      setMemory(used: NVMLLayout.memoryUsed, total: 0)
    }
  }

  /// Zeroes the structure and writes its version.
  private func prepare(_ bytes: Int, version: UInt32) {
    // SAFETY: the memory is larger than any structure.
    unsafe structure.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    unsafe structure.storeBytes(of: version, as: UInt32.self)
  }

  private func setMemory(used: Int, total: Int) {
    // SAFETY: both structures hold 64-bit byte counts at these offsets.
    set(.memoryUsed, Int64(clamping: unsafe (structure + used).load(as: UInt64.self) / 1024))
    set(.memoryTotal, Int64(clamping: unsafe (structure + total).load(as: UInt64.self) / 1024))
  }

  func readTemperatures(_ device: inout NVMLDevice, _ handle: NVMLLibrary.Handle) {
    if let celsius = unsafe temperature(&device, handle) { set(.temperature, celsius * 10) }
    prepare(NVMLLayout.marginBytes, version: NVMLLayout.marginVersion)
    if unsafe attempt(.margin, &device, library.marginTemperature, { unsafe $0(handle, structure) }) {
      set(.temperatureMargin, Int64(unsafe (structure + 4).load(as: Int32.self)) * 10)
    }
    if let celsius = fieldValues[NVMLField.memoryTemperature.rawValue] {
      // A field may hold any 63 bits; what is too large to be a reading becomes absent.
      set(.memoryTemperature, celsius.multipliedReportingOverflow(by: 10).overflow ? .max : celsius * 10)
    }
  }

  private func temperature(_ device: inout NVMLDevice, _ handle: NVMLLibrary.Handle) -> Int64? {
    prepare(NVMLLayout.temperatureBytes, version: NVMLLayout.temperatureVersion)
    if unsafe attempt(.temperatureV, &device, library.temperatureV, { unsafe $0(handle, structure) }) {
      return Int64(unsafe (structure + 8).load(as: Int32.self))
    }
    var word: UInt32 = 0
    guard device.refusedCalls.contains(.temperatureV),
      unsafe attempt(.temperature, &device, library.temperature, { unsafe $0(handle, 0, &word) })
    else { return nil }
    return Int64(word)
  }

  func setCounters(_ device: inout NVMLDevice, _ handle: NVMLLibrary.Handle) {
    if let energy = unsafe energy(&device, handle) { set(.energy, energy) }
    if let errors = unsafe uncorrectedErrors(&device, handle) { set(.eccUncorrected, errors) }
    // NVLink fields come in kibibytes of data, PCIe fields in bytes.
    if let count = fieldValues[NVMLField.nvlinkTransmit.rawValue] { set(.nvlinkTransmit, count) }
    if let count = fieldValues[NVMLField.nvlinkReceive.rawValue] { set(.nvlinkReceive, count) }
    if isRefused(.nvlinkTransmit, device), isRefused(.nvlinkReceive, device) { unsafe readLinks(&device, handle) }
    if let bytes = fieldValues[NVMLField.pcieTransmit.rawValue] {
      set(.pcieTransmit, device.pcieTransmit.add(bytes, range: range(.pcieTransmit)) / 1024)
    }
    if let bytes = fieldValues[NVMLField.pcieReceive.rawValue] {
      set(.pcieReceive, device.pcieReceive.add(bytes, range: range(.pcieReceive)) / 1024)
    }
    if device.countsEvents {
      set(.xidEvents, device.xidEvents)
      set(.xidLast, device.xidLast)
    }
    if let milliwatts = fieldValues[NVMLField.modulePower.rawValue] { set(.modulePower, milliwatts) }
  }

  /// Bytes over all NVLinks of the fifth generation, which is counted link by link.
  ///
  /// Which links there are is learned once: a link that answered and does not now makes the sum absent, never smaller.
  private func readLinks(_ device: inout NVMLDevice, _ handle: NVMLLibrary.Handle) {
    let wanted: [UInt32]
    if let known = device.links {
      wanted = known
    } else {
      guard let count = unsafe linkCount(&device, handle) else { return }
      wanted = Array(0..<count)
    }
    guard !wanted.isEmpty else {
      device.links = []
      return
    }
    guard let counts = unsafe linkBytes(&device, handle, links: wanted) else { return }
    if device.links == nil { device.links = wanted.filter { counts[Int($0)] != nil } }
    var (transmitted, received): (Int64, Int64) = (0, 0)
    for link in device.links ?? [] {
      guard let bytes = counts[Int(link)] else { return }
      transmitted &+= bytes.transmitted
      received &+= bytes.received
    }
    guard device.links?.isEmpty == false else { return }
    set(.nvlinkTransmit, transmitted / 1024)
    set(.nvlinkReceive, received / 1024)
  }

  private func range(_ field: NVMLField) -> Int64? { narrowFields.contains(field) ? 1 << 32 : nil }

  private func energy(_ device: inout NVMLDevice, _ handle: NVMLLibrary.Handle) -> Int64? {
    if let energy = fieldValues[NVMLField.energy.rawValue] { return energy }
    var millijoules: UInt64 = 0
    guard isRefused(.energy, device),
      unsafe attempt(.totalEnergy, &device, library.totalEnergy, { unsafe $0(handle, &millijoules) })
    else { return nil }
    return Int64(clamping: millijoules)
  }

  private func uncorrectedErrors(_ device: inout NVMLDevice, _ handle: NVMLLibrary.Handle) -> Int64? {
    if let errors = fieldValues[NVMLField.eccUncorrected.rawValue] { return errors }
    var errors: UInt64 = 0
    // Kind 1 is uncorrected, counter 0 counts since the driver was loaded.
    guard isRefused(.eccUncorrected, device),
      unsafe attempt(.eccErrors, &device, library.eccErrors, { unsafe $0(handle, 1, 0, &errors) })
    else { return nil }
    return Int64(clamping: errors)
  }

  /// Whether a field is no way to this GPU's value; one that is only missing this time is not worth another call.
  private func isRefused(_ field: NVMLField, _ device: NVMLDevice) -> Bool {
    device.refusedFields.contains(field) || device.refusedCalls.contains(.fields)
  }
}
