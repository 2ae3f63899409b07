internal import ArgumentParser
internal import BongsuStore
internal import Foundation
internal import NIOCore

struct BackupCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backup", abstract: "Copy all data of an aggregator into one file, while it runs.",
    discussion: """
      The file has everything up to the moment it is finished: samples, rollups, gap records, alerts, the register of nodes \
      and tokens, and the aggregator's secret keys. Keep it as you keep keys. It needs the role admin. The aggregator's \
      disk has to have room for a copy of its largest file meanwhile.

      Example:
        bongsu backup /root/bongsu-2026-11-28.backup
        bongsu backup nightly.backup --url https://aggregator:7480
      """)

  @Argument(help: "File to write, which must not exist.") var file: String
  @OptionGroup var server: ServerOptions

  func run() async throws {
    let files = FileManager.default
    guard !files.fileExists(atPath: file) else {
      throw CommandFailure("\(file) exists already; give another name, or move it away")
    }
    // It gets its name when it is whole.
    let draft = file + ".unfinished"
    guard files.createFile(atPath: draft, contents: nil, attributes: [.posixPermissions: 0o600]),
      let handle = FileHandle(forWritingAtPath: draft)
    else { throw CommandFailure("cannot create \(draft); its folder is missing or closed to you") }
    do {
      try await AggregatorClient.with(server) { client in
        try await client.stream("/api/bongsu/v1/backup", []) { piece in
          do { try handle.write(contentsOf: Data(piece.readableBytesView)) } catch {
            throw CommandFailure("cannot write \(draft): \(error.localizedDescription); free space and run it again")
          }
        }
      }
      try handle.synchronize()
      try handle.close()
      let summary = try Self.checked(draft)
      try files.moveItem(atPath: draft, toPath: file)
      for note in summary.notes { StandardOutput.printError("warning: \(note)") }
      StandardOutput.print("\(file): \(summary.files) files, \(summary.bytes) bytes, every checksum holds")
    } catch {
      try? files.removeItem(atPath: draft)
      throw error
    }
  }

  private static func checked(_ path: String) throws -> BackupArchive.Summary {
    do throws(BackupArchive.Refusal) { return try BackupArchive.verify(path) } catch {
      throw CommandFailure(
        "the answer broke off or was changed on its way: \(error); look at the aggregator's log and run it again")
    }
  }
}

struct RestoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore", abstract: "Make an aggregator's data directory of a backup.",
    discussion: """
      The directory must be empty or not exist; what stands in one of before is never touched. Every checksum of the backup \
      is compared before the directory can be used. Run it as the aggregator's user, or as root and give the directory to \
      that user afterwards. Agents know the aggregator by its key, which is in the backup, and come back by themselves.

      Example:
        bongsu restore /root/bongsu-2026-11-28.backup --data /var/lib/bongsu/aggregator
      """)

  @Argument(help: "File that bongsu backup has written.") var file: String
  @Option(help: "Data directory to make; empty or not there.") var data: String

  func run() throws {
    do throws(BackupArchive.Refusal) {
      let summary = try BackupArchive.restore(file, to: data)
      for note in summary.notes { StandardOutput.printError("warning: \(note)") }
      StandardOutput.print("\(data): \(summary.files) files, \(summary.bytes) bytes; start the aggregator on it")
    } catch {
      throw CommandFailure("\(error)")
    }
  }
}
