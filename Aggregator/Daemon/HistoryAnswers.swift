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

  func storageNow() throws -> StorageReport {
    let now = Int64(Date().timeIntervalSince1970 * 1000)
    let forecast = StorageForecast(ledger.plan, at: Tick(unixMilliseconds: now))
    let tiers = try store.tiers.usage()
    let raw = store.rawUsage
    let journal = Self.bytes(of: "\(directory)/journal")
    let total = Self.bytes(of: directory)
    func part(_ name: String, _ bytes: Int64, since oldest: Tick?, kept: Int64?) -> StorageReport.Part {
      StorageReport.Part(
        name: name, bytes: bytes, bytesPerDay: Self.perDay(bytes, since: oldest, now),
        predictedBytesPerDay: forecast.bytesPerDay[name].map { Int64($0) }, keptMilliseconds: kept,
        oldestUnixMilliseconds: bytes > 0 ? oldest?.unixMilliseconds : nil)
    }
    let kept = store.tierRetention.keptMilliseconds
    var parts = [
      StorageReport.Part(name: "journal", bytes: journal),
      part("raw", raw.bytes, since: raw.oldest, kept: store.settings.rawKeptMilliseconds),
    ]
    for tier in Tier.allCases {
      parts.append(
        part(tier.shortName, tiers.tiers[tier] ?? 0, since: try store.tiers.oldest(tier), kept: kept[tier]))
    }
    parts.append(part("sketches", tiers.sketches, since: try store.tiers.oldest(.minute), kept: kept[.minute]))
    let named = parts.reduce(0) { $0 + $1.bytes }
    let disk = try? FileManager.default.attributesOfFileSystem(forPath: directory)
    let free = (disk?[.systemFreeSize] as? NSNumber)?.int64Value
    let course = course(parts)
    parts.append(StorageReport.Part(name: "other", bytes: max(0, total - named)))
    return StorageReport(
      parts: parts,
      bounds: course.groups.map { group in
        StorageReport.Bound(
          name: group.name, bytesMax: Int64(group.bytesMax), daysHeld: group.daysHeld,
          daysUntilReached: group.daysUntilBound)
      }, predictedForGPUs: forecast.gpus, minutesWaiting: try store.tiers.dirtyCount(),
      minutesNotRestated: store.tiers.stayingMinutes, freeBytes: free,
      diskBytes: (disk?[.systemSize] as? NSNumber)?.int64Value,
      daysUntilFull: free.flatMap { course.daysUntilFull(free: Double($0)) })
  }

  /// How raw history and rollups grow: at their measured rates, at predicted ones where there are none.
  private func course(_ parts: [StorageReport.Part]) -> DiskCourse {
    func group(_ name: String, _ bytesMax: Int64, _ includes: (String) -> Bool) -> DiskCourse.Group {
      DiskCourse.Group(
        name: name,
        parts: parts.filter { includes($0.name) }.map { part in
          DiskCourse.Part(
            name: part.name, bytes: Double(part.bytes),
            rate: Double(part.bytesPerDay ?? part.predictedBytesPerDay ?? 0),
            keptDays: part.keptMilliseconds.map { Double($0) / Self.day })
        }, bytesMax: Double(bytesMax))
    }
    return DiskCourse(groups: [
      group("raw", store.settings.rawBytesMax) { $0 == "raw" },
      group("rollups", store.tierRetention.bytesMax) { $0 != "raw" && $0 != "journal" },
    ])
  }

  /// Bytes that a day adds, as the time since `oldest` has it; `nil` below a quarter of an hour.
  private static func perDay(_ bytes: Int64, since oldest: Tick?, _ now: Int64) -> Int64? {
    guard let oldest, bytes > 0, now - oldest.unixMilliseconds >= 900_000 else { return nil }
    return Int64(Double(bytes) / Double(now - oldest.unixMilliseconds) * day)
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
