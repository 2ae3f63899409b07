private import Foundation

/// A directory of its own for one test, removed with everything in it when the last reference goes.
public final class TemporaryDirectory: Sendable {
  /// Its absolute path.
  public let path: String

  /// Makes a directory below `TMPDIR`, or `/tmp`.
  public init() throws {
    let place = URL(fileURLWithPath: environment("TMPDIR") ?? "/tmp", isDirectory: true)
    let url = place.appendingPathComponent("bongsu-test-\(UUID().uuidString)", isDirectory: true)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
    path = url.path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
