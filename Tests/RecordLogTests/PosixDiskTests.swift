import BongsuRecordLog
import BongsuTestKit
import Foundation
import Testing

@Suite("POSIX disk")
struct PosixDiskTests {
  @Test("a log on a real directory keeps what it committed across a reopen")
  func realLog() throws {
    let directory = try TemporaryDirectory()
    do {
      var writer = try LogWriter(disk: PosixDisk(path: directory.path), log: "test", limits: smallLimits, salt: 1)
      for value in UInt8(0)..<100 {
        _ = writer.stage([UInt8](repeating: value, count: 100), kind: 1)
        try writer.commit()
      }
    }
    let disk = try PosixDisk(path: directory.path)
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 1)
    try writer.repair()
    #expect(writer.durableNumber == 100)
    let read = try contents(of: disk)
    #expect(read.order == Array(1...100))
    #expect(read.records[50] == [1] + [UInt8](repeating: 49, count: 100))
    #expect(try disk.freeBytes() > 0)
    let mode = try FileManager.default.attributesOfItem(atPath: directory.path + "/test-0000000000000001.log")
    #expect((mode[.posixPermissions] as? Int) == 0o600)
  }

  @Test("replacing a file leaves the old or the new contents, and no neighbour")
  func replaces() throws {
    let directory = try TemporaryDirectory()
    let disk = try PosixDisk(path: directory.path)
    #expect(try disk.contents(of: "state", byteCountMax: 10) == nil)
    try disk.replace("state", with: ([1, 2, 3] as [UInt8]).span)
    try disk.replace("state", with: ([4] as [UInt8]).span)
    #expect(try disk.contents(of: "state", byteCountMax: 10) == [4])
    #expect(try disk.names() == ["state"])
  }

  @Test("replacing a file across power cuts never shows a torn one", arguments: 0..<200)
  func replacesAtomically(seed: UInt64) throws {
    let disk = SimulatedDisk(seed: seed)
    try disk.replace("state", with: [UInt8](repeating: 1, count: 2_000).span)
    disk.changesUntilCrash = Int(seed % 8) + 1
    try? disk.replace("state", with: [UInt8](repeating: 2, count: 3_000).span)
    disk.restart()
    let bytes = try #require(try disk.contents(of: "state", byteCountMax: 5_000))
    #expect(bytes == [UInt8](repeating: 1, count: 2_000) || bytes == [UInt8](repeating: 2, count: 3_000))
  }

  @Test("errors name the operation, the file and the system's reason")
  func errors() throws {
    let directory = try TemporaryDirectory()
    let disk = try PosixDisk(path: directory.path)
    let missing = #expect(throws: DiskError.self) { try disk.open("none", .read) }
    #expect(missing?.isNotFound == true)
    #expect("\(missing!)" == "cannot open 'none': No such file or directory (errno 2)")
    let file = try disk.open("file", .create)
    disk.close(file)
    #expect { try disk.open("file", .create) } throws: { ($0 as? DiskError)?.code == EEXIST }
    #expect(throws: DiskError.self) { try PosixDisk(path: directory.path + "/a/b") }
  }

  @Test(
    "a really full file system holds the batch until there is space",
    .enabled(if: canMount, "needs root to mount a tmpfs"))
  func reallyFull() throws {
    let directory = try TemporaryDirectory()
    try shell("mount -t tmpfs -o size=64k bongsu-test \(directory.path)")
    defer { _ = try? shell("umount \(directory.path)") }
    let limits = LogLimits(segmentBytes: 1 << 20, recordBytesMax: 4_096, batchBytesMax: 1 << 17)
    let disk = try PosixDisk(path: directory.path)
    var writer = try LogWriter(disk: disk, log: "test", limits: limits, salt: 1)
    try Data(count: 40_000).write(to: URL(fileURLWithPath: directory.path + "/filler"))
    var staged: UInt64 = 0
    var sawFull = false
    for value in UInt8(0)..<12 {
      staged = writer.put([UInt8](repeating: value, count: 4_000), kind: 1)
      do { try writer.commit() } catch {
        #expect(error.isOutOfSpace)
        sawFull = true
      }
    }
    #expect(sawFull)
    let durable = writer.durableNumber
    #expect(durable < staged)
    #expect(try contents(of: disk, limits: limits, through: durable).order == Array(1...durable))
    try disk.remove("filler")
    try writer.commit()
    #expect(writer.durableNumber == staged)
    #expect(try contents(of: disk, limits: limits).order == Array(1...staged))
  }
}

/// Whether this process may mount file systems in this place.
let canMount: Bool = {
  guard getuid() == 0, let directory = try? TemporaryDirectory() else { return false }
  guard (try? shell("mount -t tmpfs -o size=64k bongsu-test \(directory.path)")) != nil else { return false }
  _ = try? shell("umount \(directory.path)")
  return true
}()

struct CommandFailed: Error {}

@discardableResult
func shell(_ command: String) throws -> Int32 {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/bin/sh")
  process.arguments = ["-c", command + " 2>/dev/null"]
  try process.run()
  process.waitUntilExit()
  guard process.terminationStatus == 0 else { throw CommandFailed() }
  return process.terminationStatus
}
