internal import BongsuMetrics

/// What the HTTP server counts of itself. Addresses are counted by route, never as they were typed, so that the number
/// of series is that of the routes.
struct HTTPMetrics: Sendable {
  private let registry: MetricRegistry
  private var answers: [String: [Counter]] = [:]
  private let unknownRouteAnswers: [Counter]
  /// Refusals by the word of the error catalogue.
  let refusals: ReasonCounters<APIErrorCode>
  /// Answers being worked on.
  let inFlight: Gauge
  /// From the request's head to the answer's head, so a stream counts until it starts.
  let duration: Histogram

  private static let name = "bongsu_http_requests_total"
  private static let help = "HTTP requests answered, by route and class of status"
  private static let classes = ["2xx", "3xx", "4xx", "5xx"]

  init(in registry: MetricRegistry) {
    self.registry = registry
    unknownRouteAnswers = Self.counters(forRoute: "other", in: registry)
    refusals = registry.counters(
      "bongsu_http_refusals_total", help: "HTTP requests refused, by error code of the API", label: "code")
    inFlight = registry.gauge("bongsu_http_requests_in_flight", help: "HTTP requests being worked on")
    duration = registry.histogram(
      "bongsu_http_request_duration_seconds", help: "time from the head of a request to the head of its answer",
      unit: .nanoseconds, bounds: Histogram.latencyNanosecondBounds)
  }

  /// Starts counting for `route`.
  mutating func add(route: String) {
    answers[route] = Self.counters(forRoute: route, in: registry)
  }

  /// Counts an answer of `status` on `route`; `nil` is an address that no route has.
  func count(status: Int, route: String?) {
    let counters = route.flatMap { answers[$0] } ?? unknownRouteAnswers
    counters[min(max(status / 100, 2), 5) - 2].add()
  }

  private static func counters(forRoute route: String, in registry: MetricRegistry) -> [Counter] {
    classes.map { registry.counter(name, help: help, labels: ["route": route, "status": $0]) }
  }
}
