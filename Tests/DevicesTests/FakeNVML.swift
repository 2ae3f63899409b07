import BongsuTestKit
import Glibc

/// The stand-in for NVIDIA's library, built from C for this run of the tests.
///
/// Each instance is a copy of its own, so that its GPUs, faults and clock are no other test's.
final class FakeNVML: Sendable {
  /// Path to give to the source.
  let path: String
  private let folder: TemporaryDirectory
  /// Addresses of `fakeNvmlSet` and `fakeNvmlSessions`; the library stays open as long as the process.
  private let setter: UInt
  private let counter: UInt

  enum Profile: Int64 {
    case h100 = 0
    case b200 = 1
    case gb200 = 2
    case a100 = 3
  }

  struct Failure: Error {
    let reason: String
  }

  /// The folder of the stand-in's sources.
  static let sources: String = {
    let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/")
    return root + "/Support/FakeNVML"
  }()

  /// A library with GPUs of `profile`, as a driver of today or of 2020 brings it. `name` is its file's.
  init(_ profile: Profile = .h100, isOld: Bool = false, gpus: Int64? = nil, name: String = "libnvidia-ml.so.1") throws {
    folder = try TemporaryDirectory()
    path = "\(folder.path)/\(name)"
    let option = isOld ? "--old " : ""
    let status = runShell(
      "CC=${CC:-$(command -v cc || command -v clang)} '\(Self.sources)/build.sh' \(option)'\(path)'")
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
  func set(_ what: String, _ value: Int64, gpu: Int32 = 0) {
    typealias Setter = @convention(c) (UnsafePointer<CChar>, Int32, Int64) -> Int32
    guard let address = unsafe UnsafeRawPointer(bitPattern: setter) else { return }
    // SAFETY: the address is that of the function of this signature in a library that is never closed.
    let function = unsafe unsafeBitCast(address, to: Setter.self)
    precondition(unsafe function(what, gpu, value) == 0, "the stand-in knows no \(what)")
  }
}

extension FakeNVML {
  /// How many sessions are open.
  var sessions: Int32 {
    typealias Counter = @convention(c) () -> Int32
    guard let address = unsafe UnsafeRawPointer(bitPattern: counter) else { return -1 }
    // SAFETY: the address is that of the function of this signature in a library that is never closed.
    return unsafe unsafeBitCast(address, to: Counter.self)()
  }
}

/// Runs `command` by the shell and gives its exit status.
func runShell(_ command: String) -> Int32 {
  // SAFETY: the string is passed as a zero-terminated copy.
  unsafe system(command) >> 8
}

/// What `command` prints, `nil` when it fails.
func shellOutput(_ command: String) -> String? {
  // SAFETY: the strings are passed as zero-terminated copies; the stream is closed below.
  guard let stream = unsafe popen(command, "r") else { return nil }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 1 << 14)
  while true {
    // SAFETY: at most as many bytes are written as the array has.
    let count = unsafe fread(&chunk, 1, chunk.count, stream)
    if count == 0 { break }
    bytes.append(contentsOf: chunk[..<count])
  }
  // SAFETY: closed once.
  return unsafe pclose(stream) == 0 ? String(decoding: bytes, as: UTF8.self) : nil
}
