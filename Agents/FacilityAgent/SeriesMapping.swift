import BongsuModel

/// One figure of a Prometheus server or page that is a reading of a meter or node.
struct SeriesMapping: Hashable, Sendable {
  /// Where the figure is.
  enum Place: Hashable, Sendable {
    /// A PromQL expression for a server's query API; its result has to be one number.
    case query(String)
    /// A series of a page, with the labels it must have.
    case series(name: String, labels: [String: String])
  }

  /// Whose reading it is: a node, or the reader's name of a meter.
  let node: NodeID
  let metric: MetricID
  let place: Place
  /// From the series' unit to the metric's exposed unit: 1000 for kilowatts.
  let factor: Double

  /// The reading in wire units.
  func wire(_ value: Double) -> Int64? {
    guard let unit = MetricCatalogue.metric(metric)?.unit else { return nil }
    return FacilityReading.wire(value, times: factor * unit.exposedDenominator / unit.exposedNumerator)
  }

  /// The one sample of `page` that is meant.
  ///
  /// - Throws: ``EndpointFailure`` when there is none, or more than one: a guess would be a wrong reading.
  func value(in page: ExpositionText) throws -> Double {
    guard case .series(let name, let labels) = place else { preconditionFailure("a query is no series of a page") }
    let found = page.samples.filter { sample in
      sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value }
    }
    guard found.count == 1 else {
      throw EndpointFailure(
        description: "\(self) matches \(found.count) series of the page, expected one"
          + (found.count > 1 ? "; add labels" : ""))
    }
    return found[0].value
  }

  /// The one number in the answer of a query.
  func value(inAnswer answer: JSONValue) throws -> Double {
    guard answer["status"]?.string == "success", let data = answer["data"] else {
      throw EndpointFailure(description: "\(self) is refused: \(answer["error"]?.string ?? "no reason given")")
    }
    var pair = data["result"]?.elements ?? []
    if data["resultType"]?.string != "scalar" {
      guard pair.count == 1 else {
        throw EndpointFailure(
          description: "\(self) gives \(pair.count) series, expected one; sum or select in the query")
      }
      pair = pair[0]["value"]?.elements ?? []
    }
    guard let text = pair.last?.string, let value = Double(text) else {
      throw EndpointFailure(description: "\(self) gives no number")
    }
    return value
  }
}

extension SeriesMapping: CustomStringConvertible {
  var description: String {
    switch place {
    case .query(let query): "the query '\(query)'"
    case .series(let name, let labels):
      "the series \(name)"
        + (labels.isEmpty
          ? ""
          : "{" + labels.sorted { $0.key < $1.key }.map { "\($0.key)=\"\($0.value)\"" }.joined(separator: ",") + "}")
    }
  }
}
