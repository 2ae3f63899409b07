/// An answer of the Prometheus API, read.
struct QueryAnswer<Payload: Decodable>: Decodable {
  let data: Payload
  /// Remarks of the server: which tier answered, what may be missing.
  let infos: [String]?
  let warnings: [String]?
}

/// A refusal of the Prometheus API.
struct QueryRefusal: Error, Decodable {
  let errorType: String
  let error: String
}

/// What a query gave: a number, a text, or series with one point or many.
struct QueryData: Decodable {
  /// A value at an instant. The text is the server's own, to the last digit.
  struct Point: Decodable {
    let unixMilliseconds: Int64
    let text: String

    init(from decoder: any Decoder) throws {
      var parts = try decoder.unkeyedContainer()
      unixMilliseconds = Int64((try parts.decode(Double.self) * 1000).rounded())
      text = try parts.decode(String.self)
    }

    /// The value; the server writes `NaN`, `+Inf` and `-Inf` as Swift reads them.
    var value: Double { Double(text) ?? .nan }
  }

  struct Series: Decodable {
    let metric: [String: String]
    let points: [Point]

    private enum CodingKeys: String, CodingKey { case metric, value, values }

    init(from decoder: any Decoder) throws {
      let fields = try decoder.container(keyedBy: CodingKeys.self)
      metric = try fields.decode([String: String].self, forKey: .metric)
      points =
        try fields.decodeIfPresent([Point].self, forKey: .values) ?? [fields.decode(Point.self, forKey: .value)]
    }
  }

  enum Kind: String, Decodable { case scalar, string, vector, matrix }

  let kind: Kind
  /// A scalar or a text is one series without labels.
  let series: [Series]
  let single: Point?

  private enum CodingKeys: String, CodingKey { case resultType, result }

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    kind = try fields.decode(Kind.self, forKey: .resultType)
    switch kind {
    case .scalar, .string:
      single = try fields.decode(Point.self, forKey: .result)
      series = []
    case .vector, .matrix:
      single = nil
      series = try fields.decode([Series].self, forKey: .result)
    }
  }
}
