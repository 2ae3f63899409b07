internal import BongsuQuery
internal import BongsuSeries
internal import HTTPTypes
internal import Hummingbird

/// What clients ask about the server itself, and about expressions without evaluating them.
extension PrometheusRoutes {
  func installStatus(in table: inout RouteTable, _ runner: QueryRunner) {
    let version = version
    add("/api/v1/status/buildinfo", [.get], &table) { _, _, _, _ in
      // Clients switch features by this version; ours are those of the language and API that we follow.
      var json = PrometheusJSON()
      json.append([
        ("branch", "bongsu"), ("buildDate", ""), ("buildUser", ""), ("goVersion", ""),
        ("revision", "bongsu-\(version)"),
        ("version", "2.42.0"),
      ])
      return json.response()
    }
    let engine = engineOptions
    add("/api/v1/status/flags", [.get], &table) { _, _, _, _ in
      var json = PrometheusJSON()
      json.append([
        ("query.lookback-delta", DurationText.format(milliseconds: engine.lookbackMilliseconds)),
        ("query.max-concurrency", String(APILimits.queriesMax)), ("query.max-samples", String(engine.samplesMax)),
        ("query.timeout", DurationText.format(milliseconds: APILimits.querySecondsMax * 1000)),
      ])
      return json.response()
    }
    add("/api/v1/status/tsdb", [.get], &table) { parameters, context, source, _ in
      let limit = try parameters.limit(default: 10)
      let now = Self.now()
      let facts = try await runner.run(for: context.channel) { cancellation in
        try SeriesStatistics(of: source, from: now - QueryLimits.lookbackMilliseconds, through: now, cancellation)
      }
      var json = PrometheusJSON()
      json.append(facts, limit: limit)
      return json.response()
    }
    add("/api/v1/format_query", [.get, .post], &table) { parameters, _, _, _ in
      let expression: Expression
      do throws(ParseFailure) { expression = try Parser.parse(parameters.text("query") ?? "") } catch {
        throw PrometheusError.invalid("query", error.description)
      }
      var json = PrometheusJSON()
      json.append(text: expression.formatted)
      return json.response()
    }
    // No exemplars are stored; the expression is judged all the same.
    add("/api/v1/query_exemplars", [.get, .post], &table) { parameters, _, _, _ in
      guard let start = try parameters.instant("start") else {
        throw PrometheusError.invalid("start", "cannot parse \"\" to a valid timestamp")
      }
      guard let end = try parameters.instant("end") else {
        throw PrometheusError.invalid("end", "cannot parse \"\" to a valid timestamp")
      }
      guard end >= start else {
        throw PrometheusError(.badData, "end timestamp must not be before start timestamp")
      }
      do throws(ParseFailure) { _ = try Parser.parse(parameters.text("query") ?? "") } catch {
        throw PrometheusError(.badData, error.description)
      }
      var json = PrometheusJSON()
      json.append([String]())
      return json.response()
    }
  }
}

/// How many series there are, and of what: for `/api/v1/status/tsdb`.
struct SeriesStatistics {
  private(set) var series = 0
  private(set) var byMetric: [String: Int] = [:]
  private(set) var values: [String: Set<String>] = [:]
  private(set) var oldest = Int64.max
  private(set) var newest = Int64.min

  /// Counts what has a value in the span.
  init(of source: any SeriesSource, from start: Int64, through end: Int64, _ cancellation: QueryCancellation) throws {
    let named = try LabelMatcher(Label.metricName, .notEqual, "")
    let selection = SeriesSelection(matchers: [named], startMilliseconds: start, endMilliseconds: end)
    try source.visitSeries(selection) { labels, samples in
      if cancellation.isCancelled { throw QueryError.cancelled }
      guard let time = samples.timestamps.last, let value = samples.values.last, !StaleMarker.isStale(value) else {
        return
      }
      series += 1
      byMetric[labels.metricName, default: 0] += 1
      for label in labels.labelsWithoutName { values[label.name, default: []].insert(label.value) }
      oldest = min(oldest, time)
      newest = max(newest, time)
    }
    if !byMetric.isEmpty { values[Label.metricName] = Set(byMetric.keys) }
  }

  typealias Count = (name: String, value: Int)

  /// The largest first, of equal ones the first by name.
  static func largest(_ counts: [String: Int], _ limit: Int) -> [Count] {
    let sorted = counts.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }
    return sorted.prefix(limit).map { ($0.key, $0.value) }
  }
}
