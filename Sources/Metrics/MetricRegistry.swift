internal import Synchronization

/// Bongsu's own metrics, by name.
///
/// Registering happens at start, from any thread; every call with the same name must agree on help, unit and kind and
/// adds a series with labels of its own. Breaking a naming rule or a limit is a bug of the caller and stops the process
/// at once, so that no test run can miss it. Labels come from closed sets (reason codes, shard numbers): nothing that
/// arrives over the network may become a label.
///
///     let registry = MetricRegistry()
///     let blocks = registry.counter("bongsu_ingest_blocks_total", help: "blocks accepted", labels: ["shard": "0"])
///     blocks.add()                              // on the data plane: one relaxed addition
///     registry.render(as: .openMetrics)         // on a scrape
public final class MetricRegistry: Sendable {
  /// Families in order of registration, with an index by name.
  private struct State {
    var families: [MetricFamily] = []
    var indices: [String: Int] = [:]
  }

  private let state = Mutex(State())

  /// An empty registry.
  public init() {}

  /// A counter exposed as `name`, which ends with its unit and `_total`.
  public func counter(
    _ name: String, help: String, unit: MetricUnit = .count, labels: KeyValuePairs<String, String> = [:]
  ) -> Counter {
    let counter = Counter()
    add(name, help, .counter, unit, labels, .counter(counter))
    return counter
  }

  /// A counter that is kept elsewhere: `read` is called on every scrape, on the thread that scrapes, and must be quick.
  public func counter(
    _ name: String, help: String, unit: MetricUnit = .count, labels: KeyValuePairs<String, String> = [:],
    read: @escaping @Sendable () -> UInt64
  ) {
    add(name, help, .counter, unit, labels, .counterRead(read))
  }

  /// One counter for each of `values` of the label `label`, in their order: a closed set of reasons.
  public func counters(
    _ name: String, help: String, unit: MetricUnit = .count, label: String, values: [String]
  ) -> [Counter] {
    values.map { counter(name, help: help, unit: unit, labels: [label: $0]) }
  }

  /// One counter for each case of `Code`, by the label `label` with the case's raw value.
  public func counters<Code>(
    _ name: String, help: String, unit: MetricUnit = .count, label: String, for code: Code.Type = Code.self
  ) -> ReasonCounters<Code> where Code: CaseIterable & RawRepresentable & Hashable & Sendable, Code.RawValue == String {
    let codes = Array(Code.allCases)
    let made = counters(name, help: help, unit: unit, label: label, values: codes.map(\.rawValue))
    return ReasonCounters(Dictionary(zip(codes, made), uniquingKeysWith: { first, _ in first }))
  }

  /// A gauge exposed as `name`, which ends with its unit.
  public func gauge(
    _ name: String, help: String, unit: MetricUnit = .count, labels: KeyValuePairs<String, String> = [:]
  ) -> Gauge {
    let gauge = Gauge()
    add(name, help, .gauge, unit, labels, .gauge(gauge))
    return gauge
  }

  /// A gauge that is kept elsewhere: `read` gives it in the exposed unit, on every scrape, and must be quick. A value
  /// that is not known now is `nan`.
  public func gauge(
    _ name: String, help: String, unit: MetricUnit = .count, labels: KeyValuePairs<String, String> = [:],
    read: @escaping @Sendable () -> Double
  ) {
    add(name, help, .gauge, unit, labels, .gaugeRead(read))
  }

  /// A histogram exposed as `name`, which ends with its unit. `bounds` are in the instrument's steps.
  public func histogram(
    _ name: String, help: String, unit: MetricUnit, bounds: [UInt64], labels: KeyValuePairs<String, String> = [:]
  ) -> Histogram {
    let histogram = Histogram(bounds: bounds)
    add(name, help, .histogram, unit, labels, .histogram(histogram))
    return histogram
  }

  /// A constant with labels that tell something, such as the release; `name` ends with `_info`.
  public func info(_ name: String, help: String, labels: KeyValuePairs<String, String>) {
    add(name, help, .info, .count, labels, .constant)
  }

  /// All metrics as text.
  public func render(as format: ExpositionFormat) -> String {
    Exposition.text(of: families, as: format)
  }

  /// A copy taken under the lock; the reading callbacks run outside of it, so that a callback may register.
  var families: [MetricFamily] { state.withLock { $0.families } }

  private func add(
    _ name: String, _ help: String, _ kind: MetricFamily.Kind, _ unit: MetricUnit,
    _ labels: KeyValuePairs<String, String>, _ source: MetricFamily.Source
  ) {
    let labels = labels.map { MetricLabel($0.key, $0.value) }
    Self.check(labels, of: name, kind: kind)
    state.withLock { state in
      let index = state.indices[name] ?? state.families.count
      if index == state.families.count {
        let family = MetricFamily(name: name, help: help, kind: kind, unit: unit)
        if let objection = family.nameObjection { preconditionFailure("metric \(name) \(objection)") }
        precondition(!help.isEmpty, "metric \(name) has no help")
        precondition(state.families.count < MetricLimits.familiesMax, "more than \(MetricLimits.familiesMax) metrics")
        state.families.append(family)
        state.indices[name] = index
      }
      let family = state.families[index]
      precondition(
        family.kind == kind && family.help == help && family.unit == unit,
        "metric \(name) is registered twice, with different kind, help or unit")
      precondition(
        !family.series.contains { $0.labels == labels }, "metric \(name) is registered twice with labels \(labels)")
      precondition(
        family.series.count < MetricLimits.seriesPerFamilyMax,
        "metric \(name) has more than \(MetricLimits.seriesPerFamilyMax) series; is a label unbounded?")
      state.families[index].series.append(MetricFamily.Series(labels: labels, source: source))
    }
  }

  private static func check(_ labels: [MetricLabel], of name: String, kind: MetricFamily.Kind) {
    precondition(labels.count <= MetricLimits.labelsMax, "metric \(name) has \(labels.count) labels")
    precondition(Set(labels.map(\.name)).count == labels.count, "metric \(name) has a label twice: \(labels)")
    for label in labels {
      precondition(MetricFamily.isWellFormed(label.name), "metric \(name) has a label named \(label.name)")
      precondition(label.name != "le" || kind != .histogram, "metric \(name) names a label le")
      precondition(
        label.value.utf8.count <= MetricLimits.labelValueBytesMax,
        "metric \(name) has a label value of \(label.value.utf8.count) bytes")
    }
  }
}

/// One counter for each case of a closed set of reasons. Looking one up hashes the case, so code on the data plane takes
/// its counters out once.
public struct ReasonCounters<Code: Hashable & Sendable>: Sendable {
  private let counters: [Code: Counter]

  init(_ counters: [Code: Counter]) {
    self.counters = counters
  }

  /// The counter of `code`.
  public subscript(code: Code) -> Counter {
    guard let counter = counters[code] else { preconditionFailure("\(code) is not in allCases of its type") }
    return counter
  }
}
