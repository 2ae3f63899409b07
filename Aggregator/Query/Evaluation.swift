internal import BongsuSeries

/// The instants an expression is evaluated at, in milliseconds.
struct TimeGrid: Sendable {
  let start: Int64
  let end: Int64
  let step: Int64
  /// How many instants there are; zero when `start` lies behind `end`.
  let count: Int

  init(start: Int64, end: Int64, step: Int64) {
    self.start = start
    self.end = end
    self.step = step
    count = start > end ? 0 : Int((end - start) / step) + 1
  }

  func time(_ index: Int) -> Int64 { start + Int64(index) * step }

  /// The values of a row that are present, with their times.
  func samples(of row: [Double]) -> SampleBuffer {
    var samples = SampleBuffer()
    samples.reserve(count)
    for index in 0..<count where !row[index].isAbsent { samples.append(timestamp: time(index), value: row[index]) }
    return samples
  }
}

extension Double {
  /// Stands for "no value at this step" inside the evaluator.
  ///
  /// The stale marker can play this part because no sample that reaches an operation is one, and no arithmetic makes
  /// one.
  static let absent = StaleMarker.value

  @inline(__always)
  var isAbsent: Bool { StaleMarker.isStale(self) }
}

/// One query being evaluated: where it reads, and what it has used up.
final class EvaluationRun {
  let source: any SeriesSource
  let options: QueryEngine.Options
  /// The instants of the whole query, for `start()` and `end()`.
  let grid: TimeGrid
  private let deadline: ContinuousClock.Instant?
  private var samplesHeld = 0
  private var seriesTouched = 0
  private var checks = 0
  private var samplesRead = 0

  init(source: any SeriesSource, options: QueryEngine.Options, grid: TimeGrid) {
    self.source = source
    self.options = options
    self.grid = grid
    deadline = options.timeout.map { ContinuousClock.now + $0 }
  }

  /// Counts a series read with its samples, and ends the query when a limit is reached.
  func touch(samples: Int, series: Int = 1) throws(QueryError) {
    seriesTouched += series
    guard seriesTouched <= options.seriesMax else {
      throw .tooLarge("query touches more than \(options.seriesMax) series; select fewer with matchers")
    }
    guard samplesHeld + samples <= options.samplesMax else { throw tooManySamples }
    try check()
  }

  /// Counts samples that are kept until the query ends.
  func hold(samples: Int) throws(QueryError) {
    samplesHeld += samples
    guard samplesHeld <= options.samplesMax else { throw tooManySamples }
    try check()
  }

  /// Ends the query when it was cancelled or its time is over. The clock is read at every 64th call only.
  func check() throws(QueryError) {
    if let cancellation = options.cancellation, cancellation.isCancelled { throw .cancelled }
    checks &+= 1
    if let deadline, let timeout = options.timeout, checks & 63 == 0, ContinuousClock.now > deadline {
      throw .timeout(timeout)
    }
  }

  /// Counts samples that a window reads: one series under a subquery may have millions of windows with millions of samples
  /// each, which takes days without holding a single one more.
  func read(samples: Int) throws(QueryError) {
    samplesRead += samples
    guard samplesRead >= Self.samplesBetweenChecks else { return }
    samplesRead = 0
    if let cancellation = options.cancellation, cancellation.isCancelled { throw .cancelled }
    if let deadline, let timeout = options.timeout, ContinuousClock.now > deadline { throw .timeout(timeout) }
  }

  /// Some hundred microseconds of the slower functions.
  private static let samplesBetweenChecks = 1 << 16

  private var tooManySamples: QueryError {
    .tooLarge("query processing would load too many samples into memory in query execution")
  }
}

/// Series with one value per step, kept in two flat arrays.
struct SeriesMatrix {
  let steps: Int
  private(set) var labels: [LabelSet] = []
  /// Row after row.
  private(set) var values: [Double] = []

  init(steps: Int) { self.steps = steps }

  var count: Int { labels.count }

  mutating func append(_ set: LabelSet, _ row: [Double]) {
    labels.append(set)
    values.append(contentsOf: row)
  }

  subscript(row: Int, step: Int) -> Double {
    get { values[row * steps + step] }
    set { values[row * steps + step] = newValue }
  }

  /// Copies a row into a buffer of the same length.
  func copy(_ row: Int, into buffer: inout [Double]) {
    for step in 0..<steps { buffer[step] = values[row * steps + step] }
  }

  /// Whether any series has a value at each step.
  var presence: [Bool] {
    var present = Array(repeating: false, count: steps)
    for row in 0..<count { for step in 0..<steps where !self[row, step].isAbsent { present[step] = true } }
    return present
  }
}

/// Collects rows by label set, so that series which an operation gave the same labels become one.
///
/// Two values at one step are an error: the vector of that step would hold one label set twice.
struct RowMerger {
  private(set) var matrix: SeriesMatrix
  private var rows: [LabelSet: Int] = [:]
  /// Whether equal labels are an error even when the values are at different steps.
  let refusesEqualLabels: Bool

  static let duplicate = QueryError.execution("vector cannot contain metrics with the same labelset")

  init(steps: Int, refusesEqualLabels: Bool = false) {
    matrix = SeriesMatrix(steps: steps)
    self.refusesEqualLabels = refusesEqualLabels
  }

  /// The row with these labels, if there is one.
  func index(of labels: LabelSet) -> Int? { rows[labels] }

  /// Adds a row that has a value. Returns its index.
  @discardableResult
  mutating func add(_ labels: LabelSet, _ row: [Double], otherwise error: QueryError = duplicate) throws(QueryError)
    -> Int
  {
    guard let known = rows[labels] else {
      rows[labels] = matrix.count
      matrix.append(labels, row)
      return matrix.count - 1
    }
    if refusesEqualLabels { throw error }
    for step in 0..<matrix.steps where !row[step].isAbsent {
      guard matrix[known, step].isAbsent else { throw error }
      matrix[known, step] = row[step]
    }
    return known
  }

  /// Passes the rows on, in order of first appearance.
  func emit(_ emit: Evaluator.Emit) throws {
    var row = Array(repeating: Double.absent, count: matrix.steps)
    for index in 0..<matrix.count {
      matrix.copy(index, into: &row)
      try emit(matrix.labels[index], &row)
    }
  }
}

extension [Double] {
  /// Whether every element is absent.
  var isAllAbsent: Bool {
    for value in self where !value.isAbsent { return false }
    return true
  }
}
