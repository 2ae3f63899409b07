public import ArgumentParser
public import BongsuReports
internal import Foundation
internal import NIOCore

extension ExportFormat: ExpressibleByArgument {}

struct ExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Stored samples as text, exact, as they came.",
    discussion: """
      Times are RFC 3339, seconds since 1970, `now`, or back from now such as -1h.

      Example:
        bongsu export --match 'bongsu_gpu_power_watts{node="r017-n03"}' --start -1h --end now
        bongsu export --match '{factory="naver-sejong"}' --start 2026-11-21T00:00:00Z --end 2026-11-22T00:00:00Z \\
          --format csv --output day.csv
      """)

  @Option(help: "Series selector as in PromQL; may be repeated.") var match: [String]
  @Option(parsing: .unconditional, help: "First instant.") var start: String
  @Option(parsing: .unconditional, help: "Last instant.") var end: String = "now"
  @Option(help: "How to write it.") var format = ExportFormat.openmetrics
  @Option(help: "File to write, which must not exist; standard output when left out.") var output: String?
  @OptionGroup var server: ServerOptions

  func validate() throws {
    for text in [start, end] where Self.unixMilliseconds(text, now: 0) == nil {
      throw ValidationError(
        "\"\(TextTable.withoutControls(text))\" is not a time; give RFC 3339, seconds since 1970, now, or -1h")
    }
    guard (1...ReportLimits.exportMatchersMax).contains(match.count) else {
      throw ValidationError(
        "--match is given \(match.count) times; give it 1 to \(ReportLimits.exportMatchersMax) times")
    }
  }

  func run() async throws {
    let now = Int64(Date().timeIntervalSince1970 * 1000)
    let query =
      match.map { (name: "match", value: Optional($0)) } + [
        ("start", Self.parameter(start, now: now)), ("end", Self.parameter(end, now: now)), ("format", format.rawValue),
      ]
    guard let output else {
      return try await AggregatorClient.with(server) { client in
        try await client.stream("/api/bongsu/v1/export", query) { StandardOutput.write(Data($0.readableBytesView)) }
      }
    }
    guard FileManager.default.createFile(atPath: output, contents: nil, attributes: nil, ifAbsent: true),
      let file = FileHandle(forWritingAtPath: output)
    else {
      throw CommandFailure("cannot create \(output); it exists already, or its folder is missing or closed to you")
    }
    defer { try? file.close() }
    try await AggregatorClient.with(server) { client in
      try await client.stream("/api/bongsu/v1/export", query) { piece in
        do {
          try file.write(contentsOf: Data(piece.readableBytesView))
        } catch {
          throw CommandFailure("cannot write \(output): \(error.localizedDescription); free space and run it again")
        }
      }
    }
  }

  /// An instant as people type it, milliseconds since 1970; before 1970 counts as 1970.
  static func unixMilliseconds(_ text: String, now: Int64) -> Int64? {
    if text == "now" { return now }
    if text.hasPrefix("-") { return DurationText.seconds(String(text.dropFirst())).map { max(0, now - $0 * 1000) } }
    return TimeText.unixMilliseconds(text)
  }

  private static func parameter(_ text: String, now: Int64) -> String? {
    unixMilliseconds(text, now: now).map { TimeText.rfc3339(unixMilliseconds: $0) }
  }
}

extension FileManager {
  /// Creates an empty file unless something is there.
  fileprivate func createFile(
    atPath path: String, contents: Data?, attributes: [FileAttributeKey: Any]?, ifAbsent: Bool
  ) -> Bool {
    guard !ifAbsent || !fileExists(atPath: path) else { return false }
    return createFile(atPath: path, contents: contents, attributes: attributes)
  }
}
