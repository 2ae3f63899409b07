import ArgumentParser
import BongsuIngest
import BongsuStore
import Foundation

/// Options for what is stored and for how long.
struct StorageOptions: ParsableArguments {
  @Option(
    name: .customLong("raw-bytes"),
    help: """
      Bytes that raw history may take, oldest hours out first. (default: half of what the disk has free at the start, \
      what is kept already included)
      """)
  var rawBytes: Int64?

  @Option(name: .customLong("raw-days"), help: "Days that raw history is kept, if its bytes allow.")
  var rawDays = 30

  @Option(
    name: .customLong("chunk-seconds"),
    help: "How often rows are packed into chunks. Longer: fewer bytes; shorter: less memory, less to read for answers.")
  var chunkSeconds = 300

  @Option(
    name: .customLong("journal-bytes"),
    help: """
      Bytes of journal that stay although their rows are packed: a damaged hour is packed again from there. (default: a \
      twentieth of --raw-bytes, 4 GB at most)
      """)
  var journalBytes: Int64?

  func validate() throws {
    if let rawBytes, rawBytes < 1 << 20 {
      throw ValidationError("--raw-bytes is \(rawBytes), must be at least \(1 << 20)")
    }
    guard (1...36_500).contains(rawDays) else { throw ValidationError("--raw-days is \(rawDays), must be 1 to 36500") }
    guard (1...3600).contains(chunkSeconds) else {
      throw ValidationError("--chunk-seconds is \(chunkSeconds), must be 1 to 3600")
    }
    if let journalBytes, journalBytes < Int64(IngestLimits.segmentBytes) {
      throw ValidationError(
        "--journal-bytes is \(journalBytes), must be at least one segment of \(IngestLimits.segmentBytes)")
    }
  }

  /// How a data directory is kept with these options.
  func settings(directory: String) throws -> DataKeeper.Settings {
    let rawBytes = try self.rawBytes ?? DataDirectory.defaultRawBytes(directory)
    let journal = journalBytes ?? max(Int64(IngestLimits.segmentBytes), min(rawBytes / 20, 4_000_000_000))
    var settings = DataKeeper.Settings(journalBytesMax: journal)
    settings.rawBytesMax = rawBytes
    settings.rawKeptMilliseconds = Int64(rawDays) * 86_400_000
    settings.chunkMilliseconds = Int64(chunkSeconds) * 1000
    return settings
  }
}
