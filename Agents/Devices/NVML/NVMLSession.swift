import BongsuModel

/// An initialised library: from opening its file to shutting it down.
@safe final class NVMLSession {
  let library: NVMLLibrary
  let reader: NVMLReader
  /// A code that ended the last enumeration.
  private(set) var failure: NVMLCode?
  private var eventSet: NVMLLibrary.Handle?
  private let eventMemory: UnsafeMutableRawPointer

  /// A GPU as the driver shows it.
  @safe struct Found {
    let device: Device
    let handle: NVMLLibrary.Handle
    let averagesPower: Bool
    let board: String?
    let isMIGEnabled: Bool?
  }

  private static let xidEvent: UInt64 = 0x8
  /// Events taken in one tick; what is left waits in the driver for the next.
  private static let eventsPerTickMax = 64
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
    unsafe eventMemory = .allocate(byteCount: NVMLLayout.eventBytes, alignment: 8)
  }

  deinit { unsafe eventMemory.deallocate() }

  /// Shuts the library down and closes its file; no handle may be used afterwards.
  func close() {
    if let set = unsafe eventSet, let free = unsafe library.eventSetFree { _ = unsafe free(set) }
    unsafe eventSet = nil
    _ = library.shutdown()
    library.close()
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
    return unsafe Found(
      device: Device(scope: .gpu, index: UInt16(index), key: uuid, model: name), handle: handle,
      averagesPower: averagesPower(handle), board: board(handle), isMIGEnabled: isMIGEnabled(handle))
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

  /// What identifies the board that carries this GPU, where the GPU tells: the two GPUs of a superchip board have one
  /// serial number. Racks add chassis and tray, since serial numbers are the maker's promise only.
  private func board(_ handle: NVMLLibrary.Handle) -> String? {
    guard let function = unsafe library.serial, let serial = unsafe text({ unsafe function(handle, $0, $1) }),
      !serial.isEmpty
    else { return nil }
    guard let platform = unsafe library.platformInfo else { return serial }
    return unsafe withUnsafeTemporaryAllocation(byteCount: NVMLLayout.platformBytes, alignment: 8) { memory in
      guard let base = memory.baseAddress else { return serial }
      unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
      unsafe base.storeBytes(of: NVMLLayout.platformVersion, as: UInt32.self)
      guard unsafe platform(handle, base) == 0 else { return serial }
      var chassis: [UInt8] = []
      for offset in 0..<16 {
        let byte = unsafe (base + NVMLLayout.platformChassis + offset).load(as: UInt8.self)
        guard (0x21...0x7E).contains(byte) else { break }
        chassis.append(byte)
      }
      guard !chassis.isEmpty else { return serial }
      let tray = unsafe (base + NVMLLayout.platformTray).load(as: UInt8.self)
      return "\(String(decoding: chassis, as: UTF8.self))-\(tray)-\(serial)"
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

  /// Asks the driver to report XID errors of all GPUs from now on; past ones are not replayed.
  func registerEvents(_ devices: inout [NVMLDevice]) {
    guard let create = unsafe library.eventSetCreate, let register = unsafe library.registerEvents,
      let supported = unsafe library.supportedEvents, let free = unsafe library.eventSetFree,
      unsafe library.eventSetWait != nil
    else { return }
    if let old = unsafe eventSet {
      takeEvents(&devices)
      _ = unsafe free(old)
      unsafe eventSet = nil
    }
    var set: NVMLLibrary.Handle?
    guard unsafe create(&set) == 0, let set = unsafe set else { return }
    unsafe eventSet = set
    for index in devices.indices {
      guard let handle = unsafe devices[index].handle, devices[index].lost == nil else { continue }
      var types: UInt64 = 0
      devices[index].countsEvents =
        unsafe supported(handle, &types) == 0 && types & Self.xidEvent != 0
        && register(handle, Self.xidEvent, set) == 0
    }
  }

  /// Counts the XID errors that were reported since the last call, without waiting.
  func takeEvents(_ devices: inout [NVMLDevice]) {
    guard let set = unsafe eventSet, let wait = unsafe library.eventSetWait else { return }
    for _ in 0..<Self.eventsPerTickMax {
      // SAFETY: the memory has the size of one event.
      guard unsafe wait(set, eventMemory, 0) == 0 else { return }
      let handle = unsafe eventMemory.load(as: NVMLLibrary.Handle?.self)
      let type = unsafe (eventMemory + NVMLLayout.eventType).load(as: UInt64.self)
      guard type & Self.xidEvent != 0 else { continue }
      for index in devices.indices where unsafe devices[index].handle == handle {
        devices[index].xidEvents += 1
      }
    }
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
