import Glibc

/// NVIDIA's management library, opened at run time: its functions by name and the layouts of its structures.
///
/// The unsuffixed names of the header are macros, so the symbols here carry their versions. A few functions exist since
/// the first drivers and are required; all others may be missing, which makes their readings unsupported. Structures are
/// passed as raw memory with the offsets of the 64-bit ABI, which needs no header at build time. Where one carries a
/// version, that is its size and number: `size | number << 24`.
///
/// Source: nvml.h of NVIDIA/go-nvml (13.3).
///
/// - Thread rule: the library itself is thread-safe; this wrapper is used from one thread at a time.
@safe final class NVMLLibrary {
  /// An opaque handle of a GPU; valid until the library is shut down.
  typealias Handle = UnsafeMutableRawPointer

  typealias Plain = @convention(c) () -> Int32
  typealias Count = @convention(c) (UnsafeMutablePointer<UInt32>) -> Int32
  typealias ByIndex = @convention(c) (UInt32, UnsafeMutablePointer<Handle?>) -> Int32
  typealias Text = @convention(c) (Handle, UnsafeMutablePointer<CChar>, UInt32) -> Int32
  typealias SystemText = @convention(c) (UnsafeMutablePointer<CChar>, UInt32) -> Int32
  typealias Word = @convention(c) (Handle, UnsafeMutablePointer<UInt32>) -> Int32
  typealias Long = @convention(c) (Handle, UnsafeMutablePointer<UInt64>) -> Int32
  typealias Structure = @convention(c) (Handle, UnsafeMutableRawPointer) -> Int32
  typealias Selected = @convention(c) (Handle, Int32, UnsafeMutablePointer<UInt32>) -> Int32
  typealias Errors = @convention(c) (Handle, Int32, Int32, UnsafeMutablePointer<UInt64>) -> Int32
  typealias Pair = @convention(c) (Handle, UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<UInt32>) -> Int32
  typealias Fields = @convention(c) (Handle, Int32, UnsafeMutableRawPointer) -> Int32
  typealias Samples =
    @convention(c) (
      Handle, Int32, UInt64, UnsafeMutablePointer<Int32>, UnsafeMutablePointer<UInt32>, UnsafeMutableRawPointer?
    ) -> Int32
  typealias SetCreate = @convention(c) (UnsafeMutablePointer<Handle?>) -> Int32
  typealias SetFree = @convention(c) (Handle) -> Int32
  typealias Register = @convention(c) (Handle, UInt64, Handle) -> Int32
  typealias SetWait = @convention(c) (Handle, UnsafeMutableRawPointer, UInt32) -> Int32

  let initialize: Plain
  let shutdown: Plain
  let deviceCount: Count
  let deviceByIndex: ByIndex
  let uuid: Text
  let productName: Text

  let driverVersion: SystemText?
  let serial: Text?
  let pciInfo: Structure?
  let architecture: Word?
  let platformInfo: Structure?
  let powerUsage: Word?
  let totalEnergy: Long?
  let enforcedPowerLimit: Word?
  let utilization: Structure?
  let memoryInfo2: Structure?
  let memoryInfo: Structure?
  let temperatureV: Structure?
  let temperature: Selected?
  let marginTemperature: Structure?
  let clock: Selected?
  let eventReasons: Long?
  let eccErrors: Errors?
  let migMode: Pair?
  let fieldValues: Fields?
  let samples: Samples?
  let eventSetCreate: SetCreate?
  let eventSetFree: SetFree?
  let supportedEvents: Long?
  let registerEvents: Register?
  let eventSetWait: SetWait?

  private let library: UnsafeMutableRawPointer

  /// Opens the library called `path`, which the dynamic linker looks for unless it contains a slash.
  init(path: String) throws(NVMLLibraryError) {
    // SAFETY: opening runs the library's own initialisers, as for any program that links it.
    guard let library = unsafe dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
      let reason = unsafe dlerror().map { unsafe String(cString: $0) } ?? "no reason given"
      throw .missing(path: path, reason: reason)
    }
    var missing: [String] = []
    // SAFETY: each symbol is given the C signature of the header; the version in its name fixes that signature.
    func optional<Function>(_ name: String, _ type: Function.Type) -> Function? {
      guard let symbol = unsafe dlsym(library, name) else { return nil }
      return unsafe unsafeBitCast(symbol, to: type)
    }
    func required<Function>(_ name: String, _ type: Function.Type, _ substitute: Function) -> Function {
      guard let function = optional(name, type) else {
        missing.append(name)
        return substitute
      }
      return function
    }
    initialize = required("nvmlInit_v2", Plain.self) { 13 }
    shutdown = required("nvmlShutdown", Plain.self) { 13 }
    unsafe deviceCount = required("nvmlDeviceGetCount_v2", Count.self) { _ in 13 }
    unsafe deviceByIndex = required("nvmlDeviceGetHandleByIndex_v2", ByIndex.self) { _, _ in 13 }
    unsafe uuid = required("nvmlDeviceGetUUID", Text.self) { _, _, _ in 13 }
    unsafe productName = required("nvmlDeviceGetName", Text.self) { _, _, _ in 13 }
    unsafe driverVersion = optional("nvmlSystemGetDriverVersion", SystemText.self)
    unsafe serial = optional("nvmlDeviceGetSerial", Text.self)
    unsafe pciInfo = optional("nvmlDeviceGetPciInfo_v3", Structure.self)
    unsafe architecture = optional("nvmlDeviceGetArchitecture", Word.self)
    unsafe platformInfo = optional("nvmlDeviceGetPlatformInfo", Structure.self)
    unsafe powerUsage = optional("nvmlDeviceGetPowerUsage", Word.self)
    unsafe totalEnergy = optional("nvmlDeviceGetTotalEnergyConsumption", Long.self)
    unsafe enforcedPowerLimit = optional("nvmlDeviceGetEnforcedPowerLimit", Word.self)
    unsafe utilization = optional("nvmlDeviceGetUtilizationRates", Structure.self)
    unsafe memoryInfo2 = optional("nvmlDeviceGetMemoryInfo_v2", Structure.self)
    unsafe memoryInfo = optional("nvmlDeviceGetMemoryInfo", Structure.self)
    unsafe temperatureV = optional("nvmlDeviceGetTemperatureV", Structure.self)
    unsafe temperature = optional("nvmlDeviceGetTemperature", Selected.self)
    unsafe marginTemperature = optional("nvmlDeviceGetMarginTemperature", Structure.self)
    unsafe clock = optional("nvmlDeviceGetClockInfo", Selected.self)
    unsafe eventReasons =
      optional("nvmlDeviceGetCurrentClocksEventReasons", Long.self)
      ?? optional("nvmlDeviceGetCurrentClocksThrottleReasons", Long.self)
    unsafe eccErrors = optional("nvmlDeviceGetTotalEccErrors", Errors.self)
    unsafe migMode = optional("nvmlDeviceGetMigMode", Pair.self)
    unsafe fieldValues = optional("nvmlDeviceGetFieldValues", Fields.self)
    unsafe samples = optional("nvmlDeviceGetSamples", Samples.self)
    unsafe eventSetCreate = optional("nvmlEventSetCreate", SetCreate.self)
    unsafe eventSetFree = optional("nvmlEventSetFree", SetFree.self)
    unsafe supportedEvents = optional("nvmlDeviceGetSupportedEventTypes", Long.self)
    unsafe registerEvents = optional("nvmlDeviceRegisterEvents", Register.self)
    unsafe eventSetWait = optional("nvmlEventSetWait_v2", SetWait.self)
    unsafe self.library = library
    guard missing.isEmpty else {
      unsafe dlclose(library)
      throw .foreign(path: path, missing: missing)
    }
  }

  /// Closes the library, so that the next opening finds a file that was replaced meanwhile. Not after ``shutdown`` was
  /// forgotten: the library would keep its threads.
  func close() {
    // SAFETY: the owner drops this object with all its function pointers.
    unsafe dlclose(library)
  }
}

/// Why the library cannot be used.
enum NVMLLibraryError: Error, Hashable, Sendable, CustomStringConvertible {
  case missing(path: String, reason: String)
  case foreign(path: String, missing: [String])

  var description: String {
    switch self {
    case .missing(let path, let reason):
      "no NVIDIA driver library: \(reason.hasPrefix(path) ? reason : "\(path): \(reason)")"
    case .foreign(let path, let missing):
      "\(path) is not NVIDIA's management library: it lacks \(missing.joined(separator: ", "))"
    }
  }
}

/// Offsets, sizes and versions of the structures that cross the border, 64-bit ABI.
enum NVMLLayout {
  /// `u32 gpu, u32 memory`, percent.
  static let utilizationBytes = 8
  /// `u32 version, u64 total @8, reserved @16, free @24, used @32`, bytes.
  static let memory2Bytes = 40
  static let memory2Version: UInt32 = 0x0200_0028
  static let memory2Used = 32
  static let memory2Total = 8
  /// `u64 total, free, used`.
  static let memoryBytes = 24
  static let memoryUsed = 16
  /// `u32 version, i32 sensor, i32 value`, degrees Celsius.
  static let temperatureBytes = 12
  static let temperatureVersion: UInt32 = 0x0100_000C
  /// `u32 version, i32 value`, degrees Celsius.
  static let marginBytes = 8
  static let marginVersion: UInt32 = 0x0100_0008
  /// `char[16] legacy id, u32 domain @16, bus, device, u32 PCI device id @28, …`.
  static let pciInfoBytes = 68
  static let pciDeviceID = 28
  /// `u32 version, u8[16] GUID, u8[16] chassis serial @20, u8 slot @36, u8 tray @37, …`.
  static let platformBytes = 44
  static let platformVersion: UInt32 = 0x0200_002C
  /// The first form differs in names alone.
  static let platformVersion1: UInt32 = 0x0100_002C
  static let platformChassis = 20
  static let platformSlot = 36
  static let platformTray = 37
  /// `u32 id, u32 scope @4, i64 time, i64 latency, i32 value type @24, i32 code @28, value @32`.
  static let fieldBytes = 40
  static let fieldScope = 4
  static let fieldType = 24
  static let fieldCode = 28
  static let fieldValue = 32
  /// `u64 microseconds, value @8`.
  static let sampleBytes = 16
  static let sampleValue = 8
  /// `handle, u64 type @8, u64 data @16, u32 GPU instance @24, u32 compute instance @28`.
  static let eventBytes = 32
  static let eventType = 8
  static let eventValue = 16

  /// A value union by its type number: 0 double, 1 u32, 2 unsigned long, 3 u64, 4 i64, 5 i32, 6 u16.
  ///
  /// - Returns: `nil` for types of the future and numbers beyond 63 bits.
  static func value(type: Int32, at memory: UnsafeRawPointer) -> Int64? {
    // SAFETY: the caller passes the eight bytes of a value union.
    switch type {
    case 0:
      let number = unsafe memory.loadUnaligned(as: Double.self)
      return number.magnitude < 9e18 ? Int64(number.rounded()) : nil
    case 1: return Int64(unsafe memory.loadUnaligned(as: UInt32.self))
    case 2, 3: return Int64(exactly: unsafe memory.loadUnaligned(as: UInt64.self))
    case 4: return unsafe memory.loadUnaligned(as: Int64.self)
    case 5: return Int64(unsafe memory.loadUnaligned(as: Int32.self))
    case 6: return Int64(unsafe memory.loadUnaligned(as: UInt16.self))
    default: return nil
    }
  }
}
