import BongsuAPI
import BongsuModel
import BongsuReports
import BongsuRollup
import BongsuStore
import Foundation

/// Answers what stored history takes on disk and what it says of allocations.
struct HistoryAnswers: HistorySource {
  let store: DataKeeper
  let directory: String
  let ledger: LedgerAnswers

  func ledger(_ request: LedgerRequest, within scope: AccessScope) async throws -> LedgerReport {
    let ledger = ledger
    return try await IngestService.onThread("ledger") { try ledger.report(request, within: scope) }
  }

  func storage() async throws -> StorageReport {
    let answers = self
    return try await IngestService.onThread("storage") { try answers.storageNow() }
  }

  private static let day = 86_400_000.0

  private func storageNow() throws -> StorageReport {
    let now = Int64(Date().timeIntervalSince1970 * 1000)
    let tiers = try store.tiers.usage()
    let raw = store.rawUsage
    let journal = Self.bytes(of: "\(directory)/journal")
    let total = Self.bytes(of: directory)
    var parts = [
      StorageReport.Part(name: "journal", bytes: journal),
      StorageReport.Part(
        name: "raw", bytes: raw.bytes, bytesPerDay: Self.perDay(raw.bytes, since: raw.oldest, now),
        keptMilliseconds: store.settings.rawKeptMilliseconds, oldestUnixMilliseconds: raw.oldest?.unixMilliseconds),
    ]
    for tier in Tier.allCases {
      let bytes = tiers.tiers[tier] ?? 0
      let oldest = try store.tiers.oldest(tier)
      parts.append(
        StorageReport.Part(
          name: tier.shortName, bytes: bytes, bytesPerDay: Self.perDay(bytes, since: oldest, now),
          keptMilliseconds: store.tierRetention.keptMilliseconds[tier],
          oldestUnixMilliseconds: bytes > 0 ? oldest?.unixMilliseconds : nil))
    }
    let minutes = try store.tiers.oldest(.minute)
    parts.append(
      StorageReport.Part(
        name: "sketches", bytes: tiers.sketches, bytesPerDay: Self.perDay(tiers.sketches, since: minutes, now),
        keptMilliseconds: store.tierRetention.keptMilliseconds[.minute],
        oldestUnixMilliseconds: tiers.sketches > 0 ? minutes?.unixMilliseconds : nil))
    let named = parts.reduce(0) { $0 + $1.bytes }
    parts.append(StorageReport.Part(name: "other", bytes: max(0, total - named)))
    let disk = try? FileManager.default.attributesOfFileSystem(forPath: directory)
    let free = (disk?[.systemFreeSize] as? NSNumber)?.int64Value
    return StorageReport(
      parts: parts, freeBytes: free, diskBytes: (disk?[.systemSize] as? NSNumber)?.int64Value,
      daysUntilFull: free.flatMap { daysUntilFull(parts, free: Double($0)) })
  }

  /// Bytes that a day adds, as the time since `oldest` has it; `nil` below a quarter of an hour.
  private static func perDay(_ bytes: Int64, since oldest: Tick?, _ now: Int64) -> Int64? {
    guard let oldest, bytes > 0, now - oldest.unixMilliseconds >= 900_000 else { return nil }
    return Int64(Double(bytes) / Double(now - oldest.unixMilliseconds) * day)
  }

  /// Days until what grows has taken `free` bytes: each part grows at its rate until it is as old as it may get, raw
  /// history and rollups until they have all bytes that they may have. `nil`: all of it fits.
  private func daysUntilFull(_ parts: [StorageReport.Part], free: Double) -> Double? {
    let rollups = parts.filter { $0.name != "raw" && $0.name != "journal" && $0.name != "other" }
    func growth(_ part: StorageReport.Part, _ days: Double) -> Double {
      guard let rate = part.bytesPerDay.map(Double.init) else { return 0 }
      let cap = part.keptMilliseconds.map { rate * Double($0) / Self.day } ?? .infinity
      return max(0, min(rate * days, cap - Double(part.bytes)))
    }
    func grown(_ days: Double) -> Double {
      let raw = parts.first { $0.name == "raw" }
      let rawRoom = max(0, Double(store.settings.rawBytesMax) - Double(raw?.bytes ?? 0))
      let rollupBytes = rollups.reduce(0) { $0 + Double($1.bytes) }
      let rollupRoom = max(0, Double(store.tierRetention.bytesMax) - rollupBytes)
      return min(rawRoom, raw.map { growth($0, days) } ?? 0)
        + min(rollupRoom, rollups.reduce(0) { $0 + growth($1, days) })
    }
    var (low, high) = (0.0, 36_500.0)
    guard grown(high) > free else { return nil }
    while high - low > 0.01 {
      let middle = (low + high) / 2
      if grown(middle) > free { high = middle } else { low = middle }
    }
    return high
  }

  /// Bytes of all files below a folder; files that go meanwhile count nothing.
  private static func bytes(of folder: String) -> Int64 {
    let files = FileManager.default
    var bytes: Int64 = 0
    for name in (try? files.subpathsOfDirectory(atPath: folder)) ?? [] {
      let attributes = try? files.attributesOfItem(atPath: "\(folder)/\(name)")
      guard attributes?[.type] as? FileAttributeType == .typeRegular else { continue }
      bytes += (attributes?[.size] as? NSNumber)?.int64Value ?? 0
    }
    return bytes
  }
}

extension Tier {
  /// As answers about storage call it.
  var shortName: String {
    switch self {
    case .second: "1s"
    case .tenSeconds: "10s"
    case .minute: "1m"
    case .quarterHour: "15m"
    case .hour: "1h"
    }
  }
}
