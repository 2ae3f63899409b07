internal import BongsuQuery
internal import BongsuSeries
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// Writes answers in the Prometheus envelope, by hand: an answer may have millions of numbers, and each is text in
/// quotes in the notation of Go.
struct PrometheusJSON {
  private(set) var text = "{\"status\":\"success\",\"data\":"

  /// The finished answer.
  consuming func response(_ annotations: SeriesAnnotations? = nil) -> Response {
    for (name, texts) in [("infos", annotations?.infos ?? []), ("warnings", annotations?.warnings ?? [])]
    where !texts.isEmpty {
      text += ",\"\(name)\":"
      append(texts)
    }
    text += "}\n"
    return Self.response(text, status: .ok)
  }

  /// A refusal.
  static func response(_ error: PrometheusError) -> Response {
    var json = PrometheusJSON()
    json.text = "{\"status\":\"error\",\"errorType\":"
    json.append(error.kind.rawValue)
    json.text += ",\"error\":"
    json.append(error.message)
    json.text += "}\n"
    var answer = response(json.text, status: HTTPResponse.Status(code: error.kind.statusCode))
    if error.kind == .unavailable { answer.headers[.retryAfter] = "\(APILimits.retryAfterSeconds)" }
    return answer
  }

  private static func response(_ text: String, status: HTTPResponse.Status) -> Response {
    Response(
      status: status, headers: [.contentType: "application/json"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }

  /// The answer at one instant.
  mutating func append(_ result: InstantResult, at milliseconds: Int64) {
    switch result {
    case .scalar(let value):
      open("scalar")
      point(milliseconds, value)
    case .string(let string):
      open("string")
      text += "[\(Self.seconds(milliseconds)),"
      append(string)
      text += "]"
    case .vector(let samples):
      open("vector")
      list(samples) { json, sample in
        json.text += "{\"metric\":"
        json.append(sample.labels)
        json.text += ",\"value\":"
        json.point(milliseconds, sample.value)
        json.text += "}"
      }
    case .matrix(let series):
      append(series)
      return
    }
    text += "}"
  }

  /// The answer over a range.
  mutating func append(_ series: [RangeSeries]) {
    open("matrix")
    list(series) { json, series in
      json.text += "{\"metric\":"
      json.append(series.labels)
      json.text += ",\"values\":["
      for index in 0..<series.samples.count {
        if index > 0 { json.text += "," }
        json.point(series.samples.timestamps[index], series.samples.values[index])
      }
      json.text += "]}"
    }
    text += "}"
  }

  /// Label sets, for `series`.
  mutating func append(_ sets: [LabelSet]) {
    list(sets) { $0.append($1) }
  }

  /// Texts, for label names and values.
  mutating func append(_ texts: [String]) {
    list(texts) { $0.append($1) }
  }

  /// One text.
  mutating func append(text: String) { append(text) }

  /// Counts of series, as `status/tsdb` tells them.
  mutating func append(_ facts: SeriesStatistics, limit: Int) {
    let newest = facts.series > 0 ? facts.newest : 0
    let oldest = facts.series > 0 ? facts.oldest : 0
    text +=
      "{\"headStats\":{\"numSeries\":\(facts.series),\"numLabelPairs\":\(facts.values.values.reduce(0) { $0 + $1.count })"
    text += ",\"minTime\":\(oldest),\"maxTime\":\(newest)}"
    for (name, counts) in [
      ("seriesCountByMetricName", facts.byMetric), ("labelValueCountByLabelName", facts.values.mapValues(\.count)),
    ] {
      text += ",\"\(name)\":"
      list(SeriesStatistics.largest(counts, limit)) { json, count in
        json.text += "{\"name\":"
        json.append(count.name)
        json.text += ",\"value\":\(count.value)}"
      }
    }
    text += "}"
  }

  /// An object of texts, members in order of names.
  mutating func append(_ members: [(name: String, value: String)]) {
    text += "{"
    for (index, member) in members.enumerated() {
      if index > 0 { text += "," }
      append(member.name)
      text += ":"
      append(member.value)
    }
    text += "}"
  }

  /// What is known of metrics, by name.
  mutating func append(_ metadata: [MetricMetadata]) {
    text += "{"
    for (index, entry) in metadata.enumerated() {
      if index > 0 { text += "," }
      append(entry.name)
      text += ":["
      append([("type", entry.kind.rawValue), ("help", entry.help), ("unit", entry.unit)])
      text += "]"
    }
    text += "}"
  }

  private mutating func open(_ type: String) {
    text += "{\"resultType\":\"\(type)\",\"result\":"
  }

  private mutating func append(_ labels: LabelSet) {
    append(labels.allLabels.map { ($0.name, $0.value) })
  }

  private mutating func point(_ milliseconds: Int64, _ value: Double) {
    text += "[\(Self.seconds(milliseconds)),\"\(Self.number(value))\"]"
  }

  private mutating func list<Element>(_ elements: [Element], _ write: (inout PrometheusJSON, Element) -> Void) {
    text += "["
    for (index, element) in elements.enumerated() {
      if index > 0 { text += "," }
      write(&self, element)
    }
    text += "]"
  }

  /// A JSON string.
  private mutating func append(_ string: String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }

  /// Seconds, with three digits behind the point unless they are whole.
  static func seconds(_ milliseconds: Int64) -> String {
    let fraction = Int(milliseconds.magnitude % 1000)
    let whole = (milliseconds < 0 ? "-" : "") + String(milliseconds.magnitude / 1000)
    guard fraction != 0 else { return whole }
    let digits = String(fraction)
    return "\(whole).\(String(repeating: "0", count: 3 - digits.utf8.count))\(digits)"
  }

  /// The shortest digits that read back alike, with an exponent below 1e-6 and from 1e21 on, as Prometheus prints them.
  static func number(_ value: Double) -> String {
    guard value.isFinite, value != 0, value.magnitude < 1e-6 || value.magnitude >= 1e21 else {
      return FloatText.plain(value)
    }
    return FloatText.scientific(value).lowercased()
  }
}
