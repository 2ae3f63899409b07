internal import BongsuQuery
internal import BongsuSeries
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// Writes answers in the Prometheus envelope, by hand: an answer may have millions of numbers, and each is text in
/// quotes in the notation of Go.
struct PrometheusJSON {
  private var bytes = Array("{\"status\":\"success\",\"data\":".utf8)

  /// The finished answer.
  consuming func response(_ annotations: SeriesAnnotations? = nil) -> Response {
    for (name, texts) in [("infos", annotations?.infos ?? []), ("warnings", annotations?.warnings ?? [])]
    where !texts.isEmpty {
      put(",\"\(name)\":")
      append(texts)
    }
    put("}\n")
    return Self.response(bytes, status: .ok)
  }

  /// A refusal.
  static func response(_ error: PrometheusError) -> Response {
    var json = PrometheusJSON()
    json.bytes = Array("{\"status\":\"error\",\"errorType\":".utf8)
    json.append(error.kind.rawValue)
    json.put(",\"error\":")
    json.append(error.message)
    json.put("}\n")
    var answer = response(json.bytes, status: HTTPResponse.Status(code: error.kind.statusCode))
    if error.kind == .unavailable { answer.headers[.retryAfter] = "\(APILimits.retryAfterSeconds)" }
    return answer
  }

  private static func response(_ bytes: [UInt8], status: HTTPResponse.Status) -> Response {
    Response(
      status: status, headers: [.contentType: "application/json"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }

  /// The answer at one instant.
  mutating func append(_ result: InstantResult, at milliseconds: Int64) {
    switch result {
    case .scalar(let value):
      open("scalar")
      point(milliseconds, value)
    case .string(let string):
      open("string")
      put("[")
      putSeconds(milliseconds)
      put(",")
      append(string)
      put("]")
    case .vector(let samples):
      open("vector")
      list(samples) { json, sample in
        json.put("{\"metric\":")
        json.append(sample.labels)
        json.put(",\"value\":")
        json.point(milliseconds, sample.value)
        json.put("}")
      }
    case .matrix(let series):
      append(series)
      return
    }
    put("}")
  }

  /// The answer over a range.
  mutating func append(_ series: [RangeSeries]) {
    open("matrix")
    list(series) { json, series in
      json.put("{\"metric\":")
      json.append(series.labels)
      json.put(",\"values\":[")
      for index in 0..<series.samples.count {
        if index > 0 { json.put(",") }
        json.point(series.samples.timestamps[index], series.samples.values[index])
      }
      json.put("]}")
    }
    put("}")
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
    put(
      "{\"headStats\":{\"numSeries\":\(facts.series),\"numLabelPairs\":\(facts.values.values.reduce(0) { $0 + $1.count })"
    )
    put(",\"minTime\":\(oldest),\"maxTime\":\(newest)}")
    for (name, counts) in [
      ("seriesCountByMetricName", facts.byMetric), ("labelValueCountByLabelName", facts.values.mapValues(\.count)),
    ] {
      put(",\"\(name)\":")
      list(SeriesStatistics.largest(counts, limit)) { json, count in
        json.put("{\"name\":")
        json.append(count.name)
        json.put(",\"value\":\(count.value)}")
      }
    }
    put("}")
  }

  /// An object of texts, members in order of names.
  mutating func append(_ members: [(name: String, value: String)]) {
    put("{")
    for (index, member) in members.enumerated() {
      if index > 0 { put(",") }
      append(member.name)
      put(":")
      append(member.value)
    }
    put("}")
  }

  /// What is known of metrics, by name.
  mutating func append(_ metadata: [MetricMetadata]) {
    put("{")
    for (index, entry) in metadata.enumerated() {
      if index > 0 { put(",") }
      append(entry.name)
      put(":[")
      append([("type", entry.kind.rawValue), ("help", entry.help), ("unit", entry.unit)])
      put("]")
    }
    put("}")
  }

  private mutating func open(_ type: String) {
    put("{\"resultType\":\"\(type)\",\"result\":")
  }

  private mutating func append(_ labels: LabelSet) {
    put("{")
    for (index, label) in labels.allLabels.enumerated() {
      if index > 0 { put(",") }
      append(label.name)
      put(":")
      append(label.value)
    }
    put("}")
  }

  private mutating func point(_ milliseconds: Int64, _ value: Double) {
    put("[")
    putSeconds(milliseconds)
    put(",\"")
    putNumber(value)
    put("\"]")
  }

  private mutating func list<Element>(_ elements: [Element], _ write: (inout PrometheusJSON, Element) -> Void) {
    put("[")
    for (index, element) in elements.enumerated() {
      if index > 0 { put(",") }
      write(&self, element)
    }
    put("]")
  }

  private mutating func put(_ text: String) { bytes.append(contentsOf: text.utf8) }

  /// A JSON string.
  private mutating func append(_ string: String) {
    put("\"")
    if string.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C }) {
      put(string)
    } else {
      appendEscaped(string)
    }
    put("\"")
  }

  private mutating func appendEscaped(_ string: String) {
    for byte in string.utf8 {
      switch byte {
      case 0x22: put("\\\"")
      case 0x5C: put("\\\\")
      case 0x0A: put("\\n")
      case 0x0D: put("\\r")
      case 0x09: put("\\t")
      case 0..<0x20:
        let digits = String(byte, radix: 16)
        put("\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits)
      default: bytes.append(byte)
      }
    }
  }

  // MARK: numbers

  /// Seconds, with three digits behind the point unless they are whole.
  private mutating func putSeconds(_ milliseconds: Int64) {
    if milliseconds < 0 { put("-") }
    putDigits(milliseconds.magnitude / 1000)
    let fraction = milliseconds.magnitude % 1000
    if fraction != 0 { putThousandths(fraction, keepsZeros: true) }
  }

  private mutating func putNumber(_ value: Double) {
    // Readings are whole thousandths. Below 10^15 of them no two have the same number, so there is no shorter text.
    let thousandths = value * 1000
    if thousandths.magnitude < 1e15, thousandths.rounded() / 1000 == value {
      let count = UInt64(thousandths.rounded().magnitude)
      if value.sign == .minus { put("-") }
      putDigits(count / 1000)
      if count % 1000 != 0 { putThousandths(count % 1000, keepsZeros: false) }
      return
    }
    put(Self.number(value))
  }

  private mutating func putDigits(_ number: UInt64) {
    var divisor: UInt64 = 1
    while number / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      bytes.append(0x30 + UInt8(number / divisor % 10))
      divisor /= 10
    }
  }

  private mutating func putThousandths(_ number: UInt64, keepsZeros: Bool) {
    let digits = (UInt8(number / 100), UInt8(number / 10 % 10), UInt8(number % 10))
    put(".")
    bytes.append(0x30 + digits.0)
    if keepsZeros || digits.1 != 0 || digits.2 != 0 { bytes.append(0x30 + digits.1) }
    if keepsZeros || digits.2 != 0 { bytes.append(0x30 + digits.2) }
  }

  /// The shortest digits that read back alike, with an exponent below 1e-6 and from 1e21 on, as Prometheus prints them.
  static func number(_ value: Double) -> String {
    guard value.isFinite, value != 0, value.magnitude < 1e-6 || value.magnitude >= 1e21 else {
      return FloatText.plain(value)
    }
    return FloatText.scientific(value).lowercased()
  }
}
