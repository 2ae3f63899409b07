internal import BongsuQuery
internal import BongsuReports
internal import BongsuSeries
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore

/// `/federate`: the newest sample of every series that a selector matches, as text, for a Prometheus server that
/// scrapes us. Format 0.0.4, with timestamps in milliseconds.
struct FederationRoute {
  let series: (any SeriesSource)?
  let metadata: @Sendable () -> [MetricMetadata]
  let lookbackMilliseconds: Int64
  let runner: QueryRunner

  func install(in table: inout RouteTable) {
    let (series, metadata, lookback, runner) = (series, metadata, lookbackMilliseconds, runner)
    for method in [HTTPRequest.Method.get, .post] {
      table.on(method, "/federate", right: .read) { request, context, person in
        do {
          guard let series else { throw PrometheusError(.unavailable, "this aggregator has no series") }
          let selectors = try await PrometheusParameters(of: request).selectors()
          let kinds = Dictionary(metadata().map { ($0.name, $0.kind) }) { first, _ in first }
          let source = person.scope.narrow(series)
          let text = try await runner.run(for: context.channel) { cancellation in
            try Self.text(selectors, source, lookback: lookback, kinds: kinds, cancellation)
          }
          return Self.answer(text, .ok)
        } catch let error as PrometheusError {
          return Self.answer(error.message + "\n", HTTPResponse.Status(code: error.kind.statusCode))
        } catch let error as QueryError {
          return Self.answer("\(error)\n", .unprocessableContent)
        } catch let error as SeriesSourceError {
          if case .unavailable = error { return Self.answer("\(error)\n", .serviceUnavailable) }
          return Self.answer("\(error)\n", .unprocessableContent)
        }
      }
    }
  }

  private static func answer(_ text: String, _ status: HTTPResponse.Status) -> Response {
    Response(
      status: status, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }

  private struct Line {
    let labels: LabelSet
    let value: Double
    let milliseconds: Int64
  }

  private static func text(
    _ selectors: [[LabelMatcher]], _ source: any SeriesSource, lookback: Int64,
    kinds: [String: MetricMetadata.Kind], _ cancellation: QueryCancellation
  ) throws -> String {
    let now = PrometheusRoutes.now()
    var lines: [LabelSet: Line] = [:]
    for matchers in selectors {
      let selection = SeriesSelection(matchers: matchers, startMilliseconds: now - lookback, endMilliseconds: now)
      try source.visitSeries(selection) { labels, samples in
        if cancellation.isCancelled { throw QueryError.cancelled }
        guard let value = samples.values.last, !StaleMarker.isStale(value) else { return }
        guard lines.count < APILimits.federatedSeriesMax else {
          throw SeriesSourceError.tooLarge(
            "more than \(APILimits.federatedSeriesMax) series match; scrape rollups, or fewer series by match[]")
        }
        lines[labels] = Line(labels: labels, value: value, milliseconds: samples.timestamps[samples.count - 1])
      }
    }
    var text = ""
    var metric: String?
    for line in lines.values.sorted(by: { Self.precedes($0.labels, $1.labels) }) {
      let name = line.labels.metricName
      if metric != name {
        metric = name
        text += "# TYPE \(name) \(Self.type(kinds[name]))\n"
      }
      text += name
      text += "{"
      // Without one of its own a series gets an empty instance, so that the scraper does not put ours in its place.
      let labels = line.labels.labelsWithoutName
      let hasInstance = labels.contains { $0.name == "instance" }
      for (index, label) in labels.enumerated() {
        if index > 0 { text += "," }
        text += "\(label.name)=\"\(Self.escaped(label.value))\""
      }
      if !hasInstance { text += labels.isEmpty ? "instance=\"\"" : ",instance=\"\"" }
      text += "} \(PrometheusJSON.number(line.value)) \(line.milliseconds)\n"
    }
    return text
  }

  private static func precedes(_ one: LabelSet, _ other: LabelSet) -> Bool {
    guard ByteOrder.areEqual(one.metricName, other.metricName) else {
      return ByteOrder.precedes(one.metricName, other.metricName)
    }
    return one < other
  }

  /// Parts of a histogram cannot be told as one here.
  private static func type(_ kind: MetricMetadata.Kind?) -> String {
    switch kind {
    case .gauge: "gauge"
    case .counter: "counter"
    default: "untyped"
    }
  }

  private static func escaped(_ text: String) -> String {
    guard text.utf8.contains(where: { $0 == 0x5C || $0 == 0x22 || $0 == 0x0A }) else { return text }
    return text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }
}
