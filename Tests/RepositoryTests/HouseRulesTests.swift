import Foundation
import Testing

/// What a formatter cannot see: which module may import which, who may touch a foreign library, and whether the text of
/// the repository keeps its own rules. The table below is ARCHITECTURE.md's picture as data; change both together.
@Suite("The house rules")
struct HouseRulesTests {
  /// Folder of a module, and all modules of ours and guarded libraries it may import.
  static let mayImport: [String: Set<String>] = [
    "Sources/Model": [],
    "Sources/Fleet": ["BongsuModel", "Yams"],
    "Sources/Codec": ["BongsuModel", "CLZ4"],
    "Sources/Wire": ["BongsuCodec", "BongsuModel"],
    "Sources/Transport": ["CZeroMQ", "CBongsuPlatform"],
    "Sources/RecordLog": ["CBongsuChecksum"],
    "Sources/Enrolment": ["BongsuModel", "BongsuRecordLog", "BongsuTransport"],
    "Sources/Series": ["BongsuModel"],
    "Sources/Metrics": [],
    "Sources/Process": [],
    "Agents/Devices": ["BongsuModel", "CBongsuPlatform"],
    "Agents/Sampling": ["BongsuDevices", "BongsuModel", "CBongsuPlatform"],
    "Agents/Spool": ["BongsuWire", "BongsuRecordLog", "BongsuCodec", "BongsuModel"],
    "Agents/Delivery": [
      "BongsuSpool", "BongsuRecordLog", "BongsuWire", "BongsuModel", "BongsuTransport", "BongsuEnrolment",
      "CBongsuPlatform",
    ],
    "Agents/Agent": [
      "BongsuDelivery", "BongsuProcess", "BongsuDevices", "BongsuSampling", "BongsuSpool", "BongsuRecordLog",
      "BongsuWire",
      "BongsuCodec", "BongsuModel",
      "BongsuTransport", "BongsuEnrolment", "CBongsuPlatform",
    ],
    "Agents/FacilityAgent": [
      "BongsuDelivery", "BongsuProcess", "BongsuDevices", "BongsuSpool", "BongsuRecordLog", "BongsuWire", "BongsuModel",
      "BongsuTransport", "BongsuEnrolment", "BongsuFleet", "AsyncHTTPClient", "Yams",
    ],
    "Agents/FleetSimulator": [
      "BongsuDevices", "BongsuSampling", "BongsuSpool", "BongsuRecordLog", "BongsuWire", "BongsuCodec", "BongsuModel",
      "BongsuTransport", "BongsuEnrolment", "BongsuFleet", "CBongsuPlatform", "ArgumentParser", "Histogram",
      "Yams",
    ],
    "Aggregator/Threads": [],
    "Aggregator/Ring": ["CBongsuPlatform"],
    "Aggregator/Rollup": ["BongsuModel", "BongsuFleet"],
    "Aggregator/Store": [
      "BongsuCodec", "BongsuSeries", "BongsuRollup", "BongsuModel", "BongsuRecordLog", "BongsuThreads", "BongsuWire",
      "GRDB",
    ],
    "Aggregator/Ingest": [
      "BongsuRing", "BongsuWire", "BongsuTransport", "BongsuCodec", "BongsuRollup", "BongsuStore", "BongsuModel",
      "BongsuMetrics", "BongsuFleet", "BongsuRecordLog", "BongsuThreads", "CBongsuPlatform",
    ],
    "Aggregator/Admission": [
      "BongsuEnrolment", "BongsuFleet", "BongsuMetrics", "BongsuModel", "BongsuStore", "BongsuTransport", "CSodium",
    ],
    "Aggregator/Reports": [],
    "Aggregator/Query": ["BongsuSeries"],
    "Aggregator/Alerts": ["BongsuQuery", "BongsuSeries", "AsyncHTTPClient", "Yams"],
    "Aggregator/API": [
      "BongsuReports", "BongsuQuery", "BongsuAlerts", "BongsuSeries", "BongsuMetrics", "BongsuModel", "CZlib",
      "Hummingbird",
    ],
  ]

  /// Libraries with one owner each, and the modules that must stay free of Foundation.
  static let guardedLibraries: Set<String> = [
    "GRDB", "Hummingbird", "Yams", "CZeroMQ", "CZlib", "CLZ4", "CSodium", "CSnappy", "ArgumentParser",
    "AsyncHTTPClient",
    "Histogram",
  ]
  static let withoutFoundation: Set<String> = [
    "Sources/Model", "Sources/Codec", "Sources/Wire", "Sources/Transport", "Sources/RecordLog", "Sources/Metrics",
    "Sources/Process", "Sources/Enrolment", "Agents/Devices", "Agents/Sampling", "Agents/Spool", "Agents/Delivery",
    "Agents/Agent",
    "Aggregator/Threads",
    "Aggregator/Ring",
    "Aggregator/Rollup",
    "Aggregator/Ingest",
  ]

  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  static func swiftFiles(below folder: String) -> [URL] {
    let base = root.appending(path: folder)
    let found = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil)
    return (found?.allObjects as? [URL] ?? []).filter { $0.pathExtension == "swift" }.sorted { $0.path < $1.path }
  }

  static func imports(of file: URL) throws -> [String] {
    try String(contentsOf: file, encoding: .utf8).split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard let position = words.firstIndex(of: "import"), position <= 2, words.count > position + 1 else { return nil }
      guard
        words[..<position].allSatisfy({ $0.hasPrefix("@") || $0 == "public" || $0 == "internal" || $0 == "package" })
      else { return nil }
      return String(words[position + 1].split(separator: ".")[0])
    }
  }

  @Test("modules import only what the architecture allows", arguments: mayImport.keys.sorted())
  func importArrows(folder: String) throws {
    let allowed = try #require(Self.mayImport[folder])
    for file in Self.swiftFiles(below: folder) {
      for module in try Self.imports(of: file) {
        let isOurs = module.hasPrefix("Bongsu") || module.hasPrefix("CBongsu")
        if isOurs || Self.guardedLibraries.contains(module) {
          #expect(allowed.contains(module), "\(folder)/\(file.lastPathComponent) imports \(module)")
        }
        if Self.withoutFoundation.contains(folder) {
          #expect(!module.hasPrefix("Foundation"), "\(folder)/\(file.lastPathComponent) imports \(module)")
        }
      }
    }
  }

  @Test("every Swift file below Sources, Agents and Aggregator belongs to a target")
  func filesHaveOwners() throws {
    let manifest = try String(contentsOf: Self.root.appending(path: "Package.swift"), encoding: .utf8)
    for top in ["Sources", "Agents", "Aggregator"] {
      for file in Self.swiftFiles(below: top) {
        let relative = file.path.dropFirst(Self.root.path.count).split(separator: "/").prefix(2).joined(separator: "/")
        #expect(manifest.contains("\"\(relative)\""), "no target has the path \(relative)")
      }
    }
  }

  @Test("unchecked concurrency is followed by the rule that makes it true, and nothing is left to do without an end")
  func textRules() throws {
    for top in ["Sources", "Agents", "Aggregator"] {
      for file in Self.swiftFiles(below: top) {
        let lines = try String(contentsOf: file, encoding: .utf8).split(
          separator: "\n", omittingEmptySubsequences: false)
        for (number, line) in lines.enumerated() {
          let place = "\(file.lastPathComponent):\(number + 1)"
          #expect(!line.contains("FIXME") && !line.contains("XXX"), "\(place) has an open end")
          guard line.contains("@unchecked Sendable") || line.contains("nonisolated(unsafe)") else { continue }
          let around = lines[max(0, number - 4)..<min(lines.count, number + 5)]
          #expect(around.contains { $0.contains("//") }, "\(place) gives no reason")
        }
      }
    }
  }
}
