import BongsuModel

/// Reads one GPU at a time through the library into a scratch row.
///
/// A code of a lost GPU ends its reading at once; a code of the whole library is kept in ``failure`` and ends all.
///
/// - Thread rule: one thread at a time.
@safe final class NVMLReader {
  /// The values of the last GPU read, by ``NVMLReading``.
  private(set) var values = [SampleValue](repeating: .absent, count: NVMLReading.allCases.count)
  /// A code that condemns the whole library, if one was seen.
  private(set) var failure: NVMLCode?

  let library: NVMLLibrary
  let interval: TickInterval
  /// Room for any structure.
  let structure: UnsafeMutableRawPointer
  /// The fields of the GPU being read, by ``NVMLField``; `nil` where there is no value.
  private(set) var fieldValues = [Int64?](repeating: nil, count: NVMLField.allCases.count)
  /// Fields that come as 32-bit numbers, and wrap there if they are counters.
  private(set) var narrowFields = NVMLSet<NVMLField>()

  private let fields: UnsafeMutableRawPointer
  private var requested: [NVMLField] = []
  private var samples: UnsafeMutableRawPointer
  private var sampleCapacity = 256

  /// Longest power ring that is read; the usual one has about a hundred samples.
  private static let sampleCapacityMax = 1 << 14
  private static let structureBytes = 128
  /// Most links of one GPU that the header foresees.
  private static let linksMax: UInt32 = 36
  /// Numbers of fields by link: how many there are, bytes sent and received on one.
  private static let linkCountField: UInt32 = 91
  private static let linkFields: (transmitted: UInt32, received: UInt32) = (202, 204)

  init(_ library: NVMLLibrary, interval: TickInterval) {
    self.library = library
    self.interval = interval
    let entries = max(NVMLField.allCases.count, 2 * Int(Self.linksMax))
    unsafe fields = .allocate(byteCount: entries * NVMLLayout.fieldBytes, alignment: 8)
    unsafe structure = .allocate(byteCount: Self.structureBytes, alignment: 8)
    unsafe samples = .allocate(byteCount: sampleCapacity * NVMLLayout.sampleBytes, alignment: 8)
    requested.reserveCapacity(NVMLField.allCases.count)
  }

  deinit {
    // SAFETY: allocated by this object, used by its calls only.
    unsafe fields.deallocate()
    unsafe structure.deallocate()
    unsafe samples.deallocate()
  }

  /// Reads everything about `device` at `tick` into ``values``. All are absent when the GPU is or becomes lost.
  func read(_ device: inout NVMLDevice, at tick: Tick) {
    for index in values.indices { values[index] = .absent }
    guard let handle = unsafe device.handle, device.lost == nil, failure == nil else { return }
    unsafe readFields(&device, handle)
    let ring = unsafe readPowerRing(&device, handle)
    let usage = unsafe readPowerUsage(&device, handle, ring)
    setPower(&device, tick, ring, usage)
    unsafe readLimitsAndClocks(&device, handle)
    unsafe readUtilizationAndMemory(&device, handle)
    unsafe readTemperatures(&device, handle)
    unsafe setCounters(&device, handle)
    if device.lost != nil || failure != nil {
      for index in values.indices { values[index] = .absent }
    }
  }

  // MARK: Calls

  /// Makes a call that `device` has not refused by a function that may be missing, and takes note of what its code
  /// means.
  ///
  /// - Returns: whether there is a result.
  func attempt<Function>(
    _ call: NVMLCall, _ device: inout NVMLDevice, _ function: Function?, _ body: (Function) -> Int32
  ) -> Bool {
    guard !device.refusedCalls.contains(call), device.lost == nil, failure == nil else { return false }
    guard let function else {
      device.refusedCalls.insert(call)
      return false
    }
    let code = NVMLCode(rawValue: body(function))
    if code == .success { return true }
    note(code, call, &device)
    return false
  }

  private func note(_ code: NVMLCode, _ call: NVMLCall, _ device: inout NVMLDevice) {
    if code.isUnsupported || code == .invalidArgument {
      device.refusedCalls.insert(call)
    } else if code.isLostDevice {
      device.lost = code
    } else if code.isLibraryFailure {
      failure = code
    }
  }

  func set(_ reading: NVMLReading, _ value: Int64) {
    values[reading.rawValue] = SampleValue(value)
  }

  private func readFields(_ device: inout NVMLDevice, _ handle: NVMLLibrary.Handle) {
    for index in fieldValues.indices { fieldValues[index] = nil }
    requested.removeAll(keepingCapacity: true)
    for field in NVMLField.allCases where !device.refusedFields.contains(field) { requested.append(field) }
    guard !requested.isEmpty else { return }
    // SAFETY: the memory holds all fields there are, and each entry is written within its 40 bytes.
    unsafe fields.initializeMemory(as: UInt8.self, repeating: 0, count: requested.count * NVMLLayout.fieldBytes)
    for (index, field) in requested.enumerated() {
      let entry = unsafe fields + index * NVMLLayout.fieldBytes
      unsafe entry.storeBytes(of: field.id, as: UInt32.self)
      unsafe (entry + NVMLLayout.fieldScope).storeBytes(of: field.scope, as: UInt32.self)
    }
    let count = Int32(requested.count)
    guard unsafe attempt(.fields, &device, library.fieldValues, { unsafe $0(handle, count, fields) }) else { return }
    for (index, field) in requested.enumerated() {
      let entry = unsafe fields + index * NVMLLayout.fieldBytes
      let code = NVMLCode(rawValue: unsafe (entry + NVMLLayout.fieldCode).load(as: Int32.self))
      if code == .success {
        let type = unsafe (entry + NVMLLayout.fieldType).load(as: Int32.self)
        fieldValues[field.rawValue] = unsafe NVMLLayout.value(type: type, at: entry + NVMLLayout.fieldValue)
        if type == 1 { narrowFields.insert(field) }
      } else if code.isUnsupported || code == .invalidArgument {
        device.refusedFields.insert(field)
      } else if code.isLostDevice {
        device.lost = code
      }
    }
  }

  // MARK: Links, one by one

  /// How many NVLinks the GPU has; `nil` when it does not say now, 0 when it never will.
  func linkCount(_ device: inout NVMLDevice, _ handle: NVMLLibrary.Handle) -> UInt32? {
    prepareField(0, id: Self.linkCountField, scope: 0)
    guard unsafe attempt(.fields, &device, library.fieldValues, { unsafe $0(handle, 1, fields) }) else { return nil }
    guard let count = fieldValue(0, &device) else { return device.lost == nil ? 0 : nil }
    return UInt32(clamping: min(count, Int64(Self.linksMax)))
  }

  /// Bytes on each of `links`, by number of the link; `nil` for one that does not answer, and for all if none can.
  func linkBytes(
    _ device: inout NVMLDevice, _ handle: NVMLLibrary.Handle, links: [UInt32]
  ) -> [(transmitted: Int64, received: Int64)?]? {
    for (index, link) in links.enumerated() {
      prepareField(2 * index, id: Self.linkFields.transmitted, scope: link)
      prepareField(2 * index + 1, id: Self.linkFields.received, scope: link)
    }
    let count = Int32(2 * links.count)
    guard unsafe attempt(.fields, &device, library.fieldValues, { unsafe $0(handle, count, fields) }) else {
      return nil
    }
    var bytes = [(transmitted: Int64, received: Int64)?](repeating: nil, count: Int(Self.linksMax))
    for (index, link) in links.enumerated() {
      guard let transmitted = fieldValue(2 * index, &device),
        let received = fieldValue(2 * index + 1, &device)
      else { continue }
      bytes[Int(link)] = (transmitted, received)
    }
    return device.lost == nil ? bytes : nil
  }

  private func prepareField(_ index: Int, id: UInt32, scope: UInt32) {
    // SAFETY: the memory holds two entries for each link there can be.
    let entry = unsafe fields + index * NVMLLayout.fieldBytes
    unsafe entry.initializeMemory(as: UInt8.self, repeating: 0, count: NVMLLayout.fieldBytes)
    unsafe entry.storeBytes(of: id, as: UInt32.self)
    unsafe (entry + NVMLLayout.fieldScope).storeBytes(of: scope, as: UInt32.self)
  }

  private func fieldValue(_ index: Int, _ device: inout NVMLDevice) -> Int64? {
    let entry = unsafe fields + index * NVMLLayout.fieldBytes
    let code = NVMLCode(rawValue: unsafe (entry + NVMLLayout.fieldCode).load(as: Int32.self))
    if code.isLostDevice { device.lost = code }
    guard code == .success else { return nil }
    let type = unsafe (entry + NVMLLayout.fieldType).load(as: Int32.self)
    return unsafe NVMLLayout.value(type: type, at: entry + NVMLLayout.fieldValue)
  }

  // MARK: The driver's own ring of power samples

  /// What the ring held since the tick before.
  struct PowerRing {
    var count: Int64 = 0
    var sum: Int64 = 0
    var lowest = Int64.max
    var highest = Int64.min

    var mean: Int64? { count > 0 ? (sum &+ count / 2) / count : nil }
  }

  /// Collects the samples of total board power that are newer than those of the last call. The first call only finds
  /// out where the ring stands: what it holds may be from long before the tick.
  private func readPowerRing(_ device: inout NVMLDevice, _ handle: NVMLLibrary.Handle) -> PowerRing {
    var type: Int32 = 0
    var count = UInt32(sampleCapacity)
    let since = device.newestSample
    var isEmpty = false
    let hasSamples = unsafe attempt(.samples, &device, library.samples) { function in
      // SAFETY: `count` tells the library how many samples there is room for; it writes the number it has written.
      var code = unsafe function(handle, 0, since, &type, &count, samples)
      if NVMLCode(rawValue: code) == .insufficientSize, grow(to: Int(count)) {
        count = UInt32(sampleCapacity)
        code = unsafe function(handle, 0, since, &type, &count, samples)
      }
      isEmpty = NVMLCode(rawValue: code) == .notFound
      return isEmpty ? 0 : code
    }
    guard hasSamples, !isEmpty else { return PowerRing() }
    return collect(count: min(Int(count), sampleCapacity), type: type, &device)
  }

  private func collect(count: Int, type: Int32, _ device: inout NVMLDevice) -> PowerRing {
    var newest = device.newestSample
    for index in 0..<count {
      // SAFETY: the library has written `count` samples.
      newest = max(newest, unsafe (samples + index * NVMLLayout.sampleBytes).load(as: UInt64.self))
    }
    defer { device.newestSample = newest }
    guard device.newestSample > 0 else { return PowerRing() }
    // After ticks without a reading the ring reaches further back than this tick does.
    let length = UInt64(interval.nanoseconds / 1000)
    let oldest = max(device.newestSample, newest > length ? newest - length : 0)
    var ring = PowerRing()
    for index in 0..<count {
      let sample = unsafe samples + index * NVMLLayout.sampleBytes
      guard unsafe sample.load(as: UInt64.self) > oldest,
        let power = unsafe NVMLLayout.value(type: type, at: sample + NVMLLayout.sampleValue)
      else { continue }
      ring.count += 1
      ring.sum &+= power
      ring.lowest = min(ring.lowest, power)
      ring.highest = max(ring.highest, power)
    }
    return ring
  }

  private func grow(to count: Int) -> Bool {
    guard count > sampleCapacity, count <= Self.sampleCapacityMax else { return false }
    sampleCapacity = min(count * 2, Self.sampleCapacityMax)
    // SAFETY: allocated by this object; nothing points into the old memory between calls.
    unsafe samples.deallocate()
    unsafe samples = .allocate(byteCount: sampleCapacity * NVMLLayout.sampleBytes, alignment: 8)
    return true
  }
}
