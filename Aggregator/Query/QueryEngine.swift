public import BongsuSeries
internal import Synchronization

/// Evaluates expressions over a series source. Stateless and safe to use from any thread.
public struct QueryEngine: Sendable {
  /// What a query may take and what it assumes.
  public struct Options: Sendable {
    /// How far back an instant selector looks, in milliseconds.
    public var lookbackMilliseconds = QueryLimits.lookbackMilliseconds
    /// Whether windows and lookbacks leave out their first instant, as Prometheus 3 has it. Prometheus 2 includes it.
    public var opensRangesLeft = false
    /// Step of subqueries without one, in milliseconds.
    public var subqueryStepMilliseconds = QueryLimits.subqueryStepMilliseconds
    /// Most samples held at a time.
    public var samplesMax = QueryLimits.samplesMax
    /// Most series touched.
    public var seriesMax = QueryLimits.seriesMax
    /// Most steps of a range query.
    public var stepsMax = QueryLimits.stepsMax
    /// Longest run time; `nil` for none.
    public var timeout: Duration?
    /// Ends the query early when set from elsewhere.
    public var cancellation: QueryCancellation?
    /// Takes what sources tell about how they answered.
    public var annotations: SeriesAnnotations?

    public init() {}
  }

  public var options: Options

  public init(options: Options = Options()) { self.options = options }

  /// Evaluates an expression at one instant, in milliseconds since 1970.
  ///
  /// Throws `QueryError`, and whatever the source throws.
  public func instant(_ expression: Expression, at milliseconds: Int64, over source: any SeriesSource) throws
    -> InstantResult
  {
    let grid = TimeGrid(start: milliseconds, end: milliseconds, step: 1)
    let run = EvaluationRun(source: source, options: options, grid: grid)
    let evaluator = Evaluator(run: run, grid: grid)
    switch expression.type {
    case .string:
      guard case .string(let text, _) = expression.unwrapped else { return .string("") }
      return .string(text)
    case .scalar: return .scalar(try evaluator.scalar(expression)[0])
    case .instantVector:
      var samples: [InstantResult.Sample] = []
      try evaluator.stream(expression) { labels, row in
        if !StaleMarker.isStale(row[0]) { samples.append(InstantResult.Sample(labels: labels, value: row[0])) }
      }
      return .vector(samples)
    case .rangeVector:
      var series: [RangeSeries] = []
      try evaluator.visitWindows(expression) { labels, samples, window in
        let end = window.end(atStep: 0, of: grid)
        var found = SampleBuffer()
        for index in 0..<samples.count {
          let time = samples.timestamps[index]
          if time >= end - window.reachMilliseconds, time <= end {
            found.append(timestamp: time, value: samples.values[index])
          }
        }
        if found.isEmpty { return }
        try run.hold(samples: found.count)
        series.append(RangeSeries(labels: labels, samples: found))
      }
      return .matrix(series.sorted { $0.labels < $1.labels })
    }
  }

  /// Evaluates an expression at every step from start through end, all in milliseconds.
  ///
  /// The expression must be a scalar or an instant vector. Series come sorted by their labels.
  public func range(
    _ expression: Expression, from start: Int64, through end: Int64, step: Int64, over source: any SeriesSource
  ) throws -> [RangeSeries] {
    guard expression.type == .scalar || expression.type == .instantVector else {
      throw QueryError.execution(
        "invalid expression type \"\(expression.type.rawValue)\" for range query, must be Scalar or instant Vector")
    }
    guard step > 0 else {
      throw QueryError.execution(
        "zero or negative query resolution step widths are not accepted. Try a positive integer")
    }
    guard end >= start else { throw QueryError.execution("end timestamp must not be before start time") }
    let (span, overflows) = end.subtractingReportingOverflow(start)
    guard !overflows, span / step < Int64(options.stepsMax) else {
      throw QueryError.tooLarge(
        "exceeded maximum resolution of \(options.stepsMax) points per timeseries. Try decreasing the query resolution "
          + "(?step=XX)")
    }
    let grid = TimeGrid(start: start, end: end, step: step)
    let run = EvaluationRun(source: source, options: options, grid: grid)
    let evaluator = Evaluator(run: run, grid: grid)
    if expression.type == .scalar {
      let values = try evaluator.scalar(expression)
      return [RangeSeries(labels: .empty, samples: grid.samples(of: values))]
    }
    var result: [RangeSeries] = []
    try evaluator.stream(expression) { labels, row in
      let samples = grid.samples(of: row)
      if samples.isEmpty { return }
      try run.hold(samples: samples.count)
      result.append(RangeSeries(labels: labels, samples: samples))
    }
    return result.sorted { $0.labels < $1.labels }
  }

  /// Parses and evaluates at one instant.
  public func instant(_ source: String, at milliseconds: Int64, over series: any SeriesSource) throws -> InstantResult {
    try instant(Self.parse(source), at: milliseconds, over: series)
  }

  /// Parses and evaluates over a range.
  public func range(
    _ source: String, from start: Int64, through end: Int64, step: Int64, over series: any SeriesSource
  ) throws -> [RangeSeries] {
    try range(Self.parse(source), from: start, through: end, step: step, over: series)
  }

  private static func parse(_ source: String) throws(QueryError) -> Expression {
    do throws(ParseFailure) { return try Parser.parse(source) } catch { throw .parse(error) }
  }
}

/// The answer at one instant.
public enum InstantResult: Sendable {
  /// A series and its value.
  public struct Sample: Sendable {
    public var labels: LabelSet
    public var value: Double

    public init(labels: LabelSet, value: Double) {
      self.labels = labels
      self.value = value
    }
  }

  case scalar(Double)
  case string(String)
  /// Each series once, in the order the expression gives (that of `sort` or `topk`).
  case vector([Sample])
  /// Raw samples of a range selector, or the points of a subquery.
  case matrix([RangeSeries])
}

/// A series of an answer over a range; only steps with a value have a sample.
public struct RangeSeries: Sendable {
  public var labels: LabelSet
  public var samples: SampleBuffer
}

/// Ends running queries from another thread.
public final class QueryCancellation: Sendable {
  private let flag = Atomic<Bool>(false)

  public init() {}

  /// Asks the queries that hold this to end.
  // Relaxed: the flag carries no data, and a query may notice it a little later.
  public func cancel() { flag.store(true, ordering: .relaxed) }

  /// Whether `cancel` was called.
  public var isCancelled: Bool { flag.load(ordering: .relaxed) }
}
