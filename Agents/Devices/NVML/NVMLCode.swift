/// A return code of NVIDIA's management library.
struct NVMLCode: RawRepresentable, Hashable, Sendable {
  let rawValue: Int32

  static let success = NVMLCode(rawValue: 0)
  static let uninitialized = NVMLCode(rawValue: 1)
  static let invalidArgument = NVMLCode(rawValue: 2)
  static let noPermission = NVMLCode(rawValue: 4)
  static let notFound = NVMLCode(rawValue: 6)
  static let insufficientSize = NVMLCode(rawValue: 7)
  static let driverNotLoaded = NVMLCode(rawValue: 9)
  static let timeout = NVMLCode(rawValue: 10)
  static let functionNotFound = NVMLCode(rawValue: 13)
  static let blocked = NVMLCode(rawValue: 17)
  static let versionMismatch = NVMLCode(rawValue: 25)
  static let libraryMismatch = NVMLCode(rawValue: 18)

  /// The reading does not exist on this GPU with this driver: not supported, function missing, version of the structure
  /// unknown, deprecated. Asking again is of no use until the GPU or the driver has been set up anew.
  var isUnsupported: Bool { [3, 13, 25, 26].contains(rawValue) }

  /// The GPU is gone or needs a reset: lost, reset required, not found, in a bad state.
  var isLostDevice: Bool { [15, 16, 28, 29].contains(rawValue) }

  /// The library as a whole is of no use as it is: not initialised, driver not loaded, library missing, or another
  /// driver was installed beneath the loaded library.
  var isLibraryFailure: Bool { [1, 9, 12, 18].contains(rawValue) }

  /// For messages: the number and what it stands for.
  var text: String {
    let meaning =
      switch rawValue {
      case 1: "not initialised"
      case 2: "bad argument"
      case 3: "not supported"
      case 4: "no permission"
      case 6: "not found"
      case 8: "power cable missing"
      case 9: "driver not loaded"
      case 10: "timeout"
      case 12: "driver library missing"
      case 14: "inforom corrupt"
      case 15: "GPU is lost"
      case 16: "GPU needs a reset"
      case 17: "blocked by the operating system"
      case 18: "library does not match the driver"
      case 19: "in use"
      case 28: "GPU not found"
      case 29: "bad state"
      case 999: "unknown error"
      default: "error"
      }
    return "NVML code \(rawValue), \(meaning)"
  }
}
