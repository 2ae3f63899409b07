import ArgumentParser
import BongsuIngest
import BongsuRollup
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

  @Option(
    name: .customLong("tier-bytes"),
    help: """
      Bytes that rollups of all tiers may take; the oldest hours of the finest tier go first. (default: a tenth of \
      --raw-bytes, at least 64 MiB)
      """)
  var tierBytes: Int64?

  @Option(
    name: .customLong("tier-days"),
    help: """
      Days that rollups are kept: of 1 s, 10 s, 1 min, 15 min and 1 h, separated by commas. Rows that come later than the \
      shortest of them are refused.
      """)
  var tierDays = "31,92,400,1100,3660"

  func validate() throws {
    if let rawBytes, rawBytes < 1 << 20 {
      throw ValidationError("--raw-bytes is \(rawBytes), must be at least \(1 << 20)")
    }
    guard (1...36_500).contains(rawDays) else { throw ValidationError("--raw-days is \(rawDays), must be 1 to 36500") }
    if let tierBytes, tierBytes < 1 << 20 {
      throw ValidationError("--tier-bytes is \(tierBytes), must be at least \(1 << 20)")
    }
    let days = try keptDays()
    for (finer, coarser) in zip(Tier.allCases, Tier.allCases.dropFirst()) where days[finer]! > days[coarser]! {
      throw ValidationError(
        "--tier-days is '\(tierDays)': \(finer.title) would be kept for longer than \(coarser.title)")
    }
    guard (1...3600).contains(chunkSeconds) else {
      throw ValidationError("--chunk-seconds is \(chunkSeconds), must be 1 to 3600")
    }
    if let journalBytes, journalBytes < Int64(IngestLimits.segmentBytes) {
      throw ValidationError(
        "--journal-bytes is \(journalBytes), must be at least one segment of \(IngestLimits.segmentBytes)")
    }
  }

  private func keptDays() throws -> [Tier: Int64] {
    let parts = tierDays.split(separator: ",", omittingEmptySubsequences: false)
      .map { Int64($0.trimmingCharacters(in: .whitespaces)) ?? 0 }
    guard parts.count == Tier.allCases.count, parts.allSatisfy({ (1...36_500).contains($0) }) else {
      throw ValidationError(
        "--tier-days is '\(tierDays)', must be \(Tier.allCases.count) numbers from 1 to 36500, such as 31,92,400,1100,3660"
      )
    }
    return Dictionary(uniqueKeysWithValues: zip(Tier.allCases, parts))
  }

  /// How a data directory is kept with these options.
  func settings(directory: String) throws -> DataKeeper.Settings {
    let rawBytes = try self.rawBytes ?? DataDirectory.defaultRawBytes(directory)
    let journal = journalBytes ?? max(Int64(IngestLimits.segmentBytes), min(rawBytes / 20, 4_000_000_000))
    var settings = DataKeeper.Settings(journalBytesMax: journal)
    settings.rawBytesMax = rawBytes
    settings.rawKeptMilliseconds = Int64(rawDays) * 86_400_000
    settings.chunkMilliseconds = Int64(chunkSeconds) * 1000
    settings.tiers = TierRetention(
      keptMilliseconds: try keptDays().mapValues { $0 * 86_400_000 },
      bytesMax: tierBytes ?? max(64 << 20, rawBytes / 10))
    return settings
  }
}
