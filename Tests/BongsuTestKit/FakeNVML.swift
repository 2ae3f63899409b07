private import Glibc

/// The stand-in for NVIDIA's library, built from C for this run of the tests.
///
/// Each instance is a copy of its own, so that its GPUs, faults and clock are no other test's.
public final class FakeNVML: Sendable {
  /// Path to give to the source.
  public let path: String
  private let folder: TemporaryDirectory
  /// Addresses of `fakeNvmlSet` and `fakeNvmlSessions`; the library stays open as long as the process.
  private let setter: UInt
  private let counter: UInt

  public enum Profile: Int64, Sendable {
    case h100 = 0
    case b200 = 1
    case gb200 = 2
    case a100 = 3
  }

  public struct Failure: Error {
    public let reason: String
  }

  /// The folder of the stand-in's sources.
  public static let sources: String = {
    let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/")
    return root + "/Support/FakeNVML"
  }()

  /// A library with GPUs of `profile`, as a driver of today or of 2020 brings it, or that of version `driver`. `name` is
  /// its file's.
  public init(
    _ profile: Profile = .h100, isOld: Bool = false, gpus: Int64? = nil, name: String = "libnvidia-ml.so.1",
    driver: String = ""
  ) throws {
    folder = try TemporaryDirectory()
    path = "\(folder.path)/\(name)"
    let option = isOld ? "--old " : ""
    let status = runShell(
      "FAKE_NVML_DRIVER='\(driver)' CC=${CC:-$(command -v cc || command -v clang)} '\(Self.sources)/build.sh' \(option)'\(path)'"
    )
    guard status == 0 else { throw Failure(reason: "build.sh ended with status \(status)") }
    guard let library = unsafe dlopen(path, RTLD_NOW | RTLD_LOCAL), let symbol = unsafe dlsym(library, "fakeNvmlSet"),
      let sessions = unsafe dlsym(library, "fakeNvmlSessions")
    else { throw Failure(reason: "cannot open \(path)") }
    setter = UInt(bitPattern: symbol)
    counter = UInt(bitPattern: sessions)
    set("profile", profile.rawValue)
    let usual: Int64 = profile == .gb200 ? 4 : 8
    set("gpus", gpus ?? usual)
  }

  /// Changes the machine; see FakeNVML.c for what can be changed.
  public func set(_ what: String, _ value: Int64, gpu: Int32 = 0) {
    typealias Setter = @convention(c) (UnsafePointer<CChar>, Int32, Int64) -> Int32
    guard let address = unsafe UnsafeRawPointer(bitPattern: setter) else { return }
    // SAFETY: the address is that of the function of this signature in a library that is never closed.
    let function = unsafe unsafeBitCast(address, to: Setter.self)
    precondition(unsafe function(what, gpu, value) == 0, "the stand-in knows no \(what)")
  }
}

extension FakeNVML {
  /// How many sessions are open.
  public var sessions: Int32 {
    typealias Counter = @convention(c) () -> Int32
    guard let address = unsafe UnsafeRawPointer(bitPattern: counter) else { return -1 }
    // SAFETY: the address is that of the function of this signature in a library that is never closed.
    return unsafe unsafeBitCast(address, to: Counter.self)()
  }
}
