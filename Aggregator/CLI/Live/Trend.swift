/// The last minute of a row as a line of small bars. Pure.
///
/// Each column is the mean of ``Trend/secondsPerColumn`` seconds on a fixed grid of time, so that a bar does not change
/// its shape as it moves. A column of which nothing is known stays empty. Every row has its own scale from its smallest to its
/// largest column; one that moved by less than a hundredth is drawn as a flat line, since noise is no news.
struct Trend: Sendable, Equatable {
  static let columns = 12
  static let secondsPerColumn: Int64 = 5
  private static let bars: [Character] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]

  private struct Column: Sendable, Equatable {
    var number: Int64
    var sum: Double
    var samples: Double
  }

  private var kept: [Column] = []
  private var newestUnixMilliseconds = Int64.min

  /// Takes the value of a tick; a tick that is not newer than the last one adds nothing.
  mutating func add(_ value: Double, unixMilliseconds: Int64) {
    guard unixMilliseconds > newestUnixMilliseconds, value.isFinite else { return }
    newestUnixMilliseconds = unixMilliseconds
    let number = unixMilliseconds / (Self.secondsPerColumn * 1000)
    if let last = kept.last, last.number == number {
      kept[kept.count - 1].sum += value
      kept[kept.count - 1].samples += 1
    } else {
      kept.append(Column(number: number, sum: value, samples: 1))
      if kept.count > Self.columns { kept.removeFirst(kept.count - Self.columns) }
    }
  }

  /// Whether nothing of the columns that end at `unixMilliseconds` is known.
  func isOver(at unixMilliseconds: Int64) -> Bool {
    let last = unixMilliseconds / (Self.secondsPerColumn * 1000)
    return kept.allSatisfy { $0.number <= last - Int64(Self.columns) }
  }

  /// ``columns`` characters that end at `unixMilliseconds`.
  func text(endingAt unixMilliseconds: Int64) -> String {
    let last = unixMilliseconds / (Self.secondsPerColumn * 1000)
    var means: [Double?] = Array(repeating: nil, count: Self.columns)
    for column in kept {
      let place = Int64(Self.columns) - 1 - (last - column.number)
      guard (0..<Int64(Self.columns)).contains(place) else { continue }
      means[Int(place)] = column.sum / column.samples
    }
    let known = means.compactMap { $0 }
    guard let low = known.min(), let high = known.max() else { return String(repeating: " ", count: Self.columns) }
    let isFlat = high - low <= abs(high) / 100
    return String(
      means.map { mean -> Character in
        guard let mean else { return " " }
        guard !isFlat else { return Self.bars[3] }
        return Self.bars[min(7, Int((mean - low) / (high - low) * 8))]
      })
  }
}
