import BongsuTestKit
import Testing

/// A small device tree of the kernel's, in a folder of its own.
struct DeviceTree {
  let folder: TemporaryDirectory
  var path: String { folder.path }

  init() throws { folder = try TemporaryDirectory() }

  func write(_ path: String, _ text: String) throws {
    let full = "\(folder.path)/\(path)"
    let parent = full.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    try #require(runShell("mkdir -p '\(parent)' && printf '%s\\n' '\(text)' > '\(full)'") == 0)
  }

  func write(_ files: [String: String], below folder: String) throws {
    for (name, text) in files { try write("\(folder)/\(name)", text) }
  }

  /// Takes a file or folder away.
  func remove(_ path: String) throws { try #require(runShell("rm -r '\(folder.path)/\(path)'") == 0) }

  /// Makes a file that is there and cannot be opened: a link to itself.
  func block(_ path: String) throws {
    let full = "\(folder.path)/\(path)"
    try #require(runShell("rm -f '\(full)' && ln -s \"$(basename '\(full)')\" '\(full)'") == 0)
  }
}
