public import BongsuModel

/// NVIDIA GPUs by NVIDIA's management library, opened at run time.
///
/// The library need not exist: the source then says so and looks again when asked. GPUs are keyed by the UUID of the
/// whole board, also where it is partitioned (MIG), so that nothing is counted twice; the power of a superchip board is
/// a device of its own, however many GPUs report it. A lost GPU keeps its place with absent readings. Counts of errors
/// survive a reload of the driver; the driver's own counters start again with it.
///
/// An open session attaches the GPUs, which makes resets and driver unloading fail with "in use": ``release()`` ends it.
public final class NVMLSource: DeviceSource {
  public let name: String
  public let mayBlock = true
  public let holdsGPUs = true
  public private(set) var condition = SourceCondition.unavailable("not opened yet")

  private let path: String
  private let interval: TickInterval
  private var session: NVMLSession?
  private var roster = DeviceRoster()
  private var devices: [NVMLDevice] = []
  private var boards: [NVMLBoard] = []
  private var inventory = SourceInventory.empty
  /// For each reading its first place in the values; -1 where the inventory lacks it.
  private var offsets = [Int](repeating: -1, count: NVMLReading.allCases.count)
  private var driver = ""
  private var remarks: [String] = []
  private var lastRecheck: Tick?
  private var fruitlessLookups = 0

  /// Reads the GPUs of the library at `path` for ticks of `interval`.
  public init(library path: String, interval: TickInterval) {
    self.path = path
    self.interval = interval
    name = path == SourceSpecification.defaultLibrary ? "nvml" : "nvml:\(path)"
  }

  deinit { session?.close(&devices) }

  public func release() {
    closeSession()
    condition = .released
  }

  // MARK: Looking for GPUs

  public func discover() -> SourceInventory {
    // A lost GPU may need a new session before it is seen again, at the price of a moment without its siblings.
    if devices.contains(where: { $0.lost != nil }) {
      fruitlessLookups += 1
      if fruitlessLookups % NVMLSource.lookupsPerSession == 0 { closeSession() }
    }
    guard let session = openSession() else { return inventory }
    let found = session.enumerate()
    if let failure = session.failure {
      closeSession()
      condition = .unavailable(Self.advice(failure))
      return inventory
    }
    driver = session.driverVersion
    remarks = found.remarks
    take(found.devices)
    for index in devices.indices { session.reader.read(&devices[index], at: Tick(unixMilliseconds: 0)) }
    session.registerEvents(&devices)
    layOut()
    updateCondition()
    return inventory
  }

  private func openSession() -> NVMLSession? {
    if let session { return session }
    do {
      let session = try NVMLSession(path: path, interval: interval)
      self.session = session
      return session
    } catch {
      condition = .unavailable(error.description)
      return nil
    }
  }

  private func closeSession() {
    session?.close(&devices)
    session = nil
    for index in devices.indices { unsafe devices[index].reset(handle: nil) }
  }

  /// Brings what was found together with what is known, by UUID.
  private func take(_ found: [NVMLSession.Found]) {
    let before = Dictionary(uniqueKeysWithValues: zip(roster.devices.map(\.key), devices))
    let positions = roster.update(found: found.map(\.device))
    devices = zip(roster.devices, positions).map { device, position in
      var known = before[device.key] ?? NVMLDevice()
      if let position {
        unsafe known.reset(handle: found[position].handle)
        known.averagesPower = found[position].averagesPower
        known.board = found[position].board
        known.platform = found[position].platform
        known.isMIGEnabled = found[position].isMIGEnabled
      } else {
        unsafe known.handle = nil
        known.lost = known.lost ?? NVMLCode(rawValue: 28)
      }
      return known
    }
    if devices.allSatisfy({ $0.lost == nil }) { fruitlessLookups = 0 }
  }

  /// Makes the inventory of every reading that at least one GPU supports. What was there stays, so that a GPU that is
  /// lost for a while does not change the layout.
  private func layOut() {
    var readings = NVMLReading.allCases.filter { reading in
      reading != .modulePower && devices.contains { isSupported(reading, by: $0) }
    }
    for known in inventory.columns.compactMap({ column in NVMLReading.allCases.first { $0.metric == column.id } })
    where !readings.contains(known) && known != .modulePower {
      readings.append(known)
    }
    boards = NVMLBoard.group(devices, uuids: roster.devices.map(\.key), keeping: boards)
    if !boards.isEmpty { readings.append(.modulePower) }
    let boardDevices = boards.enumerated().map { index, board in
      Device(scope: .module, index: UInt16(index), key: board.key, model: "")
    }
    inventory = SourceInventory(metrics: readings.map(\.metric).sorted(), devices: roster.devices + boardDevices)
    for reading in NVMLReading.allCases {
      offsets[reading.rawValue] = inventory.offset(of: reading.metric) ?? -1
    }
  }

  private func isSupported(_ reading: NVMLReading, by device: NVMLDevice) -> Bool {
    guard unsafe device.handle != nil else { return false }
    let calls = device.refusedCalls
    func has(_ field: NVMLField) -> Bool { !calls.contains(.fields) && !device.refusedFields.contains(field) }
    return switch reading {
    case .power: has(.powerAverage) || has(.powerInstant) || !calls.contains(.powerUsage) || !calls.contains(.samples)
    case .powerMin, .powerMax: !calls.contains(.samples)
    case .powerInstant: has(.powerInstant)
    case .powerLimit: !calls.contains(.powerLimit)
    case .energy: has(.energy) || !calls.contains(.totalEnergy)
    case .utilization, .memoryUtilization: !calls.contains(.utilization)
    case .memoryUsed, .memoryTotal: !calls.contains(.memory2) || !calls.contains(.memory)
    case .temperature: !calls.contains(.temperatureV) || !calls.contains(.temperature)
    case .temperatureMargin: !calls.contains(.margin)
    case .memoryTemperature: has(.memoryTemperature)
    case .smClock: !calls.contains(.smClock)
    case .memoryClock: !calls.contains(.memoryClock)
    case .eventReasons: !calls.contains(.eventReasons)
    case .pcieTransmit: has(.pcieTransmit)
    case .pcieReceive: has(.pcieReceive)
    case .nvlinkTransmit: has(.nvlinkTransmit) || device.links?.isEmpty == false
    case .nvlinkReceive: has(.nvlinkReceive) || device.links?.isEmpty == false
    case .eccUncorrected: has(.eccUncorrected) || !calls.contains(.eccErrors)
    case .xidEvents, .xidLast: device.countsEvents
    case .modulePower: has(.modulePower)
    }
  }

  // MARK: Reading

  public func read(_ tick: Tick, into values: inout MutableSpan<Int64>) -> ReadOutcome {
    for index in values.indices { values[index] = SampleValue.absent.bits }
    guard let session else { return .complete }
    session.takeEvents(&devices)
    let lostBefore = devices.count { $0.lost != nil }
    for index in devices.indices {
      session.reader.read(&devices[index], at: tick)
      guard session.reader.failure == nil else { break }
      store(session.reader.values, of: index, into: &values)
    }
    if let failure = session.reader.failure ?? (devices.allSatisfy { $0.lost != nil } ? devices.first?.lost : nil) {
      // Nothing answers any more: the driver was unloaded or the library replaced.
      for index in values.indices { values[index] = SampleValue.absent.bits }
      closeSession()
      condition = .unavailable(Self.advice(failure))
      return .layoutChanged
    }
    if devices.count(where: { $0.lost != nil }) != lostBefore { updateCondition() }
    return recheck(session, at: tick) ? .layoutChanged : .complete
  }

  private func store(_ readings: [SampleValue], of index: Int, into values: inout MutableSpan<Int64>) {
    for reading in NVMLReading.allCases where reading != .modulePower {
      let offset = offsets[reading.rawValue]
      if offset >= 0 { values[offset + index] = readings[reading.rawValue].bits }
    }
    let offset = offsets[NVMLReading.modulePower.rawValue]
    let power = readings[NVMLReading.modulePower.rawValue]
    guard offset >= 0, !power.isAbsent, let board = boards.firstIndex(where: { $0.members.contains(index) }) else {
      return
    }
    // All GPUs of a board report the same figure of the board; the last one that answers stands.
    values[offset + board] = power.bits
  }

  /// Once a minute: asks again for what was refused, and whether partitioning has been switched or events are lost.
  private func recheck(_ session: NVMLSession, at tick: Tick) -> Bool {
    guard let last = lastRecheck else {
      lastRecheck = tick
      return false
    }
    guard abs(tick.unixMilliseconds - last.unixMilliseconds) >= NVMLSource.recheckMilliseconds else { return false }
    lastRecheck = tick
    var hasChanged = session.hasLostEvents
    for index in devices.indices {
      guard let handle = unsafe devices[index].handle else { continue }
      devices[index].refusedCalls = NVMLSet()
      devices[index].refusedFields = NVMLSet()
      let isEnabled = unsafe session.isMIGEnabled(handle)
      if isEnabled != devices[index].isMIGEnabled { hasChanged = true }
    }
    return hasChanged
  }

  static let recheckMilliseconds: Int64 = 60_000
  /// How many looks for a lost GPU are made before the session is opened anew for it.
  static let lookupsPerSession = 4

  // MARK: Words

  private func updateCondition() {
    let lost = zip(roster.devices, devices).filter { $0.1.lost != nil }
    let count = devices.count
    guard count > 0 else {
      condition = .unavailable(remarks.first ?? "driver \(driver) finds no GPU")
      return
    }
    var troubles = remarks
    if let first = lost.first, let code = first.1.lost {
      let who = lost.map { String($0.0.index) }.joined(separator: ", ")
      troubles.append(
        "\(lost.count) of \(count) GPUs do not answer: \(who) (\(code.text)); their readings are absent until they do")
    }
    guard troubles.isEmpty else {
      condition = .degraded(troubles.joined(separator: "; "))
      return
    }
    let models = Set(roster.devices.map(\.model)).sorted().joined(separator: ", ")
    let places = Set(devices.compactMap(\.platform)).map { "chassis \($0.chassis) slot \($0.slot) tray \($0.tray)" }
    condition = .available(
      (["\(count) GPUs (\(models)), driver \(driver)"] + places.sorted()).joined(separator: ", "))
  }

  private static func advice(_ code: NVMLCode) -> String {
    switch code {
    case .driverNotLoaded: "the NVIDIA driver is not loaded (\(code.text)); waiting for it"
    case .libraryMismatch:
      "the driver was replaced beneath its library (\(code.text)); it is opened anew, and if that does not help "
        + "restart the agent"
    case .noPermission, .blocked:
      "the NVIDIA driver refuses access (\(code.text)); let the agent read /dev/nvidiactl and /dev/nvidia*"
    default: "the NVIDIA driver does not answer (\(code.text)); it is tried again"
    }
  }
}
