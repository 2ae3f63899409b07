import BongsuModel

/// An initialised library: from opening its file to shutting it down.
@safe final class NVMLSession {
  let library: NVMLLibrary
  let reader: NVMLReader
  /// A code that ended the last enumeration.
  private(set) var failure: NVMLCode?
  private var watch: NVMLEventWatch?
  /// Whether a thread hangs in the library, whose code must stay where it is then.
  private var isHeld = false

  /// A GPU as the driver shows it.
  @safe struct Found {
    let device: Device
    let handle: NVMLLibrary.Handle
    let averagesPower: Bool
    let board: String?
    let platform: NVMLPlatform?
    let isMIGEnabled: Bool?
  }

  private static let textBytes = 96

  /// Opens and initialises the library at `path`.
  init(path: String, interval: TickInterval) throws(NVMLSessionError) {
    do {
      library = try NVMLLibrary(path: path)
    } catch {
      throw .library(error)
    }
    let code = NVMLCode(rawValue: library.initialize())
    guard code == .success else {
      library.close()
      throw .initialization(code)
    }
    reader = NVMLReader(library, interval: interval)
  }

  /// Shuts the library down and closes its file; no handle may be used afterwards. Errors that were reported until now
  /// are counted in `devices`.
  func close(_ devices: inout [NVMLDevice]) {
    endWatch(&devices)
    _ = library.shutdown()
    if !isHeld { library.close() }
  }

  var driverVersion: String {
    guard let function = unsafe library.driverVersion else { return "unknown" }
    return unsafe text { unsafe function($0, $1) } ?? "unknown"
  }

  // MARK: Looking for GPUs

  /// All GPUs that can be opened, in the driver's order, and remarks about those that cannot.
  func enumerate() -> (devices: [Found], remarks: [String]) {
    failure = nil
    var count: UInt32 = 0
    let code = NVMLCode(rawValue: unsafe library.deviceCount(&count))
    guard code == .success else {
      failure = code
      return ([], [])
    }
    var devices: [Found] = []
    var remarks: [String] = []
    for index in 0..<min(count, UInt32(Limits.devicesMax)) {
      var handle: NVMLLibrary.Handle?
      let code = NVMLCode(rawValue: unsafe library.deviceByIndex(index, &handle))
      if code.isLibraryFailure {
        failure = code
        return ([], [])
      }
      guard code == .success, let handle = unsafe handle, let found = unsafe describe(handle, index) else {
        if code == .noPermission || code == .blocked {
          remarks.append("GPU \(index) cannot be opened (\(code.text)); let the agent read /dev/nvidia\(index)")
        }
        continue
      }
      devices.append(found)
    }
    return (devices, remarks)
  }

  private func describe(_ handle: NVMLLibrary.Handle, _ index: UInt32) -> Found? {
    guard let uuid = unsafe text({ unsafe library.uuid(handle, $0, $1) }), !uuid.isEmpty else { return nil }
    let name = unsafe text { unsafe library.productName(handle, $0, $1) } ?? ""
    let platform = unsafe NVMLPlatform(library, handle)
    let serial = unsafe library.serial.flatMap { function in unsafe text { unsafe function(handle, $0, $1) } } ?? ""
    // Two GPUs of one board have one serial number; it is the maker's promise only, so racks add chassis and tray.
    let board = serial.isEmpty ? nil : platform.map { "\($0.chassis)-\($0.tray)-\(serial)" } ?? serial
    return unsafe Found(
      device: Device(scope: .gpu, index: UInt16(index), key: uuid, model: name), handle: handle,
      averagesPower: averagesPower(handle), board: board, platform: platform, isMIGEnabled: isMIGEnabled(handle))
  }

  /// Whether `GetPowerUsage` is a one-second mean: from Ampere (7) on, except for the chip of the A100 and A30, whose PCI
  /// device numbers are 0x20B0 to 0x20FF.
  private func averagesPower(_ handle: NVMLLibrary.Handle) -> Bool {
    var architecture: UInt32 = 0
    guard let function = unsafe library.architecture, unsafe function(handle, &architecture) == 0, architecture >= 7,
      architecture != .max
    else { return false }
    guard architecture == 7, let pciInfo = unsafe library.pciInfo else { return true }
    return unsafe withUnsafeTemporaryAllocation(byteCount: NVMLLayout.pciInfoBytes, alignment: 8) { memory in
      guard let base = memory.baseAddress, unsafe pciInfo(handle, base) == 0 else { return false }
      // Device number in the upper half, vendor in the lower.
      let device = unsafe (base + NVMLLayout.pciDeviceID).load(as: UInt32.self) >> 16
      return !(0x20B0...0x20FF).contains(device)
    }
  }

  /// Whether the GPU is partitioned; `nil` where it cannot be.
  func isMIGEnabled(_ handle: NVMLLibrary.Handle) -> Bool? {
    var current: UInt32 = 0
    var pending: UInt32 = 0
    guard let function = unsafe library.migMode, unsafe function(handle, &current, &pending) == 0 else { return nil }
    return current == 1
  }

  private func text(_ call: (UnsafeMutablePointer<CChar>, UInt32) -> Int32) -> String? {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Self.textBytes) { buffer in
      unsafe buffer.initialize(repeating: 0)
      // SAFETY: the library writes at most the length it is told, and the last byte stays zero.
      guard let base = buffer.baseAddress, unsafe call(base, UInt32(Self.textBytes - 1)) == 0 else { return nil }
      return unsafe String(cString: base)
    }
  }

  // MARK: Events

  /// Asks the driver to report XID errors of all GPUs that answer, from now on; past ones are not replayed. Does nothing
  /// while these GPUs are being watched already.
  func registerEvents(_ devices: inout [NVMLDevice]) {
    guard let register = unsafe library.registerEvents, let supported = unsafe library.supportedEvents else { return }
    let wanted = devices.compactMap { device in
      device.lost == nil ? unsafe device.handle.map { UInt(bitPattern: $0) } : nil
    }
    if let watch, watch.isWorking, watch.handles == wanted {
      for index in devices.indices { devices[index].countsEvents = unsafe watch.counts(devices[index].handle) }
      return
    }
    endWatch(&devices)
    guard let fresh = NVMLEventWatch(library) else { return }
    for index in devices.indices {
      devices[index].countsEvents = false
      devices[index].eventHandle = nil
      guard let handle = unsafe devices[index].handle, devices[index].lost == nil else { continue }
      var types: UInt64 = 0
      guard unsafe supported(handle, &types) == 0, types & NVMLEventWatch.xidEvent != 0,
        unsafe fresh.add(handle, register)
      else { continue }
      devices[index].countsEvents = true
      devices[index].eventHandle = UInt(bitPattern: handle)
    }
    fresh.handles = wanted
    fresh.start()
    watch = fresh
  }

  /// Whether the driver refuses to wait for events; ``registerEvents(_:)`` may help.
  var hasLostEvents: Bool { watch.map { !$0.isWorking } ?? false }

  /// Counts the XID errors that were reported since the last call, without waiting.
  func takeEvents(_ devices: inout [NVMLDevice]) {
    guard let seen = watch?.take() else { return }
    for index in devices.indices {
      guard let handle = devices[index].eventHandle, let events = seen[handle] else { continue }
      devices[index].xidEvents += events.count
      devices[index].xidLast = events.last
    }
  }

  /// - Returns: whether the library may be closed: no call into it is under way.
  @discardableResult
  private func endWatch(_ devices: inout [NVMLDevice]) -> Bool {
    guard let watch else { return true }
    let hasEnded = watch.stop()
    takeEvents(&devices)
    self.watch = nil
    if !hasEnded { isHeld = true }
    return hasEnded
  }
}

/// Why the library gives no session.
enum NVMLSessionError: Error, Hashable, Sendable, CustomStringConvertible {
  case library(NVMLLibraryError)
  case initialization(NVMLCode)

  var description: String {
    switch self {
    case .library(let error): error.description
    case .initialization(.driverNotLoaded): "the NVIDIA driver is not loaded; waiting for it"
    case .initialization(let code):
      "the NVIDIA driver's library cannot be initialised (\(code.text)); it is tried again"
    }
  }
}
