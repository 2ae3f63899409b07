internal import BongsuQuery
internal import BongsuReports
internal import BongsuSeries
internal import FoundationEssentials
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore

/// The Prometheus HTTP API under `/api/v1/`, of Prometheus 2.42: same parameters, envelope, status codes and errors.
struct PrometheusRoutes {
  let series: (any SeriesSource)?
  let metadata: @Sendable () -> [MetricMetadata]
  let version: String
  /// What queries assume and may take.
  var engineOptions = QueryEngine.Options()

  typealias Answer =
    @Sendable (PrometheusParameters, APIRequestContext, any SeriesSource, Operator) async throws -> Response

  func install(in table: inout RouteTable) {
    let runner = QueryRunner()
    let defaults = engineOptions
    add("/api/v1/query", [.get, .post], &table) { parameters, context, source, _ in
      try await Self.query(parameters, context.channel, source, defaults, runner)
    }
    add("/api/v1/query_range", [.get, .post], &table) { parameters, context, source, _ in
      try await Self.queryRange(parameters, context.channel, source, defaults, runner)
    }
    add("/api/v1/series", [.get, .post], &table) { parameters, context, source, _ in
      let selectors = try parameters.selectors()
      guard !selectors.isEmpty else { throw PrometheusError(.badData, "no match[] parameter provided") }
      let (start, end, limit) = (try Self.start(parameters), try Self.end(parameters), try parameters.limit())
      let sets = try await runner.run(for: context.channel) { _ in
        try source.labelSets(matchingAnyOf: selectors, from: start, through: end)
      }
      var json = PrometheusJSON()
      json.append(Array(sets.sorted().prefix(limit)))
      return json.response()
    }
    add("/api/v1/labels", [.get, .post], &table) { parameters, context, source, _ in
      let selectors = try parameters.selectors()
      let (start, end, limit) = (try Self.start(parameters), try Self.end(parameters), try parameters.limit())
      let names = try await runner.run(for: context.channel) { _ in
        try source.labelNames(matchingAnyOf: selectors, from: start, through: end)
      }
      var json = PrometheusJSON()
      json.append(Array(names.prefix(limit)))
      return json.response()
    }
    add("/api/v1/label/:name/values", [.get], &table) { parameters, context, source, _ in
      let name = context.parameters.get("name") ?? ""
      guard LabelName.isValid(name) else {
        throw PrometheusError(.badData, "invalid label name: \(QuotedText.quote(name))")
      }
      let selectors = try parameters.selectors()
      let (start, end, limit) = (try Self.start(parameters), try Self.end(parameters), try parameters.limit())
      let values = try await runner.run(for: context.channel) { _ in
        try source.labelValues(of: name, matchingAnyOf: selectors, from: start, through: end)
      }
      var json = PrometheusJSON()
      json.append(Array(values.prefix(limit)))
      return json.response()
    }
    let metadata = metadata
    add("/api/v1/metadata", [.get], &table) { parameters, context, source, person in
      let metric = parameters.text("metric")
      var wanted = metadata().sorted { $0.name < $1.name }.filter { metric == nil || $0.name == metric }
      if !person.scope.isUnlimited {
        // Names too tell something: only of what the scope has a series for.
        let range = APILimits.queryTimeRange
        let visible = try await runner.run(for: context.channel) { _ in
          try source.labelValues(
            of: Label.metricName, matchingAnyOf: [], from: range.lowerBound, through: range.upperBound)
        }
        let names = Set(visible)
        wanted = wanted.filter { names.contains($0.name) }
      }
      var json = PrometheusJSON()
      json.append(Array(wanted.prefix(try parameters.limit())))
      return json.response()
    }
    installStatus(in: &table, runner)
    FederationRoute(
      series: series, metadata: metadata, lookbackMilliseconds: engineOptions.lookbackMilliseconds, runner: runner
    ).install(in: &table)
  }

  /// Adds a route whose every refusal has the Prometheus form.
  func add(
    _ path: String, _ methods: [HTTPRequest.Method], _ table: inout RouteTable, answer: @escaping Answer
  ) {
    let series = series
    for method in methods {
      table.on(method, path, right: .read) { request, context, person in
        do {
          guard let series else { throw PrometheusError(.unavailable, "this aggregator has no series to query") }
          return try await answer(PrometheusParameters(of: request), context, person.scope.narrow(series), person)
        } catch let error as PrometheusError {
          return PrometheusJSON.response(error)
        } catch let error as QueryError {
          return PrometheusJSON.response(PrometheusError(error))
        } catch SeriesSourceError.unavailable(let reason) {
          return PrometheusJSON.response(PrometheusError(.unavailable, reason))
        } catch SeriesSourceError.tooLarge(let reason) {
          return PrometheusJSON.response(PrometheusError(.execution, reason))
        } catch let error as APIError where error.code == .timedOut {
          return PrometheusJSON.response(PrometheusError(.timeout, error.message))
        } catch is CancellationError {
          return PrometheusJSON.response(PrometheusError(.unavailable, "the aggregator is stopping"))
        } catch {
          context.logger.error("query failed", metadata: ["error": "\(error)", "type": "\(type(of: error))"])
          return PrometheusJSON.response(
            PrometheusError(.internal, "the query failed inside the aggregator; see \"query failed\" in its log"))
        }
      }
    }
  }

  private static func query(
    _ parameters: PrometheusParameters, _ connection: any Channel, _ source: any SeriesSource,
    _ defaults: QueryEngine.Options, _ runner: QueryRunner
  ) async throws -> Response {
    let time = try parameters.instant("time") ?? now()
    let engine = try engine(parameters, defaults)
    let text = parameters.text("query") ?? ""
    return try await runner.run(for: connection) { cancellation in
      var engine = engine
      engine.options.cancellation = cancellation
      var json = PrometheusJSON()
      json.append(try engine.instant(text, at: time, over: source), at: time)
      return json.response(engine.options.annotations)
    }
  }

  private static func queryRange(
    _ parameters: PrometheusParameters, _ connection: any Channel, _ source: any SeriesSource,
    _ defaults: QueryEngine.Options, _ runner: QueryRunner
  ) async throws -> Response {
    func required(_ name: String) throws(PrometheusError) -> Int64 {
      guard let instant = try parameters.instant(name) else {
        throw .invalid(name, "cannot parse \"\" to a valid timestamp")
      }
      return instant
    }
    let start = try required("start")
    let end = try required("end")
    guard end >= start else { throw PrometheusError.invalid("end", "end timestamp must not be before start time") }
    guard let step = try parameters.span("step") else {
      throw PrometheusError.invalid("step", "cannot parse \"\" to a valid duration")
    }
    guard step > 0 else {
      throw PrometheusError.invalid(
        "step", "zero or negative query resolution step widths are not accepted. Try a positive integer")
    }
    guard (end - start) / step <= Int64(QueryLimits.stepsMax) else {
      throw PrometheusError(
        .badData,
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")
    }
    var engine = try engine(parameters, defaults)
    // One point more than the limit is let through, as there.
    engine.options.stepsMax = QueryLimits.stepsMax + 1
    let text = parameters.text("query") ?? ""
    let options = engine.options
    return try await runner.run(for: connection) { cancellation in
      var engine = QueryEngine(options: options)
      engine.options.cancellation = cancellation
      var json = PrometheusJSON()
      json.append(try engine.range(text, from: start, through: end, step: step, over: source))
      return json.response(engine.options.annotations)
    }
  }

  /// An engine that gives up after the asked time, or after ours when that is shorter.
  private static func engine(
    _ parameters: PrometheusParameters, _ defaults: QueryEngine.Options
  ) throws(PrometheusError) -> QueryEngine {
    var options = defaults
    let most = APILimits.querySecondsMax * 1000
    let asked = try parameters.span("timeout") ?? most
    guard asked > 0 else { throw .invalid("timeout", "it must be above zero") }
    options.timeout = .milliseconds(min(asked, most))
    options.annotations = SeriesAnnotations()
    return QueryEngine(options: options)
  }

  private static func start(_ parameters: PrometheusParameters) throws(PrometheusError) -> Int64 {
    try parameters.instant("start") ?? APILimits.queryTimeRange.lowerBound
  }

  private static func end(_ parameters: PrometheusParameters) throws(PrometheusError) -> Int64 {
    try parameters.instant("end") ?? APILimits.queryTimeRange.upperBound
  }

  /// The wall clock, milliseconds since 1970.
  static func now() -> Int64 { Int64((Date.now.timeIntervalSince1970 * 1000).rounded(.down)) }
}
