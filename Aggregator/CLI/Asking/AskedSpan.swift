internal import ArgumentParser
internal import BongsuReports
internal import Foundation

/// The span of time a question is about.
struct AskedSpan: ParsableArguments {
  @Option(help: "The span from so long ago until now, such as 15m, 1h or 7d.") var last: String?
  @Option(parsing: .unconditional, help: "First instant: RFC 3339, seconds since 1970, now, or back from now as -1h.")
  var start: String?
  @Option(parsing: .unconditional, help: "Last instant; now when left out.") var end: String?

  /// Both ends, in milliseconds since 1970.
  struct Span: Equatable {
    var start: Int64
    var end: Int64
  }

  func validate() throws {
    if last != nil, start != nil || end != nil {
      throw ValidationError("--last excludes --start and --end")
    }
    if let last, (DurationText.seconds(last) ?? 0) < 1 {
      throw ValidationError("--last is \"\(TextTable.withoutControls(last))\"; give a time such as 15m, 1h or 7d")
    }
    for text in [start, end].compactMap(\.self) { try Self.check(text) }
    if end != nil, start == nil { throw ValidationError("--end needs --start") }
    if let span = span(now: Self.now), span.end < span.start {
      throw ValidationError("--end lies before --start; exchange them")
    }
  }

  /// The span; `nil` when none was asked for.
  func span(now: Int64) -> Span? {
    if let last { return Span(start: max(0, now - 1000 * (DurationText.seconds(last) ?? 0)), end: now) }
    guard let start = start.flatMap({ ExportCommand.unixMilliseconds($0, now: now) }) else { return nil }
    return Span(start: start, end: end.flatMap { ExportCommand.unixMilliseconds($0, now: now) } ?? now)
  }

  static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }

  /// Refuses what is no instant.
  static func check(_ text: String) throws {
    guard ExportCommand.unixMilliseconds(text, now: 0) != nil else {
      throw ValidationError(
        "\"\(TextTable.withoutControls(text))\" is not a time; give RFC 3339, seconds since 1970, now, or -1h")
    }
  }

  /// The instant as the API takes it.
  static func parameter(_ unixMilliseconds: Int64) -> String {
    let fraction = String(unixMilliseconds % 1000)
    return "\(unixMilliseconds / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
  }
}

/// Steps that people can follow.
enum NiceStep {
  private static let seconds: [Int64] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    1_209_600, 2_419_200,
  ]

  /// The smallest of them with which `milliseconds` has at most `points` steps.
  static func milliseconds(for span: Int64, points: Int) -> Int64 {
    let wanted = span / Int64(max(1, points))
    return 1000 * (seconds.first { $0 * 1000 >= wanted } ?? max(1, wanted / 86_400_000 + 1) * 86_400)
  }

  /// `--step` as milliseconds; `nil` when it is none.
  static func parse(_ text: String) -> Int64? {
    if text.hasSuffix("ms"), let number = Int64(text.dropLast(2)), number > 0 { return number }
    return DurationText.seconds(text).flatMap { $0 > 0 ? $0 * 1000 : nil }
  }

  static func check(_ text: String?) throws {
    guard let text, parse(text) == nil else { return }
    throw ValidationError("--step is \"\(TextTable.withoutControls(text))\"; give a time such as 500ms, 15s or 5m")
  }
}
