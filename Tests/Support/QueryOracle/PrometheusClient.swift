public import BongsuQuery
public import BongsuSeries
public import Foundation

#if canImport(FoundationNetworking)
  internal import FoundationNetworking
#endif

/// Asks a server with Prometheus's HTTP API, and waits for each answer. Not for the threads of Swift tasks.
public struct PrometheusClient: Sendable {
  /// Why there is no answer.
  public struct Failure: Error, CustomStringConvertible {
    public let description: String

    public init(description: String) { self.description = description }
  }

  /// Values by time in milliseconds, by series.
  public typealias Answer = Result<[LabelSet: [Int64: Double]], Failure>

  public let address: String
  private let headers: [String: String]

  public init(address: String, headers: [String: String] = [:]) {
    self.address = address
    self.headers = headers
  }

  /// The answer to a range query: series by their labels, or the error's text.
  public func range(_ query: String, start: Int64, end: Int64, step: Int64) throws -> Answer {
    try answer(
      "/api/v1/query_range", ["query": query, "start": seconds(start), "end": seconds(end), "step": seconds(step)])
  }

  /// The answer at one instant; a scalar is a series without labels.
  public func instant(_ query: String, at time: Int64) throws -> Answer {
    try answer("/api/v1/query", ["query": query, "time": seconds(time)])
  }

  private func answer(_ path: String, _ parameters: [String: String]) throws -> Answer {
    let (_, data) = try get(path, parameters)
    guard let answer = try JSONSerialization.jsonObject(with: data) as? [String: Any] else {
      throw Failure(description: "no JSON object")
    }
    if answer["status"] as? String == "error" {
      return .failure(Failure(description: answer["error"] as? String ?? "?"))
    }
    let payload = answer["data"] as? [String: Any]
    var found: [LabelSet: [Int64: Double]] = [:]
    if let point = payload?["result"] as? [Any], point.count == 2, let time = point[0] as? Double,
      let text = point[1] as? String
    {
      found[.empty] = [Int64((time * 1000).rounded()): FloatText.parse(text) ?? .nan]
    }
    for entry in payload?["result"] as? [[String: Any]] ?? [] {
      let metric = entry["metric"] as? [String: String] ?? [:]
      var points: [Int64: Double] = [:]
      for point in entry["values"] as? [[Any]] ?? [entry["value"] as? [Any] ?? []] where point.count == 2 {
        guard let time = point[0] as? Double, let text = point[1] as? String else { continue }
        points[Int64((time * 1000).rounded())] = FloatText.parse(text)
      }
      found[LabelSet(metric.map { Label(name: $0.key, value: $0.value) })] = points
    }
    return .success(found)
  }

  /// The answer of `format_query`.
  public func format(_ query: String) throws -> String? {
    let (_, data) = try get("/api/v1/format_query", ["query": query])
    let answer = try JSONSerialization.jsonObject(with: data) as? [String: Any]
    return answer?["data"] as? String
  }

  private func seconds(_ milliseconds: Int64) -> String { FloatText.plain(Double(milliseconds) / 1000) }

  /// Status and body of a GET.
  public func get(_ path: String, _ parameters: [String: String]) throws -> (Int, Data) {
    var components = URLComponents(string: address + path)
    components?.queryItems = parameters.map { URLQueryItem(name: $0.key, value: $0.value) }
    // A plus sign is left alone by URLComponents, and means a space to the server.
    let query = components?.percentEncodedQuery?.replacingOccurrences(of: "+", with: "%2B")
    components?.percentEncodedQuery = query
    guard let url = components?.url else { throw Failure(description: "no address for \(path)") }
    let answer = Waiting()
    var request = URLRequest(url: url)
    for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
    let task = URLSession.shared.dataTask(with: request) { data, response, error in
      answer.set(data: data, status: (response as? HTTPURLResponse)?.statusCode, error: error)
    }
    task.resume()
    return try answer.wait()
  }

  /// Hands the answer of a request to the thread that waits for it.
  private final class Waiting: @unchecked Sendable {
    // `semaphore` orders the one write before the one read of `result`.
    private let semaphore = DispatchSemaphore(value: 0)
    private var result: Result<(Int, Data), Failure> = .failure(Failure(description: "no answer"))

    func set(data: Data?, status: Int?, error: (any Error)?) {
      if let data, let status {
        result = .success((status, data))
      } else {
        result = .failure(Failure(description: "\(error.map { "\($0)" } ?? "no data")"))
      }
      semaphore.signal()
    }

    func wait() throws -> (Int, Data) {
      guard semaphore.wait(timeout: .now() + 30) == .success else { throw Failure(description: "no answer in 30 s") }
      return try result.get()
    }
  }

  /// What differs between our series and an answer, or `nil`. Errors count as equal whatever they say.
  public static func difference(_ ours: Result<[RangeSeries], any Error>, _ theirs: Answer) -> String? {
    let answer: Answer
    switch ours {
    case .failure(let error): answer = .failure(Failure(description: "\(error)"))
    case .success(let series):
      let points = series.map { one in
        (one.labels, Dictionary(uniqueKeysWithValues: zip(one.samples.timestamps, one.samples.values)))
      }
      answer = .success(Dictionary(points) { first, _ in first })
    }
    return difference(answer, theirs)
  }

  /// What differs between two answers by more than 1e-9 of the value, or `nil`.
  public static func difference(_ ours: Answer, _ theirs: Answer) -> String? {
    switch (ours, theirs) {
    case (.failure, .failure): return nil
    case (.failure(let error), .success): return "we fail with \(error), Prometheus does not"
    case (.success, .failure(let error)): return "Prometheus fails with \(error), we do not"
    case (.success(let series), .success(let expected)):
      guard series.count == expected.count else { return "\(series.count) series, expected \(expected.count)" }
      for (labels, points) in series {
        guard let wanted = expected[labels] else { return "series \(labels) is not expected" }
        guard points.count == wanted.count else { return "\(labels): \(points.count) points, expected \(wanted.count)" }
        for (time, value) in points {
          guard let want = wanted[time] else { return "\(labels): no point expected at \(time)" }
          if value == want || (value.isNaN && want.isNaN) { continue }
          guard abs(value - want) <= 1e-9 * max(abs(value), abs(want)) else {
            return "\(labels) at \(time): \(value), expected \(want)"
          }
        }
      }
      return nil
    }
  }
}
