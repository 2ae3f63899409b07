import BongsuModel
import Foundation

/// What an agent's witness says that it sampled: see the agent's own description of the file (`--drill-log`).
struct DrillLogFile {
  /// A row, as it was before delivery heard of it.
  struct Row {
    let tick: Int64
    /// Whether the tick could still move, by less than one interval, when the aggregator's clock was first seen.
    let isProvisional: Bool
    let layout: Int
    let values: [Int64]
    /// Number of the agent's run that sampled it.
    let run: Int
  }

  /// One life of the agent's process.
  struct Run {
    /// Tick of its last row.
    var lastTick = Int64.min
    /// How it ended; `nil` while it goes on.
    var end: End?
  }

  enum End: String {
    case kill
    case term
  }

  /// Shapes of rows as the file spells them: interval and `metric*devices` of each column.
  private(set) var layouts: [String] = []
  private(set) var intervals: [Int64] = []
  private(set) var rows: [Row] = []
  private(set) var runs: [Run] = []

  struct Invalid: Error, CustomStringConvertible {
    let description: String
  }

  /// Reads what is complete: a line that was cut off lacks its last word and is passed over.
  init(path: String) throws {
    let text = try String(contentsOfFile: path, encoding: .utf8)
    var layout: Int?
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let words = line.split(separator: " ")
      guard let kind = words.first else { continue }
      func refuse(_ why: String) -> Invalid { Invalid(description: "\(path):\(number + 1): \(why)") }
      switch kind {
      case "start":
        layout = nil
        runs.append(Run())
      case "end":
        guard words.count == 2, let end = End(rawValue: String(words[1])), !runs.isEmpty else {
          throw refuse("expected 'end kill' or 'end term' after a start")
        }
        runs[runs.count - 1].end = end
      case "layout":
        guard words.last == ";" else { continue }
        layout = try place(ofLayout: words.dropFirst().dropLast(), refuse)
      case "row":
        guard words.last == ";" else { continue }
        guard let layout, !runs.isEmpty else { throw refuse("a row before its layout") }
        try append(words, layout, refuse)
      default: throw refuse("expected start, end, layout or row, got '\(kind)'")
      }
    }
  }

  private mutating func place(ofLayout words: ArraySlice<Substring>, _ refuse: (String) -> Invalid) throws -> Int {
    guard let interval = words.first.flatMap({ Int64($0) }) else { throw refuse("a layout without its interval") }
    let name = words.joined(separator: " ")
    if let known = layouts.firstIndex(of: name) { return known }
    layouts.append(name)
    intervals.append(interval)
    return layouts.count - 1
  }

  private mutating func append(_ words: [Substring], _ layout: Int, _ refuse: (String) -> Invalid) throws {
    guard words.count >= 4, let tick = Int64(words[1]), let flags = UInt8(words[2]) else {
      throw refuse("expected 'row TICK FLAGS VALUES'")
    }
    let values = try words[3..<(words.count - 1)].map { word -> Int64 in
      if word == "-" { return SampleValue.absent.bits }
      guard let value = Int64(word) else { throw refuse("'\(word)' is no value") }
      return value
    }
    rows.append(Row(tick: tick, isProvisional: flags & 1 != 0, layout: layout, values: values, run: runs.count - 1))
    runs[runs.count - 1].lastTick = max(runs[runs.count - 1].lastTick, tick)
  }
}

extension RowLayout {
  /// The layout as an agent's witness spells it.
  var drillName: String {
    let columns = columns.indices.map { "\(self.columns[$0].id.rawValue)*\(deviceCount(of: $0))" }
    return "\(interval.milliseconds) \(columns.joined(separator: " "))"
  }
}
